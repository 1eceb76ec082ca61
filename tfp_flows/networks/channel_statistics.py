"""The shift and scale of channels that data-dependent initialisation starts from."""

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["standardizing_shift_and_log_scale"]


def standardizing_shift_and_log_scale(
    x: tf.Tensor, weight: TensorLike | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what makes `(x + shift) * exp(log_scale)` zero mean and unit variance.

    Args:
      x: `[N, ..., C]`.
      weight: of the rows, `[N]`; None if all count alike.

    Returns:
      Two arrays `[C]`. A channel that is constant to rounding keeps scale 1.
    """
    axes = list(range(x.shape.rank - 1))
    if weight is None:
        mean, variance = tf.nn.moments(x, axes)
    else:
        weight = tf.reshape(tf.cast(weight, x.dtype), [-1] + [1] * len(axes))
        mean, variance = tf.nn.weighted_moments(x, axes, weight)
    rounding = 10.0 * np.finfo(x.dtype.as_numpy_dtype).eps * tf.abs(mean)
    is_constant = variance <= rounding**2
    return -mean, -0.5 * tf.math.log(tf.where(is_constant, tf.ones_like(mean), variance))
