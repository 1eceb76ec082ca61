"""Gradients of chains that recompute what their bijectors were given."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows import masks

TINY = {"hidden_channels": 3, "seed": 1, "dtype": "float64"}
VECTORS = {"num_steps": 2, "hidden_units": (5,), "seed": 1, "dtype": "float64"}
RNG = np.random.default_rng(0)


def image_flow(constructor, *sizes, **arguments):
    return lambda recompute: constructor(
        *sizes, recompute=recompute, **{**TINY, **arguments}
    )


def vector_flow(constructor, **arguments):
    return lambda recompute: constructor(4, recompute=recompute, **{**VECTORS, **arguments})


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


# How to build the flow, the shape of its data, and of its context.
FLOWS = {
    "glow": (
        image_flow(tff.Glow, (4, 4, 1), num_levels=2, num_steps=2, context_size=2),
        (4, 4, 1),
        2,
    ),
    "glow_additive": (
        image_flow(
            tff.Glow,
            (4, 4, 3),
            num_levels=1,
            num_steps=2,
            transformer=tff.transformers.Shift(),
        ),
        (4, 4, 3),
        0,
    ),
    "real_nvp_image": (
        image_flow(
            tff.RealNVPImage, (4, 4, 1), 1, num_blocks=1, batch_norm=False, act_norm=True
        ),
        (4, 4, 1),
        0,
    ),
    "parts": (parts_of_every_kind, (4, 2, 2), 2),
    "nice": (vector_flow(tff.NICE), (4,), 0),
    "real_nvp": (vector_flow(tff.RealNVP, act_norm=True, lu_mixing=True), (4,), 0),
    "real_nvp_context": (vector_flow(tff.RealNVP, context_size=2), (4,), 2),
    "maf": (vector_flow(tff.MAF, context_size=2, random_orderings=True), (4,), 2),
    "iaf": (vector_flow(tff.IAF, context_size=2), (4,), 2),
}


SEQUENTIAL = [("maf", "forward", False), ("iaf", "inverse", False)]
GRAPHS = [
    pytest.param(*case, marks=[pytest.mark.slow] if case in SEQUENTIAL else [])
    for case in ((name, end, False) for name in FLOWS for end in ("inverse", "forward"))
]
XLA = [("parts", "inverse", True), ("real_nvp_context", "forward", True)]


@pytest.mark.slow_ids(
    "glow-*",
    "glow_additive-*",
    "iaf-*",
    "nice-*",
    "parts-inverse-True",
    "real_nvp-forward-False",
    "real_nvp_context-*-False",
    "real_nvp_image-*",
)
@pytest.mark.parametrize(("name", "direction", "jit_compile"), [*GRAPHS, *XLA])
def test_gradients_are_those_of_stored_activations(name, direction, jit_compile, request):
    if not jit_compile:  # the contract of bijectors has the traced ones
        request.getfixturevalue("op_by_op")
    build, *sizes = FLOWS[name]
    stored, recomputing = randomize(build(False), stddev=0.3), build(True)
    for kept, variable in zip(stored.variables, recomputing.variables, strict=True):
        variable.assign(kept)
    expected, actual = (
        _gradients(flow, *sizes, direction, jit_compile) for flow in (stored, recomputing)
    )
    assert len(expected) > 4
    for a, b in zip(actual, expected, strict=True):
        close(a, b, 1e-8)


def _gradients(flow, shape, context_size, direction, jit_compile):
    """Value, log-det, and the gradients by input, context and all weights."""
    rng = np.random.default_rng(1)
    inputs = [tf.constant(rng.uniform(0.1, 0.9, size=(5, *shape)))]
    if direction == "forward":
        size = flow.inverse_event_shape(shape)
        inputs = [tf.constant(rng.normal(size=(5, *size)))]
    context = {}
    if context_size:
        context = {"context": tf.constant(rng.normal(size=(5, context_size)))}
    sources = [*inputs, *context.values(), *flow.trainable_variables]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(sources)
            call = getattr(flow, f"{direction}_and_log_det")
            value, log_det = call(*inputs, **context)
            loss = tf.reduce_sum(tf.sin(value)) + tf.reduce_sum(tf.cos(log_det))
        return value, log_det, *tape.gradient(loss, sources)

    return tf.function(gradients, jit_compile=jit_compile, autograph=False)()


DEEP = {
    "glow": (
        lambda n, r: tff.Glow((4, 4, 1), 1, n, hidden_channels=8, seed=0, recompute=r),
        (4, 4, 1),
    ),
    "real_nvp": (
        lambda n, r: tff.RealNVP(
            4,
            num_steps=n,
            hidden_units=(16,),
            act_norm=True,
            lu_mixing=True,
            seed=0,
            recompute=r,
        ),
        (4,),
    ),
}


@pytest.mark.slow_ids("real_nvp-12-0.3")
@pytest.mark.parametrize(
    ("name", "num_steps", "stddev"),
    [
        ("glow", 4, 0.15),
        ("real_nvp", 12, 0.3),
        pytest.param("glow", 32, 0.1, marks=pytest.mark.slow),
        pytest.param("real_nvp", 32, 0.15, marks=pytest.mark.slow),
    ],
)
def test_gradients_are_the_same_where_steps_cannot_be_undone(name, num_steps, stddev):
    build, shape = DEEP[name]
    x = RNG.uniform(size=(6, *shape)).astype(np.float32)
    x[0] *= 1000.0  # where Glow's scale is zero in float32
    gradients = []
    for recompute in (False, True):
        flow = build(num_steps, recompute)
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


@pytest.mark.parametrize(
    "build",
    [
        lambda: tff.RealNVP(3, batch_norm=True, recompute=True),
        lambda: tff.MAF(3, batch_norm=True, recompute=True),
        lambda: tff.RealNVPImage((4, 4, 1), recompute=True),
        lambda: tff.FlowChain([tff.Invert(tff.BatchNorm(3))], recompute=True),
    ],
)
def test_batch_statistics_are_refused_at_construction(build):
    with pytest.raises(ValueError, match="without batch statistics.*batch_norm"):
        build()


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
