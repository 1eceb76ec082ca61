"""Pareto smoothing, against known tails and SciPy's fit."""

import numpy as np
import pytest
import scipy.stats

from tfp_flows.inference.checks.pareto import generalised_pareto
from tfp_flows.inference.checks.pareto import pareto_k_threshold
from tfp_flows.inference.checks.pareto import pareto_smooth
from tfp_flows.inference.checks.pareto import top_of_tail


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4, 0.8, 1.3])
def test_shape_and_scale_are_near_the_maximum_of_the_likelihood(shape):
    excess = np.sort(scipy.stats.genpareto.rvs(shape, scale=2.0, size=3000, random_state=0))
    found, scale = generalised_pareto(excess)
    by_likelihood, _, from_likelihood = scipy.stats.genpareto.fit(excess, floc=0.0)
    assert found == pytest.approx(by_likelihood, abs=0.02)
    assert scale == pytest.approx(from_likelihood, rel=0.03)


def log_weights(scale, size=20000):
    x = scale * np.random.default_rng(1).normal(size=size)
    return scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, scale=scale)


@pytest.mark.parametrize("scale", [0.4, 0.6, 0.9])
def test_shape_of_a_narrow_proposal_is_that_of_theory(scale):
    # Weights exp(-(1 - scale^2) z^2 / 2 ...) of a normal z have this tail, slowly reached.
    _, k = pareto_smooth(log_weights(scale))
    assert k == pytest.approx(1.0 - scale**2, abs=0.15)


def test_smoothing_keeps_the_mean_and_the_order_and_lowers_the_variance():
    raw = log_weights(0.7)
    smoothed, _ = pareto_smooth(raw)
    assert np.exp(smoothed).mean() == pytest.approx(1.0, abs=0.03)
    assert (np.diff(smoothed[np.argsort(raw)]) >= 0.0).all()  # equal ones in any order
    assert smoothed.max() <= raw.max()
    count = np.ceil(3.0 * np.sqrt(len(raw)))
    assert (smoothed != raw).sum() <= count


def test_alike_weights_have_no_tail_and_weights_of_zero_are_not_to_be_relied_on():
    assert pareto_smooth(np.zeros(1000))[1] == -np.inf
    assert pareto_smooth(np.full(1000, -np.inf))[1] == np.inf
    few = np.full(1000, -np.inf)
    few[:3] = 0.0
    assert pareto_smooth(few)[1] == np.inf


def test_half_of_the_draws_outside_the_support_do_no_harm():
    raw = np.where(np.arange(2000) % 2, 0.01 * np.arange(2000) / 2000, -np.inf)
    smoothed, k = pareto_smooth(raw)
    assert k < 0.5
    assert np.isneginf(smoothed[::2]).all()


@pytest.mark.parametrize(("size", "threshold"), [(100, 0.5), (1000, 2 / 3), (10000, 0.7)])
def test_threshold_is_the_published_one(size, threshold):
    assert pareto_k_threshold(size) == pytest.approx(threshold)


@pytest.mark.parametrize("power", [1.5, 2.0, 4.0])
def test_top_of_tail_is_what_the_largest_terms_are_on_average(power):
    # The mean of w above its quantile of 1 - 1 / S, for P(w > t) = t^-power.
    size, rng = 5000, np.random.default_rng(0)
    found = [top_of_tail(rng.pareto(power, size) + 1.0) for _ in range(100)]
    expected = size ** (1.0 / power) * power / (power - 1.0)
    assert np.median(found) == pytest.approx(expected, rel=0.3)
    assert top_of_tail(rng.pareto(0.7, size) + 1.0) == np.inf
    assert top_of_tail(np.full(size, 3.0)) == pytest.approx(3.0)
