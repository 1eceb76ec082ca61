"""Autoregressive steps: both directions, their gradients, and large latents."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import all_close, close
from transformer_cases import CASES

import tfp_flows as tff

tfb = tfp.bijectors
STEPS = [tff.MaskedAutoregressive, tff.InverseAutoregressive]
CONTEXT_SIZE = 2


def only_callable(network):
    """The same conditioner as a function: it has no `solve`, only whole passes."""

    def call(x, context=None):
        return network(x, context)

    call.context_size = network.context_size
    return call


def sequential(step):
    """The method of the sequential direction, one variable after another."""
    (direction,) = step.sequential_directions
    return getattr(step, f"{direction}_and_log_det")


def gradients(method, network, values, context):
    """Results of `method`, with gradients by values, contexts and weights."""
    with tf.GradientTape() as tape:
        tape.watch([values, *context.values()])
        result, log_det = method(values, **context)
        loss = tf.reduce_sum(tf.sin(result)) + tf.reduce_sum(log_det**2)
    sources = [values, *context.values(), *network.trainable_variables]
    return [result, log_det, *tape.gradient(loss, sources)]


def written_out(constructor, case, network, start):
    """The sequential direction by D whole passes of plain, differentiable formulas."""

    def transform(x, parameters):
        return case.plain(x, *tf.split(parameters, parameters.shape[-1] // 4, axis=-1))

    def newton(y, parameters):
        x = start
        for _ in range(2):  # the second step makes the derivative exact
            mapped, log_det = transform(x, parameters)
            x -= (mapped - y) / tf.exp(log_det)
        return x, -transform(x, parameters)[1]

    def method(values, context):
        solved = tf.zeros_like(values)
        for _ in range(4):
            solve = transform if constructor is tff.MaskedAutoregressive else newton
            solved, log_det = solve(values, network(solved, context))
        return solved, tf.reduce_sum(log_det, axis=-1)

    return method


@pytest.mark.slow_ids(
    *("*-affine_*", "*-circular_spline-*", "*-c*_conjugation-*", "*-sinh_conjugation-*"),
    *("InverseAutoregressive-tail-*", "MaskedAutoregressive-cubic_rational-*"),
    *("MaskedAutoregressive-spline-*", "MaskedAutoregressive-tail-*"),
)
@pytest.mark.parametrize(
    ("name", "wrap"),
    [*((name, lambda network: network) for name in CASES), ("curved", only_callable)],
)
@pytest.mark.parametrize("constructor", STEPS)
@pytest.mark.usefixtures("op_by_op")
def test_sequential_direction_is_that_of_the_loop_written_out(constructor, name, wrap, rng):
    """The values agree, and the gradients by values, context and weights."""
    transformer = CASES[name].build()
    network = tff.MaskedMLP(
        transformer.num_parameters,
        (9, 8),
        tff.networks.random_ordering(4, seed=4),
        context_size=CONTEXT_SIZE,
        zero_last_layer=False,
        seed=1,
        dtype="float64",
    )
    network = tff.Conditioner(network, 4, context_size=CONTEXT_SIZE)
    step = constructor(4, wrap(network), transformer, dtype="float64")
    values = tf.constant(rng.normal(size=(3, 4)))
    context = {"context": tf.constant(rng.normal(size=(3, CONTEXT_SIZE)))}
    ours = gradients(sequential(step), network, values, context)
    truth = written_out(constructor, CASES[name], network, start=ours[0])
    all_close(ours, gradients(truth, network, values, context), 1e-9)
    (direction,) = {"forward", "inverse"} - step.sequential_directions
    back, log_det = getattr(step, f"{direction}_and_log_det")(ours[0].numpy(), **context)
    close(back, values)
    close(log_det, -ours[1])


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
    passes.assign(0)
    x = rng.normal(size=(6, 40))
    y = step.forward(x).numpy()
    assert passes.numpy() <= 5
    close(step.inverse(y), x)


class LargeShifts(tff.transformers.Transformer):
    """`y = exp(s) x + 30 m`: shifts make the latents large."""

    num_parameters = 2

    def forward_and_log_det(self, x, parameters):
        shift, log_scale = self.constrain(parameters)
        return x * tf.exp(log_scale) + 30.0 * shift, log_scale

    def inverse_and_log_det(self, y, parameters):
        shift, log_scale = self.constrain(parameters)
        return (y - 30.0 * shift) * tf.exp(-log_scale), -log_scale


@pytest.mark.slow_ids("MaskedAutoregressive-True")
@pytest.mark.parametrize(
    ("constructor", "jit_compile"), zip(STEPS, [True, False], strict=True)
)
def test_large_latents_are_solved(constructor, jit_compile, rng, request):
    """Whole passes would overflow at variables that are not solved yet."""
    if not jit_compile:
        request.getfixturevalue("op_by_op")  # it would turn XLA off too
    network = tff.MaskedMLP(
        2, (128, 128), tff.natural_ordering(63), zero_last_layer=False, seed=9
    )
    network = tff.Conditioner(network, 63)
    network.trainable_variables[0].assign(1.37 * network.trainable_variables[0])
    points = rng.normal(size=(512, 63)).astype(np.float32)
    assert 1.4 < np.abs(network(tf.constant(points))[:, 63:]).max() <= 2.0
    step = constructor(63, network, LargeShifts())
    parallel, undo = step.inverse, step.forward
    if constructor is tff.InverseAutoregressive:
        parallel, undo = undo, parallel
    solved = parallel(points)
    compiled = tf.function(undo, jit_compile=jit_compile)
    assert np.abs(solved).max() > 40.0
    assert np.abs(compiled(solved) - points).max() < 0.05


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("flow", [tff.IAF, tff.RealNVP])
def test_second_derivatives_are_right_or_refused(flow):
    flow = randomize(flow(2, num_steps=2, hidden_units=(4,), seed=0, dtype="float64"))
    distribution = tff.FlowDistribution(tff.standard_normal(2, dtype="float64"), flow)
    x = tf.constant([[0.0, 0.0], [0.5, -1.0]], tf.float64)
    direction = tf.constant([[1.0, -0.5], [0.3, 2.0]], tf.float64)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = distribution.log_prob(x)
        return tape.gradient(log_prob, x)

    def second():
        with tf.GradientTape() as tape:
            tape.watch(x)
            product = tf.reduce_sum(gradient(x) * direction)
        return tape.gradient(product, x)

    if "inverse" in flow.sequential_directions:
        with pytest.raises(LookupError, match="first derivatives"):
            second()
    else:
        step = 1e-5 * direction
        close(second(), (gradient(x + step) - gradient(x - step)) / 2e-5, 1e-6)
