"""Rows in memory: arrays of numbers, checked."""

from __future__ import annotations

import copy
import math

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_column_names, check_share, require
from tfp_flows.core.rows import as_array, check_rows, check_weight
from tfp_flows.core.statistics import check_finite, check_resolution
from tfp_flows.training.row_batches import given_order, new_orders, row_batches
from tfp_flows.training.row_format import RowFormat, Rows


class RowArrays:
    """Data in memory: arrays of rows, contexts and weights of equal length.

    Args:
      row_format: the `RowFormat` of the model.
      rows: `Rows` of anything that NumPy converts to arrays.

    Raises:
      ValueError: if something is not numeric, or of another shape or length, there are no
        rows, they have values that no row may have, or weights are negative.
    """

    def __init__(self, row_format: RowFormat, rows: Rows) -> None:
        for name, names in row_format.columns.items():
            check_column_names(name, getattr(rows, name), names)
        require(rows.x is not None, "`x` as an array of numbers", None)
        self._format = row_format
        parts = {name: as_array(part, name) for name, part in rows.by_argument.items()}
        x, context, weight = parts["x"], parts.get("context"), parts.get("sample_weight")
        self.rows = Rows(x, context, weight)
        event_shape = tf.TensorShape(row_format.event_shape)
        check_rows(x, context, event_shape, row_format.context_size, argument="x")
        if weight is not None:
            check_weight(weight, len(x))
        if row_format.check is not None:
            row_format.check(x)

    def check(self, prefix: str = "") -> None:
        """Raises `ValueError` for data that cannot be fitted.

        Values must be finite, and resolved by the dtype; weights must have a positive sum.
        In errors, `prefix` stands before the names of the parts.
        """
        self.check_finite(prefix)
        for name, array in self.rows.by_argument.items():
            check_resolution(array, self._format.dtype, prefix + name)
        self._check_weights()

    def check_finite(self, prefix: str = "", *, is_batch: bool = False) -> None:
        """Raises `ValueError` if values are not finite."""
        for name, array in self.rows.by_argument.items():
            check_finite(array, prefix + name, is_batch=is_batch)

    def split(self, share: float) -> list[RowArrays]:
        """Returns the first rows, and the last rows, which are a `share` of all.

        Raises `ValueError` if one part has no rows, or weights without a positive sum.
        """
        check_share("validation_split", share)
        num_rows = len(self.rows.x)
        count = math.floor(num_rows * (1.0 - share))  # as Keras splits
        words = "`validation_split` that leaves rows for training and for validation"
        require(0 < count < num_rows, words, f"{share} of {num_rows} rows")
        return [self._part(slice(count)), self._part(slice(count, None))]

    def with_mean_weight_one(self) -> RowArrays:
        """Returns the rows with weights divided by their mean, which has no unit."""
        weight = self.rows.weight
        if weight is None:
            return self
        scaled = copy.copy(self)
        weight = weight.astype(np.float64)
        scaled.rows = self.rows._replace(weight=weight / weight.mean())
        return scaled

    def for_keras(
        self,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool = False,
    ) -> tf.data.Dataset:
        """Returns the batches that Keras's `fit`, `evaluate` and `predict` take."""
        dtype = self._format.dtype.as_numpy_dtype
        rows = self.rows.map(lambda array: _from_dtype(array, dtype))
        count = len(rows.x)
        batch_size = batch_size or (math.ceil(count / steps) if steps else 32)
        order = new_orders(count) if shuffle else given_order(count)
        return row_batches(rows.as_batch(), order, batch_size)

    def _part(self, index):
        part = copy.copy(self)
        part.rows = self.rows.map(lambda array: array[index])
        part._check_weights()
        return part

    def _check_weights(self):
        if self.rows.weight is not None:
            # Small weights may be zero in the dtype of the model.
            total = self.rows.weight.astype(self._format.dtype.as_numpy_dtype).sum()
            require(total > 0, "`sample_weight` with a sum above 0", total)


def _from_dtype(array, dtype):
    if array.dtype.kind in "biu":  # the model casts integers, a batch at a time
        dtype = array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False)
