"""Arrays of rows in memory, checked, in the form that Keras takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.rows import check_rows
from tfp_flows.core.statistics import check_resolution
from tfp_flows.models.row_batches import given_order
from tfp_flows.models.row_batches import new_orders
from tfp_flows.models.row_batches import row_batches
from tfp_flows.models.row_format import RowFormat
from tfp_flows.models.row_format import Rows

__all__ = ["RowArrays", "check_finite"]


class RowArrays:
    """Arrays of rows, and of their context and weights, of equal length.

    Args:
      row_format: the `RowFormat` of the model.
      rows: `Rows` of anything that NumPy makes an array of.

    Raises:
      ValueError: if something is not numeric, or of another shape or length, or there are
        no rows.
    """

    def __init__(self, row_format: RowFormat, rows: Rows) -> None:
        if rows.x is None:
            raise ValueError("Expected `x` as an array of numbers; got None.")
        self._format = row_format
        self.rows = Rows(
            **{
                name: as_array(value, name)
                for name, value in rows._asdict().items()
                if value is not None
            }
        )
        _check_shapes(self.rows, row_format)

    def check(self, argument: str = "x") -> None:
        """Raises `ValueError` if values are not finite, or not resolved by the dtype."""
        self.check_finite(argument)
        for name, array in self._named(argument):
            check_resolution(array, self._format.dtype, name)

    def check_finite(self, argument: str = "x") -> None:
        """Raises `ValueError` if values are not finite."""
        for name, array in self._named(argument):
            check_finite(array, name)

    def check_sum_of_weights(self) -> None:
        """Raises `ValueError` if weights add up to nothing, or less: no mean is theirs."""
        weight = self.rows.weight
        if weight is not None and not weight.sum() > 0:
            raise ValueError(
                f"Expected `sample_weight` with a sum above 0; got {weight.sum()}."
            )

    def first(self) -> Rows:
        """Returns all rows."""
        return self.rows

    def sample(self, most: int, num_batches: int | None = None) -> Rows:
        """Returns all rows, since they are in memory."""
        return self.rows

    def split(self, share: float) -> list[RowArrays]:
        """Returns the first rows and the last ones, which are a `share` of all."""
        count = math.floor(len(self.rows.x) * (1.0 - share))  # as Keras splits
        if not 0 < count < len(self.rows.x):
            raise ValueError(
                "Expected `validation_split` that leaves rows for training and for "
                f"validation; got {share} of {len(self.rows.x)} rows."
            )
        parts = slice(None, count), slice(count, None)
        return [
            RowArrays(self._format, _map(lambda array, part=part: array[part], self.rows))
            for part in parts
        ]

    def for_keras(
        self,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool = False,
    ) -> dict:
        """Returns arguments of Keras's `fit`, `evaluate` and `predict`, by name."""
        rows = _map(lambda array: _of_dtype(array, self._format.dtype), self.rows)
        count = len(rows.x)
        batch_size = batch_size or (math.ceil(count / steps) if steps else 32)
        order = new_orders(count) if shuffle else given_order(count)
        return {"x": row_batches(rows.as_batch(), order, batch_size)}

    def _named(self, argument):
        prefix = "" if argument == "x" else f"{argument}: "
        names = {"x": "x", "context": "context", "weight": "sample_weight"}
        for field, array in self.rows._asdict().items():
            if array is not None:
                yield prefix + names[field], array


def as_array(value: Any, argument: str) -> np.ndarray:
    """Returns a numeric array of lists, arrays, tensors, or a table with `__array__`.

    Raises `ValueError`, which names the `argument`, if entries are missing or no real
    numbers.
    """
    if np.ma.is_masked(value):
        raise ValueError(f"Expected `{argument}` without masked entries; got some.")
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
    # Both are NaN if one value is.
    if np.isfinite(array.min()) and np.isfinite(array.max()):
        return
    bad = ~np.isfinite(array)
    row = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
    value = array[row][bad[row]].flat[0]
    count = int(bad.reshape(len(array), -1).any(axis=1).sum())
    raise ValueError(
        f"Expected finite `{argument}`; got {value} in row {row} ({count} of "
        f"{len(array)} rows have such values)."
    )


def _check_shapes(rows, row_format):
    x, context, weight = rows
    event_shape, size = row_format.event_shape, row_format.context_size
    check_rows(x, context, tf.TensorShape(event_shape), size, argument="x")
    if weight is not None and weight.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(
            f"Expected `sample_weight` of shape [{len(x)}], one a row of `x`; got "
            f"{weight.shape}."
        )


def _map(function, rows):
    return Rows(*(None if array is None else function(array) for array in rows))


def _of_dtype(array, dtype):
    if array.dtype.kind in "biu":  # the model casts them, a batch at a time
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.astype(dtype.as_numpy_dtype, copy=False)


def _is_small_float(dtype):
    # NumPy does not know that bfloat16 and its like are numbers.
    return dtype.kind == "V" and dtype.names is None and tf.as_dtype(dtype).is_floating


def _are_numbers(array):
    # A table whose columns have several numeric dtypes.
    numbers = (bool, int, float, np.number, np.bool_)
    return all(isinstance(entry, numbers) for entry in array.flat)


def _described(value, array):
    kinds = getattr(value, "dtypes", None)  # of a table's columns
    if kinds is None:
        return f"dtype {array.dtype}"
    columns = [str(name) for name, kind in kinds.items() if kind.kind not in "biuf"]
    if not columns:
        return "a table with missing entries"
    return f"a table whose columns {columns} are not of numbers"
