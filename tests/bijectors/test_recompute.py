"""Gradients of chains that recompute what their bijectors were given."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import all_close

import tfp_flows as tff
from tfp_flows import masks

VECTORS = {"num_steps": 2, "hidden_units": (5,), "seed": 1, "dtype": "float64"}


def glow(recompute):
    options = {"hidden_channels": 3, "context_size": 2, "seed": 1, "dtype": "float64"}
    return tff.Glow((4, 4, 1), 2, 2, recompute=recompute, **options)


def on_vectors(constructor, **options):
    options = {"context_size": 2, **VECTORS, **options}
    return lambda recompute: constructor(4, recompute=recompute, **options)


def parts_of_every_kind(recompute):
    """Norm, mixings, a coupling on the checkerboard, squeeze and back, an inner chain."""
    shape, dtype = (4, 2, 2), "float64"
    network = tff.networks.ConvNet(4, 3, seed=2, dtype=dtype)
    conditioner = tff.Conditioner(network, shape, context_size=2)
    squeeze = tff.Squeeze(shape, dtype=dtype)
    return tff.FlowChain(
        [
            tff.ActNorm(2, event_ndims=3, dtype=dtype),
            tff.Coupling(masks.checkerboard(shape), conditioner, dtype=dtype),
            squeeze,
            tff.FlowChain([tff.bijectors.InvertibleConv1x1(8, dtype=dtype)]),
            tff.Invert(tff.InvertibleLinear(8, event_ndims=3, seed=3, dtype=dtype)),
            tff.Invert(squeeze),
        ],
        recompute=recompute,
    )


# How to build a flow given two numbers, and the shape of its data.
FLOWS = {
    "glow": (glow, (4, 4, 1)),
    "parts": (parts_of_every_kind, (4, 2, 2)),
    "real_nvp": (on_vectors(tff.RealNVP, act_norm=True, lu_mixing=True), (4,)),
    "maf": (on_vectors(tff.MAF, random_orderings=True), (4,)),
    "iaf": (on_vectors(tff.IAF), (4,)),
}


@pytest.mark.slow_ids(
    "glow-*", "iaf-*", "maf-forward-*", "parts-inverse-True", "maf-inverse-True"
)
@pytest.mark.parametrize(
    ("name", "direction", "jit_compile"),
    [
        *((name, end, False) for name in FLOWS for end in ("inverse", "forward")),
        *(("parts", "inverse", True), ("maf", "inverse", True)),
    ],
)
def test_gradients_are_those_of_stored_activations(name, direction, jit_compile, request):
    if not jit_compile:  # the contract of bijectors has the traced ones
        request.getfixturevalue("op_by_op")
    build, shape = FLOWS[name]
    stored, recomputing = randomize(build(False), stddev=0.3), build(True)
    for kept, variable in zip(stored.variables, recomputing.variables, strict=True):
        variable.assign(kept)
    expected, actual = (
        _gradients(flow, shape, direction, jit_compile) for flow in (stored, recomputing)
    )
    assert len(expected) > 4
    all_close(actual, expected, 1e-8)


def _gradients(flow, shape, direction, jit_compile):
    """Value, log-det, and the gradients by input, context and all weights."""
    rng = np.random.default_rng(1)
    inputs = tf.constant(rng.uniform(0.1, 0.9, size=(5, *shape)))
    if direction == "forward":
        inputs = tf.constant(rng.normal(size=(5, *flow.inverse_event_shape(shape))))
    context = tf.constant(rng.normal(size=(5, 2)))
    sources = [inputs, context, *flow.trainable_variables]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(sources)
            call = getattr(flow, f"{direction}_and_log_det")
            value, log_det = call(inputs, context=context)
            loss = tf.reduce_sum(tf.sin(value)) + tf.reduce_sum(tf.cos(log_det))
        return value, log_det, *tape.gradient(loss, sources)

    return tf.function(gradients, jit_compile=jit_compile, autograph=False)()


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.slow_ids("*32*")
@pytest.mark.parametrize(("num_steps", "stddev"), [(4, 0.15), (32, 0.1)])
def test_gradients_are_the_same_where_steps_cannot_be_undone(num_steps, stddev):
    x = np.random.default_rng(0).uniform(size=(6, 4, 4, 1)).astype(np.float32)
    x[0] *= 1000.0  # where Glow's scale is zero in float32
    gradients = []
    for recompute in (False, True):
        options = {"hidden_channels": 8, "seed": 0, "recompute": recompute}
        flow = tff.Glow((4, 4, 1), 1, num_steps, **options)
        rng = np.random.default_rng(2)
        for variable in flow.trainable_variables:
            variable.assign(stddev * rng.normal(size=variable.shape))
        with tf.GradientTape() as tape:
            z, log_det = flow.inverse_and_log_det(x)
            # A bounded loss, since the squares of such latents may be infinite.
            loss = tf.reduce_mean(tf.reduce_sum(tf.tanh(z), axis=-1) - log_det)
        gradients.append(tape.gradient(loss, flow.trainable_variables))
    assert np.isfinite(log_det).all()
    for stored, recomputed in zip(*gradients, strict=True):
        assert np.isfinite(recomputed).all()
        scale = np.abs(stored).max()
        np.testing.assert_allclose(recomputed, stored, rtol=1e-3, atol=1e-3 * scale)


def test_couplings_call_their_network_once_more_only():
    count = 0

    def conditioner(x, context=None):
        nonlocal count
        count += 1
        return tf.concat([x, x], axis=-1)

    mask = masks.half(4)
    chain = tff.FlowChain([tff.Coupling(mask, conditioner)] * 3, recompute=True)
    count = 0

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = chain.inverse_and_log_det(x)
            loss = tf.reduce_sum(z) + tf.reduce_sum(log_det)
        return tape.gradient(loss, x)

    tf.function(gradient, autograph=False)(tf.ones([5, 4]))
    assert count == 6
