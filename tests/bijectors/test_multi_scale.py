"""Flows of images: levels, squeezes, and the shapes of their events."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

tfb = tfp.bijectors

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(50, 4, 4, 2)).astype(np.float32)


def levels():
    return [
        tff.FlowChain([tff.Squeeze((4, 4, 2)), tff.ActNorm(8, event_ndims=3)]),
        tff.FlowChain([tff.Squeeze((2, 2, 4)), tff.ActNorm(16, event_ndims=3)]),
    ]


def test_latents_are_what_the_levels_leave_one_after_the_other():
    first, second = (randomize(level, seed=i) for i, level in enumerate(levels()))
    flow = tff.MultiScale([first, second], (4, 4, 2))
    assert flow.latent_shapes == ((2, 2, 4), (1, 1, 16))
    z, log_det = flow.inverse_and_log_det(IMAGES)
    h, first_log_det = first.inverse_and_log_det(IMAGES)
    top, second_log_det = second.inverse_and_log_det(h[..., :4])
    expected = [np.reshape(h[..., 4:], [50, 16]), np.reshape(top, [50, 16])]
    np.testing.assert_allclose(z, np.concatenate(expected, axis=1), rtol=1e-5)
    close(log_det, first_log_det + second_log_det, 1e-5)


def test_every_level_is_initialized_by_what_reaches_it():
    flow = tff.MultiScale(levels(), (4, 4, 2))
    assert not flow.is_initialized
    flow.initialize(IMAGES)
    assert flow.is_initialized
    z = flow.inverse_and_log_det(IMAGES)[0].numpy()
    factored, top = np.split(z, [16], axis=1)
    for channels in (factored.reshape(-1, 4), top.reshape(-1, 16)):
        np.testing.assert_allclose(channels.mean(axis=0), 0.0, atol=1e-4)
        np.testing.assert_allclose(channels.std(axis=0), 1.0, atol=1e-3)


def test_the_last_level_may_return_a_vector():
    levels = [tff.Squeeze((4, 4, 2)), tfb.Reshape([2, 2, 4], [16])]
    flow = tff.MultiScale(levels, (4, 4, 2))
    assert flow.latent_shapes == ((2, 2, 4), (16,))
    z, _ = flow.inverse_and_log_det(IMAGES)
    np.testing.assert_array_equal(flow.forward(z), IMAGES)


def test_plain_blocks_are_those_of_the_papers_code():
    y = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    x = tff.Squeeze((4, 6, 3)).inverse(y).numpy()
    blocks = y.reshape(2, 2, 2, 3, 2, 3).transpose(0, 1, 3, 5, 2, 4)
    np.testing.assert_array_equal(x, blocks.reshape(2, 2, 3, 12))


@pytest.mark.parametrize("channels", [1, 2])
def test_ordered_channels_are_the_diagonals_first(channels):
    y = np.random.default_rng(0).normal(size=(4, 2, channels)).astype(np.float32)
    x = tff.Squeeze((4, 2, channels), ordered=True).inverse(y).numpy()
    pixels = [y[i::2, j::2] for i, j in ((0, 0), (1, 1), (0, 1), (1, 0))]
    np.testing.assert_array_equal(x, np.concatenate(pixels, axis=-1))


def glow():
    return tff.Glow((4, 4, 1), 2, 1, hidden_channels=2)


@pytest.mark.parametrize(
    ("build", "event_shape"),
    [
        (lambda: tff.Invert(tff.Squeeze((4, 4, 1))), [2, 2, 4]),
        (lambda: tff.FlowChain([tfb.Shift(1.0), glow()]), [4, 4, 1]),
        (lambda: tff.Invert(glow()), [16]),
    ],
)
def test_axes_before_the_event_stay_in_event_shapes(build, event_shape):
    flow = build()
    assert flow.inverse_event_shape(None).rank is None
    for batch in ([], [5], [2, 3]):
        shape = [*batch, *event_shape]
        x = flow.inverse(tf.zeros(shape))
        assert flow.inverse_event_shape(shape) == x.shape
        assert flow.forward_event_shape(x.shape) == shape
        assert flow.inverse_event_shape_tensor(shape).numpy().tolist() == x.shape
        forward = flow.forward_event_shape_tensor(np.array(x.shape))
        assert forward.numpy().tolist() == shape
