"""Maps of each variable by itself, and heavy tails at the data end."""

import keras
import numpy as np
import pytest
import scipy.stats
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
    # At the centre the density of a generalised Pareto tail has an edge, no jump.
    changes = np.diff(density.log_prob(y))
    assert np.abs(changes).max() < 0.1
    assert np.abs(np.diff(changes))[np.abs(x[1:-1, 0]) > 0.01].max() < 1e-3


@pytest.mark.slow
def test_learns_the_weight_of_the_tail_on_each_side():
    """Student's t of 1 degree of freedom above 0, a normal distribution below."""
    rng = np.random.default_rng(0)
    normal, heavy = np.abs(rng.normal(size=4000)), np.abs(rng.standard_t(1.0, size=4000))
    rows = np.where(rng.uniform(size=4000) < 0.5, heavy, -normal)[:, None]
    density = tff.FlowDistribution(tff.standard_normal(1), tails(1))
    model = tff.DensityEstimator(density)
    model.compile(keras.optimizers.Adam(0.03), jit_compile=False)
    model.fit(rows.astype(np.float32), epochs=30, batch_size=500, verbose=0)
    (weights,) = density.trainable_variables
    _, _, lower, upper = transformers.Tail().constrain(tf.reshape(weights, [4, 1]))
    assert 0.6 < float(upper[0]) < 1.4
    assert float(lower[0]) < 0.15
    best = scipy.stats.t(1.0).entropy() + scipy.stats.norm().entropy()
    assert -np.mean(density.log_prob(rows)) < best / 2.0 + 0.15


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


def test_on_part_refuses_data_out_of_the_support_of_its_part():
    bijector = tff.bijectors.Partial([True, False], tff.Logit(0.0))
    density = tff.FlowDistribution(tff.standard_normal(2), bijector)
    density.check_support(np.array([[7.0, 0.5]], np.float32))
    with pytest.raises(ValueError, match=r"`data\[:, ~mask\]`"):
        density.check_support(np.array([[7.0, 1.5]], np.float32))


def test_is_a_gaussian_with_a_mean_and_scale_for_each_class():
    network = keras.layers.Dense(4, use_bias=False)
    conditioner, options = (
        tff.Conditioner(network, 3),
        {"context_size": 3, "event_ndims": 3},
    )
    prior = tff.bijectors.Elementwise(2, tff.Affine(), conditioner, **options)
    randomize(prior)
    distribution = tff.FlowDistribution(tff.standard_normal((4, 5, 2)), prior)
    classes = np.eye(3, dtype=np.float32)
    (weights,) = (v for v in prior.trainable_variables if "parameters" in v.name)
    mean, s = np.split(weights.numpy() + network.get_weights()[0], 2, axis=1)
    for label in range(3):
        x = distribution.sample(3000, seed=0, context=classes[label]).numpy()
        scale = np.exp(2.0 * np.tanh(s[label] / 2.0))
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), mean[label], atol=0.05)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), scale, rtol=0.05)
