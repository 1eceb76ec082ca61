"""Cells of one column: numbers, booleans, dates or texts, and which are missing."""

from __future__ import annotations

import datetime
import typing
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require

# Type of cells by the kind of NumPy's dtype.
_TYPES = {"i": "number", "u": "number", "f": "number", "b": "boolean"}
_TYPES |= {"U": "text", "M": "date"}
# By type: the value in place of a missing cell, and the dtype of the values.
_FILL: dict[str, tuple] = {
    "number": (np.nan, np.float64),
    "boolean": (False, bool),
    "text": ("", object),
    "date": (np.datetime64("NaT"), "datetime64[ns]"),
}
_ALLOWED = "numbers, booleans, dates or texts"
_HINT_ON_TIMES = " Divide times by a unit, such as numpy.timedelta64(1, 's')."
_HINT_ON_PERIODS = (
    " Intervals and periods may be the categories of a column, by astype('category'); "
    "`dt.to_timestamp()` makes periods dates."
)
_DAY = np.timedelta64(86_400_000_000_000, "ns")
_EPOCH = np.datetime64(0, "ns")
_MOST_DAYS = 106_751.0  # days before and after 1970 that 64 bits of nanoseconds hold


class Cells(typing.NamedTuple):
    """Cells of one type."""

    type: str  # "number", "boolean", "date" or "text"
    values: np.ndarray  # `[N]` float64, booleans, datetimes or texts; any where missing
    is_missing: np.ndarray  # booleans, `[N]`

    def numbers(self) -> np.ndarray:
        """Returns numbers, `[N]` float64, with days for dates; NaN where missing."""
        values = days_from_dates(self.values) if self.type == "date" else self.values
        return np.where(self.is_missing, np.nan, values.astype(np.float64))


def cells_of(name: str, column: np.ndarray) -> Cells:
    """Returns the cells of a column, `[N]`, of one type and without infinite numbers."""
    absent = is_missing(column)
    kind = _TYPES.get(column.dtype.kind, "")
    if column.dtype.kind == "O":
        kind = _type_of_objects(name, column, absent)
    hint = _HINT_ON_TIMES if column.dtype.kind == "m" else ""
    require(kind, f"{_ALLOWED} in column {name!r}", column.dtype, hint)
    fill, dtype = _FILL[kind]
    values = np.full(len(column), fill, dtype)
    if kind == "date":
        values[~absent] = in_nanoseconds(name, column[~absent])
    else:
        values[~absent] = _astype(name, column[~absent], dtype)
    if kind == "number":
        values += 0.0  # -0 is 0, which is shown and drawn
    infinite = np.flatnonzero(np.isinf(values) if kind == "number" else [])
    if len(infinite):
        raise ValueError(
            f"Expected finite numbers in column {name!r}; got {values[infinite[0]]} in row "
            f"{infinite[0]} ({len(infinite)} of {len(values)} rows)."
        )
    return Cells(kind, values, absent)


def is_missing(column: np.ndarray) -> np.ndarray:
    """Returns which cells are missing, booleans `[N]`: None, NaN, NaT, or pandas's NA."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind in "Mm":
        return np.isnat(column)
    if column.dtype.kind != "O":
        return np.zeros(len(column), bool)
    return np.array([_is_missing_cell(cell) for cell in column], bool)


def days_from_dates(dates: np.ndarray) -> np.ndarray:
    """Returns days since 1970, `[...]`, from datetimes in nanoseconds."""
    return (dates - _EPOCH) / _DAY


def days_if_dates(column: np.ndarray) -> np.ndarray:
    """Returns a column of dates, `[N]`, as days since 1970; any other as it is."""
    return days_from_dates(column) if column.dtype.kind == "M" else column


def dates_from_days(days: np.ndarray) -> np.ndarray:
    """Returns datetimes, in nanoseconds, from days since 1970, `[...]`.

    Dates before 1677-09-22 or after 2262-04-11 are moved to these days; NaN is NaT.
    """
    is_absent = np.isnan(days)
    days = np.clip(np.where(is_absent, 0.0, days), -_MOST_DAYS, _MOST_DAYS)
    nanoseconds = np.round(days * (_DAY / np.timedelta64(1, "ns")))
    dates = _EPOCH + nanoseconds.astype("timedelta64[ns]")
    return np.where(is_absent, np.datetime64("NaT", "ns"), dates)


def with_missing(cells: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Returns cells, `[N]`, that are missing where the booleans, `[N]`, are True."""
    if not where.any():
        return cells
    if cells.dtype.kind in "iuf":
        return np.where(where, np.nan, cells)
    cells = cells.astype(object)
    cells[where] = None
    return cells


def with_cells(cells: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Returns cells, `[N]`, and other ones where the booleans, `[N]`, are True."""
    if not where.any() or where.all():
        return other if where.all() else cells
    are_alike = cells.dtype.kind == other.dtype.kind
    are_alike |= {cells.dtype.kind, other.dtype.kind} <= set("iuf")
    kind = None if are_alike else object
    return np.where(where, np.asarray(other, kind), np.asarray(cells, kind))


def in_nanoseconds(name: str, dates: Any) -> np.ndarray:
    """Returns dates as `datetime64[ns]`; refuses dates that it does not hold."""
    converted = np.asarray(dates, "datetime64[ns]")
    microseconds = np.asarray(dates, "datetime64[us]")
    is_held = np.isnat(microseconds) | (converted.astype("datetime64[us]") == microseconds)
    words = f"dates from 1677-09-22 to 2262-04-11 in column {name!r}"
    got = f"{microseconds[~is_held][:1]} ({np.sum(~is_held)} of {len(dates)} rows)"
    require(is_held.all(), words, got, " Make such cells missing.")
    return converted


def _astype(name, cells, dtype):
    try:
        return cells.astype(dtype)
    except OverflowError as error:  # a large Python integer
        words = f"numbers within {np.finfo(np.float64).max:.2g} in column {name!r}"
        raise ValueError(f"Expected {words}; got a larger one.") from error


def _type_of_objects(name, column, absent):
    present = np.flatnonzero(~absent)
    types = [_type_of(cell) for cell in column[present]]
    for row, kind in zip(present, types, strict=True):
        if kind == "date" and getattr(column[row], "tzinfo", None) is not None:
            words = f"dates without a time zone in column {name!r}"
            hint = " A pandas column of dtype datetime64[ns, UTC] may have one."
            require(False, words, f"{column[row]!r} in row {row}", hint)
        if kind is None or kind != types[0]:
            got, first = f"{column[row]!r} in row {row}", present[0]
            is_time = isinstance(column[row], (datetime.timedelta, np.timedelta64))
            hint = _HINT_ON_TIMES if is_time else ""
            if type(column[row]).__name__ in ("Interval", "Period"):  # of pandas
                hint = _HINT_ON_PERIODS
            require(kind, f"{_ALLOWED} in column {name!r}", got, hint)
            got = f"{column[first]!r} in row {first}, {got}"
            raise ValueError(f"Expected cells of one type in column {name!r}; got {got}.")
    return types[0] if types else "number"


def _type_of(cell):
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (np.timedelta64, np.complexfloating)):  # NumPy's numbers, too
        return None
    if isinstance(cell, (int, float, np.number)):
        return "number"
    if isinstance(cell, str):
        return "text"
    return "date" if isinstance(cell, (np.datetime64, datetime.date)) else None


def _is_missing_cell(cell):
    try:
        return cell is None or not bool(cell == cell)
    except TypeError:  # pandas's NA is neither true nor false
        return True
    except ValueError:  # an array, which is no cell
        return False
