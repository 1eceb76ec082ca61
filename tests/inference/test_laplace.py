"""Laplace's approximation: Gaussians it must find exactly, and what has none."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.inference.modes import NoMaximumError
from tfp_flows.inference.modes import laplace
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

tfb, tfd = tfp.bijectors, tfp.distributions


def density(log_prob, size, dtype=tf.float64, support=None):
    return UnconstrainedDensity(log_prob, JointSupport.from_shape(size, support, dtype))


def test_change_of_variables_counts():
    """The logarithm of a Gamma variable has its mode at log(shape / rate)."""
    gamma = tfd.Gamma(*np.float64([3.0, 0.5]))
    found = laplace(density(lambda x: gamma.log_prob(x[:, 0]), 1, support=tfb.Exp()), [0.0])
    np.testing.assert_allclose(found.mean, [np.log(6.0)], atol=1e-5)
    np.testing.assert_allclose(found.factor, [[3.0**-0.5]], rtol=1e-4)


def test_differences_stand_in_for_second_derivatives_that_are_not_finite():
    """TFP's softplus has none in float32 at the scale of these data, 150."""
    data = tf.constant(150.0 * np.random.default_rng(0).normal(size=400), tf.float32)
    scale = tfd.HalfCauchy(0.0, 100.0)

    def log_prob(x):
        errors = tfd.Normal(0.0, x)  # x: [N, 1]
        return scale.log_prob(x[:, 0]) + tf.reduce_sum(errors.log_prob(data), axis=1)

    target = density(log_prob, 1, tf.float32, tfb.Softplus())
    found = laplace(target, [0.0])
    exact = np.std(data)
    assert found.mean[0] == pytest.approx(exact, rel=0.01)
    assert found.factor[0, 0] == pytest.approx(exact / np.sqrt(800), rel=0.02)


def test_differences_stand_in_where_there_is_no_second_derivative():
    """The incomplete gamma function has none with respect to its first argument."""
    limit = tf.constant(3.0, tf.float64)

    def log_prob(a):  # largest where half of the mass is on each side of the limit
        shares = tf.math.igamma(a[:, 0], limit), tf.math.igammac(a[:, 0], limit)
        return 1e3 * (tf.math.log(shares[0]) + tf.math.log(shares[1]))

    found = laplace(density(log_prob, 1, support=tfb.Exp()), [0.0])
    half = tf.math.igamma(np.exp(found.mean), limit)
    assert half.numpy() == pytest.approx(0.5, abs=1e-3)
    assert np.isfinite(found.factor).all()


def test_more_directions_than_a_batch_holds():
    scales = np.exp(np.random.default_rng(0).normal(0.0, 2.0, size=70))
    normal = tfd.MultivariateNormalDiag(np.arange(70.0), scales)
    found = laplace(density(normal.log_prob, 70), np.zeros(70))
    np.testing.assert_allclose(found.mean, np.arange(70.0), atol=1e-6)
    np.testing.assert_allclose(found.factor, np.diag(scales), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda x: tf.reduce_sum(x, -1), "no maximum|not rise"),
        (lambda x: -(x[:, 0] ** 2), "not negative definite"),
        (lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, "not negative definite|no maximum"),
        (lambda x: tf.reduce_sum(tf.math.log(x), -1), "not finite"),
        (lambda x: 0.0 * x[:, 0] + np.nan, "not finite"),
    ],
    ids=["unbounded", "flat", "saddle", "gradient", "density"],
)
def test_no_maximum(log_prob, message):
    with pytest.raises(NoMaximumError, match=message):
        laplace(density(log_prob, 2), np.zeros(2))
