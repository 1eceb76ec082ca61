"""Glow's convolutional network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_widths
from tfp_flows.core.compiled import is_compiled_by_xla
from tfp_flows.networks.act_norm_network import ActNormNetwork
from tfp_flows.networks.act_norm_network import standardizing_shift_and_log_scale
from tfp_flows.networks.packed_weights import Part

__all__ = ["ConvNet", "convolve"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvNet(ActNormNetwork):
    """Convolutions of 3x3, 1x1 and 3x3, each with an act norm; the last one starts at 0.

    ```none
    layer(x) = (convolution([x, border]) + shift) * exp(3 * log_scale)
    output   = layer[3](relu(layer[2](relu(layer[1](x)))))
    ```

    First and last layer are 3x3, all others 1x1; without hidden layers, it is Glow's
    `conv2d_zeros`, which gives the prior of a factored-out half.

    The border is a channel that is 1 on the ring of pixels around the image, where all
    others are padded with 0, and 0 inside. `initialize` sets shift and scale of the hidden
    layers so that what they see has zero mean and unit variance in each channel.

    In the code, the scale multiplies the kernel and not the activations, which are many
    more; and since the border does not depend on the image, its convolution is one map
    for the whole batch. All weights are parts of one variable (`PackedWeights`).

    Args:
      output_channels: of the last layer.
      hidden_channels: of the others, in their order; an integer is two of that width.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.ConvNet(4, (8, 8), seed=0)
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
        height, width, channels = image_shape
        self._border = _border_patches(height, width).astype(self.compute_dtype)
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

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "hidden_channels": self.hidden_channels,
            "seed": self.seed,
        }

    def _layer(self, x, kernel, border, log_scale):
        scale = tf.exp(_LOG_SCALE_FACTOR * log_scale)
        kernel, border = kernel * scale, border * scale
        if border.shape[0] == 1:
            # A kernel of 1x1: a product of matrices is faster than a convolution.
            rows = tf.reshape(x, [-1, x.shape[-1]])
            y = tf.nn.bias_add(tf.linalg.matmul(rows, kernel[0, 0]), border[0])
            return tf.reshape(y, [-1, *x.shape[1:3], y.shape[-1]])
        y = convolve(x, kernel)
        # One map for the whole batch, since the border does not depend on the image.
        return y + tf.reshape(self._border @ border, [1, *x.shape[1:3], -1])


# Scales learn faster than other weights: the authors' `logscale_factor`.
_LOG_SCALE_FACTOR = 3.0


def _border_patches(height, width):
    """What a 3x3 kernel sees of the border at each pixel, `[H * W, 9]`, and a 1 each."""
    inside = np.pad(np.ones([height, width]), 1)
    patches = np.lib.stride_tricks.sliding_window_view(1.0 - inside, (3, 3))
    return np.pad(patches.reshape(height * width, 9), [(0, 0), (0, 1)], constant_values=1.0)


def _initial_kernel(shape, dtype, seed):
    kernel = keras.initializers.RandomNormal(stddev=0.05, seed=seed)(shape, dtype)
    if len(shape) > 2:
        return kernel
    return tf.concat([kernel[:-1], tf.zeros_like(kernel[-1:])], axis=0)  # the shift


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Returns the convolution of images with a kernel of odd size, padded with zeros.

    Args:
      x: `[N, H, W, C]`.
      kernel: `[height, width, C, channels]`.
    """
    return _for_xla(x, kernel) if is_compiled_by_xla() else _plain(x, kernel)


def _plain(x, kernel, padding="SAME"):
    return tf.nn.conv2d(x, kernel, 1, padding)


@tf.custom_gradient
def _for_xla(x, kernel):
    # TensorFlow's own gradient by the kernel is a kind of convolution that XLA computes by
    # plain loops where it is part of a loop, a hundred times as slowly on a CPU. As
    # convolutions of the first kind, both gradients take the same time in a loop.
    def gradient(by_y):
        return _by_x(by_y, kernel), _by_kernel(by_y, x, kernel)

    return _plain(x, kernel), gradient


def _by_x(by_y, kernel):
    turned = tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
    return _plain(by_y, turned)


def _by_kernel(by_y, x, kernel):
    # Channels take the part of rows, and rows that of channels.
    height, width = kernel.shape[:2]
    padded = tf.pad(x, [[0, 0], [height // 2] * 2, [width // 2] * 2, [0, 0]])
    images, kernels = tf.transpose(padded, [3, 1, 2, 0]), tf.transpose(by_y, [1, 2, 0, 3])
    return tf.transpose(_plain(images, kernels, "VALID"), [1, 2, 0, 3])
