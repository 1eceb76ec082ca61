"""Flows as parts of TFP's joint distributions, and as maps for its Markov chains."""

import keras
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


def sequential_auto_batched(prior):
    return tfd.JointDistributionSequentialAutoBatched([prior, likelihood])


MODELS = [coroutine, sequential, sequential_auto_batched]


@pytest.mark.slow_ids(
    "sample_shape0-coroutine",
    "sample_shape0-sequential_auto_batched",
    "sample_shape1*",
    "sample_shape2-coroutine",
)
@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("sample_shape", [(), (4,), (2, 3)])
def test_prior_in_a_joint_model(build, sample_shape):
    prior = flow_prior()
    model = build(prior)
    z, x = model.sample(sample_shape, seed=1)
    assert z.shape == x.shape == (*sample_shape, 3)
    from_prior, from_likelihood = model.log_prob_parts([z, x])
    close(from_prior, prior.log_prob(z.numpy()))
    close(from_likelihood, likelihood(z).log_prob(x))
    close(model.log_prob([z, x]), from_prior + from_likelihood)
    distributions, draws = model.sample_distributions(sample_shape, seed=2)
    close(distributions[0].log_prob(draws[0]), prior.log_prob(draws[0].numpy()))


@pytest.mark.slow_ids("sequential*")
@pytest.mark.parametrize("build", MODELS)
def test_weights_of_a_prior_train_inside_a_joint_model(build):
    prior = flow_prior()
    model = build(prior)
    z, x = (part.numpy() for part in model.sample(64, seed=1))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.log_prob([z, x]))
    assert all(g is not None for g in tape.gradient(loss, prior.trainable_variables))
    before = model.log_prob([z, x])
    for weight in prior.trainable_variables:
        weight.assign_add(tf.fill(weight.shape, tf.constant(0.1, D)))
    assert np.abs(model.log_prob([z, x]) - before).max() > 1e-3


@pytest.mark.parametrize(
    "hold",
    [
        lambda d: tfd.JointDistributionSequential([d]),
        lambda d: tfd.JointDistributionNamed({"a": d}),
        lambda d: tfd.Sample(d, 2),
        lambda d: tfd.BatchBroadcast(d, [2]),
        lambda d: tfd.Independent(tfd.BatchBroadcast(d, [2]), 1),
        lambda d: tfd.TransformedDistribution(d, tfb.Exp()),
        lambda d: tff.FlowDistribution(d, tfb.Exp()),
    ],
)
def test_whatever_holds_a_flow_lists_its_weights(hold):
    prior = flow_prior()
    weights = {id(w) for w in prior.trainable_variables}
    assert weights
    assert {id(w) for w in hold(prior).trainable_variables} == weights


def test_batches_of_flows():
    prior = flow_prior()
    batch = tfd.Independent(tfd.BatchBroadcast(prior, [4]), 1)
    model = tfd.JointDistributionSequential([batch, likelihood])
    z, x = model.sample(5, seed=1)
    assert (z.shape, x.shape) == ((5, 4, 3), (5, 4, 3))
    from_prior, from_likelihood = model.log_prob_parts([z, x])
    close(from_prior, tf.reduce_sum(prior.log_prob(z.numpy()), axis=1))
    assert from_likelihood.shape == (5, 4)


def test_flow_is_an_argument_of_a_function():
    prior, points = flow_prior(), np.ones([2, 3])
    score = tf.function(lambda d: d.log_prob(points))
    close(score(prior), prior.log_prob(points))
    prior.trainable_variables[0].assign_add(tf.ones(prior.trainable_variables[0].shape, D))
    close(score(prior), prior.log_prob(points))


@pytest.mark.slow
def test_posterior_of_a_model_with_a_flow_as_prior():
    model = coroutine(flow_prior())
    pinned = model.experimental_pin([None, np.zeros(3)])
    posterior = tff.flow_posterior(pinned, num_steps=1, hidden_units=(4,), seed=0)
    (z,), log_prob = posterior.sample_and_log_prob(6, seed=1)
    assert z.shape == (6, 3)
    # Unconstrained is the prior's latent space, so that it starts next to the prior.
    assert np.isfinite(pinned.unnormalized_log_prob([z]) - log_prob).all()


@pytest.mark.slow
def test_flow_preconditions_nuts():
    """Chains through a flow have the target's moments, whatever the flow."""
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(4,), standardize=False, seed=0)
    randomize(flow, stddev=0.2)
    scale = np.array([[1.0, 0.0], [1.5, 0.5]], np.float32)
    target = tfd.MultivariateNormalTriL([1.0, -2.0], scale)
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.NoUTurnSampler(target.log_prob, step_size=0.3), flow
    )

    @tf.function(jit_compile=True)
    def chains():
        return tfp.mcmc.sample_chain(
            500,
            tf.zeros([16, 2]),
            kernel=kernel,
            num_burnin_steps=100,
            trace_fn=None,
            seed=(1, 2),
        )

    draws = chains().numpy().reshape(-1, 2)
    np.testing.assert_allclose(draws.mean(0), [1.0, -2.0], atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), scale @ scale.T, atol=0.3)


@pytest.mark.slow
def test_trains_in_a_split_flow_surrogate_of_tfp():
    """One flow over all parts, which TFP splits and constrains."""
    flow = tff.IAF(3, num_steps=2, hidden_units=(8,), standardize=False, seed=0)
    target = tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.Gamma(3.0, 2.0),
            lambda a: tfd.MultivariateNormalDiag([1.0, -2.0], a * tf.ones(2)),
        ]
    )
    surrogate = tfp.experimental.vi.build_split_flow_surrogate_posterior(
        event_shape=target.event_shape,
        trainable_bijector=flow,
        constraining_bijector=[tfb.Softplus(), None],
    )
    weights = {id(w) for w in flow.trainable_variables}
    assert weights <= {id(w) for w in surrogate.trainable_variables}
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=keras.optimizers.Adam(0.03),
        num_steps=200,
        sample_size=16,
        seed=(1, 2),
        trainable_variables=flow.trainable_variables,
    )
    a, b = surrogate.sample(100, seed=(3, 4))
    assert np.all(a > 0.0)
    assert b.shape == (100, 2)
    # Divergences from a density whose integral is 1.
    before, after = losses[:20].numpy().mean(), losses[-50:].numpy().mean()
    assert 0.0 < after < 0.5 * before


@pytest.mark.parametrize("seed", [2**31, 2**40 + 3, 2**63 - 1])
def test_long_seeds_draw_the_same_again_and_differ(seed):
    prior = flow_prior()
    draw = prior.sample(seed=seed)
    close(draw, prior.sample(seed=seed))
    assert np.abs(draw - prior.sample(seed=seed % 2**31)).max() > 1e-3
