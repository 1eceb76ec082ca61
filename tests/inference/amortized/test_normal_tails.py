"""Coordinates of parameters in which heavy tails of their prior are normal."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize, serialize
from tfp_flows.inference.amortized.normal_tails import (
    with_normal_tails,
    without_normal_tails,
)
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.support import JointSupport

PRIORS = {
    "half-normal": tfd.HalfNormal(1.0),
    "half-Cauchy": tfd.HalfCauchy(0.0, 2.0),
    "gamma": tfd.Gamma(0.7, 0.2),
    "Student": tfd.StudentT(2.0, 5.0, 0.1),
}


def prior_draws(prior):
    support = JointSupport.from_distribution(prior)
    return support, support.unconstrained(prior.sample(4_000, seed=1))


@pytest.mark.parametrize("name", PRIORS)
def test_draws_of_the_prior_have_normal_tails(name):
    support, u = prior_draws(PRIORS[name])
    mapped, v = with_normal_tails(support, u)
    np.testing.assert_allclose(mapped.entries(v), support.entries(u), rtol=2e-3, atol=1e-6)
    before, after = stats.kurtosis(u[:, 0]), stats.kurtosis(v[:, 0])
    assert before > 0.3
    assert abs(after) < 0.5 * before
    assert abs(stats.skew(v[:, 0])) < 0.2
    saved = deserialize(serialize(mapped.bijector))
    loaded = JointSupport(saved, mapped.event_size, mapped.dtype)
    assert loaded.equals(mapped)
    assert without_normal_tails(loaded).equals(support)


@pytest.mark.parametrize(
    "prior", [tfd.Normal(5.0, 0.1), tfd.LogNormal(0.0, 2.0), tfd.Uniform(-3.0, 1.0)]
)
def test_tails_that_are_no_heavier_stay_as_they_are(prior):
    support = JointSupport.from_distribution(prior).softly_clipped()
    u = support.unconstrained(prior.sample(4_000, seed=1))
    assert with_normal_tails(support, u)[0] is support
    assert without_normal_tails(support) is support


def test_only_parameters_with_heavy_tails_change():
    prior = tfd.JointDistributionNamed(
        {
            "mean": tfd.Normal(0.0, 1.0),
            "scale": tfd.Independent(tfd.HalfCauchy(tf.zeros(2), 1.0), 1),
        }
    )
    support, u = prior_draws(prior)
    _, v = with_normal_tails(support, u)
    are_same = (u == v).all(axis=0)
    assert are_same.tolist() == [True, False, False]


def test_a_support_that_depends_on_a_parameter_stays_as_it_is():
    prior = tfd.JointDistributionSequential(
        [tfd.HalfCauchy(0.0, 1.0), lambda high: tfd.Uniform(0.0, high)]
    )
    support, u = prior_draws(prior)
    assert with_normal_tails(support, u)[0] is support


@pytest.mark.parametrize("u", [np.ones([200, 2]), np.full([200, 2], np.nan)])
def test_draws_that_show_no_tails_stay_as_they_are(u):
    support = JointSupport.from_shape(2, tfb.Softplus(), tf.float32)
    mapped, v = with_normal_tails(support, u)
    assert mapped is support
    np.testing.assert_array_equal(u, v)


def test_draws_that_are_not_finite_stay_so():
    support, u = prior_draws(PRIORS["half-Cauchy"])
    expected, v = with_normal_tails(support, u)
    more, w = with_normal_tails(support, np.concatenate([[[np.nan], [np.inf]], u]))
    assert more.equals(expected)
    assert not np.isfinite(w[:2]).any()
    np.testing.assert_array_equal(w[2:], v)


@pytest.mark.slow
def test_standard_deviations_of_positive_parameters_are_right(tmp_path):
    model = tfd.JointDistributionNamedAutoBatched(
        {
            "mean": tfd.HalfNormal(1.0),
            "y": lambda mean: tfd.Sample(tfd.Normal(mean, 1.0), 10),
        }
    )
    amortized = tff.inference.fit_amortized_posterior(
        model, observed="y", num_simulations=2_000, seed=0, verbose=0
    )
    y = np.asarray(model.sample(12, seed=77)["y"])
    deviation = (1.0 / 11.0) ** 0.5
    means = y.sum(axis=1) / 11.0
    exact = stats.truncnorm(-means / deviation, np.inf, means, deviation)
    drawn = amortized(y).sample(10_000, seed=1)["mean"].numpy()
    errors = np.abs(np.log(drawn.std(axis=0) / exact.std()))
    assert np.median(errors) < 0.2  # 0.38 with heavy tails
    path = tmp_path / "posterior.keras"
    amortized.save(path)
    loaded = AmortizedPosterior.load(path, model, observed="y")
    again = loaded(y[0]).sample(100, seed=1)["mean"].numpy()
    np.testing.assert_allclose(again, amortized(y[0]).sample(100, seed=1)["mean"])
    assert loaded(y[0]).report.log_evidence is not None
