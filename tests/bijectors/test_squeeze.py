import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfb = tfp.bijectors


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


def test_shapes_of_both_ends_are_known():
    squeeze = tff.Squeeze((4, 6, 1))
    assert squeeze.inverse_event_shape((4, 6, 1)).as_list() == [2, 3, 4]
    assert squeeze.forward_event_shape((2, 3, 4)).as_list() == [4, 6, 1]
    with pytest.raises(ValueError, match=r"`x` of shape \[\.\.\., 2, 3, 4\]"):
        squeeze.forward(np.zeros([4, 6, 1], np.float32))


IMAGE_FLOWS = {
    "squeeze": (lambda: tff.Squeeze((4, 4, 1)), [4, 4, 1]),
    "invert": (lambda: tff.Invert(tff.Squeeze((4, 4, 1))), [2, 2, 4]),
    "chain": (
        lambda: tff.FlowChain([tfb.Shift(1.0), *map(tff.Squeeze, ([4, 4, 1], [2, 2, 4]))]),
        [4, 4, 1],
    ),
    "glow": (lambda: tff.Glow((4, 4, 1), 2, 1, hidden_channels=2), [4, 4, 1]),
    "invert_glow": (
        lambda: tff.Invert(tff.Glow((4, 4, 1), 2, 1, hidden_channels=2)),
        [16],
    ),
}


@pytest.mark.parametrize("name", IMAGE_FLOWS)
def test_axes_before_the_event_stay_in_event_shapes(name):
    build, event_shape = IMAGE_FLOWS[name]
    flow = build()
    for batch in ([], [5], [2, 3]):
        shape = [*batch, *event_shape]
        x = flow.inverse(tf.zeros(shape))
        assert flow.inverse_event_shape(shape) == x.shape
        assert flow.forward_event_shape(x.shape) == shape
        assert flow.inverse_event_shape_tensor(shape).numpy().tolist() == x.shape
        forward = flow.forward_event_shape_tensor(np.array(x.shape))
        assert forward.numpy().tolist() == shape


def test_event_shape_of_unknown_rank_stays_unknown():
    assert tff.Squeeze((4, 4, 1)).inverse_event_shape(None).rank is None
