"""What networks see of the cells of a row: categories one-hot, numbers on a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.number_maps import NumberSpec

__all__ = ["FARTHEST", "KNOTS", "CellFeatures"]

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

    def of_columns(self, columns: Sequence[int]) -> CellFeatures:
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
        of_numbers = np.repeat(np.arange(self.num_numbers), self._widths)
        return np.concatenate([np.full(self.size_of_codes, -1), of_numbers])

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns codes, `[N, K]`, and numbers, `[N, D]`."""
        return x[:, : self.num_codes], x[:, self.num_codes :]

    def is_present(self, codes: tf.Tensor) -> tf.Tensor:
        """Which numbers there are, `[N, D]`."""
        if not (self._code_of >= 0).any():
            return tf.ones([tf.shape(codes)[0], self.num_numbers], tf.bool)
        of_numbers = tf.gather(codes, np.maximum(self._code_of, 0), axis=1)
        return tf.equal(of_numbers, 0.0) | (self._code_of < 0)

    def of_codes(self, codes: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Features of codes, `[N, K]`."""
        one_hot = [
            tf.one_hot(tf.cast(codes[:, k], tf.int32), count, dtype=dtype)
            for k, count in enumerate(self.num_values)
        ]
        return tf.concat([*one_hot, tf.zeros([tf.shape(codes)[0], 0], dtype)], axis=1)

    def of_numbers(self, u: tf.Tensor, is_present: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
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
        of_numbers = self.of_numbers(u, self.is_present(codes), dtype)
        return tf.concat([self.of_codes(codes, dtype), of_numbers], axis=1)


def _on_circle(value):
    return tf.concat([tf.cos(value), tf.sin(value)], axis=1)
