"""Autoregressive distributions carried through functions, loops and branches."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfd = tfp.distributions
SMALL = {"hidden_units": (4,), "seed": 0}
X = np.ones(3, np.float32)
CASES = {
    "binary": lambda: tff.BinaryMADE(3, **SMALL),
    "mixture": lambda: tff.MixtureMADE(3, 2, **SMALL),
    "mixture of masks": lambda: tff.MixtureMADE(3, 2, num_masks=2, **SMALL),
    "flow over a mixture": lambda: tff.FlowDistribution(
        tff.MixtureMADE(3, 2, **SMALL), tff.RealNVP(3, num_steps=1, **SMALL)
    ),
}


def carried_by_a_loop(distribution):
    _, same, total = tf.while_loop(
        lambda i, *_: i < 2,
        lambda i, d, total: (i + 1, d, total + d.log_prob(X)),
        (0, distribution, 0.0),
    )
    assert type(same) is type(distribution)
    return total / 2.0


def chosen_by_a_branch(distribution):
    is_first = tf.reduce_sum(tf.random.uniform([])) > 0.5
    return tf.cond(is_first, lambda: distribution, lambda: distribution)


WAYS = {
    "argument": tf.function(lambda d: d.log_prob(X)),
    "loop": carried_by_a_loop,
    "loop in a graph": tf.function(carried_by_a_loop),
    "branch": lambda d: tf.function(lambda: chosen_by_a_branch(d).log_prob(X))(),
}


@pytest.mark.slow_ids(
    "binary-branch",
    "binary-loop in a graph",
    "flow over a mixture-argument",
    "flow over a mixture-loop in a graph",
    "mixture of masks-argument",
    "mixture of masks-branch",
    "mixture of masks-loop*",
    "mixture-branch",
    "mixture-loop in a graph",
    "mixture-loop",
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_weights_are_those_of_now_and_train(name, way):
    distribution = randomize(CASES[name]())
    for _ in range(2):
        with tf.GradientTape() as tape:
            log_prob = WAYS[way](distribution)
        close(log_prob, distribution.log_prob(X), 1e-5)
        gradients = tape.gradient(log_prob, distribution.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        for weight in distribution.trainable_variables:
            weight.assign_add(tf.fill(weight.shape, 0.1))


def test_two_of_one_type_are_not_taken_for_each_other():
    first, second = (randomize(CASES["mixture"](), stddev=s) for s in (0.1, 1.0))
    score = WAYS["argument"]
    close(score(first), first.log_prob(X), 1e-5)
    close(score(second), second.log_prob(X), 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_whatever_holds_one_lists_its_weights(name):
    distribution = CASES[name]()
    weights = {id(weight) for weight in distribution.trainable_variables}
    for held in (
        tfd.Sample(distribution, 2),
        tfd.JointDistributionSequential([distribution]),
    ):
        assert {id(weight) for weight in held.trainable_variables} == weights


def test_support():
    identity = tff.MixtureMADE(2, 2).experimental_default_event_space_bijector()
    close(identity.forward(X), X)
    assert tff.BinaryMADE(2).experimental_default_event_space_bijector() is None


def test_posterior_of_a_mixture_and_none_of_binary_variables():
    posterior = tff.flow_posterior(CASES["mixture"](), num_steps=1, **SMALL)
    assert posterior.sample(4, seed=1).shape == (4, 3)
    for discrete in (tff.BinaryMADE(2), tfd.Bernoulli(probs=0.5, dtype=tf.float32)):
        with pytest.raises(ValueError, match=f"`{discrete.name}`, a discrete"):
            tff.flow_posterior(discrete)
