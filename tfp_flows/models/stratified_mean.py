"""The mean over a mixture, from draws of each of its components."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["stratified_mean"]


def stratified_mean(
    ratio: tf.Tensor, is_usable: tf.Tensor, log_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean over a mixture, from equally many draws of each component, and its variance.

    Args:
      ratio: what is averaged, `[K * N]`.
      is_usable: draws that count, `[K * N]`; NaN results if they are not most.
      log_weights: of the components, `[K]`, with a gradient.
    """
    rows = [log_weights.shape[0], -1]
    ratio = tf.reshape(ratio, rows)
    usable = tf.cast(tf.reshape(is_usable, rows), ratio.dtype)
    count = tf.reduce_sum(usable, axis=1)
    means = tf.reduce_sum(ratio, axis=1) / tf.maximum(count, 1.0)
    spread = tf.reduce_sum(usable * (ratio - means[:, None]) ** 2, axis=1)
    variances = spread / tf.maximum(count, 2.0) ** 2
    weights = tf.exp(log_weights)
    is_enough = tf.reduce_sum(usable) > 0.5 * float(is_usable.shape[0])
    bound = tf.reduce_sum(weights * means)
    bound = tf.where(is_enough, bound, tf.constant(float("nan"), ratio.dtype))
    return bound, tf.stop_gradient(tf.reduce_sum(weights**2 * variances))
