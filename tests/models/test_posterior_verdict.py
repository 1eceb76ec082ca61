"""What the numbers of checks come to, and whether another round could change it."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow_probability as tfp

from tfp_flows.distributions.joint_support import JointSupport
from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity
from tfp_flows.models.fit_space import FitSpace
from tfp_flows.models.posterior_checks import Checks
from tfp_flows.models.posterior_verdict import is_final
from tfp_flows.models.posterior_verdict import verdict
from tfp_flows.models.weighted_draws import WeightedDraws
from tfp_flows.models.weighted_moments import weighted_moments

tfd = tfp.distributions


def checks(x, log_weights, **changes):
    """Those of draws with these weights, whose chains agree."""
    size = len(x)
    smoothed = log_weights - np.logaddexp.reduce(log_weights)
    weighted = WeightedDraws(
        x, log_weights, np.zeros(size), log_weights, smoothed, 0.2, size, 0.0
    )
    found = Checks(
        weighted, x, weighted_moments(x, weighted.weights), 1.0, 0.0, [], [], x, 0
    )
    return dataclasses.replace(found, **changes)


def even(rng):
    return checks(rng.normal(size=(20_000, 2)), np.zeros(20_000))


def test_equal_weights_of_light_tails_are_reliable(rng):
    assert verdict(even(rng), None, None) == ("reliable", ())
    assert is_final(even(rng))


def test_weights_that_move_a_mean_ask_for_resampling(rng):
    x = rng.normal(size=(20_000, 2))
    found, reasons = verdict(checks(x, 0.3 * x[:, 0] - 0.045), None, None)
    assert found == "reliable after resampling"
    assert "Weights move a mean by 0.3" in reasons[0]


def test_entries_that_do_not_vary_do_not_count(rng):
    """As the zeros of a triangular matrix, whose weighted mean is rounded."""
    x = rng.normal(size=(20_000, 2))
    x[:, 1] = 0.1
    assert verdict(checks(x, 1e-3 * x[:, 0]), None, None) == ("reliable", ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r_hat": 1.2}, "R-hat 1.2"),
        ({"r_hat": math.nan}, "Hardly any of the Markov chains"),
        ({"unseen": 0.02}, "2.00 %"),
        ({"missing": [None]}, "1 regions"),
        ({"are_whole": False}, "no time for Markov chains"),
    ],
)
def test_what_chains_found_is_not_reliable_and_another_round_may_mend_it(
    changes, words, rng
):
    found = dataclasses.replace(even(rng), **changes)
    name, reasons = verdict(found, None, None)
    assert name == "not reliable"
    assert words in reasons[0]
    assert not is_final(found)


def test_another_round_does_not_help_heavy_tails_that_are_fitted(rng):
    """Equal weights, and a variance that no number of draws tells."""
    x = rng.standard_t(1.5, size=(20_000, 2))
    found = checks(x, np.zeros(20_000))
    name, reasons = verdict(found, None, None)
    assert name == "not reliable"
    assert "of entry 0, entry 1 to" in reasons[0]
    assert "tails are heavy" in reasons[0]
    assert is_final(found)
    # With uneven weights, or where chains found more, it may.
    assert not is_final(checks(x, rng.normal(size=20_000)))
    assert not is_final(dataclasses.replace(found, r_hat=1.2))


def test_variables_whose_moments_are_not_known_are_named(rng):
    x = np.stack([rng.normal(size=20_000), rng.standard_t(1.5, size=20_000)], axis=-1)
    _, reasons = verdict(checks(x, np.zeros(20_000)), None, None, ["mu", "tau[0]"])
    assert "standard deviations of tau[0] to" in reasons[0]
    many = np.tile(rng.standard_t(1.5, size=(20_000, 1)), [1, 7])
    _, reasons = verdict(checks(many, np.zeros(20_000)), None, None)
    assert "entry 3, entry 4, ... to" in reasons[0]


def test_entries_of_a_fit_are_named_by_the_parts():
    joint = tfd.JointDistributionNamed(
        {"b": tfd.Sample(tfd.Normal(0.0, 1.0), [2]), "a": tfd.HalfNormal(1.0)}
    )
    support = JointSupport.of_distribution(joint)
    space = FitSpace(UnconstrainedDensity(joint.log_prob, support), support)
    assert space.entry_names(np.zeros([1, 3])) == ["a", "b[0]", "b[1]"]
