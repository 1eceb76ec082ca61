"""The verdict from a list of checks, and whether another round could change it."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from densities import density

from tfp_flows.inference.checks.chains import (
    Chains,
    CheckChains,
    UncoveredBounds,
    uncovered_mass,
)
from tfp_flows.inference.checks.findings import Findings
from tfp_flows.inference.checks.importance import WeightedDraws
from tfp_flows.inference.checks.verdict import is_final, list_checks, verdict
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.reparametrisation import FitSpace
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

tfb, tfd = tfp.bijectors, tfp.distributions


def findings(x, log_weights, **changes):
    """`Findings` on draws with these weights, whose chains agree."""
    size = len(x)
    smoothed = log_weights - np.logaddexp.reduce(log_weights)
    weighted = WeightedDraws(
        x, log_weights, np.zeros(size), log_weights, smoothed, 0.2, size, 0.0, x
    )
    found = Findings(weighted, 1.0, 0.0, None, [], x, 0)
    return dataclasses.replace(found, **changes)


def even(rng):
    return findings(rng.normal(size=(20_000, 2)), np.zeros(20_000))


def judged(found, names=()):
    """The verdict and its reasons."""
    return verdict(list_checks(found, names))


def ends(found):
    """Whether no further round would change the verdict."""
    return is_final(list_checks(found), found.weighted)


def test_equal_weights_of_light_tails_are_reliable(rng):
    assert judged(even(rng)) == ("reliable", ())
    assert ends(even(rng))


def test_weights_that_move_a_mean_ask_for_resampling(rng):
    x = rng.normal(size=(20_000, 2))
    found, reasons = judged(findings(x, 0.3 * x[:, 0] - 0.045))
    assert found == "reliable after resampling"
    assert "Weights move a mean by 0.3" in reasons[0]


def test_entries_that_do_not_vary_do_not_count(rng):
    """The weighted mean of a constant entry, for example of a triangle's 0, is rounded."""
    x = rng.normal(size=(20_000, 2))
    x[:, 1] = 0.1
    assert judged(findings(x, 1e-3 * x[:, 0])) == ("reliable", ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r_hat": 1.2}, "R-hat 1.2"),
        ({"r_hat": math.nan}, "Hardly any of the Markov chains"),
        ({"uncovered_mass": 0.02}, "2.00 %"),
        ({"missing": [None]}, "1 regions"),
        ({"complete": False}, "no time for Markov chains"),
        ({"complete": False, "seconds_needed": 90.0}, "alone take about 1.5 minutes"),
    ],
)
def test_what_chains_found_is_not_reliable_and_another_round_may_mend_it(
    changes, words, rng
):
    found = dataclasses.replace(even(rng), **changes)
    name, reasons = judged(found)
    assert name == "not reliable"
    assert words in reasons[0]
    assert not ends(found)


@pytest.mark.parametrize(
    ("bounds", "is_harmless"),
    [
        ((0.005, 0.02, 0.02), True),
        ((0.02, 0.02, 0.02), False),
        ((0.005, 0.06, 0.02), False),
        ((0.005, 0.02, 0.04), False),
    ],
)
def test_uncovered_mass_that_changes_no_expectation_asks_for_resampling(
    bounds, is_harmless, rng
):
    found = dataclasses.replace(
        even(rng), uncovered_mass=0.003, uncovered_bounds=UncoveredBounds(*bounds)
    )
    name, reasons = judged(found)
    assert name == ("reliable after resampling" if is_harmless else "not reliable")
    assert "0.30 %" in reasons[0]
    assert ("off by 0.005" in reasons[0]) == is_harmless
    assert ends(found) == is_harmless


def test_checks_of_numbers_that_light_weights_are_needed_for_are_not_judged(rng):
    found = even(rng)
    heavy = dataclasses.replace(found.weighted, pareto_k=0.9)
    made = list_checks(dataclasses.replace(found, weighted=heavy))
    assert [c.passed for c in made[:3]] == [False, None, None]
    assert [c.name for c in made if c.failed] == ["Pareto k"]


def chains_of_mixture(share, shift, rng, is_stuck=False):
    """Exact draws of (1 - share) N(0, 1) + share N(shift, 1), of which q has the first."""
    is_second = rng.uniform(size=(50, 128)) < share
    if is_stuck:
        is_second = np.zeros([50, 128], bool)
        is_second[-round(share * 128 * 50) :, 0] = True
    x = rng.normal(size=(50, 128, 1)) + shift * is_second[..., None]
    everywhere = np.ones([50, 128], bool)
    return Chains(x, 1.0 * is_second, np.ones(128), everywhere, everywhere[0], 0)


def uncovered(chains, rng):
    weighted = even(rng).weighted
    weighted = dataclasses.replace(weighted, entries=weighted.entries[:, :1])
    return uncovered_mass(chains, chains.has_arrived, weighted, lambda x: x)


@pytest.mark.parametrize("shift", [0.5, 2.0, 6.0])
def test_bounds_hold_what_uncovered_mass_does_and_little_more(shift, rng):
    share = 0.004
    mean = share * shift
    change = 0.5 * np.log1p(share * (1.0 - share) * shift**2)
    for _ in range(10):
        mass, bounds = uncovered(chains_of_mixture(share, shift, rng), rng)
        assert mass == pytest.approx(share, abs=0.003)
        assert share < bounds.probability < 3.0 * share
        assert 0.5 * mean < bounds.mean < 4.0 * mean + 0.01
        assert 0.5 * change < bounds.deviation < 4.0 * change + 0.01


def test_a_chain_that_stays_where_the_posterior_lacks_mass_is_never_harmless(rng):
    for share in (0.0016, 0.002, 0.004, 0.007):
        chains = chains_of_mixture(share, 0.5, rng, is_stuck=True)
        mass, bounds = uncovered(chains, rng)
        assert mass > 0.0015
        assert bounds.probability > 0.01


def test_no_more_mass_than_the_weights_know_is_none(rng):
    assert uncovered(chains_of_mixture(0.0, 1.0, rng), rng) == (0.0, None)


def test_another_round_does_not_help_heavy_tails_that_are_fitted(rng):
    """Equal weights, and a variance that no number of draws tells."""
    x = rng.standard_t(1.5, size=(20_000, 2))
    found = findings(x, np.zeros(20_000))
    name, reasons = judged(found)
    assert name == "not reliable"
    assert "of entry 0, entry 1 to" in reasons[0]
    assert "tails are heavy" in reasons[0]
    assert ends(found)
    # With uneven weights, or where chains found more, it may.
    assert not ends(findings(x, rng.normal(size=20_000)))
    assert not ends(dataclasses.replace(found, r_hat=1.2))


def test_variables_whose_moments_are_not_known_are_named(rng):
    x = np.stack([rng.normal(size=20_000), rng.standard_t(1.5, size=20_000)], axis=-1)
    _, reasons = judged(findings(x, np.zeros(20_000)), ["mu", "tau[0]"])
    assert "standard deviations of tau[0] to" in reasons[0]
    many = np.tile(rng.standard_t(1.5, size=(20_000, 1)), [1, 7])
    _, reasons = judged(findings(many, np.zeros(20_000)))
    assert "entry 3, entry 4, ... to" in reasons[0]


def test_draws_on_the_way_from_far_out_do_not_count():
    """Steps of unit scale along a slope of 1 do not arrive from 1e30 scales away."""
    loc = tf.Variable(np.zeros(2))  # as maps to other coordinates have
    laplace = tfd.Independent(tfd.Laplace(loc, 1.0), 1)
    runner = CheckChains(density(laplace.log_prob), laplace.log_prob)
    starts = np.zeros([8, 2])
    starts[:3] = 1e30
    proposals = np.zeros([50, 8, 2])
    # Ratios are all 0: each proposal is taken, but for those of the first chain.
    ratios = np.zeros(proposals.shape[:2])
    ratios[:, 0] = -np.inf
    standard = Gaussian(np.zeros(2), np.eye(2))
    chains = runner.run(starts, standard, proposals, ratios, 0, 3)
    assert (np.abs(chains.draws[0, :3]) > 1e3).all()
    np.testing.assert_array_equal(chains.jump_shares, np.arange(8) > 0)
    expected = np.ones(proposals.shape[:2], bool)
    expected[0, 1:3] = False
    np.testing.assert_array_equal(chains.is_settled, expected)


def test_entries_of_a_fit_are_named_by_the_parts():
    joint = tfd.JointDistributionNamed(
        {"b": tfd.Sample(tfd.Normal(0.0, 1.0), [2]), "a": tfd.HalfNormal(1.0)}
    )
    support = JointSupport.from_distribution(joint)
    space = FitSpace(UnconstrainedDensity(joint.log_prob, support), support)
    assert space.entry_names() == ["a", "b[0]", "b[1]"]
