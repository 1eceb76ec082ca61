"""Norms: statistics of data and of batches, against Keras, at either end of a flow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize, values
from subject import all_close, close

import tfp_flows as tff
from tfp_flows.networks.act_norm_network import standardizing_shift_and_log_scale

pytestmark = pytest.mark.usefixtures("all_op_by_op")

ROWS = (np.random.default_rng(0).normal(size=(400, 3)) * [1, 5, 0.1] + [0, 20, -3]).astype(
    np.float32
)
IMAGES = np.random.default_rng(1).normal(2.0, 3.0, size=(50, 2, 4, 3)).astype(np.float32)


def check_standardised(z):
    """Checks that columns or channels have zero mean and unit variance."""
    z = np.reshape(z, [-1, np.shape(z)[-1]])
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-3)


TINY = {"num_steps": 2, "hidden_units": (4,), "context_size": 1, "seed": 0}
NORMS = {
    "as it is": lambda: tff.ActNorm(3),
    "standardize": lambda: tff.Invert(tff.Standardize(3)),
    "stock": lambda: tff.FlowChain([tfp.bijectors.Invert(tff.ActNorm(3))]),
    "decorrelate": lambda: tff.Invert(tff.Decorrelate(3)),
    "chain": lambda: tff.Invert(tff.FlowChain([NORMS["stock"]()])),
    "real_nvp": lambda: tff.Invert(tff.RealNVP(3, act_norm=True, **TINY)),
    "images": lambda: tff.Invert(tff.flows.GlowStep((2, 4, 3), hidden_channels=2, seed=0)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_initialized_once_at_their_latent_side(name):
    norm = NORMS[name]()
    data = IMAGES if name == "images" else ROWS
    context = {"context": ROWS[:, :1]} if norm.context_size else {}
    assert norm.has_data_dependent_state
    assert not norm.is_initialized
    norm.initialize(data, **context)
    assert norm.is_initialized
    check_standardised(norm.inverse_and_log_det(data, **context)[0])
    before = values(norm)
    norm.initialize(100.0 + data, **context)
    all_close(values(norm), before, 0.0)


def test_state_that_only_the_other_end_determines_is_refused():
    glow = tff.Glow((2, 2, 1), 1, 1, hidden_channels=2)
    inverted = tff.Invert(glow)
    assert not inverted.is_initialized
    with pytest.raises(ValueError, match=r"set at its latent end; got `multi_scale`"):
        inverted.initialize(np.ones([8, 4], np.float32))
    glow.initialize(IMAGES[:, :2, :2, :1])
    assert inverted.is_initialized
    inverted.initialize(np.ones([8, 4], np.float32))


@pytest.fixture
def batch_norm():
    return randomize(tff.BatchNorm(3, momentum=0.8, epsilon=1e-3))


def statistics(batch_norm):
    return {v.name.split(":")[0]: v.numpy() for v in batch_norm.variables}


def equal_layer(batch_norm):
    stored = statistics(batch_norm)
    layer = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-3)
    layer.build([None, 3])
    gamma = np.exp(stored["log_gamma"])
    layer.set_weights([gamma, stored["beta"], stored["mean"], stored["variance"]])
    return layer, gamma


def test_batch_norm_in_training_equals_that_of_keras_with_its_gradient(batch_norm):
    layer, gamma = equal_layer(batch_norm)
    x = tf.constant(ROWS)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        expected = layer(x, training=True)
        z, log_det = batch_norm.inverse_and_log_det(x, training=True)
        totals = [tf.reduce_sum(tf.sin(y)) for y in (z, expected)]
    close(z, expected, 1e-3)
    # The gradient goes through the statistics of the batch too.
    close(tape.gradient(totals[0], x), tape.gradient(totals[1], x), 1e-3)
    slope = gamma / np.sqrt(ROWS.var(axis=0) + 1e-3)
    close(log_det, np.full(400, np.log(slope).sum()), 1e-4)
    after = statistics(batch_norm)
    close(after["mean"], layer.moving_mean, 1e-4)
    close(after["variance"], layer.moving_variance, 1e-3)


def test_batch_norm_in_evaluation_equals_that_of_keras_and_is_exact(batch_norm):
    layer, _ = equal_layer(batch_norm)
    before = values(batch_norm)
    z = batch_norm.inverse_and_log_det(ROWS)[0]
    close(z, layer(ROWS, training=False), 1e-4)
    for training in (False, True):  # it generates with the stored statistics
        y = batch_norm.forward_and_log_det(z.numpy(), training=training)[0]
        close(y, ROWS, 1e-4)
    all_close(values(batch_norm), before, 0.0)


def test_masked_batch_norm_leaves_what_passes_and_counts_it_as_zeros():
    mask = tff.masks.checkerboard((2, 4, 3))
    options = {"event_ndims": 3, "scale_and_shift": False, "epsilon": 0.0}
    norm = tff.BatchNorm(3, mask=mask, **options)
    assert not norm.trainable_variables
    z, log_det = norm.inverse_and_log_det(IMAGES, training=True)
    zeroed = np.where(mask, 0.0, IMAGES)
    mean, scale = zeroed.mean(axis=(0, 1, 2)), zeroed.std(axis=(0, 1, 2))
    close(z, np.where(mask, IMAGES, (IMAGES - mean) / scale), 1e-4)
    close(log_det, np.full(50, -4 * np.log(scale).sum()), 1e-4)


def test_running_averages_normalise_in_training_and_carry_the_gradient():
    """Appendix E of RealNVP: norms use an average that includes this batch."""
    norm = tff.BatchNorm(3, momentum=0.8, epsilon=0.0, use_running_averages=True)
    norm.initialize(10.0 + 2.0 * ROWS)
    before = statistics(norm)
    x = tf.constant(ROWS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = norm.inverse_and_log_det(x, training=True)
        total = tf.reduce_sum(z[:, 0])
    mean = 0.8 * before["mean"] + 0.2 * ROWS.mean(axis=0)
    variance = 0.8 * before["variance"] + 0.2 * ROWS.var(axis=0)
    close(z, (ROWS - mean) / np.sqrt(variance), 1e-3)
    close(log_det, np.full(400, -0.5 * np.log(variance).sum()), 1e-4)
    after = statistics(norm)
    close(after["mean"], mean, 1e-4)
    close(after["variance"], variance, 1e-3)
    # d mean / dx = 0.2 / 400 and d variance / dx = 0.2 * 2 (x - batch mean) / 400.
    centred = ROWS[:, 0] - mean[0]
    slope = (1.0 - 0.2) / np.sqrt(variance[0])
    through_variance = -0.5 * variance[0] ** -1.5 * centred.sum()
    slope += through_variance * 0.4 * (ROWS[:, 0] - ROWS[:, 0].mean()) / 400
    np.testing.assert_allclose(tape.gradient(total, x)[:, 0], slope, rtol=1e-3, atol=1e-4)


def test_constant_channels_of_networks_keep_their_scale():
    for weight in (None, tf.random.stateless_uniform([512], [0, 1])):
        images = tf.fill([512, 8, 8, 4], 0.1)
        shift, log_scale = standardizing_shift_and_log_scale(images, weight)
        np.testing.assert_allclose(shift, -0.1, rtol=1e-3)
        np.testing.assert_array_equal(log_scale, 0.0)
