"""Likelihood training: distributions as Keras models.

Read `model` first (one training step, one `fit`), then `density_estimator`. The data of
`fit` are in `row_format` (rows, contexts and weights told apart), `row_arrays` (in memory),
`row_stream` (in batches) and `row_batches` (orders of rows). The model stands on
`global_batch` (replicas), `shared_variables`, `weight_prior` and `blocks` (several steps as
one XLA program). `averaging`, `callbacks` and `loading` stand alone.
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
