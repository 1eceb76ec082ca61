"""Likelihood training: distributions as Keras models.

Read `model` first (one training step, one `fit`), then `density_estimator`. The data of
`fit` are `row_format` (rows, contexts and weights told apart), `row_arrays` and
`row_stream` (in memory and in batches) and `row_batches` (orders of rows). `blocks` makes
one XLA program of several steps; `averaging`, `callbacks` and `loading` stand alone.
"""

from tfp_flows.training.averaging import averaging_adam
from tfp_flows.training.callbacks import FullDataBatchStatistics
from tfp_flows.training.callbacks import StopAfter
from tfp_flows.training.callbacks import StopOnNaN
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.density_estimator import export
from tfp_flows.training.loading import load

__all__ = [
    "DensityEstimator",
    "FullDataBatchStatistics",
    "StopAfter",
    "StopOnNaN",
    "averaging_adam",
    "export",
    "load",
]
