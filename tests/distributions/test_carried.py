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


@pytest.mark.slow_ids("flow over a mixture-loop")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        *(("binary", "argument"), ("binary", "loop"), ("mixture of masks", "argument")),
        *(("flow over a mixture", "branch"), ("flow over a mixture", "loop")),
        pytest.param("flow over a mixture", "loop in a graph", marks=pytest.mark.slow),
    ],
)
def test_weights_are_those_of_now_and_train(name, way):
    # A trace for one distribution must not serve another of the same type.
    WAYS[way](randomize(CASES[name](), stddev=1.0))
    distribution = randomize(CASES[name]())
    for _ in range(2):
        with tf.GradientTape() as tape:
            log_prob = WAYS[way](distribution)
        close(log_prob, distribution.log_prob(X), 1e-5)
        gradients = tape.gradient(log_prob, distribution.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        for weight in distribution.trainable_variables:
            weight.assign_add(tf.fill(weight.shape, 0.1))
