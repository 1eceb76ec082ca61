"""Likelihood training: distributions as Keras models.

Read `model` first (one training step, one `fit`), then `density_estimator` and its
`weight_prior`. The data of `fit` are in `row_format` (rows, contexts and weights told
apart), `row_batches` (batches of arrays, orders of rows), `row_arrays` (in memory) and
`row_stream` (in batches). The model stands on `global_batch` (replicas),
`shared_variables`, `callbacks` and `blocks` (several steps as one XLA program). `loading`
reads saved models. `averaging` stands alone.
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
