"""Weighted draws: their moments with errors, and Pareto smoothing of their weights."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from densities import density

from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.checks import importance, pareto
from tfp_flows.inference.checks.importance import ImportanceSampler, weighted_moments
from tfp_flows.inference.modes import Gaussian

tfb, tfd = tfp.bijectors, tfp.distributions
RNG = np.random.default_rng(0)


def weighted(log_prob, count=4000):
    """Weighted draws of a target by the standard normal in the plane."""
    normal = tfd.MultivariateNormalDiag(np.zeros(2))
    posterior = FlowDistribution(normal, tfb.Identity())
    return ImportanceSampler(density(log_prob), posterior).weighted(count, 0)


def test_moments_and_evidence_are_those_of_the_target():
    target = tfd.MultivariateNormalDiag(np.float64([0.5, -0.3]), np.float64([1.2, 0.7]))
    found = weighted(lambda x: target.log_prob(x) + 3.0, 40_000)
    evidence, error = found.log_evidence
    assert evidence == pytest.approx(3.0, abs=5.0 * error)
    moments = weighted_moments(found.x, found.weights)
    assert moments.are_known
    errors = np.abs(moments.mean - [0.5, -0.3]) / moments.deviation / moments.mean_error
    assert errors.max() < 5.0
    changes = np.log(moments.deviation / [1.2, 0.7]) / moments.deviation_error
    assert np.abs(changes).max() < 5.0
    assert found.unknown_share == 0.0


def test_broad_draws_have_their_t_densities():
    broad = Gaussian(np.array([1.0, -2.0, 0.0]), np.tril([[1.0] * 3, [2.0] * 3, [0.5] * 3]))
    x = importance._broad_draws(broad, 50_000, RNG)
    found = importance._log_broad(broad, x)
    shape = broad.factor @ broad.factor.T
    joint = scipy.stats.multivariate_t(broad.mean, shape, 2.0).logpdf(x)
    own = scipy.stats.t(2.0).logpdf(broad.whiten(x)).sum(axis=1) - broad.log_det
    np.testing.assert_allclose(found, [joint, own], rtol=1e-9)
    # The mean weight of draws from each, for a normal density with lighter tails.
    normal = scipy.stats.multivariate_normal(broad.mean, shape).logpdf(x)
    for log_density, rows in zip(found, np.split(np.arange(len(x)), 2), strict=True):
        weights = np.exp(normal - log_density)[rows]
        assert weights.mean() == pytest.approx(1.0, abs=0.03)


def test_errors_of_moments_are_their_spread_over_samples():
    found = []
    for _ in range(400):
        x = RNG.standard_t(9.0, size=(300, 1))
        weights = np.exp(0.3 * np.sin(x[:, 0]))
        found.append(weighted_moments(x, weights / weights.sum()))
    means = np.array([moments.mean / moments.deviation for moments in found])
    expected = np.mean([moments.mean_error for moments in found])
    assert means.std() == pytest.approx(expected, rel=0.1)
    logs = np.log([moments.deviation for moments in found])
    expected = np.mean([moments.deviation_error for moments in found])
    # This error includes a margin for tails that were not drawn.
    assert logs.std() < expected < 2.0 * logs.std()


def test_moments_that_a_few_draws_carry_are_not_known():
    weights = np.full(20_000, 1.0 / 20_000)
    assert weighted_moments(RNG.normal(size=(20_000, 1)), weights).are_known
    assert not weighted_moments(RNG.standard_t(2.0, size=(20_000, 1)), weights).are_known
    # Draws of weight zero are ignored, even infinite ones.
    x = np.concatenate([RNG.normal(size=(20_000, 1)), [[np.inf]]])
    assert weighted_moments(x, np.append(weights, 0.0)).are_known


def test_known_moments_are_right_where_the_proposal_is_too_narrow():
    """Weights of N(0, 1) by a narrower normal have a tail of shape k = 1 - scale^2."""
    known = []
    for scale in np.linspace(0.65, 0.95, 61):
        x = scale * RNG.normal(size=20_000)
        log_weights = 0.5 * x**2 * (1.0 / scale**2 - 1.0)
        weights = np.exp(log_weights - np.logaddexp.reduce(log_weights))
        moments = weighted_moments(x[:, None], weights)
        if moments.are_known:
            known.append(abs(np.log(moments.deviation[0])))
    assert 20 < len(known) < 55
    assert max(known) < 0.05


def test_draws_of_unknown_density_are_told_from_those_outside_the_support():
    def log_prob(x, beyond):
        return tf.where(x[..., 0] < 1.0, -0.5 * tf.reduce_sum(x**2, axis=-1), beyond)

    share = float(tfd.Normal(0.0, 1.0).survival_function(1.0))
    outside = weighted(lambda x: log_prob(x, -np.inf))
    assert outside.unknown_share == 0.0
    for beyond in (np.nan, np.inf):
        found = weighted(lambda x, beyond=beyond: log_prob(x, beyond))
        assert found.unknown_share == pytest.approx(share, abs=0.03)
        np.testing.assert_array_equal(found.weights, outside.weights)


def test_log_densities_that_are_rounding_have_no_weight():
    """The log-density has a difference that is 0 except for rounding errors up to 1e60."""
    target = tfd.MultivariateNormalDiag(np.zeros(2))

    def log_prob(x):
        k = tf.exp(6.0 * tf.abs(x[:, 0]))
        difference = tf.math.lgamma(k + 1.0) - tf.math.lgamma(k) - tf.math.log(k)
        return target.log_prob(x) + difference

    found = weighted(log_prob, 20_000)
    evidence, error = found.log_evidence
    assert evidence == pytest.approx(0.0, abs=5.0 * error)
    assert error < 0.02
    assert found.pareto_k < 0.5
    assert found.unknown_share == 0.0


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4, 0.8, 1.3])
def test_shape_and_scale_are_near_the_maximum_of_the_likelihood(shape):
    excess = np.sort(scipy.stats.genpareto.rvs(shape, scale=2.0, size=3000, random_state=0))
    found, scale = pareto.generalised_pareto(excess)
    by_likelihood, _, from_likelihood = scipy.stats.genpareto.fit(excess, floc=0.0)
    assert found == pytest.approx(by_likelihood, abs=0.02)
    assert scale == pytest.approx(from_likelihood, rel=0.03)


def test_smoothing_keeps_the_mean_and_the_order_and_lowers_the_variance():
    # The tail of these weights has the shape 1 - scale^2.
    x = 0.7 * np.random.default_rng(1).normal(size=20_000)
    raw = scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, scale=0.7)
    smoothed, k = pareto.pareto_smooth(raw)
    assert k == pytest.approx(1.0 - 0.7**2, abs=0.15)
    assert np.exp(smoothed).mean() == pytest.approx(1.0, abs=0.03)
    assert (np.diff(smoothed[np.argsort(raw)]) >= 0.0).all()  # equal ones in any order
    assert smoothed.max() <= raw.max()
    count = np.ceil(3.0 * np.sqrt(len(raw)))
    assert (smoothed != raw).sum() <= count


def test_alike_weights_have_no_tail_and_weights_of_zero_are_not_to_be_relied_on():
    assert pareto.pareto_smooth(np.zeros(1000))[1] == -np.inf
    assert pareto.pareto_smooth(np.full(1000, -np.inf))[1] == np.inf
    few = np.full(1000, -np.inf)
    few[:3] = 0.0
    assert pareto.pareto_smooth(few)[1] == np.inf
    half = np.where(np.arange(2000) % 2, 0.01 * np.arange(2000) / 2000, -np.inf)
    smoothed, k = pareto.pareto_smooth(half)
    assert k < 0.5
    assert np.isneginf(smoothed[::2]).all()
    smoothed, k = pareto.pareto_smooth(np.arange(1100) < 90)  # a tail with equal weights
    assert k < 0.0
    assert np.exp(smoothed).mean() == pytest.approx((1010 + 90 * np.e) / 1100, rel=0.02)


@pytest.mark.parametrize("power", [1.5, 2.0, 4.0])
def test_top_of_tail_is_what_the_largest_terms_are_on_average(power):
    # The mean of w above its quantile of 1 - 1 / S, for P(w > t) = t^-power.
    size, rng = 5000, np.random.default_rng(0)
    found = [pareto.top_of_tail(rng.pareto(power, size) + 1.0) for _ in range(100)]
    expected = size ** (1.0 / power) * power / (power - 1.0)
    assert np.median(found) == pytest.approx(expected, rel=0.3)
    assert pareto.top_of_tail(rng.pareto(0.7, size) + 1.0) == np.inf
    assert pareto.top_of_tail(np.full(size, 3.0)) == pytest.approx(3.0)
