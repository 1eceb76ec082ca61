"""Masked convolutions: each entry's parameters depend on the entries before it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_flag,
    check_image_shape,
    check_seed,
    check_size,
    check_widths,
    require,
)
from tfp_flows.networks.context_network import ContextNetwork, check_width, split_context
from tfp_flows.networks.conv_net import convolve
from tfp_flows.networks.layer_arguments import get_activation
from tfp_flows.networks.packed_weights import PackedWeights, bias_part, kernel_part


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedConvNet(ContextNetwork):
    """Masked 3x3 convolutions on maps of numbers, which are taken and returned as vectors.

    ```none
    order:      row by row from the top, in a row from the left, in a pixel by channel
    h         = activation(strict_conv(x) + V context)       entries before this one
    h        <- activation(conv(h))                          and this one, of h
    parameters = conv(h)
    ```

    A map `[H, W, C]` stands in a vector of `H * W * C` entries, and its context is such a
    map, too: `[H, W, context_channels]`. Parameters of an entry depend on the entries
    before it within the field of the kernels, `num_layers` pixels up, left, and up to the
    right. Hidden channels are divided evenly among the C channels.

    In a `Conditioner`, it makes an autoregressive step of maps. The step's sequential
    direction calls it up to `H * W * C` times.

    Args:
      num_parameters: P, outputs for each entry.
      image_shape: `(H, W, C)` of the maps.
      hidden_channels: widths of the hidden layers, each at least C.
      context_channels: channels of the context; 0 if there is none.
      activation: name of a Keras activation, or a function.
      reverse: whether the order of the entries is reversed: the last one comes first.
      zero_last_layer: whether the last layer starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if a size is below 1, there is no hidden layer, or one of fewer channels
        than the maps.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.networks.MaskedConvNet(2, (4, 4, 3), (6,), seed=0)
    >>> step = tfp_flows.InverseAutoregressive(48, tfp_flows.Conditioner(network, 48))
    >>> step.forward(np.zeros([5, 48], "float32")).shape
    TensorShape([5, 48])

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.2 and the authors' code; there with weight normalisation.
      https://arxiv.org/abs/1606.04934
      van den Oord et al. (2016), Pixel recurrent neural networks, section 3.4.
      https://arxiv.org/abs/1601.06759
    """

    def __init__(
        self,
        num_parameters: int,
        image_shape: Sequence[int],
        hidden_channels: int | Sequence[int] = (64, 64),
        *,
        context_channels: int = 0,
        activation: str | Callable = "elu",
        reverse: bool = False,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("num_parameters", num_parameters)
        check_size("context_channels", context_channels, minimum=0)
        check_flag("reverse", reverse)
        check_flag("zero_last_layer", zero_last_layer)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.num_parameters = int(num_parameters)
        self.image_shape = check_image_shape(image_shape)
        self.hidden_channels = check_widths("hidden_channels", hidden_channels)
        channels = self.image_shape[-1]
        fits = self.hidden_channels and min(self.hidden_channels) >= channels
        words = f"`hidden_channels` of at least one layer, each of at least {channels}"
        require(fits, words, hidden_channels)
        self.context_channels = int(context_channels)
        self.activation = get_activation(activation)
        self.reverse = reverse
        self.zero_last_layer = zero_last_layer
        self.seed = seed

    @property
    def context_size(self) -> int:
        """Width of the context, `H * W * context_channels`."""
        height, width, _ = self.image_shape
        return height * width * self.context_channels

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, H * W * (C + context_channels)]`."""
        check_width(input_shape, math.prod(self.image_shape), self.context_size)
        channels = self.image_shape[-1]
        degrees = [np.arange(channels)]
        degrees += [np.arange(n) * channels // n for n in self.hidden_channels]
        degrees += [np.tile(np.arange(channels), self.num_parameters)]
        self._masks = [
            _mask(before, after, strict=i == 0).astype(self.compute_dtype)
            for i, (before, after) in enumerate(itertools.pairwise(degrees))
        ]
        parts: list = []
        for i, mask in enumerate(self._masks):
            *_, inputs, units = mask.shape
            is_last = i == len(self._masks) - 1
            zero = is_last and self.zero_last_layer
            parts.append((kernel_part(mask.shape, 9 * inputs, zero=zero), bias_part(units)))
        if self.context_channels:
            parts.append(kernel_part((self.context_channels, self.hidden_channels[0])))
        self._layout = PackedWeights(parts, seed=self.seed)
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def call(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, D]` and a context `[N, context_size]` to `[N, P * D]`."""
        arrays = self._layout.unpack(self._packed)
        height, width, channels = self.image_shape
        event_size = math.prod(self.image_shape)
        x, context = split_context(x, context, event_size, self.context_size)
        h = tf.reshape(x, [-1, height, width, channels])
        h = tf.reverse(h, [1, 2, 3]) if self.reverse else h
        for i, (mask, (kernel, bias)) in enumerate(zip(self._masks, arrays, strict=False)):
            h = self.activation(h) if i else h
            h = tf.nn.bias_add(convolve(h, kernel * mask), bias)
            if i == 0 and self.context_channels:
                h += self._from_context(context, kernel=arrays[-1])
        # [N, H, W, P, C] -> [N, P, H, W, C].
        h = tf.reshape(h, [-1, height, width, self.num_parameters, channels])
        h = tf.transpose(h, [0, 3, 1, 2, 4])
        h = tf.reverse(h, [2, 3, 4]) if self.reverse else h
        return tf.reshape(h, [-1, self.num_parameters * math.prod(self.image_shape)])

    def _from_context(self, context, kernel):
        """A 1x1 convolution of the context's map."""
        height, width, _ = self.image_shape
        pixels = tf.reshape(context, [-1, self.context_channels]) @ kernel
        maps = tf.reshape(pixels, [-1, height, width, kernel.shape[-1]])
        return tf.reverse(maps, [1, 2]) if self.reverse else maps

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], self.num_parameters * math.prod(self.image_shape))


def _mask(before, after, *, strict):
    """Which weights of a 3x3 kernel, `[3, 3, inputs, outputs]`, are not zero.

    Args:
      before: `[inputs]`, number of the channel of the maps that an input belongs to.
      after: `[outputs]`, as `before`.
      strict: whether outputs depend only on channels before their own in their own pixel.
    """
    mask = np.zeros([3, 3, len(before), len(after)])
    mask[0], mask[1, 0] = 1.0, 1.0
    before, after = before[:, None], after[None, :]
    mask[1, 1] = before < after if strict else before <= after
    return mask
