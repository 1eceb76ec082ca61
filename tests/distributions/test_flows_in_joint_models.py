"""Flows as parts of TFP's joint distributions and other distributions."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
D = tf.float64


def flow_prior(size=3):
    flow = randomize(tff.RealNVP(size, num_steps=1, hidden_units=(6,), seed=0, dtype=D))
    return tff.FlowDistribution(tff.standard_normal(size, dtype=D), flow)


def likelihood(z):
    return tfd.Independent(tfd.Normal(2.0 * z, tf.ones([], D)), 1)


def coroutine(prior):
    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        z = yield prior
        yield likelihood(z)

    return model


def sequential(prior):
    return tfd.JointDistributionSequential([prior, likelihood])


@pytest.mark.slow_ids("*coroutine", "sample_shape1*")
@pytest.mark.parametrize("build", [coroutine, sequential])
@pytest.mark.parametrize("sample_shape", [(), (2, 3)])
def test_prior_in_a_joint_model(build, sample_shape):
    prior = flow_prior()
    model = build(prior)
    z, x = model.sample(sample_shape, seed=1)
    assert z.shape == x.shape == (*sample_shape, 3)
    from_prior, from_likelihood = model.log_prob_parts([z, x])
    close(from_prior, prior.log_prob(z.numpy()))
    close(from_likelihood, likelihood(z).log_prob(x))
    distributions, draws = model.sample_distributions(sample_shape, seed=2)
    close(distributions[0].log_prob(draws[0]), prior.log_prob(draws[0].numpy()))
    with tf.GradientTape() as tape:
        log_prob = model.log_prob([z, x])
    close(log_prob, from_prior + from_likelihood)
    assert all(g is not None for g in tape.gradient(log_prob, prior.trainable_variables))
    for weight in prior.trainable_variables:
        weight.assign_add(tf.fill(weight.shape, tf.constant(0.1, D)))
    assert np.abs(model.log_prob([z, x]) - log_prob).max() > 1e-3


@pytest.mark.parametrize(
    "hold",
    [
        lambda d: tfd.JointDistributionNamed({"a": d}),
        lambda d: tfd.Sample(d, 2),
        lambda d: tfd.Independent(tfd.BatchBroadcast(d, [2]), 1),
        lambda d: tff.FlowDistribution(d, tfb.Exp()),
    ],
)
def test_whatever_holds_a_distribution_lists_its_weights(hold):
    for held in (flow_prior(), tff.MixtureMADE(3, hidden_units=(4,), dtype=D)):
        weights = {id(w) for w in held.trainable_variables}
        assert weights
        assert {id(w) for w in hold(held).trainable_variables} == weights
