"""Probabilities of intervals under a standard normal distribution, in both tails."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["log_interval_probability", "normal_cdf"]


def log_interval_probability(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Returns `log P(low < Z <= high)`, `[...]`, for `low < high` at some distance.

    Args:
      low: `[...]`; values of -100 and less have nothing below.
      high: `[...]`; values of 100 and more have nothing above.
    """
    # In the lower tail, where a difference of logarithms has all digits.
    is_upper = low + high > 0.0
    low, high = tf.where(is_upper, -high, low), tf.where(is_upper, -low, high)
    normal = tfp.distributions.Normal(tf.zeros([], low.dtype), tf.ones([], low.dtype))
    below_low, below_high = normal.log_cdf(low), normal.log_cdf(high)
    ratio = tf.minimum(below_low - below_high, -1e-6)
    return below_high + tfp.math.log1mexp(ratio)


def normal_cdf(z: tf.Tensor) -> tf.Tensor:
    """Returns `P(Z <= z)`, `[...]`."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)
