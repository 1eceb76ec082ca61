import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(40, 4, 5, 3))


def built(output_channels=4, hidden_channels=(6, 5), **arguments):
    network = tff.networks.ConvNet(
        output_channels, hidden_channels, dtype="float64", seed=1, **arguments
    )
    return network, tff.Conditioner(network, IMAGES.shape[1:])


def as_the_paper_writes_it(network, x):
    """Joins the border as a channel of the padded image, and scales the activations."""
    for kernel, border, log_scale in network._layout.unpack(network._packed):
        size, _, inputs, units = kernel.shape
        if size == 3:
            x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            ring = np.ones([*x.shape[:3], 1])
            ring[:, 1:-1, 1:-1] = 0.0
            x = np.concatenate([x, ring], axis=-1)
            from_ring = tf.reshape(border[:-1], [3, 3, 1, units])
            kernel = tf.concat([kernel, from_ring], axis=2)
        y = tf.nn.conv2d(x, kernel, 1, "VALID") + border[-1]
        y = y.numpy() * np.exp(3.0 * log_scale)
        x = np.maximum(y, 0.0)
    return y


@pytest.mark.parametrize("hidden_channels", [(6, 5), (6,), (), (3, 3, 3)])
def test_equals_the_papers_layers(hidden_channels):
    network, conditioner = built(hidden_channels=hidden_channels)
    randomize(conditioner)
    close(network(IMAGES), as_the_paper_writes_it(network, IMAGES), 1e-9)


def test_starts_at_zero_with_the_papers_kernels():
    network, _ = built(hidden_channels=(200, 200))
    np.testing.assert_array_equal(network(IMAGES), np.zeros([40, 4, 5, 4]))
    (first, border, log_scale), (second, *_), _ = network._layout.unpack(network._packed)
    for kernel in (first, second, border[:-1]):
        assert np.std(kernel) == pytest.approx(0.05, rel=0.05)
    np.testing.assert_array_equal(border[-1], np.zeros(200))
    np.testing.assert_array_equal(log_scale, np.zeros(200))


def test_initialized_hidden_layers_have_zero_mean_and_unit_variance():
    network, conditioner = built()
    assert conditioner.has_data_dependent_state
    assert not conditioner.is_initialized
    conditioner.initialize(IMAGES)
    assert conditioner.is_initialized
    x = IMAGES
    for layer in network._layout.unpack(network._packed)[:-1]:
        x = network._layer(x, *layer).numpy()
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0.0, atol=1e-8)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1.0, atol=1e-6)
        x = np.maximum(x, 0.0)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_images_initialize_to_finite_weights(value):
    network, conditioner = built()
    conditioner.initialize(np.full(IMAGES.shape, value))
    assert all(np.isfinite(w).all() for w in network.get_weights())
    assert np.isfinite(network(IMAGES)).all()


def test_integer_is_two_hidden_layers():
    network = tff.networks.ConvNet(4, 6, seed=1)
    assert network.hidden_channels == (6, 6)
    assert network.compute_output_shape((None, 4, 5, 3)) == (None, 4, 5, 4)
