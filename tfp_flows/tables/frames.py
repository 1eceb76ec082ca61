"""Frames of rows: read as arrays by column, and written again in the same form."""

from __future__ import annotations

import datetime
import importlib
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import in_nanoseconds, is_missing

# Types of categories whose cells are texts.
_AS_TEXTS = "interval", "period", "timedelta64"
_UNITS = ("D", "h", "m", "s", "ms", "us")  # units of dates, from coarse to fine


class Categories(typing.NamedTuple):
    """The categories of a column of pandas."""

    values: list  # which cells can have; intervals, periods and times are texts
    are_ordered: bool


class Frame:
    """Named columns of equal length, and the form in which they were given.

    Args:
      table: a pandas data frame, a dictionary of columns, a structured NumPy array, or a
        2-D one, whose columns are called `x0`, `x1`, ...
      argument: name of the table in errors.

    Raises:
      ValueError: if the table is something else or has no columns, if two columns have the
        same name or different lengths, or if a column has several axes.

    Attributes:
      argument: name of the table in errors.
      columns: arrays `[N]` by name, of numbers, booleans, datetimes or objects.
      categories: the `Categories` of pandas's categorical columns, by name.
    """

    def __init__(self, table: Any, argument: str = "frame") -> None:
        self._table, self.argument = table, argument
        self._form_name, self._labels, self._sources = _read(table, argument)
        self.columns = {n: _as_array(n, column) for n, column in self._sources.items()}
        for name, column in self.columns.items():
            got = f"{name!r} of shape {column.shape}"
            require(column.ndim == 1, f"`{argument}` with columns of one axis", got)
        self.categories = {
            name: Categories(
                _category_cells(column.dtype).tolist(), bool(column.dtype.ordered)
            )
            for name, column in self._sources.items()
            if hasattr(_dtype(column), "categories")
        }
        lengths = {name: len(column) for name, column in self.columns.items()}
        require(lengths, f"`{argument}` with columns", "none")
        is_even = len(set(lengths.values())) == 1
        require(is_even, f"`{argument}` of columns of one length", lengths)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def integer_ends(self, name: str) -> tuple[int, int] | None:
        """The least and greatest number of a column's integer dtype; None for others."""
        dtype = _dtype(self._sources[name])
        dtype = getattr(dtype, "numpy_dtype", dtype)  # pandas's nullable integers have one
        is_integer = isinstance(dtype, np.dtype) and dtype.kind in "iu"
        return (np.iinfo(dtype).min, np.iinfo(dtype).max) if is_integer else None

    @property
    def form(self) -> Form:
        """The `Form` of the frame."""
        labels = zip(self._labels, self._sources.items(), strict=True)
        columns = {name: _column_form(label, c) for label, (name, c) in labels}
        levels = self._table.columns.names if self._form_name == "pandas" else []
        return Form(self._form_name, columns, [_plain_label(level) for level in levels])

    @property
    def index(self) -> Any:
        """The index of a pandas frame; None for others."""
        return self._table.index if self._form_name == "pandas" else None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, names: Sequence[str], argument: str = "frame") -> dict[str, np.ndarray]:
        """Returns columns by name, all of which must be there.

        The columns of a 2-D array with as many columns as names have the names in order.
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
        """Returns columns as `take` does, but pandas's own arrays of a pandas frame."""
        columns = self.take(names, argument)
        if self.index is None:
            return columns
        return {name: self._sources[name].array for name in names}

    def replaced(self, columns: dict[str, np.ndarray], where: dict[str, np.ndarray]) -> Any:
        """Returns the frame with cells of `columns`, `[N]` by name, `where` that is True.

        Index and order of columns stay, and dtypes that can hold the new cells.
        """
        if self._form_name == "array" and len(columns) == len(self.columns):
            columns, where = (
                dict(zip(self.columns, arrays.values(), strict=True))
                for arrays in (columns, where)
            )
        replaced = {
            name: _replaced(self._sources[name], column, where[name])
            for name, column in columns.items()
            if where[name].any()
        }
        rows = self.form.written(self._sources | replaced, self.names, self.index)
        if self._form_name == "pandas":
            rows.columns = self._table.columns
        return rows


def _read(table, argument):
    """Returns the name of the form, the labels of the columns, and the columns by name."""
    is_pandas = hasattr(table, "iloc") and hasattr(table, "columns")
    if is_pandas or isinstance(table, dict):
        labels = list(table.columns if is_pandas else table)
        names = [str(label) for label in labels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        expected = f"`{argument}` with a name for each column"
        require(not repeated, expected, f"{repeated} twice")
        if not is_pandas:
            return "dictionary", labels, dict(zip(names, table.values(), strict=True))
        return "pandas", labels, {n: table.iloc[:, i] for i, n in enumerate(names)}
    # `np.asarray` of a Polars or Arrow frame loses the names of the columns.
    is_other = hasattr(table, "to_pandas")
    got = f"{type(table).__name__} of {type(table).__module__}"
    require(not is_other, f"`{argument}` of pandas", got, " Give its `to_pandas()`.")
    array = table if isinstance(table, np.ma.MaskedArray) else np.asarray(table)
    if array.dtype.names is not None:
        columns = {name: np.atleast_1d(array[name]) for name in array.dtype.names}
        return "structured", list(columns), columns
    require(
        array.ndim == 2 and array.dtype.kind in "biufO",
        f"`{argument}`: a data frame, a 2-D array of numbers or objects, a structured "
        "array or a dictionary of columns",
        f"{type(table).__name__} of shape {array.shape} and dtype {array.dtype}",
    )
    columns = {f"x{i}": array[:, i] for i in range(array.shape[1])}
    return "array", list(columns), columns


def _as_array(name, column):
    if isinstance(column, np.ma.MaskedArray):
        cells = np.array(column.data, object)
        cells[np.ma.getmaskarray(column)] = None
        return cells
    dtype = _dtype(column)
    if hasattr(dtype, "categories"):
        series = importlib.import_module("pandas").Series(column)
        return series.cat.rename_categories(_category_cells(dtype)).to_numpy(object)
    if dtype is None:
        array = np.asarray(column)
        # NumPy turns all cells of a list into texts if one of them is a text.
        return np.asarray(column, object) if array.dtype.kind in "US" else array
    if isinstance(dtype, np.dtype) and dtype.kind != "M":
        return np.asarray(column)
    # NumPy does not read the missing cells of Arrow's days.
    if getattr(dtype, "kind", "O") != "M" or dtype.type is datetime.date:
        return np.asarray(column, object)
    return in_nanoseconds(name, column)


def _category_cells(dtype):
    """The categories of a dtype, an index; some as texts."""
    are_texts = dtype.categories.inferred_type in _AS_TEXTS
    return dtype.categories.astype(str) if are_texts else dtype.categories


def _dtype(column):
    """The dtype of NumPy or pandas; None for lists, and for tensors of other libraries."""
    dtype = getattr(column, "dtype", None)
    is_known = isinstance(dtype, np.dtype) or hasattr(dtype, "na_value")
    return dtype if is_known else None


def _replaced(source, values, where):
    """One column with some cells replaced, in its form."""
    form = _column_form("", source)
    if not hasattr(source, "iloc") and _zone(_dtype(source)) is not None:
        series = importlib.import_module("pandas").Series(source)
        return _replaced(series, values, where).array
    if not hasattr(source, "iloc"):
        cells, array = np.asarray(form.cells(values)), _as_array("", source)
        is_object = array.dtype.kind == "O"
        return _put(array, cells, where) if is_object else np.where(where, cells, array)
    series = source.reset_index(drop=True)
    cells = _series(form.cells(values), series.index)
    if cells.dtype == series.dtype:
        replaced = series.where(~where, cells)
    else:
        objects = series.astype(object).to_numpy()
        replaced = _series(_put(objects, cells, where), series.index)
        replaced = replaced.infer_objects()
    return replaced.set_axis(source.index)


class Form(typing.NamedTuple):
    """The form of a frame, in which other rows can be written."""

    name: str  # "pandas", "structured", "array", or "dictionary"
    columns: dict[str, ColumnForm]
    levels: Sequence[Any] = ()  # names of the levels of pandas's labels

    def to_plain(self) -> list:
        """Returns values of JSON's types, for `from_plain`."""
        columns = {name: c.to_plain() for name, c in self.columns.items()}
        return [self.name, columns, list(self.levels)]

    @classmethod
    def from_plain(cls, plain: Any) -> Form:
        """Returns the form from the result of `to_plain`."""
        name, columns, *levels = plain  # older files have no levels
        columns = {n: ColumnForm.from_plain(c) for n, c in columns.items()}
        return cls(name, columns, *levels)

    def written(
        self, columns: dict[str, Any], uncast: Sequence[str] = (), index: Any = None
    ) -> Any:
        """Returns columns in this form and in their order.

        Those of `uncast` keep their dtypes. pandas's rows get the index, or row numbers.
        """
        forms = {name: self.columns.get(name, ColumnForm(name)) for name in columns}
        columns = {
            name: column if name in uncast else forms[name].cells(column)
            for name, column in columns.items()
        }
        labels = [forms[name].label for name in columns]
        if self.name == "pandas":
            pandas = importlib.import_module("pandas")
            series = {i: _series(c, index) for i, c in enumerate(columns.values())}
            rows = pandas.DataFrame(series, index=index)
            names = pandas.Index(labels)  # tuples: several levels
            if len(self.levels) == names.nlevels:
                names = names.set_names(self.levels)
            return rows.set_axis(names, axis=1)
        if self.name == "dictionary":
            return dict(zip(labels, columns.values(), strict=True))
        arrays = [np.asarray(column) for column in columns.values()]
        if self.name == "structured":
            arrays = [np.asarray(a.tolist()) if a.dtype == object else a for a in arrays]
            kinds = [(k, array.dtype) for k, array in zip(labels, arrays, strict=True)]
            return np.rec.fromarrays(arrays, dtype=kinds).view(kinds, np.ndarray)
        dtype = next(iter(forms.values())).dtype
        rows = np.stack(arrays, axis=1)
        return rows if dtype is None else _cast(rows, dtype)


class ColumnForm(typing.NamedTuple):
    """The form of one column, in which other cells can be written.

    Attributes:
      label: name in the frame, which need not be a text.
      dtype: NumPy's or pandas's dtype; None if it is unknown.
      unit: for dates, the coarsest unit of NumPy that represents all of them exactly (on
        the clock of their time zone), such as "D"; empty for other columns.
      has_days: whether cells are `datetime.date` objects.
    """

    label: Any
    dtype: Any = None
    unit: str = ""
    has_days: bool = False

    def to_plain(self) -> list:
        """Returns values of JSON's types, for `from_plain`."""
        parts = self.label if isinstance(self.label, tuple) else [self.label]
        plain = [_plain_label(part) for part in parts]
        label = plain if isinstance(self.label, tuple) else plain[0]
        return [label, _plain_dtype(self.dtype), self.unit, self.has_days]

    @classmethod
    def from_plain(cls, plain: Sequence) -> ColumnForm:
        """Returns the form from the result of `to_plain`."""
        label, dtype, *others = plain
        label = tuple(label) if isinstance(label, list) else label
        return cls(label, _dtype_from_plain(dtype), *others)

    def cells(self, values: np.ndarray) -> Any:
        """Returns cells, `[N]`, with this dtype and unit, if they can hold the values."""
        if self.dtype is None:
            return values
        if values.dtype.kind == "M":
            return self._dates(values)
        return _cast(values, self.dtype)

    def _dates(self, values):
        if _zone(self.dtype) is not None:
            return _zoned(values, self.dtype, self.unit)
        values = _rounded(values, self.unit)
        if not isinstance(self.dtype, np.dtype):
            return _cast(values, self.dtype)
        if self.dtype.kind == "M":
            return _rounded(values, np.datetime_data(self.dtype)[0]).astype(self.dtype)
        if self.dtype.kind != "O":
            return values
        # `datetime` objects have microseconds at best.
        return values.astype(f"datetime64[{'D' if self.has_days else 'us'}]").astype(object)


def _column_form(label, column):
    dtype = _dtype(column)
    array = _as_array(label, column)
    dtype = array.dtype if dtype is None else dtype
    cells = array[~is_missing(array)] if array.dtype.kind == "O" else []
    has_days = len(cells) > 0 and all(type(cell) is datetime.date for cell in cells)
    if has_days:
        return ColumnForm(label, dtype, "D", has_days)
    if len(cells) and all(isinstance(cell, datetime.datetime) for cell in cells):
        array = np.array([cell.replace(tzinfo=None) for cell in cells], "datetime64[ns]")
    if array.dtype.kind != "M":
        return ColumnForm(label, dtype)
    if _zone(dtype) is not None:
        series = importlib.import_module("pandas").Series(column)  # or an index, an array
        array = np.asarray(series.dt.tz_localize(None), "datetime64[ns]")
    return ColumnForm(label, dtype, _unit(array[~np.isnat(array)]))


def _unit(dates):
    """The coarsest unit that represents all dates, `[N]`, exactly."""
    for unit in _UNITS:
        if (dates == dates.astype(f"datetime64[{unit}]")).all():
            return unit
    return "ns"


def _rounded(dates, unit):
    """Dates rounded to a unit, in nanoseconds."""
    below = dates.astype(f"datetime64[{unit or 'ns'}]")
    above = (below + 1).astype("datetime64[ns]")
    below = below.astype("datetime64[ns]")
    return np.where(above - dates < dates - below, above, below)


def _zone(dtype):
    """The time zone of a dtype of pandas or Arrow; None if it has none."""
    return getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None)


def _zoned(dates, dtype, unit):
    """Dates in a time zone, rounded on its clock, as pandas's array."""
    pandas, zone = importlib.import_module("pandas"), _zone(dtype)
    index = pandas.DatetimeIndex(dates).tz_localize("UTC").tz_convert(zone)
    if unit != "ns":
        wall = pandas.DatetimeIndex(_rounded(index.tz_localize(None).to_numpy(), unit))
        # An ambiguous hour is the first of two; a skipped hour is the next one.
        first = np.ones(len(wall), bool)
        index = wall.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return index.astype(dtype).array


def _cast(values, dtype):
    """Values with a dtype, if it can hold them; otherwise the values."""
    if not isinstance(dtype, np.dtype):
        return _cast_by_pandas(values, dtype)
    if values.dtype.kind == "O" and dtype.kind in "biuf":
        return values  # a cell is missing
    if dtype.kind in "biu" and values.dtype.kind == "f" and not np.isfinite(values).all():
        return values
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if dtype.kind == "f":
        return cast if (np.isfinite(cast) | ~np.isfinite(values)).all() else values
    return cast if (cast == values).all() else values


def _cast_by_pandas(values, dtype):
    pandas = importlib.import_module("pandas")
    is_absent = pandas.isna(values)
    if hasattr(dtype, "categories"):
        codes = _category_cells(dtype).get_indexer(values)
        is_held = (codes[~is_absent] >= 0).all()
        return pandas.Categorical.from_codes(codes, dtype=dtype) if is_held else values
    try:
        cast = pandas.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        return values
    if values.dtype.kind == "M":  # rounded to a unit that the dtype holds
        return cast
    same = np.asarray(cast[~is_absent], object) == np.asarray(values[~is_absent], object)
    return cast if dtype.kind == "f" or np.all(same) else values


def _series(column, index):
    """A pandas series that keeps the dtype of objects."""
    pandas = importlib.import_module("pandas")
    is_object = isinstance(column, np.ndarray) and column.dtype.kind == "O"
    return pandas.Series(column, index=index, dtype=object if is_object else None)


def _put(array, cells, where):
    array = np.array(array, object)
    array[where] = np.asarray(cells, object)[where]
    return array


def _plain_label(label):
    """A label as one of JSON's types; labels of other types, such as dates, as texts."""
    label = label.item() if isinstance(label, (np.number, np.bool_)) else label
    is_plain = label is None or isinstance(label, (str, int, float))
    return label if is_plain else str(label)


def _plain_dtype(dtype):
    if dtype is None or isinstance(dtype, np.dtype):
        return dtype.str if dtype else None
    if not hasattr(dtype, "categories"):
        return {"name": str(dtype)}
    index = _plain_index(dtype.categories)
    return None if index is None else index | {"is_ordered": bool(dtype.ordered)}


def _plain_index(index):
    """A pandas index as values of JSON's types; None if it has other objects."""
    kind = {"of": str(index.dtype)}
    if index.inferred_type == "interval":
        return {"categories": [_plain_index(index.left), _plain_index(index.right)]} | kind
    if index.inferred_type in ("datetime64", *_AS_TEXTS):
        return {"categories": [str(value) for value in index]} | kind
    values = index.tolist()
    is_plain = all(isinstance(value, (str, int, float)) for value in values)
    return {"categories": values} | kind if is_plain else None


def _index_from_plain(plain):
    pandas = importlib.import_module("pandas")
    values, kind = plain["categories"], plain["of"]
    if kind.startswith("interval"):
        left, right = (_index_from_plain(end) for end in values)
        closed = pandas.api.types.pandas_dtype(kind).closed
        return pandas.IntervalIndex.from_arrays(left, right, closed=closed)
    return pandas.Index(values, dtype=kind)


def _dtype_from_plain(plain):
    if plain is None or isinstance(plain, str):
        return np.dtype(plain) if plain else None
    pandas = importlib.import_module("pandas")
    if "name" in plain:
        return _dtype_by_name(plain["name"])
    return pandas.CategoricalDtype(_index_from_plain(plain), plain["is_ordered"])


def _dtype_by_name(name):
    """The pandas dtype of a name; for an unknown name, UTC if it is of dates, else None."""
    pandas = importlib.import_module("pandas")
    try:
        return pandas.api.types.pandas_dtype(name)
    except (TypeError, ValueError, LookupError, ImportError):
        # A name does not determine each time zone, such as those of dateutil.
        is_zoned = name.startswith("datetime64[") and "," in name
        return pandas.DatetimeTZDtype(tz="UTC") if is_zoned else None
