"""Supports of TFP's distributions reach all of their draws, or are refused."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.distributions.joint_support import JointSupport

tfd = tfp.distributions


def wishart(dtype=np.float32, **options):
    return tfd.WishartTriL(dtype(3.5), scale_tril=np.eye(3, dtype=dtype), **options)


def of_precision():
    """Two variables, seen ten times, and the posterior of their precision."""
    rows = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)

    def model():
        prior = tfd.WishartTriL(4.0, scale_tril=tf.eye(2), name="precision")
        precision = yield tfd.JointDistributionCoroutine.Root(prior)
        factor = tf.linalg.cholesky(tf.linalg.inv(precision))
        normal = tfd.MultivariateNormalTriL(scale_tril=factor)
        yield tfd.Sample(normal, 10, name="rows")

    target = tfd.JointDistributionCoroutine(model).experimental_pin(rows=rows)
    scale = np.linalg.inv(np.eye(2) + rows.T @ rows)
    return target, tfd.WishartTriL(14.0, scale_tril=np.linalg.cholesky(scale))


REACHED = {
    "wishart": wishart,
    "float64": lambda: wishart(np.float64),
    "factors": lambda: wishart(input_output_cholesky=True),
    "operator": lambda: tfd.WishartLinearOperator(
        3.5, tf.linalg.LinearOperatorLowerTriangular(tf.eye(3))
    ),
    "repeated": lambda: tfd.Sample(wishart(), 2),
    "joint": lambda: tfd.JointDistributionNamed(
        {"a": tfd.Gamma(2.0, 1.0), "p": wishart(), "b": tfd.Beta(2.0, 3.0)}
    ),
    "lkj": lambda: tfd.CholeskyLKJ(4, 2.0),
    "dirichlet": lambda: tfd.Dirichlet([0.5, 1.0, 2.0]),
}


@pytest.mark.parametrize("name", REACHED)
def test_all_draws_come_back(name):
    target = REACHED[name]()
    bijector = JointSupport.of_distribution(target).bijector
    drawn = target.sample(200, seed=1)
    found = bijector.forward(tf.identity(bijector.inverse(drawn)))
    for x, y in zip(tf.nest.flatten(drawn), tf.nest.flatten(found), strict=True):
        size = np.max(np.abs(x), axis=tuple(range(1, x.shape.rank)), keepdims=True)
        assert np.max(np.abs(y - x) / size) < 1e-3


@pytest.mark.parametrize(
    "target",
    [
        tfd.Gamma(0.01, 1.0),  # most of its draws are below the smallest float
        tfd.Sample(tfd.Gamma([0.01, 2.0], 1.0), 2),
        tfd.Beta(0.01, 0.01),
        tfd.Dirichlet([0.01, 0.01, 0.01]),
        tfd.HalfCauchy(0.0, 1e20),
        tfd.LogNormal(0.0, 60.0),
        tfd.Uniform(1e6, 1e6 + 1.0),
    ],
    ids=lambda target: target.name,
)
def test_draws_at_the_ends_of_floats_are_no_misses(target):
    if target.batch_shape.rank:
        target = tfd.Independent(target, target.batch_shape.rank)
    JointSupport.of_distribution(target)


@pytest.mark.parametrize(
    "part",
    [
        tfd.VonMisesFisher([1.0, 0.0, 0.0], 2.0),
        tfd.PowerSpherical([0.0, 1.0], 2.0),
        tfd.Sample(tfd.SphericalUniform(3), 2),
    ],
    ids=lambda part: part.name,
)
def test_a_support_that_is_not_reached_is_refused_by_name(part):
    target = tfd.JointDistributionNamed({"scale": tfd.Gamma(2.0, 1.0), "where": part})
    for refused in (lambda: tff.flow_posterior(target), lambda: tff.fit_posterior(target)):
        with pytest.raises(ValueError, match="'where'.*misses .*%.*`support`"):
            refused()


def test_a_support_that_depends_on_others_is_refused_beside_a_wishart():
    target = tfd.JointDistributionNamed(
        {"a": tfd.Gamma(2.0, 1.0), "b": lambda a: tfd.Uniform(0.0, a), "p": wishart()}
    )
    with pytest.raises(ValueError, match="do not depend on other parts"):
        tff.flow_posterior(target)


@pytest.mark.slow
def test_the_posterior_of_a_precision_is_the_known_one():
    target, known = of_precision()
    posterior = tff.fit_posterior(target, seed=0)
    assert posterior.report.verdict == "reliable"
    found = posterior.sample(20_000, seed=1).precision.numpy()
    np.testing.assert_allclose(found.mean(0), known.mean(), atol=0.03)
    np.testing.assert_allclose(found.std(0), known.stddev(), rtol=0.05)
