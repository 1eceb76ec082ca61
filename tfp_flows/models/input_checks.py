"""What a `DensityEstimator` refuses: what has no density, rows that are no events."""

import keras
import tensorflow as tf

from tfp_flows.core.arguments import check_instance
from tfp_flows.distributions.row_checks import check_rows_of

__all__ = ["check_distribution", "check_inputs"]


def check_distribution(distribution):
    """Raises `ValueError` unless `distribution` is an object with a log-density."""
    has_density = all(hasattr(distribution, n) for n in ("log_prob", "variables", "dtype"))
    if isinstance(distribution, type) or not has_density:
        words = "one with `log_prob`, as a `FlowDistribution` of a base and a flow"
        check_instance("distribution", distribution, (), words)


def check_inputs(distribution, inputs):
    """Raises `ValueError` if rows, or their contexts, do not fit the distribution.

    Args:
      distribution: as of a `DensityEstimator`.
      inputs: `x`, `[N, *event]`, or `(x, context)`, or a `tf.data.Dataset` of batches of
        them, of which the shapes are looked at. Anything else passes.
    """
    if isinstance(inputs, tf.data.Dataset):
        inputs = keras.utils.unpack_x_y_sample_weight(inputs.element_spec)[0]
    x, context = (
        inputs if isinstance(inputs, tuple) and len(inputs) == 2 else (inputs, None)
    )
    if hasattr(x, "shape"):
        check_rows_of(distribution, x, context, argument="x")
