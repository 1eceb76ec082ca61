import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(40, 4, 6, 2))
MASK = tff.masks.checkerboard((4, 6, 1))


def built(**arguments):
    network = tff.networks.ResNet(4, 3, num_blocks=2, dtype="float64", seed=1, **arguments)
    return network, tff.Conditioner(network, IMAGES.shape[1:])


def weight_norm_convolution(x, weights, name):
    """By Keras's layer, with a kernel whose norms are written out."""
    kernel = weights[f"{name}/kernel"].numpy()
    norms = np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))
    kernel = kernel / norms * weights.get(f"{name}/magnitude", 1.0)
    bias = weights.get(f"{name}/bias", np.zeros(kernel.shape[-1]))
    layer = keras.layers.Conv2D(
        kernel.shape[-1], kernel.shape[0], padding="same", dtype="float64"
    )
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    return layer(x).numpy()


def as_the_paper_writes_it(network, x):
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


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("tanh_scale", [None, 1.0])
def test_equals_the_papers_network_written_out(mask, tanh_scale):
    network, conditioner = built(mask=mask, tanh_scale=tanh_scale)
    randomize(conditioner)
    close(network(IMAGES), as_the_paper_writes_it(network, IMAGES), 1e-9)


def test_initialization_normalises_what_every_norm_sees():
    network, conditioner = built(mask=MASK)
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


def test_starts_at_zero_unless_asked_and_scales_start_where_asked():
    network, _ = built(tanh_scale=1.0)
    np.testing.assert_array_equal(network(IMAGES), np.zeros([40, 4, 6, 4]))
    network, _ = built(zero_last_layer=False)
    assert np.any(network(IMAGES) != 0.0)
    for start in (0.0, 1.0):
        network, _ = built(tanh_scale=start)
        assert network._layout.unpack(network._packed)["tanh_scale"].numpy() == [start]


def test_log_scales_are_within_the_learned_bound():
    network, conditioner = built(tanh_scale=1.0)
    randomize(conditioner, stddev=5.0)
    bound = abs(network._layout.unpack(network._packed)["tanh_scale"].numpy())
    assert np.max(np.abs(network(1e3 * IMAGES)[..., 2:])) <= bound * (1.0 + 1e-9)


def test_config_with_a_mask_rebuilds():
    network, _ = built(mask=MASK, tanh_scale=0.0)
    again = keras.layers.deserialize(keras.layers.serialize(network))
    np.testing.assert_array_equal(again.mask, MASK)
    for a, b in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
