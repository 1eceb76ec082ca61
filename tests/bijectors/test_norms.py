import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from random_weights import values
from subject import close

import tfp_flows as tff

ROWS = (np.random.default_rng(0).normal(size=(400, 3)) * [1, 5, 0.1] + [0, 20, -3]).astype(
    np.float32
)
IMAGES = np.random.default_rng(1).normal(2.0, 3.0, size=(50, 2, 4, 3)).astype(np.float32)


@pytest.mark.parametrize(("data", "event_ndims"), [(ROWS, 1), (IMAGES, 3)])
def test_initialized_act_norm_gives_zero_mean_and_unit_variance(data, event_ndims):
    act_norm = tff.ActNorm(3, event_ndims=event_ndims)
    assert not act_norm.is_initialized
    act_norm.initialize(data)
    z = np.asarray(act_norm.inverse_and_log_det(data)[0]).reshape(-1, 3)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-4)


def test_every_act_norm_of_a_chain_is_initialized_by_what_reaches_it():
    flow = randomize(tff.RealNVP(3, num_steps=3, hidden_units=(4,), act_norm=True))
    for variable in flow.variables:
        if variable.dtype == tf.bool:
            variable.assign(False)
    flow.initialize(ROWS)
    assert flow.is_initialized
    rows = ROWS
    for step in flow.bijectors:
        rows = step.inverse_and_log_det(rows)[0].numpy()
        if isinstance(step, (tff.ActNorm, tff.Standardize)):
            np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-3)
            np.testing.assert_allclose(rows.std(axis=0), 1.0, atol=1e-3)


def invert_stock():
    return tff.FlowChain([tfp.bijectors.Invert(tff.ActNorm(3))])


TINY = {"num_steps": 2, "hidden_units": (4,), "seed": 0}
INVERTED = {
    "act norm": lambda: tff.Invert(tff.ActNorm(3)),
    "standardize": lambda: tff.Invert(tff.Standardize(3)),
    "stock": invert_stock,
    "twice": lambda: tff.Invert(tff.Invert(tff.ActNorm(3))),
    "chain of inverted": lambda: tff.Invert(tff.FlowChain([invert_stock()])),
    "maf": lambda: tff.Invert(tff.MAF(3, **TINY)),
    "real_nvp_context": lambda: tff.Invert(
        tff.RealNVP(3, act_norm=True, context_size=1, **TINY)
    ),
    "images": lambda: tff.Invert(tff.flows.GlowStep((2, 4, 3), hidden_channels=2, seed=0)),
}


@pytest.mark.parametrize("name", INVERTED)
def test_inverted_norm_is_initialized_at_its_latent_side(name):
    inverted = INVERTED[name]()
    data = IMAGES if name == "images" else ROWS
    context = {"context": ROWS[:, :1]} if inverted.context_size else {}
    assert inverted.has_data_dependent_state
    assert not inverted.is_initialized
    inverted.initialize(data, **context)
    assert inverted.is_initialized
    z = np.reshape(inverted.inverse_and_log_det(data, **context)[0], [-1, 3])
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-3)
    before = values(inverted)
    inverted.initialize(100.0 + data, **context)
    for now, then in zip(values(inverted), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_state_that_only_the_other_end_determines_is_refused():
    glow = tff.Glow((2, 2, 1), 1, 1, hidden_channels=2)
    inverted = tff.Invert(glow)
    assert not inverted.is_initialized
    with pytest.raises(ValueError, match=r"set at its latent end; got `multi_scale`"):
        inverted.initialize(np.ones([8, 4], np.float32))
    glow.initialize(IMAGES[:, :2, :2, :1])
    assert inverted.is_initialized
    inverted.initialize(np.ones([8, 4], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("bijector", [tff.ActNorm, tff.Standardize])
def test_statistics_of_data_that_are_not_finite_are_refused(bijector, bad):
    with pytest.raises(ValueError, match=r"finite `data`.*\[0, 1, 2\]"):
        bijector(3).initialize(np.full([4, 3], bad))


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


def test_batch_norm_in_training_equals_that_of_keras(batch_norm):
    before = statistics(batch_norm)
    layer, gamma = equal_layer(batch_norm)
    expected = layer(ROWS, training=True)
    z, log_det = batch_norm.inverse_and_log_det(ROWS, training=True)
    close(z, expected, 1e-3)
    slope = gamma / np.sqrt(ROWS.var(axis=0) + 1e-3)
    close(log_det, np.full(400, np.log(slope).sum()), 1e-4)
    after = statistics(batch_norm)
    close(after["mean"], layer.moving_mean, 1e-4)
    close(after["variance"], layer.moving_variance, 1e-3)
    close(after["mean"], 0.8 * before["mean"] + 0.2 * ROWS.mean(axis=0), 1e-4)


def test_batch_norm_in_evaluation_equals_that_of_keras_and_is_exact(batch_norm):
    layer, _ = equal_layer(batch_norm)
    z = batch_norm.inverse_and_log_det(ROWS)[0]
    close(z, layer(ROWS, training=False), 1e-4)
    close(batch_norm.forward_and_log_det(z.numpy())[0], ROWS, 1e-4)


def test_batch_norm_generates_with_stored_statistics_in_training_too(batch_norm):
    before = values(batch_norm)
    evaluation = batch_norm.forward_and_log_det(ROWS)[0]
    training = batch_norm.forward_and_log_det(ROWS, training=True)[0]
    np.testing.assert_array_equal(training, evaluation)
    for now, then in zip(values(batch_norm), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_gradient_of_batch_norm_flows_through_the_batch_statistics(batch_norm):
    with tf.GradientTape() as tape:
        x = tf.constant(ROWS)
        tape.watch(x)
        z = batch_norm.inverse_and_log_det(x, training=True)[0]
        total = tf.reduce_sum(z)  # constant, whatever x, since the mean is taken off
    np.testing.assert_allclose(tape.gradient(total, x), 0.0, atol=1e-3)


def masked_batch_norm(**arguments):
    mask = tff.masks.checkerboard((2, 4, 3))
    norm = tff.BatchNorm(3, event_ndims=3, mask=mask, scale_and_shift=False, **arguments)
    return norm, mask


def test_masked_batch_norm_leaves_what_passes_and_counts_it_as_zeros():
    norm, mask = masked_batch_norm(epsilon=0.0)
    assert not norm.trainable_variables
    z, log_det = norm.inverse_and_log_det(IMAGES, training=True)
    zeroed = np.where(mask, 0.0, IMAGES)
    mean, scale = zeroed.mean(axis=(0, 1, 2)), zeroed.std(axis=(0, 1, 2))
    close(z, np.where(mask, IMAGES, (IMAGES - mean) / scale), 1e-4)
    close(log_det, np.full(50, -4 * np.log(scale).sum()), 1e-4)


def test_running_averages_normalise_in_training_and_carry_the_gradient():
    """Appendix E of RealNVP: the average with this batch in it is what is used."""
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
