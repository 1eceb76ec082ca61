"""The convolutional residual decoder of a VAE."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.arguments import check_widths
from tfp_flows.core.image_shape import check_image_shape
from tfp_flows.networks.activations import get_activation
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.residual_conv_block import ResidualConvBlock
from tfp_flows.networks.residual_conv_block import halved
from tfp_flows.networks.seeds import split_seed

__all__ = ["ConvDecoder"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvDecoder(keras.layers.Layer):
    """Dense layers, then residual blocks that double an image each: `ConvEncoder` undone.

    ```none
    x = image of MLP(z);   x <- block(x)  for each of channels;   output = conv3x3(x)
    ```

    Args:
      image_shape: `(H, W, C)` of the output: C is P channels for each one of the data,
        where a likelihood wants P parameters an entry.
      channels: widths of the blocks, in the order of the encoder, which is reversed here.
      hidden_units: widths of the dense layers.
      activation: name of a Keras activation, or a function.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.ConvDecoder((8, 8, 1), channels=(4,), hidden_units=(8,))
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
        check_arguments(locals())
        super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape)
        self.channels = check_widths("channels", channels)
        self.hidden_units = check_widths("hidden_units", hidden_units)
        self.activation = get_activation(activation)
        self.seed = seed
        first, last, *block_seeds = split_seed(seed, len(self.channels) + 2)
        shared = {"activation": activation, "dtype": self.dtype_policy}
        # The smallest image first, each doubled to the size of the next.
        sizes = [self.image_shape[:2]]
        for _ in self.channels:
            sizes.insert(0, halved(sizes[0]))
        self._smallest = (*sizes[0], self.channels[-1])
        self._mlp = MLP(
            math.prod(self._smallest),
            self.hidden_units,
            zero_last_layer=False,
            seed=first,
            **shared,
        )
        widths = (*self.channels[-2::-1], self.channels[0])
        self._blocks = [
            ResidualConvBlock(width, size=size, seed=block_seed, **shared)
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

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, latent_size]`."""
        self._mlp.build(input_shape)
        shape = (None, *self._smallest)
        for block in self._blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        self._last.build(shape)
        self.built = True

    def call(self, inputs: TensorLike) -> tf.Tensor:
        """Maps `[N, latent_size]` to `[N, H, W, C]`."""
        x = keras.ops.reshape(self._mlp(inputs), (-1, *self._smallest))
        for block in self._blocks:
            x = block(x)
        return self._last(self.activation(x))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], *self.image_shape)

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
