"""The convolutional encoder and decoder."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 5, 3), (28, 28, 1)])
def test_shapes_of_any_image(image_shape):
    options = {"channels": (2, 3, 4), "hidden_units": (5,), "seed": 0}
    encoder = tff.vae.ConvEncoder(6, image_shape, **options)
    decoder = tff.vae.ConvDecoder(image_shape, **options)
    encoder.build((None, *image_shape))
    decoder.build((None, 6))
    x = np.random.default_rng(0).normal(size=(2, *image_shape)).astype(np.float32)
    z = encoder(x)
    assert z.shape == (2, *encoder.compute_output_shape((None, *image_shape))[1:]) == (2, 6)
    assert decoder(z).shape == (2, *image_shape)
    assert decoder.compute_output_shape((None, 6)) == (None, *image_shape)
    # Flat rows are images too.
    np.testing.assert_array_equal(encoder(x.reshape(2, -1)), z)


def test_every_pixel_and_latent_has_a_say():
    options = {"channels": (2, 3), "hidden_units": (5,), "seed": 0}
    encoder = tff.vae.ConvEncoder(4, (5, 6, 1), **options)
    decoder = tff.vae.ConvDecoder((5, 6, 1), **options)
    encoder.build((None, 5, 6, 1))
    decoder.build((None, 4))
    for network, inputs in ((encoder, tf.ones([1, 5, 6, 1])), (decoder, tf.ones([1, 4]))):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = network(inputs)
        assert np.all(np.abs(tape.jacobian(outputs, inputs)) > 0.0)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_seed_and_config_rebuild_the_network(kind):
    options = {"channels": (2, 3), "hidden_units": (5, 4), "activation": "relu", "seed": 3}
    if kind == "encoder":
        network, inputs = tff.vae.ConvEncoder(4, (6, 6, 1), **options), (None, 6, 6, 1)
    else:
        network, inputs = tff.vae.ConvDecoder((6, 6, 1), **options), (None, 4)
    again = type(network).from_config(network.get_config())
    for each in (network, again):
        each.build(inputs)
    assert len(network.weights) == 2 + 2 * 6 + (0 if kind == "encoder" else 2) - 1
    for a, b in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
