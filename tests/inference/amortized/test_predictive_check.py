"""Checks of posteriors by data simulated with their draws."""

import copy
import functools
import types

import exact_posteriors
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.inference.amortized import posterior as posterior_module
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.amortized.predictive_check import NAME, mean_check
from tfp_flows.inference.amortized.simulator import PriorSimulator

OBSERVED = [0.5, -0.5, 1.0]
PRIOR = tfd.JointDistributionNamed({"theta": tfd.Sample(tfd.Normal(0.0, 1.0), 3)})


def simulate(theta, seed):
    return np.random.default_rng(seed).normal(theta, exact_posteriors.NOISE)


def normal(mean, deviation, count=1_000):
    """Draws of a normal distribution, `[N, 1]`, and their log-densities, `[N]`."""
    u = np.random.default_rng(0).normal(mean, deviation, size=(count, 1))
    return u, tfd.Normal(np.float64(mean), deviation).log_prob(u[:, 0]).numpy()


@pytest.mark.parametrize("shift", [0.0, 0.4, -1.5, 4.0])
def test_a_mean_that_is_off_is_seen_by_how_much(shift):
    """Ten numbers about a mean whose prior is flat: its posterior is N(1, 0.1)."""
    rng, deviation = np.random.default_rng(1), 0.1**0.5
    u, log_density = normal(1.0 + shift * deviation, deviation)
    check = mean_check(u, log_density, rng.normal(u, size=(1_000, 10)), np.ones(10))
    assert check.value == pytest.approx(abs(shift), abs=0.25)
    assert check.failed == (abs(shift) > 1.0)
    assert f"off by about {check.value:.1f}" in check.advice


def test_a_prior_that_tells_more_than_the_data_moves_no_mean():
    """The posterior of u ~ N(0, 1) given x = 3 ~ N(u, 2) is N(0.6, 0.8)."""
    u, log_density = normal(0.6, 0.8**0.5)
    log_likelihood = log_density - tfd.Normal(np.float64(0.0), 1.0).log_prob(u[:, 0])
    seen = np.random.default_rng(1).normal(u, 2.0)
    check = mean_check(u, log_likelihood.numpy(), seen, np.array([3.0]))
    assert not check.failed
    assert check.value < 0.3


@pytest.mark.parametrize(("mean", "fails"), [(0.0, False), (-0.6, True)])
def test_a_scale_that_is_off_is_seen(mean, fails):
    """Twenty numbers with mean square 1: the log-scale is about N(0, 1/40)."""
    u, log_density = normal(mean, 40.0**-0.5)
    seen = np.random.default_rng(1).normal(0.0, np.exp(u), size=(1_000, 20))
    levels = tf.math.ndtri((np.random.default_rng(2).permutation(20) + 0.5) / 20).numpy()
    check = mean_check(u, log_density, seen, levels / levels.std())
    assert check.failed == fails


def test_two_modes_are_not_judged():
    rng = np.random.default_rng(0)
    u = rng.choice([-1.0, 1.0], size=(1_000, 1)) * rng.normal(1.0, 0.05, size=(1_000, 1))
    log_density = tfd.Normal(np.float64(1.0), 0.05).log_prob(np.abs(u[:, 0])).numpy()
    check = mean_check(u, log_density, rng.normal(u**2, 0.1), np.array([1.1]))
    assert not check.failed


def test_simulations_that_are_not_finite_are_left_out():
    u, log_density = normal(1.0, 1.0)
    seen = np.random.default_rng(1).normal(u)
    seen[:850] = np.nan
    assert not mean_check(u, log_density, seen, np.ones(1)).failed
    seen[:950] = np.inf
    check = mean_check(u, log_density, seen, np.ones(1))
    assert check.failed
    assert "Only 50 of 1000 simulations" in check.advice


def test_data_that_do_not_vary_judge_nothing():
    u, log_density = normal(1.0, 1.0)
    assert not mean_check(u, log_density, np.ones([1_000, 2]), np.ones(2)).failed


@functools.cache
def report_of_the_whole():
    """The report of a posterior that is right."""
    return exact_posteriors.amortized(exact_posteriors.pairs(100, 1)).report


def wrong_at_some_data(shift):
    """A posterior that passes as a whole, whose means are off by `shift` deviations."""
    wrong = exact_posteriors.amortized(exact_posteriors.pairs(50, 1), shift=shift)
    wrong.report = report_of_the_whole()
    return wrong


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "reliable"), (2.0, "not reliable")])
def test_a_posterior_that_is_wrong_at_one_observation_is_not_reliable(shift, verdict):
    amortized, given = wrong_at_some_data(shift), []

    def simulate_and_keep(theta, seed):
        given.append(theta)
        return simulate(theta, seed)

    amortized.simulator = PriorSimulator(PRIOR, simulate_and_keep, True)
    assert amortized(OBSERVED).report.verdict == "reliable"  # `num_predictive` is 0
    amortized.num_predictive = 500
    report = copy.copy(amortized)(OBSERVED).report
    assert report.verdict == verdict
    assert [check.name for check in report.checks].count(NAME) == 1
    assert ("Fit with `focus`" in " ".join(report.reasons)) == (shift > 0.0)
    # The simulator gets draws of the posterior of the observation.
    assert given[-1].shape == (500, 3)
    expected = np.array([0.4, -0.4, 0.8]) + shift * 0.2**0.5
    np.testing.assert_allclose(given[-1].mean(axis=0), expected, atol=0.1)


@pytest.mark.usefixtures("op_by_op")
def test_a_loaded_posterior_takes_its_simulator(monkeypatch):
    file = types.SimpleNamespace(distribution=wrong_at_some_data(2.0))
    monkeypatch.setattr(posterior_module, "load", lambda path, custom_modules: file)
    loaded = AmortizedPosterior.load("posterior.keras", PRIOR, simulator=simulate)
    assert loaded(OBSERVED).report.verdict == "not reliable"
    with pytest.raises(ValueError, match="a prior as `model`.* got no `model`"):
        AmortizedPosterior.load("posterior.keras", simulator=simulate)
    with pytest.raises(ValueError, match=r"shapes .*\(3,\).*got .*\(2,\)"):
        AmortizedPosterior.load(
            "posterior.keras", PRIOR, simulator=lambda theta: theta[:, :2]
        )
