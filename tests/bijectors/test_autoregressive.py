"""Both directions of autoregressive steps against D whole passes and against TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import perturb

import tfp_flows as tff
from tfp_flows import transformers

tfb = tfp.bijectors

FORMS = {
    "plain": {"hidden_units": (16, 16)},
    "narrow": {"hidden_units": (3, 5, 4)},
    "residual": {"hidden_units": (16, 16, 16), "residual": True, "activation": "elu"},
    "direct": {"hidden_units": (16,), "direct": True, "activation": "tanh"},
    "drawn": {"hidden_units": (16, 16), "degree_seed": 5},
    "context": {"hidden_units": (16, 16), "context_size": 2},
}


def conditioner(ordering, dtype="float64", **form):
    context_size = form.get("context_size", 0)
    network = tff.MaskedMLP(
        2, ordering=ordering, zero_last_layer=False, seed=1, dtype=dtype, **form
    )
    return tff.Conditioner(network, len(ordering), context_size=context_size)


def without_column_wise(step):
    """The same conditioner as a callable that offers no `column_wise`."""

    def call(x, context=None):
        return step(x, context)

    call.context_size = step.context_size
    return call


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "constructor", [tff.MaskedAutoregressive, tff.InverseAutoregressive]
)
def test_columns_equal_whole_passes_in_value_and_gradient(constructor, form):
    network = conditioner(tff.random_ordering(7, seed=3), **FORMS[form])
    rng = np.random.default_rng(0)
    values = tf.constant(rng.normal(size=(5, 7)))
    context = {"context": tf.constant(rng.normal(size=(5, 2)))} if form == "context" else {}
    results = []
    for step in (network, without_column_wise(network)):
        bijector = constructor(7, step, tff.Affine(), dtype="float64")
        name = (
            "forward" if constructor is tff.MaskedAutoregressive else "inverse"
        ) + "_and_log_det"
        with tf.GradientTape() as tape:
            tape.watch([values, *context.values()])
            result, log_det = getattr(bijector, name)(values, **context)
            loss = tf.reduce_sum(tf.sin(result)) + tf.reduce_sum(log_det**2)
        sources = [values, *context.values(), *network.trainable_variables]
        results.append([result, log_det, *tape.gradient(loss, sources)])
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-9)


def test_gradient_of_sampling_equals_that_of_the_loop_written_out():
    network = conditioner(tff.natural_ordering(4), **FORMS["plain"])
    bijector = tff.MaskedAutoregressive(4, network, tff.Affine(), dtype="float64")
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 4)))

    def written_out(z):
        y = tf.zeros_like(z)
        for _ in range(4):
            y, log_det = tff.Affine().forward_and_log_det(z, network(y))
        return y, tf.reduce_sum(log_det, axis=-1)

    gradients = []
    for method in (bijector.forward_and_log_det, written_out):
        with tf.GradientTape() as tape:
            tape.watch(z)
            y, log_det = method(z)
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det**3)
        gradients.append(tape.gradient(loss, [z, *network.trainable_variables]))
    for ours, true in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, true, atol=1e-9)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_large_latents_at_bounded_scales_stay_finite(jit_compile):
    flow = tff.MAF(20, num_steps=1, hidden_units=(64, 64), seed=0, standardize=False)
    perturb(flow)
    z = np.random.default_rng(0).normal(size=(256, 20)).astype(np.float32)
    z *= 100.0 / np.abs(z).max()
    forward = tf.function(flow.forward_and_log_det, jit_compile=jit_compile)
    y, log_det = forward(tf.constant(z))
    assert np.isfinite(y).all()
    assert np.isfinite(log_det).all()


def test_same_numbers_as_tfp_with_the_same_weights():
    # With one unit a degree, both rules for hidden degrees agree. TFP computes in float32.
    made = tfb.AutoregressiveNetwork(
        params=2, event_shape=[4], hidden_units=[3, 3], activation="tanh", dtype="float64"
    )
    made.build([None, 4])
    stock = tfb.MaskedAutoregressiveFlow(made)
    network = conditioner([1, 2, 3, 4], hidden_units=(3, 3), activation="tanh")
    affine = tff.Affine(transformers.exp_scale)
    bijector = tff.MaskedAutoregressive(4, network, affine, dtype="float64")

    rng = np.random.default_rng(0)
    arrays = []
    for layer in network.network.layers:
        arrays += [
            rng.normal(size=layer.shape) * layer.mask,
            rng.normal(size=layer.shape[1]),
        ]
    network.trainable_variables[0].assign(np.concatenate([a.T.ravel() for a in arrays]))
    made.set_weights(arrays)

    y = tf.constant(rng.normal(size=(8, 4)))
    np.testing.assert_allclose(bijector.inverse(y), stock.inverse(y), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bijector.forward(y), stock.forward(y), rtol=1e-4, atol=1e-5)
    ours, theirs = (b.inverse_log_det_jacobian(y, 1) for b in (bijector, stock))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
