"""The convolutional residual encoder of a VAE."""

from __future__ import annotations

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
from tfp_flows.networks.seeds import split_seed

__all__ = ["ConvEncoder"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvEncoder(keras.layers.Layer):
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
    >>> network = tfp_flows.ConvEncoder(6, (8, 8, 1), channels=(4,), hidden_units=(8,))
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
        check_arguments(locals())
        super().__init__(**kwargs)
        self.output_units = output_units
        self.image_shape = check_image_shape(image_shape)
        self.channels = check_widths("channels", channels)
        self.hidden_units = check_widths("hidden_units", hidden_units)
        self.activation = get_activation(activation)
        self.seed = seed
        *block_seeds, mlp_seed = split_seed(seed, len(self.channels) + 1)
        shared = {"activation": activation, "dtype": self.dtype_policy}
        self._blocks = [
            ResidualConvBlock(width, seed=block_seed, **shared)
            for width, block_seed in zip(self.channels, block_seeds, strict=True)
        ]
        self._mlp = MLP(
            output_units, self.hidden_units, zero_last_layer=False, seed=mlp_seed, **shared
        )

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights."""
        del input_shape
        shape: tuple = (None, *self.image_shape)
        for block in self._blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        _, height, width, channels = shape
        self._mlp.build((None, height * width * channels))
        self.built = True

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
        return {
            **super().get_config(),
            "output_units": self.output_units,
            "image_shape": self.image_shape,
            "channels": self.channels,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }
