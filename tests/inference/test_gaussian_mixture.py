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


@pytest.fixture(scope="module")
def mixture():
    made = GaussianMixture(MEANS, FACTORS, np.log([0.5, 0.3, 0.2]), dtype=tf.float64)
    for variable in made.trainable_variables:
        variable.assign_add(0.3 * RNG.normal(size=variable.shape))
    return made


def test_density_and_draws_are_those_of_tfp(mixture):
    weights = {v.name.split("/")[-1].split(":")[0]: v for v in mixture.variables}
    factors = FACTORS * np.exp(weights["log_scales"])[:, None]
    parts = tfd.MultivariateNormalTriL(weights["means"], factors)
    stock = tfd.MixtureSameFamily(tfd.Categorical(logits=weights["logits"]), parts)
    x = 4.0 * RNG.normal(size=(5, 7, 2))
    np.testing.assert_allclose(mixture.log_prob(x), stock.log_prob(x), atol=1e-12)
    x = mixture.sample(40000, seed=1).numpy()
    deviation = np.sqrt(np.diag(stock.covariance())).max()
    np.testing.assert_allclose(x.mean(axis=0), stock.mean(), atol=0.03 * deviation)
    np.testing.assert_allclose(np.cov(x.T), stock.covariance(), atol=0.05 * deviation**2)
    from_parts = mixture.from_noise(RNG.normal(size=(3, 20000, 2))).numpy()
    np.testing.assert_allclose(from_parts.mean(axis=1), weights["means"], atol=0.1)


def test_a_flow_over_it_is_saved_with_its_weights(mixture):
    nvp = tff.RealNVP(2, num_steps=1, seed=0, dtype="float64")
    flow = tff.FlowDistribution(mixture, nvp)
    loaded = deserialize(serialize(flow))
    for ours, theirs in zip(loaded.variables, flow.variables, strict=True):
        ours.assign(theirs)
    x = RNG.normal(size=(4, 2))
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))
    weights = {v.ref() for v in flow.trainable_variables}
    assert {v.ref() for v in mixture.trainable_variables} <= weights
