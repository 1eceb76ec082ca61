"""What every conditioner promises, and what those that can be solved promise more."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conditioner_cases import CASES
from subject import close

import tfp_flows as tff
from tfp_flows.core.autoregressive_conditioner import AutoregressiveConditioner
from tfp_flows.networks.context_network import join_context

AUTOREGRESSIVE = [name for name, case in CASES.items() if case.ordering]
CONDITIONAL = [name for name, case in CASES.items() if case.context_size]

build = functools.lru_cache(maxsize=1)(lambda name: CASES[name].build())


@pytest.mark.parametrize("name", CASES)
def test_batch_axes_are_merged_and_come_back(name):
    case, conditioner = CASES[name], build(name)
    x, context = case.inputs((2, 3))
    outputs = conditioner(x, context)
    assert outputs.shape == (2, 3, *conditioner.output_shape)
    assert conditioner.input_shape == case.input_shape
    for i, j in ((0, 2), (1, 1)):
        of_row = None if context is None else context[i, j]
        close(conditioner(x[i, j], of_row), outputs[i, j])
        of_rows = None if context is None else context[i]
        close(conditioner(x[i], of_rows), outputs[i])


@pytest.mark.parametrize("name", CASES)
def test_network_is_called_with_both_or_with_the_two_joined(name):
    conditioner = build(name)
    x, context = CASES[name].inputs((4,))
    # A context is the same at all places of an image.
    close(conditioner.network(join_context(x, context)), conditioner(x, context))


@pytest.mark.parametrize("name", CONDITIONAL)
def test_outputs_depend_on_the_context(name):
    x, context = CASES[name].inputs((16,))
    with tf.GradientTape() as tape:
        tape.watch(context)
        outputs = build(name)(x, context)
    depends = np.abs(tape.batch_jacobian(outputs, context)).max(axis=0) > 0.0
    if CASES[name].ordering:  # of each variable, one parameter at least
        depends = depends.reshape(2, -1, CASES[name].context_size).any(axis=0)
    assert depends.any() if "narrow" in name else depends.all()


@pytest.mark.parametrize("name", CASES)
def test_lists_the_variables_of_the_network_at_once(name):
    conditioner = build(name)
    assert all(isinstance(v, tf.Variable) for v in conditioner.variables)
    expected = {id(v.value) for v in conditioner.network.variables}
    assert {id(v) for v in conditioner.variables} == expected


@pytest.mark.parametrize("name", CASES)
def test_outputs_have_the_dtype_of_the_inputs(name):
    conditioner = CASES[name].build("float32")
    inputs = CASES[name].inputs((4,))
    outputs = conditioner(*inputs)
    assert outputs.dtype == tf.float64
    in_float32 = [None if t is None else tf.cast(t, tf.float32) for t in inputs]
    close(outputs, conditioner(*in_float32), 1e-6)
    assert not conditioner.can_solve(tf.float64)
    assert conditioner.can_solve(tf.float32) == (name in AUTOREGRESSIVE)


@pytest.mark.parametrize("name", CASES)
def test_config_rebuilds_it(name):
    conditioner = build(name)
    config = conditioner.get_config()
    network = keras.layers.serialize(config["network"])
    config["network"] = keras.layers.deserialize(network)
    twin = tff.Conditioner.from_config(config)
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
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = parameters(member, x, context)
        depends = np.abs(tape.batch_jacobian(outputs, x)).max(axis=0) > 0.0
        allowed = degrees[None] < degrees[:, None]
        assert not (depends & ~allowed).any()
        if CASES[name].is_connected:
            np.testing.assert_array_equal(depends.any(axis=0), allowed)


def solve_one(v, parameters):
    """Not linear in v, so that its order and its axes matter."""
    log_scale, shift = tf.unstack(tf.tanh(parameters))
    return tf.sinh(tf.asinh(v[0]) * tf.exp(log_scale) + shift), log_scale * v[-1]


def by_passes(member, v, context):
    """Solves by D whole passes: `v` is `[N, D, V]`."""
    u = tf.zeros_like(v[..., 0])
    values = tf.transpose(v, [2, 0, 1])
    for _ in range(member.event_size):
        p = tf.transpose(parameters(member, u, context), [1, 0, 2])
        u, log_det = solve_one(values, p)
    return u, tf.reduce_sum(log_det, axis=-1)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_solving_equals_whole_passes(name):
    x, context = CASES[name].inputs((5,))
    for v in (x[..., None], tf.stack([x, tf.cos(x)], axis=-1)):
        for member, _ in members(name):
            solve = tf.function(member.solve, autograph=False)
            for ours, theirs in zip(
                solve(v if v.shape[-1] > 1 else x, context, solve_one),
                by_passes(member, v, context),
                strict=True,
            ):
                close(ours, theirs)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_conditioner_solves_with_any_batch_axes(name):
    conditioner = build(name)
    assert isinstance(conditioner, AutoregressiveConditioner)
    x, context = CASES[name].inputs((2, 3))
    rows = None if context is None else tf.reshape(context, [6, -1])
    v = tf.reshape(x, [6, -1, 1])
    u, log_det = by_passes(conditioner.network.member(0), v, rows)
    ours = conditioner.solve(x, context, solve_one)
    close(ours[0], tf.reshape(u, x.shape))
    close(ours[1], tf.reshape(log_det, [2, 3]))


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_adjoint_equals_that_of_back_propagation(name):
    u, context = CASES[name].inputs((2, 3))
    conditioner = build(name)
    shape = [2, 3, 2, *CASES[name].input_shape]
    rng = np.random.default_rng(1)
    u_bar = tf.constant(rng.normal(size=u.shape))
    u_by_p, offset = (tf.constant(rng.normal(size=shape)) for _ in range(2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(u)
        p = tf.reshape(conditioner(u, context), shape)
    expected = tf.zeros(shape, tf.float64)
    for _ in range(conditioner.network.event_size):
        propagated = tape.gradient(p, u, expected, unconnected_gradients="zero")
        expected = u_by_p * (u_bar + propagated)[..., None, :] + offset
    solve_adjoint = tf.function(conditioner.solve_adjoint, autograph=False)
    close(solve_adjoint(u, context, u_bar, u_by_p, offset), expected)


def test_no_gradient_goes_back_through_solving():
    conditioner = build("masked, context")
    x, context = CASES["masked, context"].inputs((3,))

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            u, _ = conditioner.solve(x, context, solve_one)
        return tape.gradient(u, [x, context, *conditioner.trainable_variables])

    assert not any(g is not None for g in gradients())
