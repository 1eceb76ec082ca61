"""Importance weights: bounds, effective draws and Pareto's k, where they are known."""

import numpy as np
import pytest
import scipy.stats

from experiments.posterior_inference import evaluation


def test_weights_of_a_gaussian_proposal_have_known_values():
    """Target N(0, 1), proposal N(0, s^2): log-evidence 0, ELBO and ESS in closed form."""
    s, rng = 1.3, np.random.default_rng(0)
    x = s * rng.normal(size=200000)
    log_weights = scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, scale=s)
    bound = evaluation.elbo(log_weights)
    expected = np.log(s) + 0.5 - 0.5 * s**2
    assert abs(bound.nats - expected) < 2.0 * bound.two_standard_errors
    evidence = evaluation.importance_weighted(log_weights)
    assert abs(evidence.nats) < 2.0 * evidence.two_standard_errors
    # E[w^2] = s / sqrt(2 - 1 / s^2) under the proposal
    share = np.sqrt(2.0 - s**-2) / s
    assert evaluation.effective_share(log_weights) == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_is_that_of_pareto_weights(k):
    weights = scipy.stats.genpareto.rvs(k, size=20000, random_state=0) + 1.0
    estimates = [evaluation.pareto_k(np.log(part)) for part in np.split(weights, 4)]
    assert np.mean(estimates) == pytest.approx(k, abs=0.2)


def test_equal_weights_are_perfect():
    log_weights = np.full(100, -3.0)
    assert evaluation.pareto_k(log_weights) == -np.inf
    assert evaluation.effective_share(log_weights) == pytest.approx(1.0)
    assert evaluation.importance_weighted(log_weights).nats == pytest.approx(-3.0)
