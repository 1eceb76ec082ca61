"""Gaussian mixtures, against TFP's own."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize
from tfp_flows.core.serialization import serialize
from tfp_flows.inference.initial_flow import GaussianMixture

tfd = tfp.distributions
RNG = np.random.default_rng(0)
MEANS = 3.0 * RNG.normal(size=(3, 2))
FACTORS = np.tril(RNG.normal(size=(3, 2, 2))) + 2.0 * np.eye(2)
LOGITS = np.log([0.5, 0.3, 0.2])


@pytest.fixture(scope="module")
def mixture():
    made = GaussianMixture(MEANS, FACTORS, LOGITS, dtype=tf.float64)
    for variable in made.trainable_variables:
        variable.assign_add(0.3 * RNG.normal(size=variable.shape))
    return made


@pytest.fixture(scope="module")
def stock(mixture):
    means, log_scales, logits = (
        {v.name.split("/")[-1].split(":")[0]: v for v in mixture.variables}[name]
        for name in ("means", "log_scales", "logits")
    )
    factors = FACTORS * np.exp(log_scales)[:, None]
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.MultivariateNormalTriL(means, factors)
    )


def test_density_is_that_of_tfp(mixture, stock):
    x = 4.0 * RNG.normal(size=(5, 7, 2))
    np.testing.assert_allclose(mixture.log_prob(x), stock.log_prob(x), atol=1e-12)


def test_draws_have_the_moments_of_tfp(mixture, stock):
    x = mixture.sample(40000, seed=1).numpy()
    deviations = np.sqrt(np.diag(stock.covariance()))
    np.testing.assert_allclose(x.mean(axis=0), stock.mean(), atol=0.03 * deviations.max())
    np.testing.assert_allclose(
        np.cov(x.T), stock.covariance(), atol=0.05 * deviations.max() ** 2
    )
    np.testing.assert_array_equal(mixture.sample(5, seed=1), mixture.sample(5, seed=1))


def test_draws_of_components_are_theirs(mixture):
    noise = RNG.normal(size=(3, 20000, 2))
    from_components = mixture.from_noise(noise).numpy()
    weights = np.exp(mixture.log_weights)
    mean = weights @ from_components.mean(axis=1)
    drawn = mixture.sample(40000, seed=2).numpy().mean(axis=0)
    np.testing.assert_allclose(mean, drawn, atol=0.1)


def test_a_flow_over_it_is_saved_with_its_weights(mixture):
    flow = tff.FlowDistribution(
        mixture, tff.RealNVP(2, num_steps=1, seed=0, dtype="float64")
    )
    loaded = deserialize(serialize(flow))
    for ours, theirs in zip(loaded.variables, flow.variables, strict=True):
        ours.assign(theirs)
    x = RNG.normal(size=(4, 2))
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))
    assert {v.ref() for v in mixture.trainable_variables} <= {
        v.ref() for v in flow.trainable_variables
    }
