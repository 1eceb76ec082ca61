"""The networks of a row's cells: of its codes, and of its numbers."""

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

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.core.arguments import check_seed
from tfp_flows.core.arguments import check_widths
from tfp_flows.distributions.made import CategoricalMADE
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.layer_arguments import check_hidden_units
from tfp_flows.networks.layer_arguments import dropout_layer
from tfp_flows.networks.layer_arguments import get_activation
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.packed_weights import PackedWeights
from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.number_maps import NumberSpec
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["CellFeatures", "check_sizes", "ColumnMLPs", "FARTHEST", "KNOTS", "RowNetworks"]


def check_sizes(
    *,
    num_members: int,
    num_bins: int,
    hidden_units: Sequence[int],
    dropout: float,
    seed: int | None,
) -> None:
    """Raises `ValueError` if one of a table's options is out of its range."""
    check_seed("seed", seed)
    check_integer("num_members", num_members)
    check_hidden_units(hidden_units, residual=True)
    check_number("dropout", dropout, "from 0 to below 1", lambda share: 0.0 <= share < 1.0)
    RationalQuadraticSpline(num_bins)  # which refuses other numbers


class RowNetworks:
    """Builds networks of one size, for M members.

    Args:
      hidden_units: widths of their hidden layers, all equal.
      dropout: share of their hidden units that a step of training drops.
      num_members: M.
      context_size: number of features of the context.
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        dropout: float,
        num_members: int,
        context_size: int,
    ) -> None:
        self._hidden_units = hidden_units
        self._dropout = dropout
        self._num_members = num_members
        self._context_size = context_size

    def from_codes(
        self, num_values: Sequence[int], seed: int | None
    ) -> list[CategoricalMADE]:
        """Returns the members' distributions of codes; none where there are no codes."""
        seeds = split_seed(seed, self._num_members) if num_values else []
        return [
            CategoricalMADE(
                num_values,
                hidden_units=self._hidden_units,
                residual=True,
                direct=True,
                dropout=self._dropout,
                context_size=self._context_size,
                standardize_context=False,
                seed=member,
            )
            for member in seeds
        ]

    def from_numbers(
        self, cells: CellFeatures, num_parameters: int, seed: int | None
    ) -> Conditioner | None:
        """Returns the networks of the numbers: each sees context, codes, numbers before."""
        if not cells.num_numbers:
            return None
        numbers = np.arange(cells.num_numbers)[:, None]
        before = cells.column_of_each[None, :] < numbers
        from_context = np.ones([len(numbers), self._context_size], bool)
        seen = np.concatenate([from_context, before], axis=1)
        network = ColumnMLPs(
            num_parameters,
            self._hidden_units,
            seen,
            num_members=self._num_members,
            dropout=self._dropout,
            seed=seed,
            dtype="float32",
        )
        has_dropout = self._dropout > 0.0
        return Conditioner(network, seen.shape[1], dropout_in_training=has_dropout)


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
        check_integer("num_parameters", num_parameters)
        check_widths("hidden_units", hidden_units)
        check_seed("seed", seed)
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

    def from_column(self, x: TensorLike, column: int) -> tf.Tensor:
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


# Quartiles of a standard normal distribution, and its tails.
KNOTS = (-3.0, -0.67, 0.0, 0.67, 3.0)

# So that a number far from all of training moves no network far.
FARTHEST = 6.0


class CellFeatures:
    """Features of cells: first those of the codes, then those of the numbers.

    ```none
    code of V values:   (x = 0, ..., x = V - 1)
    number:             sqrt(1 + B) u, on the standardised line, u within [-6, 6], and
                        for each pair of neighbouring knots a < b, of which there are B,
                        (u - a) / (b - a) - 1/2 within [-1/2, 1/2]; 0 where there is none
    number on a circle: cos u, sin u; 0, 0 where there is none
    ```

    Between knots networks learn thresholds as fast as lines. The root makes up for the
    number of features, by which the weights of fresh networks are divided.

    Args:
      num_values: of each of the K codes.
      numbers: a `NumberSpec` for each of the D numbers.
      knots: increasing, on the standardised line; without any, a number is u alone.

    Reference:
      Gorishniy, Rubachev, Babenko (2022), On embeddings for numerical features in tabular
      deep learning. https://arxiv.org/abs/2203.05556 (section 3.2)
    """

    def __init__(
        self,
        num_values: Sequence[int],
        numbers: Sequence[NumberSpec],
        knots: Sequence[float] = (),
    ) -> None:
        self.num_values = list(num_values)
        self.maps = NumberMaps(numbers)
        self._code_of = np.array([spec.code for spec in numbers], int)
        self._knots = tuple(knots)
        self._widths = np.where(self.maps.is_circle, 2, max(len(knots), 1)).astype(int)

    def from_columns(self, columns: Sequence[int]) -> CellFeatures:
        """Those of some of the numbers, without codes."""
        specs = [self.maps.specs[column] for column in columns]
        return CellFeatures([], specs, self._knots)

    @property
    def num_codes(self) -> int:
        """K."""
        return len(self.num_values)

    @property
    def num_numbers(self) -> int:
        """D."""
        return len(self._code_of)

    @property
    def num_cells(self) -> int:
        """K + D."""
        return self.num_codes + self.num_numbers

    @property
    def size_of_codes(self) -> int:
        """Number of features of the codes."""
        return sum(self.num_values)

    @property
    def size(self) -> int:
        """Number of features, F."""
        return self.size_of_codes + int(self._widths.sum())

    @property
    def column_of_each(self) -> np.ndarray:
        """Of each feature, -1 for those of codes, else the index of the number, `[F]`."""
        from_numbers = np.repeat(np.arange(self.num_numbers), self._widths)
        return np.concatenate([np.full(self.size_of_codes, -1), from_numbers])

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns codes, `[N, K]`, and numbers, `[N, D]`."""
        return x[:, : self.num_codes], x[:, self.num_codes :]

    def is_present(self, codes: tf.Tensor) -> tf.Tensor:
        """Which numbers there are, `[N, D]`."""
        if not (self._code_of >= 0).any():
            return tf.ones([tf.shape(codes)[0], self.num_numbers], tf.bool)
        from_numbers = tf.gather(codes, np.maximum(self._code_of, 0), axis=1)
        return tf.equal(from_numbers, 0.0) | (self._code_of < 0)

    def from_codes(self, codes: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Features of codes, `[N, K]`."""
        one_hot = [
            tf.one_hot(tf.cast(codes[:, k], tf.int32), count, dtype=dtype)
            for k, count in enumerate(self.num_values)
        ]
        return tf.concat([*one_hot, tf.zeros([tf.shape(codes)[0], 0], dtype)], axis=1)

    def from_numbers(
        self, u: tf.Tensor, is_present: tf.Tensor, dtype: tf.DType
    ) -> tf.Tensor:
        """Features of numbers on their lines, `[N, D]`."""
        blocks = [tf.zeros([tf.shape(u)[0], 0], dtype)]  # so that there is one
        for j, is_circle in enumerate(self.maps.is_circle):
            value, mask = tf.cast(u[:, j : j + 1], dtype), is_present[:, j : j + 1]
            shown = _on_circle(value) if is_circle else self._on_line(value)
            blocks.append(tf.cast(mask, dtype) * shown)
        return tf.concat(blocks, axis=1)

    def _on_line(self, value):
        near = tf.clip_by_value(value, -FARTHEST, FARTHEST)
        if not self._knots:
            return near
        knots = np.asarray(self._knots)
        between = tf.clip_by_value((near - knots[:-1]) / np.diff(knots), 0.0, 1.0) - 0.5
        return tf.concat([len(self._knots) ** 0.5 * near, between], axis=1)

    def __call__(self, x: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Features, `[N, F]`, of cells, `[N, K + D]`."""
        codes, numbers = self.split(x)
        y = self.maps.middle(numbers)
        low, high = self.maps.ends
        is_line = ~self.maps.is_circle  # a circle has no far ends
        is_low, is_high = is_line & (y <= low), is_line & (y >= high)
        u = tf.where(is_low, tf.constant(-FARTHEST, y.dtype), self.maps.forward(y).u)
        u = tf.where(is_high, tf.constant(FARTHEST, y.dtype), u)
        from_numbers = self.from_numbers(u, self.is_present(codes), dtype)
        return tf.concat([self.from_codes(codes, dtype), from_numbers], axis=1)


def _on_circle(value):
    return tf.concat([tf.cos(value), tf.sin(value)], axis=1)
