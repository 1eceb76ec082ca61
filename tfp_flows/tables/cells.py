"""Cells of a column as numbers, booleans, dates or texts, and which are missing."""

from __future__ import annotations

import typing

import numpy as np

from tfp_flows.tables.frames import is_missing

__all__ = ["Cells", "cells_of"]


class Cells(typing.NamedTuple):
    """Cells of one type.

    Attributes:
      type: "number", "boolean", "date" or "text".
      values: `[N]`: float64, booleans, datetimes, or texts; anything where missing.
      is_missing: booleans, `[N]`.
    """

    type: str
    values: np.ndarray
    is_missing: np.ndarray


def cells_of(name: str, column: np.ndarray) -> Cells:
    """Returns the cells of a column, `[N]`.

    Raises:
      ValueError: if cells are of several types, or infinite; names the column, a row, and
        what is there.
    """
    absent = is_missing(column)
    if column.dtype.kind == "M":
        return Cells("date", column.astype("datetime64[ns]"), absent)
    if column.dtype.kind == "b":
        return Cells("boolean", column, absent)
    if column.dtype.kind in "iuf":
        return Cells("number", _finite(name, column.astype(np.float64), absent), absent)
    if column.dtype.kind == "U":
        return Cells("text", column.astype(object), absent)
    if column.dtype.kind != "O":
        raise ValueError(
            f"Expected numbers, booleans, dates or texts in column {name!r}; got "
            f"{column.dtype}."
        )
    return _of_objects(name, column, absent)


def _of_objects(name, column, absent):
    present = np.flatnonzero(~absent)
    types = [_type_of(cell) for cell in column[present]]
    if not types:
        return Cells("number", np.full(len(column), np.nan), absent)
    for row, found in zip(present, types, strict=True):
        if found is None:
            raise ValueError(
                f"Expected numbers, booleans, dates or texts in column {name!r}; got "
                f"{column[row]!r} in row {row}."
            )
        if found != types[0]:
            raise ValueError(
                f"Expected cells of one type in column {name!r}; got "
                f"{column[present[0]]!r} in row {present[0]}, {column[row]!r} in row {row}."
            )
    fill = {"number": np.nan, "boolean": False, "text": "", "date": np.datetime64("NaT")}
    kinds = {"number": np.float64, "boolean": bool, "text": object}
    values = np.array([fill[types[0]]] * len(column), kinds.get(types[0], "datetime64[ns]"))
    values[present] = column[present].astype(values.dtype)
    if types[0] == "number":
        _finite(name, values, absent)
    return Cells(types[0], values, absent)


def _type_of(cell):
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (int, float, np.number)):
        return "number"
    if isinstance(cell, str):
        return "text"
    is_date = isinstance(cell, np.datetime64) or hasattr(cell, "isoformat")
    return "date" if is_date else None


def _finite(name, values, absent):
    infinite = np.flatnonzero(~np.isfinite(values) & ~absent)
    if len(infinite):
        raise ValueError(
            f"Expected finite numbers in column {name!r}; got {values[infinite[0]]} in row "
            f"{infinite[0]} ({len(infinite)} of {len(values)} rows)."
        )
    return values
