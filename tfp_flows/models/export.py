"""The export of any distribution, to where this package is not installed."""

from __future__ import annotations

import os
from typing import Any

from tfp_flows.core.arguments import check_instance
from tfp_flows.models.density_estimator import DensityEstimator

__all__ = ["export"]


def export(distribution: Any, folder: str | os.PathLike) -> None:
    """Writes a distribution as a TensorFlow SavedModel, which runs without this package.

    ```none
    log_prob(x), log_prob(x, context)                   [N] of any N
    sample(count, seed), sample(count, seed, context)   [count, ...], of two int32 scalars
    ```

    The answers are those of the distribution itself, for the same seed. A `TableDensity`
    is exported with its cells, codes and numbers of rows, as `encode` returns them; its
    samples may differ in the last digit of a float32, since they are drawn op by op here.

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> made = tfp_flows.CategoricalMADE([2, 3], hidden_units=(8,), seed=0)
    >>> tfp_flows.export(made, "exported")
    >>> served = tf.saved_model.load("exported")  # where only TensorFlow is installed
    >>> x = served.sample(4, 7)
    >>> bool(tf.reduce_all(x == made.sample(4, seed=7)))
    True
    >>> served.log_prob(x).shape
    TensorShape([4])

    Args:
      distribution: a `FlowDistribution`, an autoregressive distribution, or another with
        `log_prob` and `sample`; or what holds one as its `distribution`, as a fitted
        `TableDensity` or `DensityEstimator`.
      folder: to write to.

    Raises:
      ValueError: if it has no `log_prob` and `sample`, or does not know its event shape.
    """
    words = "the path of a folder"
    check_instance("folder", folder, (str, os.PathLike), words)
    is_table = hasattr(distribution, "encode") and hasattr(distribution, "distribution")
    if is_table or isinstance(distribution, DensityEstimator):
        distribution = distribution.distribution
    DensityEstimator(distribution).export(folder, verbose=False)
