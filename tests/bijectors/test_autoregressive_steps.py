"""Autoregressive steps: formulas, refusals, whole passes, and large latents."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows import transformers

STEPS = [tff.MaskedAutoregressive, tff.InverseAutoregressive]


def sigmoid(s):
    return 1.0 / (1.0 + np.exp(-s))


# The scale and the addend of `y = scale * x + addend`, of the parameters in their order.
FORMULAS = {
    "shift": (tff.Shift(), lambda m: (np.ones_like(m), m)),
    "affine": (tff.Affine(), lambda m, s: (np.exp(2.0 * np.tanh(s / 2.0)), m)),
    "affine_exp": (tff.Affine(transformers.exp_scale), lambda m, s: (np.exp(s), m)),
    "gated": (
        tff.Gated(bias=1.5),
        lambda m, s: (sigmoid(s + 1.5), (1.0 - sigmoid(s + 1.5)) * m),
    ),
}


def conditioner(event_size, transformer, *, context_size=0, hidden_units=(9, 8), **form):
    network = tff.MaskedMLP(
        transformer.num_parameters,
        hidden_units,
        tff.random_ordering(event_size, seed=4),
        context_size=context_size,
        zero_last_layer=False,
        seed=1,
        dtype="float64",
        **form,
    )
    return tff.Conditioner(network, event_size, context_size=context_size)


@pytest.mark.parametrize("context_size", [0, 2])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("constructor", STEPS)
def test_formula_of_every_transformer(constructor, name, context_size, rng):
    transformer, formula = FORMULAS[name]
    network = conditioner(5, transformer, context_size=context_size)
    step = constructor(5, network, transformer, dtype="float64")
    x = rng.normal(size=(7, 5))
    context = {"context": rng.normal(size=(7, 2))} if context_size else {}
    y, log_det = step.forward_and_log_det(x, **context)
    # A masked step's network sees the data, an inverse one's the latent.
    seen = y if constructor is tff.MaskedAutoregressive else tf.constant(x)
    parameters = network(seen, *map(tf.constant, context.values())).numpy()
    scale, addend = formula(*np.split(parameters, transformer.num_parameters, axis=-1))
    close(y, scale * x + addend)
    close(log_det, np.log(scale).sum(axis=-1))
    back, minus_log_det = step.inverse_and_log_det(y.numpy(), **context)
    close(back, x)
    close(minus_log_det, -log_det)


@pytest.mark.parametrize("context_size", [0, 2])
@pytest.mark.parametrize("constructor", STEPS)
def test_one_variable_depends_on_the_context_alone(constructor, context_size, rng):
    network = conditioner(1, tff.Affine(), context_size=context_size)
    step = constructor(1, network, tff.Affine(), dtype="float64")
    network.trainable_variables[0].assign_add(rng.normal(size=network.variables[0].shape))
    x = rng.normal(size=(6, 1))
    context = {"context": rng.normal(size=(6, 2))} if context_size else {}
    y, log_det = step.forward_and_log_det(x, **context)
    close(step.inverse(y.numpy(), **context), x)
    scale = np.exp(log_det)
    # One line for all rows, or one for each context.
    assert np.allclose(scale, scale[0]) == (not context_size)
    close(step.forward(x + 1.0, **context) - y, scale[:, None])


@pytest.mark.parametrize("constructor", STEPS)
def test_conditioner_of_another_event_size_is_refused(constructor):
    network = conditioner(4, tff.Affine())
    with pytest.raises(ValueError, match=r"`input_shape` \(5,\).*got \(4,\)"):
        constructor(5, network, tff.Affine())


@pytest.mark.parametrize("constructor", STEPS)
@pytest.mark.parametrize(("made_for", "used_in"), [("shift", "gated"), ("affine", "shift")])
def test_conditioner_of_another_transformer_is_refused(constructor, made_for, used_in):
    network, transformer = conditioner(4, FORMULAS[made_for][0]), FORMULAS[used_in][0]
    expected, got = 4 * transformer.num_parameters, network.network.num_parameters * 4
    message = rf"`output_shape` \({expected},\).*{type(transformer).__name__}.*\({got},\)"
    with pytest.raises(ValueError, match=message):
        constructor(4, network, transformer)


@pytest.mark.parametrize("constructor", STEPS)
def test_context_of_another_width_is_refused(constructor):
    step = constructor(
        3, conditioner(3, tff.Affine(), context_size=2), tff.Affine(), dtype="float64"
    )
    x = np.zeros((5, 3))
    for method in (step.forward, step.inverse):
        with pytest.raises(ValueError, match=r"`context` of shape \[\.\.\., 2\].*None"):
            method(x)
        with pytest.raises(ValueError, match=r"`context` of shape \[\.\.\., 2\].*\(5, 3\)"):
            method(x, context=np.zeros((5, 3)))
        with pytest.raises(ValueError, match=r"\(5,\).*\(4, 2\)"):
            method(x, context=np.zeros((4, 2)))


def test_whole_passes_stop_when_nothing_changes(rng):
    """A network in which variables depend on two others at most needs three passes."""
    passes = tf.Variable(0)

    def chain_of_three(x, context):
        passes.assign_add(1)
        a, b = x[..., :1], x[..., 1:2]
        zeros = tf.zeros_like(x)
        shift = tf.concat([zeros[..., :1], tf.sin(a), a * b, zeros[..., 3:]], axis=-1)
        return tf.concat([shift, 0.1 * shift], axis=-1)

    step = tff.MaskedAutoregressive(40, chain_of_three, tff.Affine(), dtype="float64")
    x = rng.normal(size=(6, 40))
    y = step.forward(x).numpy()
    assert passes.numpy() <= 5
    close(step.inverse(y), x)


class LargeShifts(tff.Transformer):
    """`y = exp(s) x + 30 m`: latents far beyond what log-scales alone would give."""

    num_parameters = 2

    def forward_and_log_det(self, x, parameters):
        shift, log_scale = self.constrain(parameters)
        return x * tf.exp(log_scale) + 30.0 * shift, log_scale

    def inverse_and_log_det(self, y, parameters):
        shift, log_scale = self.constrain(parameters)
        return (y - 30.0 * shift) * tf.exp(-log_scale), -log_scale


@pytest.mark.parametrize(
    ("constructor", "jit_compile"), zip(STEPS, [True, False], strict=True)
)
def test_large_latents_are_solved_where_whole_passes_fail(constructor, jit_compile, rng):
    """Passes over the whole vector overflow on coordinates that are not final yet."""
    network = tff.MaskedMLP(
        2, (128, 128), tff.natural_ordering(63), zero_last_layer=False, seed=9
    )
    network = tff.Conditioner(network, 63)
    network.trainable_variables[0].assign(1.45 * network.trainable_variables[0])
    points = rng.normal(size=(512, 63)).astype(np.float32)
    assert 1.4 < np.abs(network(tf.constant(points))[:, 63:]).max() <= 2.0
    errors = {}
    callables = {"columns": network, "whole": lambda x, context: network(x, context)}
    for name, conditioner in callables.items():
        step = constructor(63, conditioner, LargeShifts())
        parallel, sequential = step.inverse, step.forward
        if constructor is tff.InverseAutoregressive:
            parallel, sequential = sequential, parallel
        solved = parallel(points)
        compiled = tf.function(sequential, jit_compile=jit_compile)
        errors[name] = np.abs(compiled(solved) - points).max(axis=1)
    assert np.abs(solved).max() > 40.0
    assert errors["columns"].max() < 2e-3
    assert not (errors["whole"] < 1.0).all()  # what the test is about does happen


def test_density_of_points_beyond_what_floats_can_tell_is_near_zero(rng):
    flow = randomize(tff.IAF(8, num_steps=2, hidden_units=(16,)))
    distribution = tff.FlowDistribution(tff.standard_normal(8), flow)
    log_prob = distribution.log_prob((1e4 * rng.normal(size=(20, 8))).astype(np.float32))
    assert np.all(np.isfinite(log_prob))
    assert np.max(log_prob) < -1e20
