"""Fits of `flow_posterior`: the evidence that they reach, and their gradients."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from derivatives import op_by_op
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfd = tfp.distributions
SMALL = {"num_steps": 2, "hidden_units": (8,), "seed": 0}
SMALLEST = SMALL | {"num_steps": 1}

# A linear model whose evidence is a Gaussian density.
DESIGN = np.random.default_rng(0).normal(size=(6, 3)) @ [
    [1, 0.9, 0],
    [0, 0.3, 0],
    [0, 0, 2],
]
OBSERVED = np.random.default_rng(1).normal(size=6)
COVARIANCE = DESIGN @ DESIGN.T + 0.25 * np.eye(6)
EVIDENCE = -0.5 * float(
    OBSERVED @ np.linalg.solve(COVARIANCE, OBSERVED)
    + np.linalg.slogdet(2.0 * np.pi * COVARIANCE)[1]
)


def linear_model():
    design = tf.constant(DESIGN, tf.float32)

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        weights = yield tfd.Sample(tfd.Normal(0.0, 1.0), 3, name="weights")
        mean = tf.linalg.matvec(design, weights)
        yield tfd.Independent(tfd.Normal(mean, 0.5), 1, name="y")

    return model.experimental_pin(y=tf.constant(OBSERVED, tf.float32))


def elbo(target, posterior):
    with op_by_op():
        draws, log_prob = posterior.sample_and_log_prob(4000, seed=5)
    return np.mean(target.unnormalized_log_prob(draws) - log_prob)


def cosine_decay(num_steps):
    # Steps end at zero, since the noise of large steps would decide the test.
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, num_steps))


@pytest.mark.slow_ids("iaf-True")
@pytest.mark.parametrize(("flow", "jit_compile"), [("real_nvp", False), ("iaf", True)])
def test_fit_surrogate_posterior_reaches_the_known_evidence(flow, jit_compile):
    target = linear_model()
    posterior = tff.flow_posterior(target, flow, whiten=False, **SMALLEST)
    assert elbo(target, posterior) < EVIDENCE - 1.0
    losses = tfp.vi.fit_surrogate_posterior(
        target.unnormalized_log_prob,
        posterior,
        optimizer=cosine_decay(400),
        num_steps=400,
        sample_size=32,
        seed=(0, 1),  # an integer draws differently each time
        trainable_variables=posterior.trainable_variables,
        jit_compile=jit_compile,
    )
    assert np.isfinite(losses).all()
    assert elbo(target, posterior) == pytest.approx(EVIDENCE, abs=0.02)


def gradient(target_log_prob, posterior, *, sticking_the_landing=True, **options):
    options |= {"sticking_the_landing": sticking_the_landing, "seed": (1, 2)}
    with tf.GradientTape() as tape:
        loss = tff.variational_loss(target_log_prob, posterior, **options)
    gradients = tape.gradient(loss, posterior.trainable_variables)
    return loss, np.concatenate([np.ravel(g) for g in gradients])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flow", "importance_sample_size"), [("real_nvp", 1), ("real_nvp", 5), ("iaf", 5)]
)
def test_gradient_has_no_noise_where_the_posterior_is_the_target(
    flow, importance_sample_size
):
    rate_and_count = tfd.JointDistributionNamed(
        {
            "rate": tfd.Gamma(np.float64(2.0), np.float64(1.0)),
            "count": lambda rate: tfd.Exponential(rate),
        }
    )
    # In float64, since rounding in float32 leaves a gradient of 3e-4.
    build = functools.partial(
        tff.flow_posterior, rate_and_count, flow, dtype=tf.float64, **SMALL
    )
    posterior, target = randomize(build()), randomize(build())
    options = {"sample_size": 4, "importance_sample_size": importance_sample_size}

    def log_prob(**parts):
        return target.log_prob(parts)

    _, sticking = gradient(log_prob, posterior, **options)
    _, plain = gradient(log_prob, posterior, sticking_the_landing=False, **options)
    assert np.abs(sticking).max() < 1e-9
    # The plain gradient has the score of q too, also with several draws a group.
    assert np.abs(plain).max() > 1e-2


@pytest.mark.slow_ids("1")
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("importance_sample_size", [1, 3])
def test_both_gradients_have_one_mean(importance_sample_size):
    target = linear_model()
    posterior = tff.flow_posterior(target, "real_nvp", whiten=False, **SMALL)
    randomize(posterior, stddev=0.2)
    options = {"sample_size": 20000, "importance_sample_size": importance_sample_size}
    log_prob = target.unnormalized_log_prob
    loss, sticking = gradient(log_prob, posterior, **options)
    same, plain = gradient(log_prob, posterior, sticking_the_landing=False, **options)
    close(loss, same, 1e-4)
    assert np.linalg.norm(sticking - plain) < 0.1 * np.linalg.norm(plain)
