"""A residual block of two convolutions that may halve or double an image."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.activations import get_activation
from tfp_flows.networks.seeds import split_seed

__all__ = ["ResidualConvBlock"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualConvBlock(keras.layers.Layer):
    """Two 3x3 convolutions beside a shortcut; the first one and the shortcut resample.

    ```none
    y = conv1x1(x) + conv3x3(activation(conv3x3(activation(x))))
    ```

    The shortcut and the inner convolution have stride 2. All three have biases.

    Halved sizes are rounded up; doubled ones are cut to `size`.

    Args:
      channels: of the output.
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
        check_arguments(locals())
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

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        size = self.size or halved(input_shape[1:3])
        return (input_shape[0], *size, self.channels)

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


def halved(size: Sequence) -> tuple:
    """Returns `(height, width)` after a convolution of stride 2, rounded up."""
    return tuple(-(-length // 2) for length in size)
