"""The gate of IAF against TensorFlow's own functions."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

SUMS = [-100.0, -40.0, -3.0, -0.5, 0.0, 0.5, 3.0, 40.0, 100.0]


def plain(x, parameters):
    shift, s = tf.split(parameters, 2, axis=-1)
    gate = tf.sigmoid(s)
    return gate * x + (1.0 - gate) * shift, tf.math.log_sigmoid(s)


def results_and_gradients(function, x, parameters):
    """Values, first derivatives of a mix of both results, and derivatives of these."""
    with tf.GradientTape() as outer:
        outer.watch([x, parameters])
        with tf.GradientTape() as inner:
            inner.watch([x, parameters])
            y, log_det = function(x, parameters)
            loss = tf.reduce_sum(tf.sin(y) + 2.0 * log_det)
        first = inner.gradient(loss, [x, parameters])
        total = tf.add_n([tf.reduce_sum(g**2) for g in first])
    return y, log_det, *first, *outer.gradient(total, [x, parameters])


@pytest.mark.parametrize("compiled", [None, {}, {"jit_compile": True}])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
def test_values_and_derivatives_of_two_orders(dtype, tolerance, compiled, rng):
    x = tf.constant(rng.normal(size=len(SUMS)), dtype)
    parameters = tf.constant([*rng.normal(size=len(SUMS)), *SUMS], dtype)
    gated = tff.Gated(bias=0.0)

    def ours(*args):
        return results_and_gradients(gated.forward_and_log_det, *args)

    if compiled is not None:
        ours = tf.function(ours, **compiled)
    expected = results_and_gradients(plain, x, parameters)
    for got, wanted in zip(ours(x, parameters), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
