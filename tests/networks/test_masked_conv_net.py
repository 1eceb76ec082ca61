"""The masked convolutions of an IAF of images."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.networks import MaskedConvNet

RNG = np.random.default_rng(0)


def network(image_shape=(3, 4, 2), hidden_channels=(5, 3), **options):
    chosen = {"context_channels": 2, "seed": 0, "zero_last_layer": False, **options}
    return MaskedConvNet(2, image_shape, hidden_channels, **chosen)


def conditioner_of(net):
    size = int(np.prod(net.image_shape))
    return tff.Conditioner(net, size, context_size=net.context_size)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("context_channels", [0, 2])
def test_parameters_depend_on_all_near_entries_before_and_on_no_other(
    reverse, context_channels
):
    net = network(reverse=reverse, context_channels=context_channels)
    conditioner, size = conditioner_of(net), 24
    x = tf.constant(RNG.normal(size=[1, size]), tf.float32)
    context = tf.constant(RNG.normal(size=[1, net.context_size]), tf.float32)
    context = context if context_channels else None
    with tf.GradientTape() as tape:
        tape.watch(x)
        parameters = tf.reshape(conditioner(x, context), [1, 2, size])
    depends = tape.jacobian(parameters, x).numpy()[0, :, :, 0] != 0.0
    depends = depends[:, ::-1, ::-1] if reverse else depends
    row, column, channel = np.unravel_index(np.arange(size), net.image_shape)
    # Three layers of 3x3 see three pixels: up, to the left, and up to the right.
    rows = row[:, None] - row
    reach = np.abs(column[:, None] - column) <= 3
    # A layer that goes to the right goes up, too, so that one row up is one pixel right.
    is_right = column - column[:, None]
    near = (rows >= 0) & reach & (is_right <= rows)
    before = np.arange(size)[:, None] > np.arange(size)
    for each in depends:
        np.testing.assert_array_equal(each, near & before)


def test_context_moves_parameters_of_its_place():
    net = network(reverse=True)
    conditioner = conditioner_of(net)
    x, context = tf.ones([1, 24]), tf.ones([1, net.context_size])
    with tf.GradientTape() as tape:
        tape.watch(context)
        parameters = conditioner(x, context)
    by_context = tape.jacobian(parameters, context).numpy().reshape(2, 3, 4, 2, 3, 4, 2)
    for row in range(3):
        for column in range(4):
            assert np.all(by_context[:, row, column, :, row, column] != 0.0)


def test_joined_inputs_are_taken_apart():
    net = network()
    x, context = tf.ones([1, 24]), tf.ones([1, net.context_size])
    joined = net(tf.concat([x, context], axis=-1))
    np.testing.assert_array_equal(joined, net(x, context))


def test_step_of_maps_goes_there_and_back_and_is_saved():
    net = network(hidden_channels=(4,), activation="tanh")
    step = tff.InverseAutoregressive(24, conditioner_of(net))
    x = RNG.normal(size=[5, 24]).astype(np.float32)
    context = RNG.normal(size=[5, net.context_size]).astype(np.float32)
    y, log_det = step.forward_and_log_det(x, context=context)
    back, inverse = step.inverse_and_log_det(y, context=context)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-4)
    again = type(net).from_config(net.get_config())
    again.build((None, 24 + net.context_size))
    for a, b in zip(net.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hidden_channels": ()}, "`hidden_channels` of at least one layer, each of at "),
        ({"hidden_channels": (1,)}, "each of at least 2; got"),
        ({"context_channels": -1}, "`context_channels` of at least 0"),
        ({"image_shape": (3, 4)}, "image_shape"),
    ],
)
def test_refused_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        network(**options)
