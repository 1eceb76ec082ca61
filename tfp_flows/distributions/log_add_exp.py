"""The logarithm of a sum of two densities, also where both are zero."""

import math

import tensorflow as tf
import tensorflow_probability as tfp


def log_add_exp(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns `log(exp(a) + exp(b))`, -inf with gradients of 0 where both are -inf.

    TFP's function is NaN there.
    """
    are_zero = tf.equal(a, -math.inf) & tf.equal(b, -math.inf)
    a, b = (tf.where(are_zero, tf.zeros_like(t), t) for t in (a, b))
    total = tfp.math.log_add_exp(a, b)
    return tf.where(are_zero, tf.constant(-math.inf, total.dtype), total)
