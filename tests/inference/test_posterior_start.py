"""`flow_posterior` starts near the target, or warns why it does not."""

import copy
import functools
import json
import pickle
import types
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from derivatives import op_by_op

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize, serialize
from tfp_flows.inference import fit, initial_flow, surrogate
from tfp_flows.inference.checks.importance import Estimate

tfb, tfd = tfp.bijectors, tfp.distributions
SMALL = {"num_steps": 2, "hidden_units": (8,), "seed": 0}


def regression(dtype=tf.float32, num_rows=200, noise=30.0):
    """A pinned regression of unequal units and strong correlations.

    The intercept is in thousands, one slope in thousandths; correlations are 0.99.

    Args:
      dtype: of the model.
      num_rows: number of rows.
      noise: standard deviation of the errors, which the model knows.

    Returns:
      The target, and the mean and covariance of its posterior.
    """
    rng = np.random.default_rng(0)
    size = rng.normal(170.0, 8.0, size=num_rows)
    cost = 1e5 * (size + rng.normal(0.0, 1.0, size=num_rows))
    group = (rng.uniform(size=num_rows) < 0.4).astype(np.float64)
    design = np.stack([np.ones(num_rows), size, cost, group * size], axis=1)
    response = design @ [4000.0, -12.0, 2e-3, 0.3] + rng.normal(0.0, noise, num_rows)
    prior = np.array([1e4, 1e3, 1e-1, 1e2])
    precision = design.T @ design / noise**2 + np.diag(prior**-2.0)
    covariance = np.linalg.inv(precision)
    mean = covariance @ design.T @ response / noise**2

    def model():
        scales = tf.constant(prior, dtype)
        weights = yield tfd.MultivariateNormalDiag(tf.zeros(4, dtype), scales, name="w")
        location = tf.linalg.matvec(tf.constant(design, dtype), weights)
        errors = tfd.Normal(location, tf.constant(noise, dtype))
        yield tfd.Independent(errors, 1, name="y")

    pinned = tfd.JointDistributionCoroutineAutoBatched(model).experimental_pin(
        y=tf.constant(response, dtype)
    )
    return pinned, mean, covariance


def elbo(log_prob, posterior):
    with op_by_op():
        draws, log_q = posterior.sample_and_log_prob(2000, seed=5)
    return float(np.mean(log_prob(draws) - log_q))


@functools.cache
def near(flow, dtype):
    """The posterior that starts at the regression; its mean and covariance."""
    target, mean, covariance = regression(dtype)
    return tff.flow_posterior(target, flow, **SMALL), mean, covariance


@pytest.mark.slow_ids("iaf-*", "real_nvp-64")
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=["32", "64"])
@pytest.mark.parametrize("flow", ["iaf", "real_nvp"])
def test_start_is_the_laplace_approximation(flow, dtype):
    posterior, mean, covariance = near(flow, dtype)
    with op_by_op():
        draws = posterior.sample(20000, seed=1).w.numpy().astype(np.float64)
    assert np.linalg.cond(covariance) > 1e12
    # In these coordinates, the covariance of the draws should be the identity.
    z = np.linalg.solve(np.linalg.cholesky(covariance), (draws - mean).T)
    np.testing.assert_allclose(z.mean(axis=1), 0.0, atol=0.05)
    np.testing.assert_allclose(np.cov(z), np.eye(4), atol=0.08)


def test_a_shape_starts_at_the_density_that_is_given():
    """The parts of a list are positional arguments, as in `tfp.vi`."""

    def log_prob(rate, shift):
        return tfd.Gamma(200.0, 2.0).log_prob(rate) + tfd.MultivariateNormalDiag(
            [500.0, 0.0], [1.0, 1e-3]
        ).log_prob(shift)

    support = [tfb.Softplus(), None]
    posterior = tff.flow_posterior(
        [[], [2]], support=support, target_log_prob_fn=log_prob, **SMALL
    )
    rate, shift = posterior.sample(4000, seed=1)
    assert np.mean(rate) == pytest.approx(100.0, abs=1.0)
    np.testing.assert_allclose(np.mean(shift, 0), [500.0, 0.0], atol=0.1)
    np.testing.assert_allclose(np.std(shift, 0), [1.0, 1e-3], rtol=0.1)


def variables(posterior):
    return {variable.name for variable in posterior.distribution.variables}


def test_no_start_without_a_density_or_with_a_context():
    gamma = tfd.Gamma(2.0, 3.0)
    for posterior in (
        tff.flow_posterior(3, **SMALL),
        tff.flow_posterior(gamma, context_size=2, **SMALL),
        tff.flow_posterior(gamma, whiten=False, **SMALL),
    ):
        assert "factor:0" not in variables(posterior)
    assert "factor:0" in variables(tff.flow_posterior(gamma, **SMALL))


SUPPORTS = {
    "bounded": tfd.Beta(30.0, 2.0),
    "lower": tfd.TruncatedNormal(3.0, 1.0, 3.0, 9.0),
    "correlation": tfd.CholeskyLKJ(3, 2.0),
    "joint": tfd.JointDistributionNamed(
        {"rate": tfd.Gamma(2.0, 1.0), "count": lambda rate: tfd.Exponential(rate)}
    ),
}


@pytest.mark.slow_ids("bounded", "joint", "lower")
@pytest.mark.parametrize("name", SUPPORTS)
def test_start_is_in_the_support_and_above_the_plain_one(name):
    target = SUPPORTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior = tff.flow_posterior(target, **SMALL)
    draws = posterior.sample(50, seed=1)
    assert np.isfinite(target.log_prob(draws)).all()
    # The identity as flow, so that only the start differs.
    plain = tff.flow_posterior(target, tfb.Identity(), whiten=False)
    assert elbo(target.log_prob, posterior) > elbo(target.log_prob, plain)


def funnel(x):
    v = x[..., :1]
    others = tfd.Normal(0.0, tf.exp(0.5 * v)).log_prob(x[..., 1:])
    return tf.reduce_sum(others, axis=-1) + tfd.Normal(0.0, 3.0).log_prob(v[..., 0])


def two_modes(x):
    means, scales = [[-3.0, 0.0], [3.0, 2.0]], [[1.0, 0.6], [0.8, 0.8]]
    parts = tfd.MultivariateNormalDiag(means, scales)
    return tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), parts).log_prob(x)


def broken(x):
    raise ValueError("this model takes no batches")


USELESS = {
    "funnel": (funnel, "further from the target than the standard normal"),
    "two modes": (two_modes, "the target has several maxima"),
    "no maximum": (lambda x: tf.abs(x[..., 0]) - x[..., 1] ** 2, "negative definite"),
    "broken": (broken, "this model takes no batches"),
}


@pytest.mark.parametrize("name", USELESS)
def test_gradients_scale_where_a_hessian_is_of_no_use(name):
    log_prob, reason = USELESS[name]
    size = 5 if name == "funnel" else 2
    with pytest.warns(UserWarning, match=f"Laplace.*: .*{reason}") as caught:
        posterior = tff.flow_posterior(size, target_log_prob_fn=log_prob, **SMALL)
    assert caught[0].filename == __file__
    if name != "broken":
        plain = tff.flow_posterior(size, **SMALL)
        assert elbo(log_prob, posterior) >= elbo(log_prob, plain) - 0.5


def test_many_variables_are_scaled_by_gradients(monkeypatch):
    for module in (initial_flow, surrogate):
        monkeypatch.setattr(module, "MOST_OF_FULL_RANK", 2)
    scales = np.float32([1e-3, 1.0, 50.0])
    target = tfd.MultivariateNormalDiag(np.float32([1.0, -2.0, 3000.0]), scales)
    with pytest.warns(UserWarning, match="its 3 variables are more than 2"):
        posterior = tff.flow_posterior(target, "real_nvp", **SMALL)
    draws = posterior.sample(4000, seed=1)
    errors = (np.mean(draws, axis=0) - target.mean()) / scales
    np.testing.assert_allclose(errors, 0.0, atol=0.2)
    np.testing.assert_allclose(np.std(draws, axis=0), scales, rtol=0.2)


@pytest.mark.parametrize("flow", ["iaf", "real_nvp"])
def test_initialize_still_takes_location_and_scale_from_draws(flow):
    target = tfd.Independent(tfd.LogNormal([10.0, 0.0], [3.0, 1e-2]), 1)
    posterior = tff.flow_posterior(target, flow, transformer=tff.Affine(), **SMALL)
    draws = np.exp(np.random.default_rng(0).normal([1.0, -3.0], [0.1, 2.0], (4000, 2)))
    posterior.initialize(draws.astype(np.float32))
    logs = np.log(posterior.sample(4000, seed=1))
    np.testing.assert_allclose(np.mean(logs, axis=0), [1.0, -3.0], atol=0.1)
    np.testing.assert_allclose(np.std(logs, axis=0), [0.1, 2.0], rtol=0.1)


def is_like(distribution, original):
    x = original.sample(5, seed=1)
    np.testing.assert_array_equal(distribution.sample(5, seed=1), x)
    np.testing.assert_array_equal(distribution.log_prob(x), original.log_prob(x))


def test_copies_and_checkpoints_have_the_start_without_a_search(tmp_path, monkeypatch):
    fitted = copy.deepcopy(near("real_nvp", tf.float32)[0])
    for weight in fitted.trainable_variables:
        weight.assign_add(tf.random.stateless_normal(weight.shape, [0, 1], stddev=0.1))
    another = tfd.Sample(tfd.Normal(1.0, 3.0), 4)
    other = tff.flow_posterior(another, "real_nvp", **SMALL | {"seed": 3})
    path = tf.train.Checkpoint(posterior=fitted).write(str(tmp_path / "posterior"))
    tf.train.Checkpoint(posterior=other).read(path).assert_consumed()
    is_like(other.distribution, fitted.distribution)
    monkeypatch.setattr(surrogate, "find_modes", None)  # no second search
    flow = fitted.distribution
    is_like(copy.deepcopy(flow), flow)
    is_like(pickle.loads(pickle.dumps(flow)), flow)
    rebuilt = deserialize(json.loads(json.dumps(serialize(flow))))
    path = tf.train.Checkpoint(flow=flow).write(str(tmp_path / "flow"))
    tf.train.Checkpoint(flow=rebuilt).read(path).assert_consumed()
    is_like(rebuilt, flow)


def test_missing_mass_has_its_share_beside_a_start_without_modes():
    own = initial_flow.standard(2)
    before = initial_flow.Start(None, [own], np.zeros([0, 2]), "")
    missing = initial_flow.Gaussian(np.ones(2), np.eye(2), -1901.0)
    findings = types.SimpleNamespace(
        missing=[missing],
        is_near_target=True,
        chain_draws=np.zeros([0, 2]),
        weighted=types.SimpleNamespace(log_evidence=Estimate(-1900.0, 0.1)),
    )
    found = fit.wider_start(before, findings, np.random.default_rng(0))
    assert [gaussian.log_mass for gaussian in found.gaussians] == [-1900.0, -1901.0]
    assert {gaussian.factor.shape for gaussian in found.gaussians} == {(2, 2)}
