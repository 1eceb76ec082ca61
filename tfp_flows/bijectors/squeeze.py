"""Blocks of 2 x 2 pixels as channels of one pixel."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.core.arguments import check_flag, check_image_shape
from tfp_flows.core.flow_bijector import FlowBijector


class Squeeze(FlowBijector):
    """Trades resolution for channels: `[H, W, C]` to `[H/2, W/2, 4C]` at the latent end.

    ```none
    plain:    channel 4c + 2i + j  is channel c of the pixel (i, j) of each block
    ordered:  channels 0 ... C-1 are the pixel (0, 0), then come (1, 1), (0, 1), (1, 0)
    log_det = 0
    ```

    The first half of the ordered channels has the two pixels of a diagonal. RealNVP factors
    out the other half, and the kept half still resembles an image.

    Args:
      image_shape: `(H, W, C)` of the data end.
      ordered: whether the channels are in RealNVP's order for factoring out.
      dtype: dtype of inputs.
      name: name of the bijector.

    Raises:
      ValueError: if H or W is odd.

    >>> import numpy as np
    >>> import tfp_flows
    >>> squeeze = tfp_flows.Squeeze((2, 2, 1))
    >>> squeeze.inverse(np.float32([[[[1], [2]], [[3], [4]]]])).numpy()  # of an image
    array([[[[1., 2., 3., 4.]]]], dtype=float32)

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.6 and the authors' code.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        ordered: bool = False,
        dtype: tf.DType | str = tf.float32,
        name: str = "squeeze",
    ) -> None:
        check_flag("ordered", ordered)
        height, width, channels = check_image_shape(image_shape, divisible_by=2)
        super().__init__(
            event_ndims=3,
            event_shape=[height // 2, width // 2, 4 * channels],
            data_event_shape=[height, width, channels],
            is_constant_jacobian=True,
            dtype=dtype,
            name=name,
        )
        self._channels = channels
        self._ordered = ordered

    def _forward_and_log_det(self, x, context, training):
        if self._ordered:
            blocks = _reorder(x, (0, 2, 3, 1))
        else:
            blocks = _swap_last_axes(x, self._channels, 4)
        return tf.nn.depth_to_space(blocks, 2), self._zero(x)

    def _inverse_and_log_det(self, y, context, training):
        blocks = tf.nn.space_to_depth(y, 2)  # pixels, then channels
        if self._ordered:
            blocks = _reorder(blocks, (0, 3, 1, 2))
        else:
            blocks = _swap_last_axes(blocks, 4, self._channels)
        return blocks, self._zero(y)

    def _zero(self, value):
        return tf.zeros(tf.shape(value)[:1], value.dtype)


def _reorder(blocks, pixels):
    """Puts the four pixels of each block, `[N, h, w, 4C]`, into another order."""
    parts = tf.split(blocks, 4, axis=-1)
    return tf.concat([parts[pixel] for pixel in pixels], axis=-1)


def _swap_last_axes(blocks, first, second):
    """Reads the last axis as `[first, second]` and transposes it."""
    _, height, width, size = blocks.shape
    parts = tf.reshape(blocks, [-1, height * width, first, second])
    return tf.reshape(tf.transpose(parts, [0, 1, 3, 2]), [-1, height, width, size])
