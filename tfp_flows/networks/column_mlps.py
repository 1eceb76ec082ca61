"""Networks of columns: a perceptron for each column of a table, evaluated together."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.activations import get_activation
from tfp_flows.networks.dropout import dropout_layer
from tfp_flows.networks.hidden_units import check_hidden_units
from tfp_flows.networks.packed_weights import PackedWeights
from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part

__all__ = ["ColumnMLPs"]


class _Arrays(typing.NamedTuple):
    """Kernels `[M, D, inputs, units]` and biases `[M, D, 1, units]` of all networks."""

    layers: list
    outputs: typing.Any
    direct: typing.Any


@keras.saving.register_keras_serializable(package="tfp_flows")
class ColumnMLPs(keras.layers.Layer):
    """D columns' networks, each in M independent copies, of features that each may see.

    ```none
    h <- activation(W (seen * x) + b)
    h <- h + activation(W h + b)            for each further of hidden_units
    output = W h + b + A (seen * x)         W and A start at zero
    ```

    No two share weights. So a column's parameters depend on the features that it sees
    alone, and drawing one column after another computes each network once.

    Args:
      num_parameters: P, outputs of a column.
      hidden_units: widths of the hidden layers, all equal.
      seen: booleans, `[D, F]`: which of F features each column's networks see.
      num_members: M, copies that start at other weights.
      activation: name of a Keras activation, or a function.
      dropout: share of the hidden units that a step of training drops.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `seen` is no matrix, or `hidden_units` are not all equal.
    """

    def __init__(
        self,
        num_parameters: int,
        hidden_units: int | Sequence[int],
        seen: npt.ArrayLike,
        *,
        num_members: int = 1,
        activation: str | Callable = "relu",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_arguments(locals())
        super().__init__(**kwargs)
        self.num_parameters = num_parameters
        self.hidden_units = check_hidden_units(hidden_units, residual=True)
        self.seen = np.asarray(seen, bool)
        if self.seen.ndim != 2:
            raise ValueError(f"Expected `seen` of shape [D, F]; got {self.seen.shape}.")
        self.num_members = num_members
        self.activation = get_activation(activation)
        self.seed = seed
        self.dropout = dropout
        self._drop = dropout_layer(dropout, seed, self.dtype_policy)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, F]`."""
        num_features, widths = self.seen.shape[1], self.hidden_units
        num_seen = self.seen.sum(axis=1)[:, None, None]
        self._layout = PackedWeights(
            _Arrays(
                layers=[
                    self._layer(num_features, widths[0], num_seen),
                    *(self._layer(a, b, a) for a, b in itertools.pairwise(widths)),
                ],
                outputs=self._last_layer(widths[-1]),
                direct=self._last_layer(num_features)[0],
            ),
            seed=self.seed,
        )
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def call(self, x: TensorLike, training: bool = False) -> tf.Tensor:
        """Maps features, `[N, F]`, to parameters, `[N, M, P, D]`."""
        return tf.transpose(self._outputs(x, slice(None), training), [2, 0, 3, 1])

    def of_column(self, x: TensorLike, column: int) -> tf.Tensor:
        """Returns the parameters of one column, `[N, M, P]`, of features, `[N, F]`."""
        outputs = self._outputs(x, slice(column, column + 1), training=False)
        return tf.transpose(outputs[:, 0], [1, 0, 2])

    def weights_of(self, which: npt.ArrayLike) -> np.ndarray:
        """Which entries of its one variable are weights of some networks, booleans.

        Args:
          which: booleans, `[M, D]`: of which networks.
        """
        shape = self.num_members, len(self.seen), 1, 1
        owners = np.arange(self.num_members * len(self.seen)).reshape(shape)
        arrays = tf.nest.map_structure(
            lambda array: tf.constant(np.broadcast_to(owners, array.shape)),
            self._layout.unpack(self._packed),
        )
        return np.asarray(which).reshape(-1)[self._layout.pack(arrays).numpy()]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        shape = self.num_members, self.num_parameters, len(self.seen)
        return (*input_shape[:-1], *shape)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_parameters": self.num_parameters,
            "hidden_units": self.hidden_units,
            "seen": self.seen.tolist(),
            "num_members": self.num_members,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "seed": self.seed,
        }

    def _layer(self, inputs, units, num_inputs):
        shape = self.num_members, len(self.seen)
        kernel = kernel_part((*shape, inputs, units), num_inputs)
        return kernel, bias_part((*shape, 1, units), num_inputs)

    def _last_layer(self, inputs):
        shape, units = (self.num_members, len(self.seen)), self.num_parameters
        kernel = kernel_part((*shape, inputs, units), zero=True)
        return kernel, bias_part((*shape, 1, units))

    def _outputs(self, x, columns, training):
        """`[M, D, N, P]` of the `columns`, a slice."""
        arrays = tf.nest.map_structure(
            lambda array: array[:, columns], self._layout.unpack(self._packed)
        )
        seen = tf.constant(self.seen[columns, :, None], x.dtype)
        (kernel, bias), *others = arrays.layers
        hidden = self._drop(self._activated(x, kernel * seen, bias), training=training)
        for layer in others:
            hidden += self._drop(self._activated(hidden, *layer), training=training)
        kernel, bias = arrays.outputs
        return hidden @ kernel + bias + tf.matmul(x, arrays.direct * seen)

    def _activated(self, x, kernel, bias):
        return self.activation(tf.matmul(x, kernel) + bias)
