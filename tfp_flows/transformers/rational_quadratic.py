"""A rational-quadratic function between two knots, and its inverse."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.knots import Bin

__all__ = ["interpolate", "interpolate_back", "slopes_of"]

# Least slope at a knot. The largest one, which the paper does not bound, keeps the inverse
# well-conditioned.
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 30.0


def slopes_of(raw: tf.Tensor) -> tf.Tensor:
    """Slopes above the least one, and below about the largest; 1 where `raw` is 0."""
    at_zero = math.log(math.expm1(1.0 - _LEAST_SLOPE))
    return _LEAST_SLOPE + tf.math.softplus(soft_bounded_scale(raw, _MOST_SLOPE) + at_zero)


def interpolate(
    x: tf.Tensor, place: Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The spline at `x`, and the logarithm of its slope there."""
    t, s = _within((x - place.x_0) / place.w), place.h / place.w
    rise = t * (s * t + d_0 * (1.0 - t)) / _denominator(t, s, d_0, d_1)
    return place.y_0 + place.h * rise, _log_slope(t, s, d_0, d_1)


def interpolate_back(
    y: tf.Tensor, place: Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The inverse of the spline at `y`, and the logarithm of its slope there."""
    r, s = _within((y - place.y_0) / place.h), place.h / place.w
    below, above = 2.0 * s * r, 2.0 * s * (1.0 - r)
    e = d_0 * (1.0 - r) - d_1 * r
    g = tf.abs(e) + tf.sqrt(e * e + below * above)
    # t : 1 - t, as below : g or as g : above.
    below, above = tf.where(e >= 0.0, below, g), tf.where(e >= 0.0, g, above)
    t = below / (below + above)
    return place.x_0 + t * place.w, -_log_slope(t, s, d_0, d_1)


def _within(part):
    """`part` of a bin, from 0 to 1 but for rounding, which keeps its gradient."""
    return part + tf.stop_gradient(tf.clip_by_value(part, 0.0, 1.0) - part)


def _denominator(t, s, d_0, d_1):
    return s + (d_0 + d_1 - 2.0 * s) * t * (1.0 - t)


def _log_slope(t, s, d_0, d_1):
    numerator = d_1 * t**2 + 2.0 * s * t * (1.0 - t) + d_0 * (1.0 - t) ** 2
    denominator = _denominator(t, s, d_0, d_1)
    return 2.0 * tf.math.log(s / denominator) + tf.math.log(numerator)
