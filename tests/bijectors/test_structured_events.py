"""Chains whose events are structures of tensors at one end, or inside."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
Z = np.random.default_rng(0).normal(size=(5, 3))


def to_pair():
    shift = tfb.Shift(tf.constant([1.0, 2.0, 3.0], tf.float64))
    return [tfb.JointMap([tfb.Exp(), tfb.Softplus()]), tfb.Split([1, 2]), shift]


def through_pair():
    return [tfb.Invert(tfb.Split([1, 2])), *to_pair()]


def to_dictionary():
    parts = {"a": tfb.Exp(), "b": tfb.Scale(tf.constant(2.0, tf.float64))}
    return [tfb.JointMap(parts), tfb.Restructure({"a": 0, "b": 1}), tfb.Split([1, 2])]


@pytest.mark.slow_ids("False-*", "True-to_dictionary")
@pytest.mark.parametrize("parts", [through_pair, to_dictionary])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_values_and_log_dets_are_those_of_the_stock_chain(parts, jit_compile):
    ours, stock = tff.FlowChain(parts()), tfb.Chain(parts())

    def both(z):
        y, log_det = ours.forward_and_log_det(z)
        return y, log_det, *ours.inverse_and_log_det(y)

    run = both if jit_compile is None else tf.function(both, jit_compile=jit_compile)
    y, log_det, z, inverse_log_det = run(tf.constant(Z))
    expected = stock.forward(Z)
    tf.nest.map_structure(close, y, expected)
    close(z, Z)
    close(log_det, stock.forward_log_det_jacobian(Z, 1))
    close(inverse_log_det, -log_det)
    ndims = stock.inverse_min_event_ndims
    close(ours.inverse_log_det_jacobian(expected, ndims), inverse_log_det)
    shapes = ours.forward_event_shape([3]), stock.forward_event_shape([3])
    tf.nest.assert_same_structure(*shapes)
    assert ours.inverse_event_shape(shapes[0]) == [3]


@pytest.mark.parametrize("constructor", [tfd.TransformedDistribution, tff.FlowDistribution])
@pytest.mark.parametrize("parts", [to_pair, to_dictionary])
def test_distributions_of_structures_are_stock_ones(constructor, parts):
    base = tfd.MultivariateNormalDiag(np.zeros(3), np.ones(3))
    ours = constructor(base, tff.FlowChain(parts()))
    stock = tfd.TransformedDistribution(base, tfb.Chain(parts()))
    tf.nest.assert_same_structure(ours.event_shape, stock.event_shape)
    draws, log_prob = ours.experimental_sample_and_log_prob([2, 4], seed=(1, 2))
    tf.nest.assert_same_structure(draws, stock.sample(seed=1))
    close(ours.log_prob(draws), log_prob)
    close(stock.log_prob(draws), log_prob)


def test_context_and_initialisation_reach_flows_behind_a_structure():
    tiny = {"num_steps": 1, "hidden_units": (4,), "heavy_tails": False}
    flow = tff.RealNVP(3, context_size=2, dtype="float64", **tiny)
    chain = tff.FlowChain([*to_pair()[:2], flow])
    context = np.ones([5, 2])
    y = tfb.Chain(to_pair()[:2]).forward(10.0 + Z)
    chain.initialize(y, context=context)
    z, _ = chain.inverse_and_log_det(y, context=context)
    close(np.mean(z, axis=0), np.zeros(3))
    randomize(flow)
    z, log_det = chain.inverse_and_log_det(y, context=context)
    close(chain.forward_and_log_det(z, context=context)[1], -log_det)


def test_other_structures_are_refused():
    with pytest.raises(ValueError, match="Expected `y` in the structure"):
        tff.FlowChain(to_pair()).inverse(Z)
