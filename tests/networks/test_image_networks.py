"""Networks on images: receptive fields, statistics of layers, and initial outputs."""

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


def built(network, image_shape=IMAGES.shape[1:]):
    return network, tff.Conditioner(network, image_shape)


def conv_net(*shape, hidden_channels=(6, 5)):
    network = tff.networks.ConvNet(4, hidden_channels, dtype="float64", seed=1)
    return built(network, *shape)


def res_net(*shape, **options):
    options = {"num_blocks": 2, "dtype": "float64", "seed": 1, **options}
    return built(tff.networks.ResNet(4, 6, **options), *shape)


LARGE = (9, 9, 2)
CHECKERBOARD = tff.masks.checkerboard((9, 9, 1))
# A network on large images, and the radius of its receptive field in pixels.
NETWORKS = {
    "conv net": (lambda: conv_net(LARGE), 2),
    "conv net of one layer": (lambda: conv_net(LARGE, hidden_channels=()), 1),
    "res net": (lambda: res_net(LARGE, num_blocks=1), 3),
    "res net of a checkerboard": (
        lambda: res_net(LARGE, num_blocks=1, mask=CHECKERBOARD, tanh_scale=1.0),
        3,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_output_depends_on_the_pixels_in_reach_and_on_all_weights(name):
    make, reach = NETWORKS[name]
    network, conditioner = make()
    randomize(conditioner)
    x = tf.constant(RNG.normal(size=(50, *LARGE)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = network(x)
        middle = [tf.reduce_sum(channel) for channel in tf.unstack(y[:, 4, 4], axis=-1)]
        total = tf.reduce_sum(tf.sin(y))
    assert y.shape == (50, 9, 9, 4)
    distance = np.abs(np.indices((9, 9)) - 4).max(axis=0)
    for channel in middle:
        is_seen = np.any(tape.gradient(channel, x) != 0.0, axis=(0, 3))
        np.testing.assert_array_equal(is_seen, distance <= reach)
    gradient = network._layout.unpack(tape.gradient(total, network._packed.value))
    assert all(np.any(part != 0.0) for part in tf.nest.flatten(gradient))
    if name.startswith("res net"):
        weights = network._layout.unpack(network._packed)
        for part in (part for part in weights if part.endswith("kernel")):
            # Kernels are normalised, so their size has no gradient.
            slope = tf.reduce_sum(gradient[part] * weights[part], axis=[0, 1, 2])
            np.testing.assert_allclose(slope, 0.0, atol=1e-9)
        if network.tanh_scale:
            assert np.abs(y[..., 2:]).max() <= np.abs(weights["tanh_scale"])


def test_a_conv_net_sees_the_border():
    """A plain convolution of a black image is constant; ours differs at the border."""
    network, conditioner = conv_net(LARGE, hidden_channels=())
    randomize(conditioner)
    y = network(np.zeros([1, *LARGE])).numpy()
    inside, shift = y[0, 1:-1, 1:-1], y[0, 4, 4]
    np.testing.assert_allclose(inside, np.broadcast_to(shift, inside.shape))
    assert (np.abs(y - shift).max(axis=-1) > 1e-3).sum() == 4 * 8


def test_networks_start_at_zero_unless_asked():
    for network, _ in (conv_net(), res_net(tanh_scale=1.0)):
        np.testing.assert_array_equal(network(IMAGES), np.zeros([40, 4, 6, 4]))
    assert np.any(res_net(zero_last_layer=False)[0](IMAGES) != 0.0)


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


def test_networks_are_initialized_before_their_first_call_too():
    options = {"dtype": "float64", "seed": 1}
    network, other = (tff.networks.ConvNet(4, (6, 5), **options) for _ in range(2))
    assert not network.is_initialized
    network.initialize(IMAGES)
    assert network.is_initialized
    other.build(IMAGES.shape)
    other.initialize(IMAGES)
    close(network.variables[0], other.variables[0])


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
