"""The log-density of points outside a support: minus infinity, or NaN for NaN."""

import math
from collections.abc import Sequence

import tensorflow as tf

__all__ = ["minus_infinity_outside"]


def minus_infinity_outside(
    log_density: tf.Tensor, inside: tf.Tensor, value: tf.Tensor, axes: Sequence[int]
) -> tf.Tensor:
    """Returns `log_density` where all entries are inside the support.

    Elsewhere it is minus infinity, or NaN if an entry is NaN.

    Args:
      log_density: `[...]`.
      inside: boolean, of the shape of `value`: whether an entry is in the support.
      value: `[..., *event]`.
      axes: axes of the event, negative; none for densities of single entries.
    """
    dtype = log_density.dtype
    is_nan = tf.reduce_any(tf.math.is_nan(value), axis=axes)
    elsewhere = tf.where(
        is_nan, tf.constant(math.nan, dtype), tf.constant(-math.inf, dtype)
    )
    return tf.where(tf.reduce_all(inside, axis=axes), log_density, elsewhere)
