"""Frames of rows in any form: pandas, NumPy, or a dictionary; read, and written again."""

from __future__ import annotations

import datetime
import importlib
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["cells_of", "Form", "Frame", "is_missing"]
# Units of dates, the coarsest first.
_UNITS = ("D", "h", "m", "s", "ms", "us")


class ColumnForm(typing.NamedTuple):
    """The form of one column, in which other cells can be written.

    Attributes:
      label: its name in the frame, which need not be a text.
      dtype: NumPy's or pandas's dtype; None if it is unknown.
      unit: of dates, the coarsest of NumPy's units in which all of them are whole (on the
        clock of their time zone): "D" of days; "" of other columns.
      has_days: whether its cells are objects `datetime.date`.
    """

    label: Any
    dtype: Any = None
    unit: str = ""
    has_days: bool = False

    def to_plain(self) -> list:
        """Returns values of JSON's types; `from_plain` reads them."""
        label = list(self.label) if isinstance(self.label, tuple) else self.label
        label = label.item() if isinstance(label, np.generic) else label
        return [label, _plain_dtype(self.dtype), self.unit, self.has_days]

    @classmethod
    def from_plain(cls, plain: Sequence) -> ColumnForm:
        """Rebuilds what `to_plain` has returned."""
        label, dtype, *others = plain
        label = tuple(label) if isinstance(label, list) else label
        return cls(label, _dtype_from_plain(dtype), *others)

    @property
    def is_ordered(self) -> bool:
        """Whether its dtype is that of pandas's categories with an order."""
        return bool(getattr(self.dtype, "ordered", False))

    def cells(self, values: np.ndarray) -> Any:
        """Returns cells, `[N]`, with this dtype and unit, if it can hold their values."""
        if self.dtype is None:
            return values
        if values.dtype.kind == "M":
            return self._dates(values)
        return _cast(values, self.dtype)

    def _dates(self, values):
        if hasattr(self.dtype, "tz"):
            return _zoned(values, self.dtype, self.unit)
        values = _rounded(values, self.unit)
        if not isinstance(self.dtype, np.dtype):
            return _cast(values, self.dtype)
        if self.dtype.kind == "M":
            return _rounded(values, np.datetime_data(self.dtype)[0]).astype(self.dtype)
        if self.dtype.kind != "O":
            return values
        # Objects of `datetime`, which have no nanoseconds.
        return values.astype(f"datetime64[{'D' if self.has_days else 'us'}]").astype(object)


class Form(typing.NamedTuple):
    """The form of a frame, in which other rows can be written.

    Attributes:
      name: "pandas", "structured", "array", or "dictionary".
      columns: the `ColumnForm` of each column, by name.
    """

    name: str
    columns: dict[str, ColumnForm]

    def to_plain(self) -> list:
        """Returns values of JSON's types; `from_plain` reads them."""
        return [self.name, {name: c.to_plain() for name, c in self.columns.items()}]

    @classmethod
    def from_plain(cls, plain: Any) -> Form:
        """Rebuilds what `to_plain` has returned."""
        name, columns = plain
        return cls(name, {n: ColumnForm.from_plain(c) for n, c in columns.items()})

    def written(
        self, columns: dict[str, Any], given: Sequence[str] = (), index: Any = None
    ) -> Any:
        """Returns columns in this form.

        Args:
          columns: arrays `[N]` by name, in the order that they shall have.
          given: names of those that stay as they are.
          index: of pandas's rows; None: their numbers.
        """
        forms = {name: self.columns.get(name, ColumnForm(name)) for name in columns}
        columns = {
            name: column if name in given else forms[name].cells(column)
            for name, column in columns.items()
        }
        if self.name == "pandas":
            pandas = importlib.import_module("pandas")
            each = {i: _series(c, index) for i, c in enumerate(columns.values())}
            rows = pandas.DataFrame(each, index=index)
            return rows.set_axis([forms[name].label for name in columns], axis=1)
        if self.name == "structured":
            return _structured(columns)
        if self.name == "array":
            rows = np.stack([np.asarray(column) for column in columns.values()], axis=1)
            dtype = next(iter(forms.values())).dtype
            return rows if dtype is None else _cast(rows, dtype)
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
      categories: lists of those of pandas's categorical columns, by name.
    """

    def __init__(self, table: Any, argument: str = "frame") -> None:
        self._table = table
        self._form_name, self._labels, self._sources = _read(table, argument)
        self.columns = {n: _as_array(column) for n, column in self._sources.items()}
        _refuse_axes(self.columns, argument)
        self.categories = {
            name: column.dtype.categories.tolist()
            for name, column in self._sources.items()
            if hasattr(getattr(column, "dtype", None), "categories")
        }
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

    @property
    def form(self) -> Form:
        """The `Form` that it has."""
        labels = zip(self._labels, self._sources.items(), strict=True)
        columns = {name: _column_form(label, c) for label, (name, c) in labels}
        return Form(self._form_name, columns)

    @property
    def index(self) -> Any:
        """The index of a pandas frame; None of another."""
        return self._table.index if self._form_name == "pandas" else None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, names: Sequence[str], argument: str = "frame") -> dict[str, np.ndarray]:
        """Returns columns by name.

        A 2-D array of as many columns has the names, in their order.

        Raises:
          ValueError: if one is missing; says which, and what there is.
        """
        if self._form_name == "array" and len(names) == len(self.columns):
            return dict(zip(names, self.columns.values(), strict=True))
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"Expected `{argument}` with the columns {list(names)}; it lacks "
                f"{missing}, and has {self.names}."
            )
        return {name: self.columns[name] for name in names}

    def take_as_given(self, names: Sequence[str], argument: str) -> dict[str, Any]:
        """Returns columns as `take` does; those of pandas as they came, without an index.

        Raises:
          ValueError: if one is missing.
        """
        columns = self.take(names, argument)
        if self.index is None:
            return columns
        return {name: self._sources[name].array for name in names}

    def replaced(self, columns: dict[str, np.ndarray], where: dict[str, np.ndarray]) -> Any:
        """Returns the frame with other cells at some places, and all else as it came.

        Index, order of columns and dtypes stay, as far as these can hold the cells.

        Args:
          columns: cells `[N]`, by name of the column; names as `take` has them.
          where: which cells are replaced, booleans `[N]`, by name.
        """
        if self._form_name == "array" and len(columns) == len(self.columns):
            columns, where = (
                dict(zip(self.columns, each.values(), strict=True))
                for each in (columns, where)
            )
        replaced = {
            name: _replaced(source, columns[name], where[name])
            for name, source in self._sources.items()
            if name in columns and where[name].any()
        }
        if self._form_name == "pandas":
            pandas = importlib.import_module("pandas")
            each = (replaced.get(name, source) for name, source in self._sources.items())
            rows = pandas.DataFrame(dict(enumerate(each)), index=self.index)
            rows.columns = self._table.columns
            return rows
        if self._form_name == "dictionary":
            names = zip(self._table.items(), self._sources, strict=True)
            return {key: replaced.get(name, value) for (key, value), name in names}
        rows = np.array(self._table, subok=True)
        for place, name in enumerate(self.columns):
            if name in replaced and self._form_name == "structured":
                rows[name] = replaced[name]
            elif name in replaced:
                rows[:, place] = replaced[name]
        return rows


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
    """Returns the name of the form; labels of columns; and these as they are, by name."""
    if hasattr(table, "columns") and hasattr(table, "dtypes"):  # pandas
        labels = list(table.columns)
        _refuse_repeated([str(label) for label in labels], argument)
        return "pandas", labels, {str(n): table.iloc[:, i] for i, n in enumerate(labels)}
    if isinstance(table, dict):
        _refuse_repeated([str(name) for name in table], argument)
        return "dictionary", list(table), {str(name): c for name, c in table.items()}
    array = np.asarray(table)
    if array.dtype.names is not None:
        columns = {name: np.atleast_1d(array[name]) for name in array.dtype.names}
        return "structured", list(columns), columns
    if array.ndim != 2 or array.dtype.kind not in "biufO":
        raise ValueError(
            f"Expected `{argument}`: a data frame, a 2-D array, a structured array or a "
            f"dictionary of columns; got {type(table).__name__} of shape {array.shape}."
        )
    columns = {f"x{i}": array[:, i] for i in range(array.shape[1])}
    return "array", list(columns), columns


def _as_array(column):
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind != "M" or dtype is None:
        return np.asarray(column)
    kind = getattr(dtype, "kind", "O")
    return np.asarray(column, "datetime64[ns]" if kind == "M" else object)


def _column_form(label, column):
    dtype = getattr(column, "dtype", None)
    array = _as_array(column)
    dtype = array.dtype if dtype is None else dtype
    cells = array[~is_missing(array)] if array.dtype.kind == "O" else []
    has_days = len(cells) > 0 and all(type(cell) is datetime.date for cell in cells)
    if has_days:
        return ColumnForm(label, dtype, "D", has_days)
    if len(cells) and all(isinstance(cell, datetime.datetime) for cell in cells):
        array = np.array([cell.replace(tzinfo=None) for cell in cells], "datetime64[ns]")
    if array.dtype.kind != "M":
        return ColumnForm(label, dtype)
    if hasattr(dtype, "tz"):
        array = np.asarray(column.dt.tz_localize(None), "datetime64[ns]")
    return ColumnForm(label, dtype, _unit(array[~np.isnat(array)]))


def _unit(dates):
    """The coarsest unit in which all dates, `[N]`, are whole."""
    for unit in _UNITS:
        if (dates == dates.astype(f"datetime64[{unit}]")).all():
            return unit
    return "ns"


def _rounded(dates, unit):
    """The nearest dates that are whole in a unit, as nanoseconds."""
    below = dates.astype(f"datetime64[{unit or 'ns'}]")
    above = (below + 1).astype("datetime64[ns]")
    below = below.astype("datetime64[ns]")
    return np.where(above - dates < dates - below, above, below)


def _zoned(dates, dtype, unit):
    """Dates in a time zone, whole on its clock, as pandas's array."""
    pandas = importlib.import_module("pandas")
    index = pandas.DatetimeIndex(dates).tz_localize("UTC").tz_convert(dtype.tz)
    if unit != "ns":
        wall = pandas.DatetimeIndex(_rounded(index.tz_localize(None).to_numpy(), unit))
        # An hour that a clock shows twice is the first; one that it leaves out, the next.
        first = np.ones(len(wall), bool)
        index = wall.tz_localize(dtype.tz, ambiguous=first, nonexistent="shift_forward")
    return index.astype(dtype).array


def _cast(values, dtype):
    """Values with a dtype that holds them; as they are if it does not."""
    if not isinstance(dtype, np.dtype):
        return _cast_by_pandas(values, dtype)
    if values.dtype.kind == "O" and dtype.kind in "biuf":
        return values  # with a cell that is missing
    if dtype.kind in "biu" and values.dtype.kind == "f" and not np.isfinite(values).all():
        return values
    cast = values.astype(dtype)
    is_held = dtype.kind == "f" or (cast == values).all()
    return cast if is_held else values


def _cast_by_pandas(values, dtype):
    pandas = importlib.import_module("pandas")
    is_absent = pandas.isna(values)
    if hasattr(dtype, "categories"):
        if not pandas.Series(values[~is_absent]).isin(dtype.categories).all():
            return values
        return pandas.Categorical(values, dtype=dtype)
    try:
        cast = pandas.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        return values
    same = np.asarray(cast[~is_absent], object) == np.asarray(values[~is_absent], object)
    return cast if dtype.kind == "f" or np.all(same) else values


def _replaced(source, values, where):
    """One column with other cells at some places, in the form that it has."""
    form = _column_form("", source)
    if not hasattr(source, "iloc"):
        cells = np.asarray(form.cells(values))
        array = np.asarray(source)
        return (
            np.where(where, cells, array)
            if array.dtype.kind != "O"
            else _put(array, cells, where)
        )
    own = source.reset_index(drop=True)
    cells = _series(form.cells(values), own.index)
    if cells.dtype == own.dtype:
        found = own.where(~where, cells)
    else:
        found = _series(_put(own.astype(object).to_numpy(), cells, where), own.index)
        found = found.infer_objects()
    return found.set_axis(source.index)


def _series(column, index):
    """One column for pandas, which does not guess the dtype of objects."""
    pandas = importlib.import_module("pandas")
    is_object = isinstance(column, np.ndarray) and column.dtype.kind == "O"
    return pandas.Series(column, index=index, dtype=object if is_object else None)


def _put(array, cells, where):
    array = np.array(array, object)
    array[where] = np.asarray(cells, object)[where]
    return array


def _plain_dtype(dtype):
    if dtype is None or isinstance(dtype, np.dtype):
        return dtype.str if dtype else None
    if not hasattr(dtype, "categories"):
        return {"name": str(dtype)}
    categories = dtype.categories.tolist()
    if not all(isinstance(value, (str, int, float)) for value in categories):
        return None
    kind = dtype.categories.dtype
    return {"categories": categories, "of": str(kind), "is_ordered": bool(dtype.ordered)}


def _dtype_from_plain(plain):
    if plain is None or isinstance(plain, str):
        return np.dtype(plain) if plain else None
    pandas = importlib.import_module("pandas")
    if "name" in plain:
        return pandas.api.types.pandas_dtype(plain["name"])
    index = pandas.Index(plain["categories"], dtype=plain["of"])
    return pandas.CategoricalDtype(index, plain["is_ordered"])


def _structured(columns):
    kinds = [(name, _plain(np.asarray(column)).dtype) for name, column in columns.items()]
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
    return _from_objects(name, column, absent)


def _from_objects(name, column, absent):
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
