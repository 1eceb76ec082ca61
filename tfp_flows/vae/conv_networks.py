"""Residual convolutional encoder and decoder of a VAE of images."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_image_shape,
    check_integer,
    check_seed,
    check_share,
    check_size,
    check_widths,
    require,
)
from tfp_flows.core.rows import at_least_one_row
from tfp_flows.networks.context_network import ConfiguredLayer
from tfp_flows.networks.layer_arguments import dropout_layer, get_activation, split_seed
from tfp_flows.networks.mlp import MLP


class ConvNetwork(ConfiguredLayer):
    """The arguments and layers that encoder and decoder share.

    A network computes at least one row, since TensorFlow's convolutions return a wrong
    number of channels for no rows: a replica may have none.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        patch_size: int = 2,
        channels: Sequence[int] = (16, 32, 32),
        num_blocks: int = 1,
        hidden_units: int | Sequence[int] = (450,),
        activation: str | Callable = "elu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_integer("patch_size", patch_size)
        check_integer("num_blocks", num_blocks, minimum=0)
        check_share("dropout", dropout, may_be_zero=True)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.patch_size = patch_size
        self.channels = check_widths("channels", channels)
        require(self.channels, "at least one width in `channels`", channels)
        self.num_blocks = num_blocks
        self.hidden_units = check_widths("hidden_units", hidden_units)
        self.activation = get_activation(activation)
        self.dropout = dropout
        self.seed = seed
        self._seeds = iter(split_seed(seed, self._num_seeds))
        # Numbers of patches, first and after each halving, rounded up as by a stride of 2.
        self._sizes = [_divided(self.image_shape[:2], patch_size)]
        for _ in self.channels[1:]:
            self._sizes.append(_divided(self._sizes[-1], 2))

    @property
    def _num_seeds(self):
        """Seeds of the dense layers, of each block, and of each other convolution."""
        return 1 + len(self.channels) * (1 + self.num_blocks)

    @abc.abstractmethod
    def _add_layers(self):
        """Creates all layers."""

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights, by a call with zeros."""
        self._add_layers()
        self.call(tf.zeros([1, *input_shape[1:]], self.compute_dtype))
        self.built = True

    def _dense(self, output_units):
        return MLP(
            output_units,
            self.hidden_units,
            activation=self.activation,
            dropout=self.dropout,
            zero_last_layer=False,
            seed=next(self._seeds),
            dtype=self.variable_dtype,
        )

    def _conv(self, channels, *, strides=1, kind=keras.layers.Conv2D, dtype=None):
        return kind(
            channels,
            3,
            strides=strides,
            padding="same",
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(self._seeds)),
            dtype=dtype or self.dtype_policy,
        )

    def _residual_blocks(self, width):
        return [
            ResidualConvBlock(
                width,
                activation=self.activation,
                dropout=self.dropout,
                seed=next(self._seeds),
                dtype=self.dtype_policy,
            )
            for _ in range(self.num_blocks)
        ]

    def _as_images(self, rows):
        return tf.reshape(rows, [-1, *self.image_shape])

    def _to_patches(self, images):
        """Maps `[N, H, W, C]` to `[N, h, w, patch_size**2 * C]`."""
        lengths = (self.patch_size * count for count in self._sizes[0])
        missing = [length - n for length, n in zip(lengths, self.image_shape, strict=False)]
        if any(missing):
            images = tf.pad(images, [(0, 0), *((0, count) for count in missing), (0, 0)])
        one_pixel = self.patch_size == 1
        return images if one_pixel else tf.nn.space_to_depth(images, self.patch_size)

    def _from_patches(self, patches):
        """Maps `[N, h, w, patch_size**2 * C]` to `[N, H, W, C]`."""
        one_pixel = self.patch_size == 1
        images = patches if one_pixel else tf.nn.depth_to_space(patches, self.patch_size)
        height, width, _ = self.image_shape
        return images[:, :height, :width]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvEncoder(ConvNetwork):
    """Convolutions of patches, with residual blocks between, and dense layers.

    ```none
    x = conv3x3(patches of the image);   x <- block(x), num_blocks times
    for each further width of channels:
        x <- conv3x3(activation(x)) of stride 2;   x <- block(x), num_blocks times
    output = MLP(activation(flattened x))
    ```

    A patch is a square of pixels, whose values are channels, so no layer has many channels
    at the image's own size, where they cost most. Halved sizes are rounded up.

    Args:
      output_units: width of the output, such as a posterior's `num_parameters`.
      image_shape: `(H, W, C)`; rows `[N, H * W * C]` are taken as images, too.
      patch_size: side of the patches, in pixels; zeros fill up patches at the edge.
      channels: widths of the convolutions at each size, the largest first.
      num_blocks: number of `ResidualConvBlock`s at each size.
      hidden_units: widths of the dense layers.
      activation: name of a Keras activation, or a function.
      dropout: fraction of units dropped in training: of the hidden dense layers, and
        between the convolutions of each block.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`. With "mixed_bfloat16", the
        convolutions are in bfloat16, and the dense layers in float32.

    Raises:
      ValueError: if a width or `patch_size` is below 1, `num_blocks` below 0, or `dropout`
        not from 0 to below 1.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.vae.ConvEncoder(6, (8, 8, 1), channels=(4,), hidden_units=(8,))
    >>> network(np.zeros([2, 8, 8, 1], "float32")).shape
    TensorShape([2, 6])

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.1; without patches. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        output_units: int,
        image_shape: Sequence[int],
        *,
        patch_size: int = 2,
        channels: Sequence[int] = (16, 32, 32),
        num_blocks: int = 1,
        hidden_units: int | Sequence[int] = (450,),
        activation: str | Callable = "elu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("output_units", output_units)
        super().__init__(
            image_shape,
            patch_size=patch_size,
            channels=channels,
            num_blocks=num_blocks,
            hidden_units=hidden_units,
            activation=activation,
            dropout=dropout,
            seed=seed,
            **kwargs,
        )
        self.output_units = output_units

    def _add_layers(self):
        self._convolutions, self._blocks = [], []
        for i, width in enumerate(self.channels):
            self._convolutions.append(self._conv(width, strides=2 if i else 1))
            self._blocks.append(self._residual_blocks(width))
        self._mlp = self._dense(self.output_units)

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Maps `[N, H, W, C]`, or `[N, H * W * C]`, to `[N, output_units]`."""
        images, as_given = at_least_one_row(self._as_images(inputs))
        x = self._to_patches(images)
        for i, blocks in enumerate(self._blocks):
            x = self._convolutions[i](self.activation(x) if i else x)
            for block in blocks:
                x = block(x, training=training)
        flat = keras.ops.reshape(x, (-1, math.prod(x.shape[1:])))
        return as_given([self._mlp(self.activation(flat), training=training)])[0]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], self.output_units)


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvDecoder(ConvNetwork):
    """Dense layers, then convolutions to patches: `ConvEncoder` in reverse.

    ```none
    x = image of MLP(z)
    for each width of channels but the first, in reverse:
        x <- block(x), num_blocks times;   x <- conv3x3(activation(x)), transposed, stride 2
    x <- block(x), num_blocks times;       output = image of patches conv3x3(activation(x))
    ```

    Doubled sizes are cut to the encoder's sizes.

    Args:
      image_shape: `(H, W, C)` of the output: C is P channels for each channel of the data,
        for a likelihood with P parameters an entry.
      patch_size: side of the patches, in pixels.
      channels: widths of the convolutions, in the order of the encoder; used in reverse.
      num_blocks: number of `ResidualConvBlock`s at each size.
      hidden_units: widths of the dense layers.
      activation: name of a Keras activation, or a function.
      dropout: fraction of units dropped in training: of the hidden dense layers, and
        between the convolutions of each block.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`. With "mixed_bfloat16", all
        convolutions but the last are in bfloat16, and all else is in float32.

    Raises:
      ValueError: if a width or `patch_size` is below 1, `num_blocks` below 0, or `dropout`
        not from 0 to below 1.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.vae.ConvDecoder((8, 8, 1), channels=(4,), hidden_units=(8,))
    >>> network(np.zeros([2, 3], "float32")).shape
    TensorShape([2, 8, 8, 1])

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.1; without patches. https://arxiv.org/abs/1606.04934
      Shi et al. (2016), Real-time single image and video super-resolution, for the patches.
      https://arxiv.org/abs/1609.05158
    """

    def _add_layers(self):
        self._smallest = (*self._sizes[-1], self.channels[-1])
        self._mlp = self._dense(math.prod(self._smallest))
        self._blocks, self._convolutions = [], []
        for i in reversed(range(len(self.channels))):
            self._blocks.append(self._residual_blocks(self.channels[i]))
            if i:
                double = self._conv(
                    self.channels[i - 1], strides=2, kind=keras.layers.Conv2DTranspose
                )
                self._convolutions.append(double)
        self._last = self._conv(
            self.patch_size**2 * self.image_shape[-1], dtype=self.variable_dtype
        )

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Maps `[N, latent_size]` to `[N, H, W, C]`."""
        z, as_given = at_least_one_row(tf.convert_to_tensor(inputs))
        x = keras.ops.reshape(self._mlp(z, training=training), (-1, *self._smallest))
        x = keras.ops.cast(x, self.compute_dtype)
        for i, blocks in enumerate(self._blocks):
            if i:
                height, width = self._sizes[-1 - i]
                x = self._convolutions[i - 1](self.activation(x))[:, :height, :width]
            for block in blocks:
                x = block(x, training=training)
        return as_given([self._from_patches(self._last(self.activation(x)))])[0]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], *self.image_shape)


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualConvBlock(ConfiguredLayer):
    """Two 3x3 convolutions, added to their input; the second one starts at zero.

    ```none
    y = x + conv3x3(dropout(activation(conv3x3(activation(x)))))
    ```

    Args:
      channels: number of channels of input and output.
      activation: name of a Keras activation, or a function.
      dropout: fraction of the units between the convolutions dropped in training.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Reference:
      He et al. (2016), Identity mappings in deep residual networks.
      https://arxiv.org/abs/1603.05027
      Zhang, Dauphin, Ma (2019), Fixup initialization, for the start at zero.
      https://arxiv.org/abs/1901.09321
    """

    def __init__(
        self,
        channels: int,
        *,
        activation: str | Callable = "elu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("channels", channels)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.channels = channels
        self.activation = get_activation(activation)
        self.seed = seed
        self.dropout = dropout
        self._drop = dropout_layer(dropout, seed, self.dtype_policy)
        shared = {"padding": "same", "dtype": self.dtype_policy}
        start = keras.initializers.GlorotUniform(seed=seed)
        self._inner = keras.layers.Conv2D(channels, 3, kernel_initializer=start, **shared)
        self._outer = keras.layers.Conv2D(channels, 3, kernel_initializer="zeros", **shared)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, H, W, channels]`."""
        self._inner.build(input_shape)
        self._outer.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[N, H, W, channels]` to the same shape."""
        inside = self.activation(self._inner(self.activation(inputs)))
        return inputs + self._outer(self._drop(inside, training=training))


def _divided(size, divisor):
    """Lengths divided by `divisor`, rounded up."""
    return tuple(-(-length // divisor) for length in size)
