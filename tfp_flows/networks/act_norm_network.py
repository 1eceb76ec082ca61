"""Base class of convolutional networks whose act norms are set from data."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_seed, check_size
from tfp_flows.networks.context_network import ContextNetwork, join_context
from tfp_flows.networks.packed_weights import PackedWeights


class ActNormNetwork(ContextNetwork):
    """A network on images with act norms, which `initialize` sets once.

    A subclass has `_parts`, `_run` and `_standardized`. All weights are parts of one
    variable, for speed (`PackedWeights`).

    Args:
      output_channels: channels of the last layer.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.
    """

    def __init__(self, output_channels: int, seed: int | None, **kwargs: object) -> None:
        check_size("output_channels", output_channels)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        # TensorFlow's convolution of images without a batch axis may end the process.
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self.output_channels = output_channels
        self.seed = seed

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, H, W, C]`."""
        self._layout = PackedWeights(self._parts(input_shape[1:]), seed=self.seed)
        self._packed = self._layout.add_to(self, "weights_of_all_layers")
        self._initialized = self.add_weight(
            name="initialized", shape=(), dtype="bool", initializer="zeros", trainable=False
        )
        self.built = True

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has set the act norms from data."""
        return self.built and bool(self._initialized.numpy())

    def initialize(
        self,
        x: TensorLike,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets each act norm from its inputs for these images, once."""
        if self.is_initialized:
            return
        context = None if context is None else tf.cast(context, self.variable_dtype)
        x = join_context(tf.cast(x, self.variable_dtype), context)
        if not self.built:
            self.build(x.shape)
        weights = self._layout.unpack(self._packed)
        weights = self._standardized(x, weights, sample_weight)
        self._packed.assign(self._layout.pack(weights))
        self._initialized.assign(True)

    def call(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, H, W, C]` and a context to `[N, H, W, output_channels]`."""
        return self._run(join_context(x, context), self._layout.unpack(self._packed))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.output_channels)

    @abc.abstractmethod
    def _parts(self, image_shape: Sequence[int]) -> Any:
        """Returns the structure of `Part`s for inputs `[N, *image_shape]`."""

    @abc.abstractmethod
    def _run(self, x: tf.Tensor, weights: Any) -> tf.Tensor:
        """Maps `[N, H, W, C]` to the output, by `weights` in the structure of `_parts`."""

    @abc.abstractmethod
    def _standardized(self, x: tf.Tensor, weights: Any, sample_weight: Any) -> Any:
        """Returns `weights` with act norms that standardise their inputs for `x`."""


def standardizing_shift_and_log_scale(
    x: tf.Tensor, weight: TensorLike | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns shift and log-scale so that `(x + shift) * exp(log_scale)` is standardised.

    x is `[N, ..., C]`, weights of rows are `[N]`, and the results `[C]`. A channel that is
    constant to rounding keeps scale 1.
    """
    axes = list(range(x.shape.rank - 1))
    if weight is None:
        mean, variance = tf.nn.moments(x, axes)
    else:
        weight = tf.reshape(tf.cast(weight, x.dtype), [-1] + [1] * len(axes))
        mean, variance = tf.nn.weighted_moments(x, axes, weight)
    rounding = 10.0 * np.finfo(x.dtype.as_numpy_dtype).eps * tf.abs(mean)
    is_constant = tf.reduce_max(x, axes) == tf.reduce_min(x, axes)
    is_constant |= variance <= rounding**2
    return -mean, -0.5 * tf.math.log(tf.where(is_constant, tf.ones_like(mean), variance))
