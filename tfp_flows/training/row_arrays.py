"""Rows in memory: arrays of numbers, checked."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_names, require
from tfp_flows.core.rows import check_rows
from tfp_flows.core.statistics import check_resolution
from tfp_flows.training.row_batches import given_order, new_orders, row_batches
from tfp_flows.training.row_format import RowFormat, Rows


class RowArrays:
    """Data in memory: arrays of rows, contexts and weights of equal length.

    Args:
      row_format: the `RowFormat` of the model.
      rows: `Rows` of anything that NumPy converts to arrays.

    Raises:
      ValueError: if something is not numeric, or of another shape or length, there are no
        rows, or they have values that no row may have.
    """

    def __init__(self, row_format: RowFormat, rows: Rows) -> None:
        for name, names in row_format.columns.items():
            check_names(name, getattr(rows, name), names)
        require(rows.x is not None, "`x` as an array of numbers", None)
        self._format = row_format
        given = {name: _as_array(part, name) for name, part in rows.by_argument.items()}
        x, context, weight = given["x"], given.get("context"), given.get("sample_weight")
        self.rows = Rows(x, context, weight)
        event_shape = tf.TensorShape(row_format.event_shape)
        check_rows(x, context, event_shape, row_format.context_size, argument="x")
        if weight is not None:
            words = f"`sample_weight` of shape [{len(x)}], one a row of `x`"
            require(weight.shape in ((len(x),), (len(x), 1)), words, weight.shape)
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

    def check_finite(self, prefix: str = "") -> None:
        """Raises `ValueError` if values are not finite."""
        for name, array in self.rows.by_argument.items():
            check_finite(array, prefix + name)

    def split(self, share: float) -> list[RowArrays]:
        """Returns the first rows, and the last rows, which are a `share` of all.

        Raises `ValueError` if one part has no rows, or weights without a positive sum.
        """
        num_rows = len(self.rows.x)
        count = math.floor(num_rows * (1.0 - share))  # as Keras splits
        words = "`validation_split` that leaves rows for training and for validation"
        require(0 < count < num_rows, words, f"{share} of {num_rows} rows")
        return [self._part(slice(count)), self._part(slice(count, None))]

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
            total = self.rows.weight.sum()
            require(total > 0, "`sample_weight` with a sum above 0", total)


def _as_array(value: Any, argument: str) -> np.ndarray:
    """Returns a numeric array of lists, arrays, tensors, or a table with `__array__`.

    Raises `ValueError`, which names the `argument`, if entries are missing or no real
    numbers.
    """
    require(not np.ma.is_masked(value), f"`{argument}` without masked entries", "some")
    try:
        array = np.asarray(value)
        if array.dtype == object and _are_numbers(array):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected `{argument}` as an array of numbers; {error}"
        ) from error
    if array.dtype == bool:
        return array.astype(np.uint8)  # TensorFlow converts no booleans by itself
    if array.dtype.kind not in "iuf" and not _is_small_float(array.dtype):
        raise ValueError(
            f"Expected `{argument}` as an array of numbers; got {_described(value, array)}."
        )
    return array


def check_finite(array: np.ndarray, argument: str) -> None:
    """Raises `ValueError`, with the first row, if an array has NaN or infinity."""
    if array.dtype.kind in "biu" or not array.size:
        return
    # Minimum and maximum are NaN if one value is.
    if np.isfinite(array.min()) and np.isfinite(array.max()):
        return
    rows = array.reshape(len(array), -1)
    bad = np.argwhere(~np.isfinite(rows))
    row, entry = bad[0]
    raise ValueError(
        f"Expected finite `{argument}`; got {rows[row, entry]} in row {row} "
        f"({len(np.unique(bad[:, 0]))} of {len(rows)} rows have such values)."
    )


def _from_dtype(array, dtype):
    if array.dtype.kind in "biu":  # the model casts integers, a batch at a time
        dtype = array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False)


def _is_small_float(dtype):
    # NumPy takes bfloat16 and other small floats for void.
    return dtype.kind == "V" and dtype.names is None and tf.as_dtype(dtype).is_floating


def _are_numbers(array):
    """Whether an object array holds numbers: a table with several numeric dtypes does."""
    numbers = (bool, int, float, np.number, np.bool_)
    return all(isinstance(entry, numbers) for entry in array.flat)


def _described(value, array):
    kinds = getattr(value, "dtypes", None)  # a table has one for each column
    if kinds is None:
        return f"dtype {array.dtype}"
    columns = [str(name) for name, kind in kinds.items() if kind.kind not in "biuf"]
    if not columns:
        return "a table with missing entries"
    return f"a table whose columns {columns} are not of numbers"
