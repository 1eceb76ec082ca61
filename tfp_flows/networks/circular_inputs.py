"""A network that sees angles as cosines and sines."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.networks.context_network import ContextNetwork, split_context


@keras.saving.register_keras_serializable(package="tfp_flows")
class CircularInputs(ContextNetwork):
    """Shows each angle to a network by its cosine and sine.

    ```none
    output = network(x, with cos(x_i) and sin(x_i) in place of each circular x_i; context)
    ```

    An autoregressive network has outputs for each of its inputs; the outputs for sines are
    dropped. With `circular_ordering`, the outputs for a cosine depend only on variables
    before the angle.

    Args:
      network: a `ContextNetwork` with `D + A` inputs, where A of D variables are angles.
      circular: booleans, `[D]`: which variables are angles in radians.
      num_parameters: P of an autoregressive network, which returns P numbers for each
        input; None for any other network.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.
    """

    def __init__(
        self,
        network: ContextNetwork,
        circular: npt.ArrayLike,
        *,
        num_parameters: int | None = None,
        **kwargs: object,
    ) -> None:
        # Angles keep full precision if the network computes in a lower one.
        super().__init__(**{"dtype": network.variable_dtype, **kwargs})
        self.network = network
        self.circular = np.asarray(circular, bool)
        self.num_parameters = num_parameters

    @property
    def dropout(self) -> float:
        """Fraction of hidden units dropped in training."""
        return getattr(self.network, "dropout", 0.0)

    def build(self, input_shape: Sequence) -> None:
        """Builds the network for inputs `[N, D + context_size]`."""
        if not self.network.built:  # a copy is built already
            self.network.build(self._shape_of_inputs(input_shape))
        self.built = True

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, D]` and a context to the output of the network."""
        size = len(self.circular)
        x, context = split_context(x, context, size, x.shape[-1] - size)
        outputs = self.network(self._features(x), context, training=training)
        if self.num_parameters is None:
            return outputs
        width = size + int(self.circular.sum())
        outputs = tf.reshape(outputs, [-1, self.num_parameters, width])
        kept = tf.gather(outputs, self._first_inputs, axis=-1)
        return tf.reshape(kept, [-1, self.num_parameters * size])

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        if self.num_parameters is not None:
            return (*input_shape[:-1], self.num_parameters * len(self.circular))
        return self.network.compute_output_shape(self._shape_of_inputs(input_shape))

    @classmethod
    def from_config(cls, config: dict) -> CircularInputs:
        """Builds the layer that `config` describes."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})

    def _shape_of_inputs(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + int(self.circular.sum()))

    @property
    def _first_inputs(self):
        """Returns the index of the first input of each variable."""
        return np.cumsum([0, *(1 + self.circular[:-1])])

    def _features(self, x):
        features = []
        for is_circular, column in zip(
            self.circular, tf.split(x, len(self.circular), axis=-1), strict=True
        ):
            features += [tf.cos(column), tf.sin(column)] if is_circular else [column]
        return tf.concat(features, axis=-1)


def circular_ordering(ordering: np.ndarray, circular: np.ndarray) -> np.ndarray:
    """Returns the degrees of a network's inputs if some variables are angles.

    The cosine of an angle has its place in `ordering`, and the sine follows it.
    """
    widths = 1 + np.asarray(circular, int)
    before = np.zeros(len(ordering), int)
    order = np.argsort(ordering)
    before[order] = np.cumsum([0, *widths[order][:-1]])
    return np.concatenate(
        [first + 1 + np.arange(w) for first, w in zip(before, widths, strict=True)]
    )
