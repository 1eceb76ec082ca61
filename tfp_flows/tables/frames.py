"""Frames of rows in any form: pandas, NumPy, or a dictionary; read, and written again."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Form", "Frame", "is_missing"]


class Form(typing.NamedTuple):
    """The form of a frame, in which other rows can be written.

    Attributes:
      name: "pandas", "structured", "array", or "dictionary".
      is_ordered: of pandas's categorical columns, by name, whether they have an order.
    """

    name: str
    is_ordered: dict[str, bool]

    @classmethod
    def from_plain(cls, plain: Any) -> Form:
        """Rebuilds what `list(form)` was; or of older files the name alone."""
        return cls(plain, {}) if isinstance(plain, str) else cls(*plain)

    def written(self, columns: dict[str, np.ndarray], values: dict[str, list]) -> Any:
        """Returns columns in this form.

        Args:
          columns: arrays `[N]` by name.
          values: of the columns that have a list of values, by name: the categories of
            those that are pandas's categorical ones.
        """
        if self.name == "pandas":
            pandas = importlib.import_module("pandas")
            categorical = {
                name: pandas.Categorical(columns[name], values[name], is_ordered)
                for name, is_ordered in self.is_ordered.items()
                if name in columns and name in values
            }
            return pandas.DataFrame({**columns, **categorical})
        if self.name == "structured":
            return _structured(columns)
        if self.name == "array":
            return np.stack(list(columns.values()), axis=1)
        return columns


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
      form: the `Form` that it has.
      categories: lists of those of pandas's categorical columns, by name.
    """

    def __init__(self, table: Any, argument: str = "frame") -> None:
        form, columns = _read(table, argument)
        self.columns = {name: _as_array(column) for name, column in columns.items()}
        _refuse_axes(self.columns, argument)
        types = _categorical_types(columns)
        self.form = Form(form, {name: bool(t.ordered) for name, t in types.items()})
        self.categories = {name: t.categories.tolist() for name, t in types.items()}
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
        if self.form.name == "array" and len(names) == len(self.columns):
            return dict(zip(names, self.columns.values(), strict=True))
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"Expected `{argument}` with the columns {list(names)}; it lacks "
                f"{missing}, and has {self.names}."
            )
        return {name: self.columns[name] for name in names}


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
    """Returns the name of the form, and columns as they are, by name."""
    if hasattr(table, "columns") and hasattr(table, "dtypes"):  # pandas
        names = [str(name) for name in table.columns]
        _refuse_repeated(names, argument)
        return "pandas", {name: table.iloc[:, i] for i, name in enumerate(names)}
    if isinstance(table, dict):
        return "dictionary", {str(name): column for name, column in table.items()}
    array = np.asarray(table)
    if array.dtype.names is not None:
        columns = {name: np.atleast_1d(array[name]) for name in array.dtype.names}
        return "structured", columns
    if array.ndim != 2 or array.dtype.kind not in "biufO":
        raise ValueError(
            f"Expected `{argument}`: a data frame, a 2-D array, a structured array or a "
            f"dictionary of columns; got {type(table).__name__} of shape {array.shape}."
        )
    return "array", {f"x{i}": array[:, i] for i in range(array.shape[1])}


def _as_array(column):
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind != "M" or dtype is None:
        return np.asarray(column)
    kind = getattr(dtype, "kind", "O")
    return np.asarray(column, "datetime64[ns]" if kind == "M" else object)


def _categorical_types(columns):
    """Those of pandas's categorical columns, by name."""
    types = {name: getattr(column, "dtype", None) for name, column in columns.items()}
    return {name: dtype for name, dtype in types.items() if hasattr(dtype, "categories")}


def _structured(columns):
    kinds = [(name, _plain(column).dtype) for name, column in columns.items()]
    rows = np.empty(len(next(iter(columns.values()))), kinds)
    for name, column in columns.items():
        rows[name] = column
    return rows


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
