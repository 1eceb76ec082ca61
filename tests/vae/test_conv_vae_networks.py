"""The convolutional encoder and decoder."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 5, 3), (28, 28, 1)])
@pytest.mark.parametrize("patch_size", [1, 2, 3])
def test_shapes_of_any_image(image_shape, patch_size):
    options = {"channels": (2, 3, 4), "hidden_units": (5,), "seed": 0}
    options["patch_size"] = patch_size
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
    options = {"channels": (2, 3), "hidden_units": (5,), "patch_size": 1, "seed": 0}
    encoder = tff.vae.ConvEncoder(4, (5, 6, 1), **options)
    decoder = tff.vae.ConvDecoder((5, 6, 1), **options)
    encoder.build((None, 5, 6, 1))
    decoder.build((None, 4))
    for network, inputs in ((encoder, tf.ones([1, 5, 6, 1])), (decoder, tf.ones([1, 4]))):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = network(inputs)
        assert np.all(np.abs(tape.jacobian(outputs, inputs)) > 0.0)


def test_dropout_changes_training_alone():
    options = {"channels": (2, 3), "hidden_units": (5,), "seed": 0}
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype(np.float32)
    plain = tff.vae.ConvEncoder(4, (6, 6, 1), **options)
    dropped = tff.vae.ConvEncoder(4, (6, 6, 1), dropout=0.5, **options)
    np.testing.assert_array_equal(dropped(x), plain(x))
    np.testing.assert_array_equal(plain(x, training=True), plain(x))
    assert not np.array_equal(dropped(x, training=True), dropped(x))
    decoder = tff.vae.ConvDecoder((6, 6, 1), dropout=0.5, **options)
    z = plain(x)
    np.testing.assert_array_equal(decoder(z), decoder(z))
    assert not np.array_equal(decoder(z, training=True), decoder(z))
    block = tff.vae.conv_networks.ResidualConvBlock(1, dropout=0.5, seed=0)
    block.build(x.shape)
    block._outer.kernel.assign(tf.ones_like(block._outer.kernel))
    assert not np.array_equal(block(x, training=True), block(x))
    assert type(block).from_config(block.get_config()).dropout == 0.5


def test_no_rows_have_no_outputs_and_gradients_of_zero():
    options = {"channels": (2, 3), "hidden_units": (5,), "seed": 0}
    encoder = tff.vae.ConvEncoder(6, (8, 8, 1), **options)
    decoder = tff.vae.ConvDecoder((8, 8, 1), **options)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 8, 8, 1])])
    def outputs_and_gradients(x):
        with tf.GradientTape() as tape:
            outputs = decoder(encoder(x))
        weights = encoder.trainable_variables + decoder.trainable_variables
        return outputs, tape.gradient(outputs, [v.value for v in weights])

    outputs, gradients = outputs_and_gradients(np.zeros([0, 8, 8, 1], np.float32))
    assert outputs.shape == (0, 8, 8, 1)
    assert all(not np.any(gradient) for gradient in gradients)


def test_patches_are_squares_of_pixels():
    encoder = tff.vae.ConvEncoder(4, (5, 3, 1), patch_size=2, channels=(2,), num_blocks=0)
    image = np.arange(15.0, dtype=np.float32).reshape(1, 5, 3, 1)
    patches = encoder._to_patches(image)
    padded = np.pad(image[0, :, :, 0], [(0, 1), (0, 1)])
    expected = [[padded[i : i + 2, j : j + 2].ravel() for j in (0, 2)] for i in (0, 2, 4)]
    np.testing.assert_array_equal(patches[0], expected)


def test_blocks_start_as_the_identity_and_all_weights_train():
    block = tff.vae.conv_networks.ResidualConvBlock(3, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(block(x), x)
    options = {"channels": (2, 3), "hidden_units": (5,), "num_blocks": 2, "seed": 0}
    encoder = tff.vae.ConvEncoder(4, (6, 6, 1), **options)
    decoder = tff.vae.ConvDecoder((6, 6, 1), **options)
    encoder.build((None, 6, 6, 1))
    decoder.build((None, 4))
    variables = encoder.trainable_variables + decoder.trainable_variables
    for variable in variables:  # no block at its start, where it is zero
        variable.assign(variable + 0.1)
    with tf.GradientTape() as tape:
        outputs = decoder(encoder(np.ones([2, 6, 6, 1], np.float32)))
    for gradient in tape.gradient(outputs, [v.value for v in variables]):
        assert np.any(gradient != 0.0)


def test_mixed_precision_returns_float32_near_that_of_float32():
    x = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
    answers = []
    for dtype in ("float32", "mixed_bfloat16"):
        options = {"channels": (4, 8), "hidden_units": (16,), "seed": 0, "dtype": dtype}
        encoder = tff.vae.ConvEncoder(5, (8, 8, 1), **options)
        decoder = tff.vae.ConvDecoder((8, 8, 1), **options)
        answers.append(decoder(encoder(x)).numpy())
        assert answers[-1].dtype == np.float32
    single, half = answers
    assert 0.0 < np.abs(half - single).max() < 0.05 * np.abs(single).max()


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_seed_and_config_rebuild_the_network(kind):
    options = {"channels": (2, 3), "hidden_units": (5, 4), "activation": "relu", "seed": 3}
    options["patch_size"] = 3
    if kind == "encoder":
        network, inputs = tff.vae.ConvEncoder(4, (6, 6, 1), **options), (None, 6, 6, 1)
    else:
        network, inputs = tff.vae.ConvDecoder((6, 6, 1), **options), (None, 4)
    again = type(network).from_config(network.get_config())
    for each in (network, again):
        each.build(inputs)
    # Two convolutions in each of two blocks, and the packed dense layers; the decoder has
    # a convolution more, from its last block.
    assert len(network.weights) == 2 * (2 + 4) + 1
    for a, b in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
