"""Networks on images: the papers' layers written out, and how they start."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows.networks.conv_net import convolve

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, size=(40, 4, 6, 2))
MASK = tff.masks.checkerboard((4, 6, 1))


def built(network):
    return network, tff.Conditioner(network, IMAGES.shape[1:])


def conv_net(output_channels=4, hidden_channels=(6, 5)):
    options = {"dtype": "float64", "seed": 1}
    return built(tff.networks.ConvNet(output_channels, hidden_channels, **options))


def res_net(**options):
    options = {"num_blocks": 2, "dtype": "float64", "seed": 1, **options}
    return built(tff.networks.ResNet(4, 3, **options))


def conv_net_of_the_paper(network, x):
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


@pytest.mark.parametrize("hidden_channels", [(6, 5), ()])
def test_a_conv_net_equals_the_papers(hidden_channels):
    network, conditioner = conv_net(hidden_channels=hidden_channels)
    randomize(conditioner)
    close(network(IMAGES), conv_net_of_the_paper(network, IMAGES), 1e-9)


def test_a_conv_net_starts_at_zero_with_the_papers_kernels():
    network, _ = conv_net(hidden_channels=200)
    np.testing.assert_array_equal(network(IMAGES), np.zeros([40, 4, 6, 4]))
    assert network.compute_output_shape((None, 4, 6, 2)) == (None, 4, 6, 4)
    (first, border, log_scale), (second, *_), _ = network._layout.unpack(network._packed)
    for kernel in (first, second, border[:-1]):
        assert np.std(kernel) == pytest.approx(0.05, rel=0.05)
    np.testing.assert_array_equal(border[-1], np.zeros(200))
    np.testing.assert_array_equal(log_scale, np.zeros(200))


def test_initialized_hidden_layers_have_zero_mean_and_unit_variance():
    network, conditioner = conv_net()
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


def test_constant_images_initialize_to_finite_weights():
    network, conditioner = conv_net()
    conditioner.initialize(np.full(IMAGES.shape, 7.0))
    assert all(np.isfinite(w).all() for w in network.get_weights())
    assert np.isfinite(network(IMAGES)).all()


@pytest.mark.parametrize(
    ("size", "image"), [((1, 1), (4, 6)), ((3, 5), (1, 1)), ((3, 5), (4, 6))]
)
def test_convolutions_and_their_gradients_are_those_of_tensorflow(size, image):
    x = tf.constant(RNG.normal(size=(3, *image, 2)))
    kernel = tf.constant(RNG.normal(size=(*size, 2, 4)))
    upstream = tf.constant(RNG.normal(size=(3, *image, 4)))

    def answers(function):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
        return y, *tape.gradient(y, [x, kernel], output_gradients=upstream)

    expected = answers(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    plain = answers(convolve)
    compiled = tf.function(answers, jit_compile=True, autograph=False)(convolve)
    for a, b, c in zip(expected, plain, compiled, strict=True):
        close(a, b)
        close(a, c)


def weight_norm_convolution(x, weights, name):
    """With a kernel whose norms are written out."""
    kernel = weights[f"{name}/kernel"].numpy()
    norms = np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))
    kernel = kernel / norms * weights.get(f"{name}/magnitude", 1.0)
    y = tf.nn.conv2d(x, kernel, 1, "SAME") + weights.get(f"{name}/bias", 0.0)
    return y.numpy()


def res_net_of_the_paper(network, x):
    weights = network._layout.unpack(network._packed)

    def norm(h, name):
        shift, log_scale = weights[f"{name}/shift"], weights[f"{name}/log_scale"]
        return ((h + shift) * np.exp(log_scale)).numpy()

    def relu(h):
        return np.maximum(h, 0.0)

    def conv(h, name):
        return weight_norm_convolution(h, weights, name)

    x = norm(x, "input")
    if network.mask is not None:
        x = 2.0 * x
    channels = [x, -x]
    if network.mask is not None:
        channels.append(np.broadcast_to(network.mask, (*x.shape[:3], 1)))
    h = conv(relu(np.concatenate(channels, axis=-1)), "first")
    outputs = [conv(h, "skip")]
    for block in range(2):
        inside = relu(norm(h, f"block_{block}/before"))
        inside = relu(norm(conv(inside, f"block_{block}/inner"), f"block_{block}/between"))
        h = h + conv(inside, f"block_{block}/outer")
        outputs.append(conv(h, f"block_{block}/skip"))
    out = conv(relu(norm(sum(outputs), "output")), "last")
    if network.tanh_scale is None:
        return out
    shift, s = np.split(out, 2, axis=-1)
    return np.concatenate([shift, weights["tanh_scale"] * np.tanh(s)], axis=-1)


@pytest.mark.parametrize(("mask", "tanh_scale"), [(None, None), (MASK, 1.0)])
def test_a_res_net_equals_the_papers(mask, tanh_scale):
    network, conditioner = res_net(mask=mask, tanh_scale=tanh_scale)
    randomize(conditioner)
    close(network(IMAGES), res_net_of_the_paper(network, IMAGES), 1e-9)


def test_initialization_of_a_res_net_normalises_what_every_norm_sees():
    network, conditioner = res_net(mask=MASK)
    conditioner.initialize(IMAGES)
    seen = []

    def record(x, name):
        weights = network._layout.unpack(network._packed)
        shift, log_scale = weights[f"{name}/shift"], weights[f"{name}/log_scale"]
        y = (x + shift) * tf.exp(log_scale)
        seen.append(y.numpy())
        return y

    network._run(tf.constant(IMAGES), network._layout.unpack(network._packed), record)
    assert len(seen) == 6
    for x in seen:
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0.0, atol=1e-8)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1.0, atol=1e-6)


def test_a_res_net_starts_at_zero_unless_asked_and_scales_start_where_asked():
    network, _ = res_net(tanh_scale=1.0)
    np.testing.assert_array_equal(network(IMAGES), np.zeros([40, 4, 6, 4]))
    network, _ = res_net(zero_last_layer=False)
    assert np.any(network(IMAGES) != 0.0)
    for start in (0.0, 1.0):
        network, _ = res_net(tanh_scale=start)
        assert network._layout.unpack(network._packed)["tanh_scale"].numpy() == [start]
