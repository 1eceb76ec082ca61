"""One of several transformers for each variable."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close, differ
from vector_steps import autoregressive

import tfp_flows as tff
from tfp_flows import transformers

RNG = np.random.default_rng(0)
PARTS = [tff.Affine(), transformers.Tail(), transformers.RationalQuadraticSpline(3)]
WHICH = [2, 0, 1, 0]


@pytest.mark.parametrize("method", ["forward_and_log_det", "inverse_and_log_det"])
def test_each_variable_is_mapped_by_its_own(method):
    mixed = transformers.PerVariable(PARTS, WHICH)
    outputs = tf.constant(RNG.normal(size=(7, mixed.num_parameters * 4)))
    x = tf.constant(RNG.normal(size=(7, 4)))
    parameters = mixed.parameters_of(outputs, 4)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, outputs])
        y, log_det = getattr(mixed, method)(x, mixed.parameters_of(outputs, 4))
    for i, index in enumerate(WHICH):
        from_own = parameters[:, : PARTS[index].num_parameters, i : i + 1]
        expected = getattr(PARTS[index], method)(x[:, i : i + 1], from_own)
        close(y[:, i : i + 1], expected[0])
        close(log_det[:, i : i + 1], np.broadcast_to(expected[1], [7, 1]))
    for result in (y, log_det):
        for gradient in tape.gradient(result, [x, outputs]):
            assert np.isfinite(gradient).all()


@pytest.mark.slow_ids("InverseAutoregressive")
@pytest.mark.parametrize("step", ["MaskedAutoregressive", "InverseAutoregressive"])
@pytest.mark.usefixtures("op_by_op")
def test_steps_of_it_are_undone_with_exact_gradients(step):
    """Also with a network that could be solved for variables of one kind."""
    mixed = transformers.PerVariable(PARTS, WHICH)
    made = autoregressive(getattr(tff, step), [1, 2, 3, 4], "float64", mixed)
    bijector = randomize(made, stddev=0.3)
    x = tf.constant(RNG.normal(size=(5, 4)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_det = bijector.forward_and_log_det(x)
        back, minus_log_det = bijector.inverse_and_log_det(y)
    assert differ(y, x)
    close(back, x, 1e-9)
    close(minus_log_det, -log_det, 1e-9)
    # There and back is the identity, whatever upstream gradient comes.
    upstream = tf.constant(RNG.normal(size=(5, 4)))
    close(tape.gradient(back, x, upstream), upstream, 1e-7)


def test_another_number_of_variables_is_refused():
    mixed = transformers.PerVariable(PARTS, WHICH)
    with pytest.raises(ValueError, match=r"`which` of 3 integers.*\[2, 0, 1, 0\]"):
        mixed.parameters_of(tf.zeros([5, 3 * mixed.num_parameters]), 3)
    with pytest.raises(ValueError, match=r"shape \[\.\.\., 9, D\].*PerVariable.*8, 4"):
        mixed.forward_and_log_det(tf.zeros([5, 4]), tf.zeros([5, 8, 4]))
