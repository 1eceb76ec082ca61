"""What every conditioner promises, and what those that can be solved promise more."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conditioner_cases import CASES
from slow_cases import with_slow
from subject import close

import tfp_flows as tff
from tfp_flows.core.conditioners import AutoregressiveConditioner
from tfp_flows.networks.context_network import join_context

SLOW = {"cycle, many"}
ALL = with_slow(CASES, SLOW)
AUTOREGRESSIVE = with_slow([n for n, case in CASES.items() if case.ordering], SLOW)
# What one trace serves for all steps, and loops over blocks of levels; steps of networks
# with contexts are traced in the contract of bijectors.
IN_GRAPH = {"masked, everything", "masked, many, everything", "cycle, many"}
IN_GRAPH |= {"tokens of one variable, reversed"}
CONDITIONAL = with_slow([n for n, case in CASES.items() if case.context_size], SLOW)

build = functools.lru_cache(maxsize=1)(lambda name: CASES[name].build())


@pytest.mark.parametrize("name", ALL)
def test_batch_axes_are_merged_and_come_back(name):
    case, conditioner = CASES[name], build(name)
    x, context = case.inputs((2, 3))
    outputs = conditioner(x, context)
    assert outputs.shape == (2, 3, *conditioner.output_shape)
    assert conditioner.input_shape == case.input_shape
    for index in ((0, 2), (1,)):
        part = None if context is None else context[index]
        close(conditioner(x[index], part), outputs[index])


@pytest.mark.parametrize("name", ALL)
def test_network_and_its_variables_are_those_of_the_conditioner(name):
    conditioner = build(name)
    x, context = CASES[name].inputs((4,))
    # A context is the same at all places of an image.
    close(conditioner.network(join_context(x, context)), conditioner(x, context))
    assert all(isinstance(v, tf.Variable) for v in conditioner.variables)
    expected = {id(v.value) for v in conditioner.network.variables}
    assert {id(v) for v in conditioner.variables} == expected


@pytest.mark.parametrize("name", CONDITIONAL)
def test_outputs_depend_on_the_context(name):
    x, context = CASES[name].inputs((16,))
    depends = dependence(lambda c: build(name)(x, c), context)
    if CASES[name].ordering:  # of each variable, one parameter at least
        depends = depends.reshape(2, -1, CASES[name].context_size).any(axis=0)
    assert depends.all()


def dependence(function, inputs):
    """Whether outputs change with each of the inputs in any row, `[..., inputs]`."""
    before = function(inputs)
    changed = [function(inputs + e) != before for e in np.eye(inputs.shape[-1])]
    return np.stack(changed, axis=-1).any(axis=0)


@pytest.mark.parametrize("name", ALL)
def test_outputs_have_the_dtype_of_the_inputs(name):
    conditioner = CASES[name].build("float32")
    inputs = CASES[name].inputs((4,))
    outputs = conditioner(*inputs)
    assert outputs.dtype == tf.float64
    in_float32 = [None if t is None else tf.cast(t, tf.float32) for t in inputs]
    close(outputs, conditioner(*in_float32), 1e-6)
    assert not conditioner.can_solve(tf.float64)
    assert conditioner.can_solve(tf.float32) == bool(CASES[name].ordering)


@pytest.mark.parametrize("name", ALL)
def test_config_rebuilds_it(name):
    conditioner = build(name)
    config = conditioner.get_config()
    network = keras.layers.serialize(config["network"])
    config["network"] = keras.layers.deserialize(network)
    twin = tff.Conditioner.from_config(config)
    assert str(twin.network.get_config()) == str(conditioner.network.get_config())
    twin.network.set_weights(conditioner.network.get_weights())
    assert (twin.name, twin.input_shape) == (conditioner.name, conditioner.input_shape)
    inputs = CASES[name].inputs((4,))
    np.testing.assert_array_equal(twin(*inputs), conditioner(*inputs))


def members(name):
    """The network under each of its masks, and the degrees of the variables there."""
    network = build(name).network
    for mask in range(network.num_masks):
        member = network.member(mask)
        if network.num_masks > 1:
            yield member, network._ranks[0][mask].numpy() + 1
        else:
            yield member, network.ordering


def parameters(member, x, context):
    size = member.event_size
    return tf.reshape(member(x, context), [-1, member.num_parameters, size])


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_outputs_depend_on_lower_degrees_only(name):
    x, context = CASES[name].inputs((16,))
    for member, degrees in members(name):
        depends = dependence(lambda u, m=member: parameters(m, u, context), x)
        allowed = degrees[None] < degrees[:, None]
        assert not (depends & ~allowed).any()
        if CASES[name].is_connected:
            np.testing.assert_array_equal(depends.any(axis=0), allowed)


def solve_one(v, parameters):
    """Not linear in v, so that its order and its axes matter."""
    log_scale, shift = tf.unstack(tf.tanh(parameters))
    return tf.sinh(tf.asinh(v[0]) * tf.exp(log_scale) + shift), log_scale * v[-1]


def repeated(step, start, times):
    return tf.while_loop(
        lambda i, _: i < times, lambda i, value: (i + 1, step(value)), (0, start)
    )[1]


def by_passes(member, v, context):
    """Solves by D whole passes: `v` is `[N, D, V]`."""
    values = tf.transpose(v, [2, 0, 1])

    def one(u):
        return solve_one(values, tf.transpose(parameters(member, u, context), [1, 0, 2]))

    u = repeated(lambda u: one(u)[0], tf.zeros_like(v[..., 0]), member.event_size)
    return u, tf.reduce_sum(one(u)[1], axis=-1)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_conditioner_solves_with_any_batch_axes_and_back_propagates(name):
    conditioner = build(name)
    assert isinstance(conditioner, AutoregressiveConditioner)
    u, context = CASES[name].inputs((2, 3))
    size = conditioner.network.event_size
    shape = [2, 3, 2, size]
    rng = np.random.default_rng(1)
    u_bar = tf.constant(rng.normal(size=u.shape))
    u_by_p, offset = (tf.constant(rng.normal(size=shape)) for _ in range(2))

    def by_back_propagation(p_bar):
        with tf.GradientTape() as tape:
            tape.watch(u)
            p = tf.reshape(conditioner(u, context), shape)
        propagated = tape.gradient(p, u, p_bar, unconnected_gradients="zero")
        return u_by_p * (u_bar + propagated)[..., None, :] + offset

    def ours():
        adjoint = conditioner.solve_adjoint(u, context, u_bar, u_by_p, offset)
        return *conditioner.solve(u, context, solve_one), adjoint

    rows = [None if t is None else tf.reshape(t, [6, -1]) for t in (u, context)]
    solved = by_passes(conditioner.network.member(0), rows[0][..., None], rows[1])
    adjoint = repeated(by_back_propagation, tf.zeros_like(offset), size)
    theirs = tf.reshape(solved[0], u.shape), tf.reshape(solved[1], [2, 3]), adjoint
    in_graph = [tf.function(ours, autograph=False)] if name in IN_GRAPH else []
    for method in (ours, *in_graph):
        for a, b in zip(method(), theirs, strict=True):
            close(a, b)


def test_no_gradient_goes_back_through_solving_with_the_weights_that_are_given():
    conditioner = build("masked, context")
    x, context = CASES["masked, context"].inputs((3,))
    zeros = {v.ref(): tf.zeros_like(v) for v in conditioner.variables}
    x_of_zeros, _ = conditioner.replace_variables(zeros).solve(x, context, solve_one)
    close(x_of_zeros, x)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            u, _ = conditioner.solve(x, context, solve_one)
        return tape.gradient(u, [x, context, *conditioner.trainable_variables])

    assert not any(g is not None for g in gradients())
