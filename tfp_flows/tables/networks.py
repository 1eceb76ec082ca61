"""The networks of a table's numbers, their sizes, and the features of entries they see."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_seed, check_share, check_size, require
from tfp_flows.networks.context_network import ConfiguredLayer
from tfp_flows.networks.layer_arguments import (
    check_hidden_units,
    dropout_layer,
    get_activation,
)
from tfp_flows.networks.packed_weights import PackedWeights, bias_part, kernel_part
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec
from tfp_flows.transformers.spline import RationalQuadraticSpline

# Quartiles of a standard normal distribution, and its tails.
KNOTS = (-3.0, -0.67, 0.0, 0.67, 3.0)
# Forty narrow steps between the 2nd and the 98th percentile, and one in each tail.
FINE_KNOTS = (-3.0, *np.linspace(-2.0, 2.0, 41).round(2).tolist(), 3.0)
_FINE_SCALE = 0.1  # factor of the features between fine knots
_COMMON_SCALE = 0.3  # factor of the features of common numbers
_LEAST_FINE_ROWS = 5_000  # with fewer rows, networks overfit to fine features
_MOST_FINE_WEIGHTS = 1_500_000  # with more weights for them, training takes too long
_MOST_COMMON_WEIGHTS = 1_500_000  # the same for the features of common numbers

# With at least so many rows and values of all codes, networks of codes are `_WIDE` times as
# wide (docs/tried_and_dropped.md).
_LEAST_WIDE_ROWS, _LEAST_WIDE_VALUES, _WIDE = 10_000, 50, 4

# Largest number of weights of all networks, unless a single member has more.
MOST_WEIGHTS = 20_000_000
# Bound of a number's feature, in standard deviations: outliers change networks little.
FEATURE_BOUND = 6.0


@dataclasses.dataclass(frozen=True)
class NetworkSizes:
    """The sizes of the networks of a `TableDensity`; None is a choice by rows and columns.

    ```none
    rows          num_members  num_bins  hidden_units  dropout
    below 500               8         8  (64, 64)          0.2
    from 500 on             8        16  (64, 64)          0.2
    from 3,000 on           4        16  (64, 64)          0.1
    ```

    The numbers were chosen on tables of R's packages and on simulated rows, and confirmed
    on others (docs/results.md, docs/tried_and_dropped.md). Tables of more than 82 columns
    have fewer members, at least one, so that all have at most 20 million weights.
    `choose_fine_knots` chooses what half of the members see of numbers, and
    `choose_code_units` the widths of networks that categories share.

    >>> from tfp_flows.tables import NetworkSizes
    >>> NetworkSizes(dropout=0.0).for_table(1_000)
    NetworkSizes(num_members=8, num_bins=16, hidden_units=(64, 64), dropout=0.0)

    Args:
      num_members: number of networks whose densities are averaged.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      dropout: share of the hidden units that a step of training drops, in [0, 1).

    Raises:
      ValueError: if an argument is out of its range.
    """

    num_members: int | None = None
    num_bins: int | None = None
    hidden_units: Sequence[int] | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        if self.num_members is not None:
            check_size("num_members", self.num_members)
        if self.num_bins is not None:
            RationalQuadraticSpline(self.num_bins)  # raises if there are too few
        if self.hidden_units is not None:
            check_hidden_units(self.hidden_units, residual=True)
        if self.dropout is not None:
            check_share("dropout", self.dropout, may_be_zero=True)

    def for_table(
        self, num_rows: int, num_columns: int = 1, num_given: int = 0
    ) -> NetworkSizes:
        """Returns the sizes for a table, without None.

        Args:
          num_rows: number of training rows.
          num_columns: number of modelled columns; many reduce the number of members.
          num_given: number of columns of the context.
        """
        chosen = [sizes for least, sizes in _BY_ROWS.items() if num_rows >= least][-1]
        chosen_by_user = {k: v for k, v in vars(self).items() if v is not None}
        sizes: typing.Any = dataclasses.replace(chosen, **chosen_by_user)
        if self.num_members is None:
            num_weights = weights_of_member(sizes.hidden_units[0], num_columns, num_given)
            count = min(sizes.num_members, max(MOST_WEIGHTS // num_weights, 1))
            sizes = dataclasses.replace(sizes, num_members=count)
        return sizes


def weights_of_member(width: int, num_columns: int, num_given: int) -> int:
    """Returns the approximate number of weights of a member, for five features a column."""
    return num_columns * width * (5 * (num_columns + num_given) + width)


def choose_fine_knots(
    num_members: int, width: int, num_rows: int, num_columns: int, num_given: int
) -> tuple[float, ...]:
    """Returns `FINE_KNOTS` for tables of many rows and not too many columns, else none."""
    num_seen = len(FINE_KNOTS) * (num_columns + num_given)
    num_weights = num_seen * num_members * num_columns * width
    has_rows = num_rows >= _LEAST_FINE_ROWS
    is_used = has_rows and num_members > 1 and num_weights <= _MOST_FINE_WEIGHTS
    return FINE_KNOTS if is_used else ()


def choose_common(
    specs: Sequence[NumberSpec],
    num_members: int,
    width: int,
    num_rows: int,
    num_columns: int,
) -> list[NumberSpec]:
    """Returns maps of the context with as many common numbers as networks can see.

    The most common ones are kept. Networks of few rows see none.
    """
    # Number of weights, if each number of the context had one common number.
    num_weights = max(num_members * num_columns * width * len(specs), 1)
    most = _MOST_COMMON_WEIGHTS // num_weights if num_rows >= _LEAST_FINE_ROWS else 0
    return [dataclasses.replace(spec, common=spec.common[:most]) for spec in specs]


def choose_code_units(
    hidden_units: Sequence[int], num_rows: int, num_values: Sequence[int]
) -> tuple[int, ...]:
    """Returns the widths of the networks of codes, given the numbers of their values.

    All codes share the units of a network, while each number has its own. So for many rows
    and values, the networks of codes are wider.
    """
    are_many = len(num_values) > 1 and sum(num_values) >= _LEAST_WIDE_VALUES
    is_wide = are_many and num_rows >= _LEAST_WIDE_ROWS
    return tuple(_WIDE * units if is_wide else units for units in hidden_units)


# By the least number of rows.
_BY_ROWS = {
    0: NetworkSizes(8, 8, (64, 64), 0.2),
    500: NetworkSizes(8, 16, (64, 64), 0.2),
    3_000: NetworkSizes(4, 16, (64, 64), 0.1),
}


class _Arrays(typing.NamedTuple):
    """Kernels `[M, D, inputs, units]` and biases `[M, D, 1, units]` of all networks."""

    layers: list
    outputs: typing.Any
    direct: typing.Any


@keras.saving.register_keras_serializable(package="tfp_flows")
class ColumnMLPs(ConfiguredLayer):
    """Networks of D columns, each in M independent copies, of the features each may see.

    ```none
    h <- activation(W (seen * x) + b)
    h <- h + activation(W h + b)            for each further of hidden_units
    output = W h + b + A (seen * x)         W and A start at zero
    ```

    No two networks share weights. So a column's parameters depend on the features that it
    sees alone, and drawing one column after another computes each network once.

    Args:
      num_parameters: P, number of outputs of a column.
      hidden_units: widths of the hidden layers, all equal.
      seen: booleans, `[D, F]`: which of F features each column's networks see; or
        `[M, D, F]` if that differs between copies.
      num_members: M, number of copies, which start at different weights.
      activation: name of a Keras activation, or a function.
      dropout: share of the hidden units that a step of training drops.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `seen` has another shape, or `hidden_units` are not all equal.
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
        check_size("num_parameters", num_parameters)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.num_parameters = num_parameters
        self.hidden_units = check_hidden_units(hidden_units, residual=True)
        self.seen = np.asarray(seen, bool)
        fits = self.seen.ndim == 2 or self.seen.shape[:-2] == (num_members,)
        expected = f"`seen` of shape [D, F] or [{num_members}, D, F]"
        require(fits, expected, self.seen.shape)
        self.num_members, self._num_columns = num_members, self.seen.shape[-2]
        self.activation = get_activation(activation)
        self.seed = seed
        self.dropout = dropout
        self._drop = dropout_layer(dropout, seed, self.dtype_policy)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, F]`."""
        num_features, widths = self.seen.shape[-1], self.hidden_units
        num_seen = self.seen.sum(axis=-1)[..., None, None]
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
        arrays = self._layout.unpack(self._packed)
        outputs = self._outputs(x, arrays, self.seen, training)
        return tf.transpose(outputs, [2, 0, 3, 1])

    def from_column(self, x: TensorLike, column: int) -> tf.Tensor:
        """Returns the parameters of one column, `[N, M, P]`, from features, `[N, F]`."""
        only = slice(column, column + 1)
        arrays = self._layout.unpack(self._packed)
        arrays = tf.nest.map_structure(lambda array: array[:, only], arrays)
        outputs = self._outputs(x, arrays, self.seen[..., only, :], training=False)
        return tf.transpose(outputs[:, 0], [1, 0, 2])

    def are_weights_of(self, which: npt.ArrayLike) -> np.ndarray:
        """Returns which entries of the packed variable are weights of some networks.

        The networks are booleans `[M, D]`, the result booleans of the variable's shape.
        """
        shape = self.num_members, self._num_columns, 1, 1
        owners = np.arange(self.num_members * self._num_columns).reshape(shape)
        arrays = tf.nest.map_structure(
            lambda array: tf.constant(np.broadcast_to(owners, array.shape)),
            self._layout.unpack(self._packed),
        )
        return np.asarray(which).reshape(-1)[self._layout.pack(arrays).numpy()]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        shape = self.num_members, self.num_parameters, self._num_columns
        return (*input_shape[:-1], *shape)

    def _layer(self, inputs, units, num_inputs):
        shape = self.num_members, self._num_columns
        kernel = kernel_part((*shape, inputs, units), num_inputs)
        return kernel, bias_part((*shape, 1, units), num_inputs)

    def _last_layer(self, inputs):
        shape, units = (self.num_members, self._num_columns), self.num_parameters
        kernel = kernel_part((*shape, inputs, units), zero=True)
        return kernel, bias_part((*shape, 1, units))

    def _outputs(self, x, arrays, seen, training):
        """Outputs, `[M, D, N, P]`, of D columns, given their weights and rows of `seen`."""
        seen = tf.constant(seen[..., None], x.dtype)
        (kernel, bias), *others = arrays.layers
        hidden = self._drop(self._activated(x, kernel * seen, bias), training=training)
        for layer in others:
            hidden += self._drop(self._activated(hidden, *layer), training=training)
        kernel, bias = arrays.outputs
        return hidden @ kernel + bias + tf.matmul(x, arrays.direct * seen)

    def _activated(self, x, kernel, bias):
        return self.activation(tf.matmul(x, kernel) + bias)


class EntryFeatures:
    """Features of the entries of rows: first those of the codes, then of the numbers.

    ```none
    code of V values:   (x = 0, ..., x = V - 1)
    number:             sqrt(1 + B) u, on the standardised line, u clipped to [-6, 6], and
                        for each of the B pairs of neighbouring knots a < b
                        (u - a) / (b - a) - 1/2, clipped to [-1/2, 1/2];
                        0.1 times the same for each pair of fine knots; and for each of
                        its common numbers 0.3 (x = that number); 0 if absent
    number on a circle: cos u, sin u; 0, 0 if absent
    ```

    Features between knots let networks learn thresholds as fast as lines, and those of
    common numbers what only rows with this number have in common. The root makes up
    for the number of features, by which the initial weights of networks are divided. The
    many features between fine knots, and those of common numbers, are smaller, since all of
    them learn at once.

    Args:
      num_values: number of values of each of the K codes.
      numbers: a `NumberSpec` for each of the D numbers.
      knots: increasing, on the standardised line; without knots, a number is u alone.
      fine_knots: further knots, increasing, if there are `knots`.

    Attributes:
      maps: the `NumberMaps` of the numbers.
      num_codes: K.
      num_numbers: D.
      num_entries: K + D.
      size: number of features, F.
      column_of_each: -1 for each feature of a code, else the index of the number, `[F]`.
      is_fine: which features are between fine knots, booleans `[F]`.

    Reference:
      Gorishniy, Rubachev, Babenko (2022), On embeddings for numerical features in tabular
      deep learning. https://arxiv.org/abs/2203.05556 (section 3.2)
    """

    def __init__(
        self,
        num_values: Sequence[int],
        numbers: Sequence[NumberSpec],
        knots: Sequence[float] = (),
        fine_knots: Sequence[float] = (),
    ) -> None:
        self.num_values = list(num_values)
        self.maps = NumberMaps(numbers)
        self.num_codes, self.num_numbers = len(self.num_values), len(self.maps.specs)
        self.num_entries = self.num_codes + self.num_numbers
        self._code_of = np.array([spec.code for spec in numbers], int)
        self._knots, self._fine_knots = tuple(knots), tuple(fine_knots)
        num_fine = np.where(self.maps.is_circle, 0, max(len(fine_knots) - 1, 0))
        num_coarse = np.where(self.maps.is_circle, 2, max(len(knots), 1))
        common = [spec.common for spec in numbers]
        num_common = np.array([len(values) for values in common], int)
        self._common = np.concatenate([[], *common])
        self._with_common = np.repeat(np.arange(self.num_numbers), num_common)
        widths = (num_coarse + num_fine).astype(int)
        # The features on lines and circles, then those of common numbers; sorted by number.
        number_of_each = np.repeat(np.arange(self.num_numbers), widths)
        number_of_each = np.concatenate([number_of_each, self._with_common])
        self._by_number = np.argsort(number_of_each, kind="stable")
        widths += num_common
        from_numbers = np.repeat(np.arange(self.num_numbers), widths)
        from_codes = np.full(sum(self.num_values), -1)
        self.column_of_each = np.concatenate([from_codes, from_numbers])
        is_fine = [
            np.repeat([False, True, False], counts)
            for counts in zip(num_coarse, num_fine, num_common, strict=True)
        ]
        self.is_fine = np.concatenate([from_codes > 0, *is_fine])
        self.size = len(self.column_of_each)

    def __call__(
        self, x: tf.Tensor, dtype: tf.DType, room: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns features, `[N, F]`, of rows, `[N, K + D]`, and any rooms, `[N, D]`."""
        codes, numbers = self.split(x)
        maps = self.maps.within(room, range(self.num_numbers))
        middle = maps.middle(numbers)
        (low, high), y = maps.ends, maps.share(middle)
        is_line = ~self.maps.is_circle  # a circle has no far ends
        is_low, is_high = is_line & (y <= low), is_line & (y >= high)
        u = tf.where(is_low, tf.constant(-FEATURE_BOUND, y.dtype), maps.forward(middle).u)
        u = tf.where(is_high, tf.constant(FEATURE_BOUND, y.dtype), u)
        from_numbers = self.from_numbers(numbers, u, self.is_present(codes), dtype)
        return tf.concat([self.from_codes(codes, dtype), from_numbers], axis=1)

    def from_columns(self, columns: Sequence[int]) -> EntryFeatures:
        """Returns the features of some of the numbers, without codes."""
        specs = [self.maps.specs[column] for column in columns]
        return EntryFeatures([], specs, self._knots, self._fine_knots)

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the codes, `[N, K]`, and the numbers, `[N, D]`, of rows."""
        return x[:, : self.num_codes], x[:, self.num_codes :]

    def is_present(self, codes: tf.Tensor) -> tf.Tensor:
        """Returns which numbers are present, `[N, D]`, by the codes."""
        if not (self._code_of >= 0).any():
            return tf.ones([tf.shape(codes)[0], self.num_numbers], tf.bool)
        from_numbers = tf.gather(codes, np.maximum(self._code_of, 0), axis=1)
        return tf.equal(from_numbers, 0.0) | (self._code_of < 0)

    def from_codes(self, codes: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Returns features of codes, `[N, K]`."""
        one_hot = [
            tf.one_hot(tf.cast(codes[:, k], tf.int32), count, dtype=dtype)
            for k, count in enumerate(self.num_values)
        ]
        return tf.concat([*one_hot, tf.zeros([tf.shape(codes)[0], 0], dtype)], axis=1)

    def from_numbers(
        self, y: tf.Tensor, u: tf.Tensor, is_present: tf.Tensor, dtype: tf.DType
    ) -> tf.Tensor:
        """Returns features of numbers y, `[N, D]`, with places u on their lines."""
        u = tf.cast(u, dtype)[..., None]
        parts, is_circle = [self._on_line(u)], self.maps.is_circle
        width = parts[0].shape[2]
        if is_circle.any():
            parts += [tf.cos(u), tf.sin(u)]
        features = tf.cast(is_present, dtype)[..., None] * tf.concat(parts, axis=2)
        features = tf.reshape(features, [tf.shape(u)[0], math.prod(features.shape[1:])])
        if is_circle.any():  # each number keeps the features of its kind
            of_circle = np.arange(width + 2) >= width
            kept = np.flatnonzero(of_circle == is_circle[:, None])
            features = tf.gather(features, kept, axis=1)
        if len(self._common):  # then sorted beside the other features of their numbers
            is_common = tf.gather(y, self._with_common, axis=1) == self._common
            is_common &= tf.gather(is_present, self._with_common, axis=1)
            features = tf.concat(
                [features, _COMMON_SCALE * tf.cast(is_common, dtype)], axis=1
            )
            features = tf.gather(features, self._by_number, axis=1)
        return features

    def _on_line(self, value):
        """Features, `[N, D, B]`, of numbers on lines, `[N, D, 1]`."""
        near = tf.clip_by_value(value, -FEATURE_BOUND, FEATURE_BOUND)
        if not self._knots:
            return near
        features = [len(self._knots) ** 0.5 * near, _between(near, self._knots)]
        if self._fine_knots:
            features.append(_FINE_SCALE * _between(near, self._fine_knots))
        return tf.concat(features, axis=2)


def _between(u, knots):
    """Where u, `[..., 1]`, is between neighbouring knots, from -1/2 to 1/2, `[..., B]`."""
    low, width = np.asarray(knots[:-1]), np.diff(knots)
    return tf.clip_by_value((u - low) / width, 0.0, 1.0) - 0.5
