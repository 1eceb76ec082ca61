"""Frames of rows in any form: pandas, NumPy, or a dictionary; read, and written again."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Frame", "is_missing", "written"]


class Frame:
    """Named columns of equal length, and the form that they came in.

    Args:
      table: a pandas data frame, a structured or a 2-D NumPy array, whose columns are then
        called `x0`, `x1`, ..., or a dictionary of columns.
      argument: what an error calls it.

    Raises:
      ValueError: if it is something else, has no columns, columns of one name or of
        different lengths, or one with more than one axis.

    Attributes:
      columns: arrays `[N]` by name: of numbers, booleans, datetimes, or objects.
      form: "pandas", "structured", "array", or "dictionary".
    """

    def __init__(self, table: Any, argument: str = "frame") -> None:
        self.form, self.columns = _read(table, argument)
        lengths = {name: len(column) for name, column in self.columns.items()}
        if not lengths:
            raise ValueError(f"Expected `{argument}` with columns; got none.")
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"Expected `{argument}` of columns of one length; got {lengths}."
            )

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, names: Sequence[str], argument: str = "frame") -> dict[str, np.ndarray]:
        """Returns columns by name.

        A 2-D array of as many columns has the names, in their order.

        Raises:
          ValueError: if one is missing; says which, and what there is.
        """
        if self.form == "array" and len(names) == len(self.columns):
            return dict(zip(names, self.columns.values(), strict=True))
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"Expected `{argument}` with the columns {list(names)}; it lacks "
                f"{missing}, and has {self.names}."
            )
        return {name: self.columns[name] for name in names}


def written(columns: dict[str, np.ndarray], form: str) -> Any:
    """Returns columns in one of the forms of a `Frame`."""
    if form == "pandas":
        return importlib.import_module("pandas").DataFrame(columns)
    if form == "structured":
        kinds = [(name, _plain(column).dtype) for name, column in columns.items()]
        rows = np.empty(len(next(iter(columns.values()))), kinds)
        for name, column in columns.items():
            rows[name] = column
        return rows
    if form == "array":
        return np.stack(list(columns.values()), axis=1)
    return columns


def is_missing(column: np.ndarray) -> np.ndarray:
    """Which cells are missing, booleans `[N]`: None, NaN, NaT, or pandas's NA."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind in "Mm":
        return np.isnat(column)
    if column.dtype.kind != "O":
        return np.zeros(len(column), bool)
    return np.array([_is_missing_cell(cell) for cell in column], bool)


def _is_missing_cell(cell):
    try:
        return cell is None or not bool(cell == cell)
    except TypeError:  # of pandas's NA, which is neither true nor false
        return True


def _read(table, argument):
    if hasattr(table, "columns") and hasattr(table, "dtypes"):  # pandas
        names = [str(name) for name in table.columns]
        _refuse_repeated(names, argument)
        series = [_of_series(table.iloc[:, i]) for i in range(len(names))]
        return "pandas", dict(zip(names, series, strict=True))
    if isinstance(table, dict):
        columns = {str(name): np.asarray(column) for name, column in table.items()}
        _refuse_axes(columns, argument)
        return "dictionary", columns
    array = np.asarray(table)
    if array.dtype.names is not None:
        columns = {name: np.atleast_1d(array[name]) for name in array.dtype.names}
        _refuse_axes(columns, argument)
        return "structured", columns
    if array.ndim != 2 or array.dtype.kind not in "biufO":
        raise ValueError(
            f"Expected `{argument}`: a data frame, a 2-D array, a structured array or a "
            f"dictionary of columns; got {type(table).__name__} of shape {array.shape}."
        )
    return "array", {f"x{i}": array[:, i] for i in range(array.shape[1])}


def _of_series(series):
    kind = getattr(series.dtype, "kind", "O")
    if kind == "M":
        return series.to_numpy(dtype="datetime64[ns]")
    is_numpy = isinstance(series.dtype, np.dtype)
    return series.to_numpy() if is_numpy else series.to_numpy(dtype=object)


def _refuse_repeated(names, argument):
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"Expected `{argument}` with a name for each column; got {repeated} twice."
        )


def _refuse_axes(columns, argument):
    for name, column in columns.items():
        if column.ndim != 1:
            raise ValueError(
                f"Expected `{argument}` with columns of one axis; got {name!r} of shape "
                f"{column.shape}."
            )


def _plain(column):
    return np.asarray(column.tolist()) if column.dtype.kind == "O" else column
