"""Arithmetic at the ends of an interval, which must not map to infinity or NaN."""

import numpy as np
import tensorflow as tf

__all__ = ["is_inside", "logit", "margin"]


def is_inside(y, low, high):
    """Whether `y` is within the ends; NaN counts, and so comes back NaN."""
    return ~((y < low) | (y > high))


def margin(unit, dtype):
    """Keeps the ends of `[0, 1]` from mapping to infinity."""
    epsilon = np.finfo(dtype.as_numpy_dtype).eps
    return tf.clip_by_value(unit, epsilon, 1.0 - epsilon)


def logit(unit):
    """The log-odds of `unit`, in (0, 1)."""
    return tf.math.log(unit) - tf.math.log1p(-unit)
