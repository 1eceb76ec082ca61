"""Both directions of autoregressive steps against D whole passes."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

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


def without_solve(step):
    """The same conditioner as a callable that offers no `solve`."""

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
    for step in (network, without_solve(network)):
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
