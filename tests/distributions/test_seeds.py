"""What an integer seed determines, and what it leaves to each turn of a loop."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close, differ

import tfp_flows as tff
from tfp_flows.distributions.draws import fold_in

tfd = tfp.distributions
SMALL = {"hidden_units": (4,), "seed": 0}


def flow(base=None):
    bijector = tff.RealNVP(3, num_steps=1, **SMALL)
    return tff.FlowDistribution(base or tff.standard_normal(3), bijector)


PARTS = {
    "flow": flow,
    "flow over a mixture": lambda: flow(tff.MixtureMADE(3, 2, **SMALL)),
    "tempered": lambda: tff.at_temperature(flow(), 0.7),
    "binary": lambda: tff.BinaryMADE(20, **SMALL),
    "mixture": lambda: tff.MixtureMADE(3, 2, **SMALL),
    "posterior": lambda: tff.flow_posterior(3, "real_nvp", num_steps=1, **SMALL),
    "flow in a sample": lambda: tfd.Sample(flow(), 2),
}
JOINT = {
    "sequential": lambda d: tfd.JointDistributionSequentialAutoBatched([d]),
    "coroutine": lambda d: tfd.JointDistributionCoroutineAutoBatched(lambda: (yield d)),
}


def num_distinct(draws):
    (draws,) = tf.nest.flatten(draws)
    return len(np.unique(np.reshape(draws, [len(draws), -1]), axis=0))


@pytest.mark.slow_ids("binary", "flow over a mixture", "mixture", "tempered")
@pytest.mark.parametrize("part", PARTS)
def test_one_seed_draws_the_same_in_every_call_and_auto_batched_draws_differ(part):
    distribution = PARTS[part]()

    def draw():
        return distribution.sample(5, seed=1)

    first, graph = draw(), tf.function(draw)
    for again in (draw(), graph(), graph()):
        close(again, first, 1e-5)
    assert num_distinct(first) == 5
    assert num_distinct(JOINT["sequential"](distribution).sample(4, seed=1)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("joint", JOINT)
def test_auto_batched_draws_of_every_kind_of_seed_differ(joint):
    model = JOINT[joint](flow())
    for seed in (1, 2**40 + 3, (1, 2), None):
        assert num_distinct(model.sample(4, seed=seed)) == 4
    assert num_distinct(tf.function(lambda: model.sample(4, seed=1))()) == 4
    assert num_distinct(model.experimental_sample_and_log_prob(4, seed=1)[0]) == 4


def mapped(draw):
    return tf.map_fn(lambda _: draw(), tf.range(4), fn_output_signature=tf.float32)


def vectorized(draw):
    return tf.vectorized_map(lambda _: draw(), tf.range(4))


def test_what_a_traced_loop_repeats_draws_anew():
    distribution = flow()

    def draw():
        return distribution.sample(seed=1)

    for draws in (
        vectorized(draw),
        tf.function(mapped)(draw),
        vectorized(tf.function(draw)),
    ):
        assert num_distinct(draws) == 4


def test_a_tensor_of_one_integer_draws_as_the_integer():
    exponential = tff.FlowDistribution(tff.standard_normal(3), tfp.bijectors.Exp())

    def draw(seed):
        return exponential.sample(2, seed=seed)

    traced = tf.function(draw, jit_compile=True, autograph=False)
    for seed in (-7, 2**40 + 3, 2**63 - 1):
        assert differ(draw(seed), draw(seed % 2**31))
        close(draw(np.array(seed)), draw(seed), 0.0)
        close(draw(tf.Variable(seed, dtype=tf.int64)), draw(seed), 0.0)
        close(traced(tf.constant(seed, tf.int64)), draw(seed), 1e-5)


def test_neighbouring_seeds_and_indices_have_no_seed_in_common():
    pairs = [(seed, index) for seed in (0, 1, 2, 2**32) for index in (-1, 0, 1, 2)]
    folded = {tuple(fold_in(*pair).numpy()) for pair in pairs}
    again = {tuple(fold_in(fold_in(*pair), pair[1]).numpy()) for pair in pairs}
    assert len(folded | again) == 2 * len(pairs)
