"""Likelihood training: distributions as Keras models.

Read `model` first (one training step, one `fit`), then `density_estimator`, `data` (the
forms of rows, arrays and streams that `fit` takes), `row_batches` (orders of rows),
`blocks` (several steps as one XLA program), `averaging`, `callbacks` and `loading`.
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
