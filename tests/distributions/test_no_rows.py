"""Autoregressive distributions of no rows at all: empty answers of the right shape."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

SMALL = {"hidden_units": (4,), "seed": 0}
CASES = {
    "binary": lambda **options: tff.BinaryMADE(4, **SMALL, **options),
    "binary of masks": lambda **options: tff.BinaryMADE(4, num_masks=3, **SMALL, **options),
    "binary of one ordering": lambda **options: tff.BinaryMADE(
        4, num_masks=2, ordering=[4, 3, 2, 1], **SMALL, **options
    ),
    "mixture": lambda **options: tff.MixtureMADE(4, 2, **SMALL, **options),
    "flow over a mixture": lambda **options: tff.FlowDistribution(
        tff.MixtureMADE(4, 2, **SMALL, **options),
        tff.MAF(4, num_steps=1, **SMALL, **options),
    ),
}


@functools.cache
def built(name, **options):
    return CASES[name](**options)


def shapes(answers):
    return [tuple(answer.shape) for answer in tf.nest.flatten(answers)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_no_draws(name):
    distribution = built(name)
    assert shapes(distribution.sample(0, seed=1)) == [(0, 4)]
    drawn = distribution.sample_and_log_prob([2, 0, 3], seed=1)
    assert shapes(drawn) == [(2, 0, 3, 4), (2, 0, 3)]
    assert shapes(distribution.log_prob(np.zeros([2, 0, 4]))) == [(2, 0)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_no_contexts(name):
    distribution = built(name, context_size=2)
    context = np.zeros([0, 2])
    assert shapes(distribution.sample(3, seed=1, context=context)) == [(3, 0, 4)]
    assert shapes(distribution.log_prob(np.zeros([0, 4]), context=context)) == [(0,)]


@pytest.mark.slow_ids("binary of masks", "binary of one ordering")
@pytest.mark.parametrize("name", [name for name in CASES if name != "flow over a mixture"])
def test_no_rows_to_complete_and_none_in_a_graph(name):
    distribution = built(name)
    observed = np.array([False, True, False, True])
    assert shapes(distribution.impute(np.zeros([0, 4]), observed, seed=1)) == [(0, 4)]
    draw = tf.function(lambda count: distribution.sample(count, seed=1))
    assert shapes(draw(tf.constant(0))) == [(0, 4)]
    np.testing.assert_array_equal(draw(tf.constant(3)), distribution.sample(3, seed=1))
