"""Coordinates of parameters in intervals, whose bends are as narrow as posteriors."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.serialization import deserialize, serialize
from tfp_flows.inference.amortized.interval_ends import with_fitted_ends
from tfp_flows.inference.amortized.normal_tails import (
    with_normal_tails,
    without_normal_tails,
)
from tfp_flows.inference.amortized.pairs import Pairs
from tfp_flows.inference.default_supports import is_interval
from tfp_flows.inference.support import JointSupport

SIMPLEX = tfd.Dirichlet(tf.ones(3))
PRIORS = {
    "vector": tfd.Sample(tfd.Uniform(-10.0, 10.0), 2),
    "number": tfd.Uniform(np.float64(0.0), 2.0),
    "widths": tfd.Independent(tfd.Uniform([0.0, 100.0], [0.1, 400.0]), 1),
    "parts": tfd.JointDistributionNamed(
        {
            "a": SIMPLEX,
            "b": tfd.Sample(tfd.Uniform(-10.0, 10.0), 2),
            "c": tfd.HalfCauchy(0.0, 1.0),
            "d": tfd.Uniform(0.0, 1.0),
        }
    ),
}


def simulated(prior, error, count=300):
    """Parameters, and data that are these with an error, in their standard deviations."""
    support = JointSupport.from_distribution(prior).softly_clipped()
    u = support.unconstrained(prior.sample(count, seed=(0, 1)))
    theta = support.entries(u)
    noise = np.random.default_rng(0).normal(size=theta.shape)
    return support, Pairs(u, theta + error * theta.std(axis=0) * noise)


def softness(support):
    intervals = filter(is_interval, support.part_bijectors)
    return [float(interval.bijectors[1].hinge_softness) for interval in intervals]


@functools.cache
def fitted_to(name):
    """Support and simulations of a prior, and what is fitted to these."""
    support, pairs = simulated(PRIORS[name], error=0.1)
    return support, pairs, *with_fitted_ends(support, pairs, seed=0)


@pytest.mark.parametrize("name", PRIORS)
def test_bends_are_half_as_wide_as_posteriors(name):
    support, pairs, fitted, u = fitted_to(name)
    found = softness(fitted)
    # Standard deviations of uniform numbers are 0.29 widths.
    np.testing.assert_allclose(found, 0.5 * 0.1 * 12**-0.5, rtol=0.15)
    theta = support.entries(pairs.u)
    close = 1e-5 * np.ptp(theta, axis=0)
    assert (np.abs(fitted.entries(u) - theta) < close).all()
    saved = deserialize(serialize(fitted.bijector))
    assert JointSupport(saved, fitted.event_size, fitted.dtype).equals(fitted)
    assert not fitted.equals(support)
    mapped, _ = with_normal_tails(fitted, u)
    assert (mapped is fitted) == (name != "parts")
    # A file is compared with a model in coordinates that no fit has changed.
    assert without_normal_tails(mapped).softly_clipped().equals(support)


def test_other_parts_keep_their_coordinates():
    _, pairs, _, u = fitted_to("parts")
    are_same = (u == pairs.u).all(axis=0)
    assert are_same.tolist() == [True, True, False, False, True, False]


def test_bends_have_bounds():
    wide, pairs = simulated(PRIORS["vector"], error=1.0)
    assert with_fitted_ends(wide, pairs, seed=0)[0] is wide
    fitted, _ = with_fitted_ends(*simulated(PRIORS["vector"], error=1e-6), seed=0)
    np.testing.assert_allclose(softness(fitted), 0.003)


def test_missing_and_constant_numbers_tell_nothing():
    support, pairs = simulated(PRIORS["vector"], error=0.1)
    x = np.concatenate([pairs.x, np.ones([300, 1]), np.full([300, 1], np.nan)], axis=1)
    x[::7, 0] = np.nan
    fitted, _ = with_fitted_ends(support, Pairs(pairs.u, x), seed=0)
    assert 0.01 < softness(fitted)[0] < 0.03


def test_failed_simulations_stay_so():
    support, pairs = simulated(PRIORS["vector"], error=0.1)
    pairs.u[0], pairs.x[1] = np.nan, np.inf
    fitted, u = with_fitted_ends(support, pairs, seed=0)
    assert softness(fitted)[0] < 0.02
    assert np.isnan(u[0]).all()
    assert np.isfinite(u[1:]).all()


@pytest.mark.parametrize(
    ("prior", "change"),
    [
        (tfd.Sample(tfd.Normal(0.0, 1.0), 2), lambda pairs: pairs),
        (PRIORS["vector"], lambda pairs: pairs.take(slice(99))),
        (PRIORS["vector"], lambda pairs: pairs._replace(x=np.tile(pairs.x, 101))),
        (PRIORS["vector"], lambda pairs: pairs._replace(x=np.full([300, 2], np.nan))),
    ],
)
def test_supports_stay_where_nothing_is_known(prior, change):
    support, pairs = simulated(prior, error=0.1)
    pairs = change(pairs)
    fitted, u = with_fitted_ends(support, pairs, seed=0)
    assert fitted is support
    assert u is pairs.u
