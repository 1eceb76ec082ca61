"""Glow's convolutional network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_image_shape, check_widths
from tfp_flows.core.compiled import is_compiled_by_xla
from tfp_flows.networks.act_norm_network import (
    ActNormNetwork,
    standardizing_shift_and_log_scale,
)
from tfp_flows.networks.packed_weights import Part

# Log-scales learn faster than other weights by this factor, the authors' `logscale_factor`.
_LOG_SCALE_FACTOR = 3.0


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvNet(ActNormNetwork):
    """Convolutions of 3x3, 1x1 and 3x3, each with an act norm; the last one starts at 0.

    ```none
    layer(x) = (convolution([x, border]) + shift) * exp(3 * log_scale)
    output   = layer[3](relu(layer[2](relu(layer[1](x)))))
    ```

    First and last layer are 3x3, all others 1x1. Without hidden layers, the network is
    Glow's `conv2d_zeros`, which gives the prior of a factored-out half.

    The border is a channel that is 1 on the ring of padding around the image, and 0 inside.
    `initialize` sets shift and scale of the hidden layers so that their outputs have zero
    mean and unit variance in each channel.

    The code multiplies the scale into the kernel, which is smaller than the activations,
    and computes the convolution of the border once for the whole batch.

    Args:
      output_channels: channels of the last layer.
      hidden_channels: channels of the other layers; an integer means two layers.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if a number of channels is below 1; at the first call, if inputs are not
        images of a known height and width.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.networks.ConvNet(4, (8, 8), seed=0)
    >>> network(np.zeros([2, 5, 5, 3], "float32")).shape
    TensorShape([2, 5, 5, 4])

    Reference:
      Kingma, Dhariwal (2018), Glow, section 4 and the authors' code.
      https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        output_channels: int,
        hidden_channels: int | Sequence[int] = (512, 512),
        *,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(output_channels, seed, **kwargs)
        widths = check_widths("hidden_channels", hidden_channels)
        self.hidden_channels = widths if np.ndim(hidden_channels) else widths * 2

    def _parts(self, image_shape):
        height, width, channels = check_image_shape(image_shape)
        self._border = _border_patches(height, width).astype(self.compute_dtype)
        self._size = [height, width]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={1: height, 2: width})
        widths = (channels, *self.hidden_channels, self.output_channels)
        last = len(widths) - 2
        parts = []
        for layer, (a, b) in enumerate(itertools.pairwise(widths)):
            size = 3 if layer in (0, last) else 1
            rows = 10 if size == 3 else 1
            # The last layer is zero, so that a fresh step is the identity.
            initial = None if layer == last else _initial_kernel
            # Kernel; kernel of the border, whose last row is the shift; log-scale.
            kernels = [(size, size, a, b), (rows, b)]
            parts.append((*(Part(k, initial=initial) for k in kernels), Part((b,))))
        return parts

    def _standardized(self, x, weights, sample_weight):
        *hidden, last = weights
        for layer, (kernel, border, log_scale) in enumerate(hidden):
            outputs = self._layer(x, kernel, border, 0.0 * log_scale)
            shift, log_scale = standardizing_shift_and_log_scale(outputs, sample_weight)
            border = tf.concat([border[:-1], border[-1:] + shift], axis=0)
            hidden[layer] = (kernel, border, log_scale / _LOG_SCALE_FACTOR)
            x = tf.nn.relu(self._layer(x, *hidden[layer]))
        return [*hidden, last]

    def _run(self, x, weights):
        *hidden, last = weights
        for layer in hidden:
            x = tf.nn.relu(self._layer(x, *layer))
        return self._layer(x, *last)

    def _layer(self, x, kernel, border, log_scale):
        scale = tf.exp(_LOG_SCALE_FACTOR * log_scale)
        kernel, border = kernel * scale, border * scale
        if border.shape[0] == 1:
            # For a 1x1 kernel, a matrix product is faster than a convolution.
            rows = tf.reshape(x, [-1, x.shape[-1]])
            y = tf.nn.bias_add(tf.linalg.matmul(rows, kernel[0, 0]), border[0])
            return tf.reshape(y, [-1, *self._size, y.shape[-1]])
        y = convolve(x, kernel)
        # One map for the whole batch, since the border does not depend on the image.
        return y + tf.reshape(self._border @ border, [1, *self._size, y.shape[-1]])


def _border_patches(height, width):
    """Returns the border channel in the 3x3 patch of each pixel, and a 1: `[H * W, 10]`."""
    inside = np.pad(np.ones([height, width]), 1)
    patches = np.lib.stride_tricks.sliding_window_view(1.0 - inside, (3, 3))
    return np.pad(patches.reshape(height * width, 9), [(0, 0), (0, 1)], constant_values=1.0)


def _initial_kernel(shape, dtype, seed):
    kernel = keras.initializers.RandomNormal(stddev=0.05, seed=seed)(shape, dtype)
    if len(shape) > 2:
        return kernel
    return tf.concat([kernel[:-1], tf.zeros_like(kernel[-1:])], axis=0)  # the shift


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves images, `[N, H, W, C]`, padded with zeros, with a kernel of odd size."""
    return _for_xla(x, kernel) if is_compiled_by_xla() else _plain(x, kernel)


def _plain(x, kernel, padding="SAME"):
    return tf.nn.conv2d(x, kernel, 1, padding)


@tf.custom_gradient
def _for_xla(x, kernel):
    # Inside a loop, XLA computes TensorFlow's gradient by the kernel with plain loops, a
    # hundred times as slowly on a CPU. Written as forward convolutions, both gradients are
    # fast in a loop too.
    def gradient(by_y):
        return _by_x(by_y, kernel), _by_kernel(by_y, x, kernel)

    return _plain(x, kernel), gradient


def _by_x(by_y, kernel):
    turned = tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
    return _plain(by_y, turned)


def _by_kernel(by_y, x, kernel):
    # A convolution with channels and rows swapped.
    height, width = kernel.shape[:2]
    padded = tf.pad(x, [[0, 0], [height // 2] * 2, [width // 2] * 2, [0, 0]])
    images, kernels = tf.transpose(padded, [3, 1, 2, 0]), tf.transpose(by_y, [1, 2, 0, 3])
    return tf.transpose(_plain(images, kernels, "VALID"), [1, 2, 0, 3])
