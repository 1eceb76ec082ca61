"""Residual convolutional encoder and decoder of a VAE of images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_each,
    check_image_shape,
    check_seed,
    check_size,
    check_widths,
)
from tfp_flows.networks.layer_arguments import get_activation, split_seed
from tfp_flows.networks.mlp import MLP


class _ConvNetwork(keras.layers.Layer):
    """The arguments that encoder and decoder share."""

    def __init__(
        self,
        image_shape: Sequence[int],
        channels: Sequence[int],
        hidden_units: int | Sequence[int],
        activation: str | Callable,
        seed: int | None,
        **kwargs: object,
    ) -> None:
        check_each(check_widths, channels=channels, hidden_units=hidden_units)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.channels = check_widths("channels", channels)
        self.hidden_units = check_widths("hidden_units", hidden_units)
        self.activation = get_activation(activation)
        self.seed = seed
        self._shared = {"activation": activation, "dtype": self.dtype_policy}

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights, by a call with zeros."""
        self.call(tf.zeros([1, *input_shape[1:]], self.compute_dtype))
        self.built = True

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "channels": self.channels,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }

    def _dense(self, output_units, seed):
        return MLP(
            output_units,
            self.hidden_units,
            zero_last_layer=False,
            seed=seed,
            **self._shared,
        )


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvEncoder(_ConvNetwork):
    """Residual blocks that halve an image each, then dense layers.

    ```none
    x <- block(x)  for each of channels;   output = MLP(activation(flattened x))
    ```

    Args:
      output_units: width of the output, such as a posterior's `num_parameters`.
      image_shape: `(H, W, C)`; rows `[N, H * W * C]` are taken as images, too.
      channels: widths of the blocks.
      hidden_units: widths of the dense layers.
      activation: name of a Keras activation, or a function.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.vae.ConvEncoder(6, (8, 8, 1), channels=(4,), hidden_units=(8,))
    >>> network(np.zeros([2, 8, 8, 1], "float32")).shape
    TensorShape([2, 6])

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.1. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        output_units: int,
        image_shape: Sequence[int],
        *,
        channels: Sequence[int] = (16, 32, 32),
        hidden_units: int | Sequence[int] = (450,),
        activation: str | Callable = "elu",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("output_units", output_units)
        super().__init__(image_shape, channels, hidden_units, activation, seed, **kwargs)
        self.output_units = output_units
        *block_seeds, mlp_seed = split_seed(seed, len(self.channels) + 1)
        self._blocks = [
            ResidualConvBlock(width, seed=block_seed, **self._shared)
            for width, block_seed in zip(self.channels, block_seeds, strict=True)
        ]
        self._mlp = self._dense(output_units, mlp_seed)

    def call(self, inputs: TensorLike) -> tf.Tensor:
        """Maps `[N, H, W, C]`, or `[N, H * W * C]`, to `[N, output_units]`."""
        x = keras.ops.reshape(inputs, (-1, *self.image_shape))
        for block in self._blocks:
            x = block(x)
        flat = keras.ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        return self._mlp(self.activation(flat))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], self.output_units)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "output_units": self.output_units}


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvDecoder(_ConvNetwork):
    """Dense layers, then residual blocks that double an image each: `ConvEncoder` undone.

    ```none
    x = image of MLP(z);   x <- block(x)  for each of channels;   output = conv3x3(x)
    ```

    Args:
      image_shape: `(H, W, C)` of the output: C is P channels for each channel of the data,
        for a likelihood with P parameters an entry.
      channels: widths of the blocks, in the order of the encoder; used in reverse.
      hidden_units: widths of the dense layers.
      activation: name of a Keras activation, or a function.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.vae.ConvDecoder((8, 8, 1), channels=(4,), hidden_units=(8,))
    >>> network(np.zeros([2, 3], "float32")).shape
    TensorShape([2, 8, 8, 1])

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.1. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        channels: Sequence[int] = (16, 32, 32),
        hidden_units: int | Sequence[int] = (450,),
        activation: str | Callable = "elu",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(image_shape, channels, hidden_units, activation, seed, **kwargs)
        first, last, *block_seeds = split_seed(seed, len(self.channels) + 2)
        # The smallest image first, each doubled to the size of the next.
        sizes = [self.image_shape[:2]]
        for _ in self.channels:
            height, width = sizes[0]  # halved and rounded up, as by a stride of 2
            sizes.insert(0, (-(-height // 2), -(-width // 2)))
        self._smallest = (*sizes[0], self.channels[-1])
        self._mlp = self._dense(math.prod(self._smallest), first)
        widths = (*self.channels[-2::-1], self.channels[0])
        self._blocks = [
            ResidualConvBlock(width, size=size, seed=block_seed, **self._shared)
            for width, (_, size), block_seed in zip(
                widths, itertools.pairwise(sizes), block_seeds, strict=True
            )
        ]
        self._last = keras.layers.Conv2D(
            self.image_shape[-1],
            3,
            padding="same",
            kernel_initializer=keras.initializers.GlorotUniform(seed=last),
            dtype=self.dtype_policy,
        )

    def call(self, inputs: TensorLike) -> tf.Tensor:
        """Maps `[N, latent_size]` to `[N, H, W, C]`."""
        x = keras.ops.reshape(self._mlp(inputs), (-1, *self._smallest))
        for block in self._blocks:
            x = block(x)
        return self._last(self.activation(x))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], *self.image_shape)


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualConvBlock(keras.layers.Layer):
    """Two 3x3 convolutions beside a shortcut; the first one and the shortcut resample.

    ```none
    y = conv1x1(x) + conv3x3(activation(conv3x3(activation(x))))
    ```

    The shortcut and the inner convolution have stride 2. All three have biases.

    Halved sizes are rounded up; doubled ones are cut to `size`.

    Args:
      channels: number of channels of the output.
      size: `(height, width)` to double to; None: the image is halved.
      activation: name of a Keras activation, or a function.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Reference:
      He et al. (2016), Identity mappings in deep residual networks.
      https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        channels: int,
        *,
        size: Sequence[int] | None = None,
        activation: str | Callable = "elu",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_widths("channels", channels)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.channels = channels
        self.size = None if size is None else tuple(size)
        self.activation = get_activation(activation)
        self.seed = seed
        first, second, third = split_seed(seed, 3)
        resample = keras.layers.Conv2D if size is None else keras.layers.Conv2DTranspose
        self._inner = self._convolution(resample, 3, 2, first)
        self._outer = self._convolution(keras.layers.Conv2D, 3, 1, second)
        self._shortcut = self._convolution(resample, 1, 2, third)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, H, W, C]`."""
        self._inner.build(input_shape)
        self._shortcut.build(input_shape)
        self._outer.build((*input_shape[:-1], self.channels))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[N, H, W, C]` to `[N, *size, channels]`."""
        inside = self._inner(self.activation(inputs))
        outputs = self._shortcut(inputs) + self._outer(self.activation(inside))
        if self.size is None:
            return outputs
        return outputs[:, : self.size[0], : self.size[1]]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "channels": self.channels,
            "size": self.size,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }

    def _convolution(self, kind, kernel_size, strides, seed):
        return kind(
            self.channels,
            kernel_size,
            strides=strides,
            padding="same",
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            dtype=self.dtype_policy,
        )
