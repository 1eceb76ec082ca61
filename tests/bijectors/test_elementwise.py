"""Maps of each variable by itself, and heavy tails at the data end."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows import transformers


def tails(size=2, context_size=0, dtype="float32"):
    network = tff.MLP(4 * size, (6,), seed=0, dtype=dtype)
    return tff.bijectors.Elementwise(
        size,
        transformers.Tail(),
        tff.Conditioner(network, context_size) if context_size else None,
        context_size=context_size,
        dtype=dtype,
    )


@pytest.mark.usefixtures("op_by_op")
def test_tails_before_a_flow_are_alive_far_out_in_float32():
    maf = tff.MAF(2, num_steps=1, hidden_units=(4,), context_size=2, seed=0)
    chain = tff.FlowChain([tails(context_size=2), randomize(maf, stddev=0.2)])
    density = tff.FlowDistribution(tff.standard_normal(2), chain)
    z = np.array([[30.0, -30.0], [-30.0, 0.1], [0.2, 30.0]], np.float32)
    far = tails().forward(z).numpy()
    assert np.isfinite(far).all()
    assert np.abs(far).max() > 1e30
    with tf.GradientTape() as tape:
        log_prob = density.log_prob(far, context=np.ones([3, 2], np.float32))
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(log_prob, density.trainable_variables):
        assert np.isfinite(gradient).all()


@pytest.mark.usefixtures("op_by_op")
def test_has_no_jump_in_value_or_density():
    bijector = tails(1)
    density = tff.FlowDistribution(tff.standard_normal(1), bijector)
    x = np.linspace(-12.0, 12.0, 4001, dtype=np.float32)[:, None]
    y = bijector.forward(x).numpy()
    steps = np.diff(np.arcsinh(y[:, 0]))
    assert steps.min() > 0.0
    assert np.abs(np.diff(steps)).max() < 0.02 * steps.max()
    # The density of a generalised Pareto tail has an edge at the centre, but no jump.
    changes = np.diff(density.log_prob(y))
    assert np.abs(changes).max() < 0.1
    assert np.abs(np.diff(changes))[np.abs(x[1:-1, 0]) > 0.01].max() < 1e-3


@pytest.mark.usefixtures("op_by_op")
def test_on_part_leaves_what_passes_as_it_is():
    inner = tff.FlowChain(
        [tff.Standardize(2, dtype="float64"), tff.MAF(2, dtype="float64")]
    )
    bijector = tff.bijectors.Partial([False, True, False], inner)
    data = np.random.default_rng(0).normal(size=(200, 3)) * [100.0, 5.0, 0.01]
    bijector.initialize(data)
    assert bijector.is_initialized
    randomized = randomize(inner, stddev=0.3)
    z, log_det = bijector.inverse_and_log_det(data)
    expected, expected_log_det = randomized.inverse_and_log_det(data[:, [0, 2]])
    close(z, np.stack([expected[:, 0], data[:, 1], expected[:, 1]], axis=-1))
    close(log_det, expected_log_det)
