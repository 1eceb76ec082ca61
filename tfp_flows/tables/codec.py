"""The codec of a table: cells of the modelled columns and of the context, checked."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.tables.columns import UNUSABLE
from tfp_flows.tables.columns import Column
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.frames import cells_of
from tfp_flows.tables.frames import is_missing
from tfp_flows.tables.networks import FARTHEST
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.number_maps import NumberSpec

__all__ = ["ColumnCodec", "RowCodec", "TableCodec"]


class TableCodec:
    """Columns of a table in two roles, modelled and context.

    Args:
      columns: of the table.
      context: names of those that are given.
      missing: "refuse" or "indicator".

    Raises:
      ValueError: if a name is unknown, nothing is modelled, or nothing that varies.
    """

    def __init__(self, columns: TableColumns, context: Sequence[str], missing: str) -> None:
        if missing not in ("refuse", "indicator"):
            raise ValueError(
                f"Expected `missing` of 'refuse' or 'indicator'; got {missing!r}."
            )
        columns.check()
        unknown = [name for name in context if name not in columns.names]
        if unknown or len(set(context)) < len(context):
            raise ValueError(
                f"Expected `context`, different ones of {columns.names}; got {context}."
            )
        self.names = [name for name in columns.names if name not in context]
        if not self.names:
            raise ValueError("Expected columns beside those of `context`; there are none.")
        self.rows = RowCodec(columns.select(self.names), missing, "frame")
        self.contexts = RowCodec(columns.select(context), missing, "context")
        if not self.rows.size:
            raise ValueError(f"Expected columns that vary; {self.names} are constant.")

    def measure(self, frame: Frame) -> dict[str, Any]:
        """Returns arguments of `TableDistribution`, by training rows."""
        return {
            "num_values": self.rows.num_values,
            "numbers": self.rows.measure(frame),
            "context_values": self.contexts.num_values,
            "context_numbers": self.contexts.measure(frame),
        }

    def training_cells(self, frame: Frame) -> Any:
        """Returns cells of training rows, `x` or `(x, context)`.

        Args:
          frame: the rows.

        Raises:
          ValueError: if a row cannot occur; names the first, and its cell.
        """
        x, is_possible = self.rows.encode(frame)
        what = "rows that can occur by the kinds of their columns"
        self.rows.refuse_cells(frame, ~is_possible, what)
        context = self.context_of(frame)
        return (x, context["context"]) if context else x

    def context_of(self, frame: Frame) -> dict[str, Any]:
        """Returns the keyword argument `context`, `[N, C]`, if there is one.

        Raises:
          ValueError: if a cell is none that training rows could have; names the first.
        """
        if not self.contexts.names:
            return {}
        x, is_possible = self.contexts.encode(frame)
        what = "`context` of cells that training rows can have (see `clip_context`)"
        self.contexts.refuse_cells(frame, ~is_possible, what)
        return {"context": x} if self.contexts.size else {}

    def marked(self, frame: Frame) -> tuple[dict[str, Any], np.ndarray, dict]:
        """Returns rows whatever is in their cells, and what the table does not know.

        Returns:
          The arguments of the distribution's `log_prob`; which rows can occur, booleans
          `[N]`; and which cells are unknown, booleans `[N]` by name of the column: unknown
          categories, cells of the context that training rows cannot have, and missing ones
          that are not modelled.
        """
        rows, contexts = self.rows.read(frame), self.contexts.read(frame)
        is_unknown = ~rows.is_known | rows.is_missing & ~rows.is_possible
        unknown = dict(zip(self.names, is_unknown.T, strict=True))
        from_contexts = ~contexts.is_possible | ~contexts.is_known
        unknown |= dict(zip(self.contexts.names, from_contexts.T, strict=True))
        given = {"context": contexts.x} if self.contexts.size else {}
        is_possible = np.logical_and.reduce(rows.is_possible, axis=1)
        return {"value": rows.x, **given}, is_possible, unknown


class RowsRead(typing.NamedTuple):
    """Rows of C columns as cells, and which of them the table can take.

    Attributes:
      x: cells, `[N, K + D]`; any number where a cell is missing or unknown.
      is_possible: whether the cells can occur, booleans `[N, C]`; False of missing ones
        that are not modelled.
      is_known: False of texts and categories without a code, booleans `[N, C]`.
      is_missing: booleans, `[N, C]`.
    """

    x: np.ndarray
    is_possible: np.ndarray
    is_known: np.ndarray
    is_missing: np.ndarray


class RowCodec:
    """Rows of some columns of a table as cells: first all codes, then all numbers.

    Args:
      columns: the `TableColumns`.
      missing: "refuse", or "indicator": missing cells of columns that have had some are
        modelled.
      argument: what errors call the frame.

    Raises:
      ValueError: if a column is of a kind that has no distribution.
    """

    def __init__(self, columns: TableColumns, missing: str, argument: str) -> None:
        unusable = {c.name: f"{c.kind}: {c.reason}" for c in columns if c.kind in UNUSABLE}
        if unusable:
            raise ValueError(
                f"Expected columns that have a distribution; got {unusable}. Change their "
                "kinds, or drop them."
            )
        self._argument = argument
        self._refuses_missing = missing == "refuse"
        self.names = columns.names
        self._codecs = [
            ColumnCodec(column, not self._refuses_missing and column.num_missing > 0)
            for column in columns
        ]
        self._with_code = [i for i, c in enumerate(self._codecs) if c.num_codes > 1]
        self._with_number = [i for i, c in enumerate(self._codecs) if c.has_number]

    @property
    def num_values(self) -> list[int]:
        """Of each code."""
        return [self._codecs[i].num_codes for i in self._with_code]

    @property
    def size(self) -> int:
        """Number of cells of a row."""
        return len(self._with_code) + len(self._with_number)

    def cells_of_column(self, name: str) -> list[int]:
        """Which cells of a row are those of a column."""
        index, num_codes = self.names.index(name), len(self._with_code)
        found = [self._with_code.index(index)] if index in self._with_code else []
        if index in self._with_number:
            found.append(num_codes + self._with_number.index(index))
        return found

    def codec(self, name: str) -> ColumnCodec:
        """The codec of one column."""
        return self._codecs[self.names.index(name)]

    @property
    def only_codec(self) -> ColumnCodec:
        """The codec of the one column.

        Raises:
          ValueError: if there are several.
        """
        if len(self.names) > 1:
            raise ValueError(
                f"Expected one modelled column to predict; got {self.names}. Sample from "
                "their joint distribution instead."
            )
        return self._codecs[0]

    def read(self, frame: Frame) -> RowsRead:
        """Returns rows as they are, whether they can occur or not.

        Raises:
          ValueError: if a column is missing, or has cells of another type.
        """
        columns = frame.take(self.names, self._argument) if self.names else {}
        encoded = [
            codec.encode(column)
            for codec, column in zip(self._codecs, columns.values(), strict=True)
        ]
        cells = [encoded[i].code.astype(np.float64) for i in self._with_code]
        cells += [encoded[i].number for i in self._with_number]
        # Numbers that are absent must be some number; NaN is only that of an empty cell.
        x = np.zeros([len(frame), self.size])
        for cell, values in enumerate(cells):
            x[:, cell] = np.nan_to_num(values)
        flags = np.ones([3, len(frame), len(self.names)], bool)
        for i, (each, column) in enumerate(zip(encoded, columns.values(), strict=True)):
            flags[:, :, i] = each.is_possible, each.is_known, is_missing(column)
        return RowsRead(x, *flags)

    def encode(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Returns cells, `[N, K + D]`, and which can occur, by column, booleans `[N, C]`.

        Raises:
          ValueError: if there are missing cells that are not modelled, or a column has
            cells of another type, or unknown categories.
        """
        rows = self.read(frame)
        if self._refuses_missing:
            self._refuse_missing(rows.is_missing)
        self.refuse_unknown(frame, rows)
        return rows.x, rows.is_possible

    def refuse_unknown(self, frame: Frame, rows: RowsRead) -> None:
        """Raises `ValueError` if a category is none of its column's values."""
        if rows.is_known.all():
            return
        column = int(np.argmin(rows.is_known.all(axis=0)))
        is_unknown = ~rows.is_known[:, column]
        row = int(np.argmax(is_unknown))
        cell = frame.take(self.names, self._argument)[self.names[column]][row]
        raise ValueError(
            f"Expected one of {self._codecs[column].column.values} in column "
            f"{self.names[column]!r}; got {cell!r} in row {row} ({is_unknown.sum()} rows)."
        )

    def refuse_cells(self, frame: Frame, is_wrong: np.ndarray, expected: str) -> None:
        """Raises `ValueError`, with the first wrong cell, if any is wrong.

        Args:
          frame: the rows.
          is_wrong: booleans, `[N, C]`.
          expected: what was expected, in words.
        """
        if not is_wrong.any():
            return
        row = int(np.argmax(is_wrong.any(axis=1)))
        index = int(np.argmax(is_wrong[row]))
        column = self._codecs[index].column
        cell = frame.take(self.names, self._argument)[column.name][row]
        cell = cell.item() if isinstance(cell, np.generic) else cell
        details = f" ({column.details})" if column.details else ""
        raise ValueError(
            f"Expected {expected}; got {cell!r} in the {column.kind} column "
            f"{column.name!r}{details}, in row {row} "
            f"({is_wrong.any(axis=1).sum()} of {len(frame)} rows)."
        )

    def clipped(self, frame: Frame, maps: NumberMaps) -> tuple[dict, dict]:
        """Returns columns with numbers moved into their supports, and where they were not.

        Args:
          frame: with the columns.
          maps: of the numbers, as training rows gave them.
        """
        columns = frame.take(self.names, self._argument)
        where = {name: np.zeros(len(frame), bool) for name in self.names}
        for cell, i in enumerate(self._with_number):
            codec, name = self._codecs[i], self.names[i]
            if codec.column.is_number:
                encoded = codec.encode(columns[name])
                where[name] = ~encoded.is_possible & np.isfinite(encoded.number)
                numbers = codec.clipped(encoded.number, maps.from_columns([cell]))
                columns[name] = numbers if where[name].any() else columns[name]
        return columns, where

    def measure(self, frame: Frame) -> list[NumberSpec]:
        """Returns how the numbers are mapped, by training rows."""
        columns = frame.take(self.names, self._argument) if self.names else {}
        specs = []
        for i in self._with_number:
            codec, name = self._codecs[i], self.names[i]
            code = self._with_code.index(i) if i in self._with_code else -1
            specs.append(codec.measured(codec.encode(columns[name]), code))
        return specs

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Returns columns of cells, `[N, K + D]`."""
        columns = {}
        for i, (name, codec) in enumerate(zip(self.names, self._codecs, strict=True)):
            code = number = np.zeros(len(x))
            if i in self._with_code:
                code = x[:, self._with_code.index(i)]
            if i in self._with_number:
                number = x[:, len(self._with_code) + self._with_number.index(i)]
            columns[name] = codec.decode(code.astype(np.int64), number)
        return columns

    def _refuse_missing(self, is_missing):
        counts = dict(zip(self.names, is_missing.sum(axis=0).tolist(), strict=True))
        counts = {name: count for name, count in counts.items() if count}
        if counts:
            raise ValueError(
                f"Expected `{self._argument}` without missing cells; got some in "
                f"{counts} (column: count). With missing='indicator' they are modelled."
            )


_DAY = np.timedelta64(86_400_000_000_000, "ns")
_EPOCH = np.datetime64(0, "ns")
# Share of a circle by which float32 may round an angle beyond an end.
_TURN_ROUNDING = 1e-6
# Relative spread that rounding in float64 cannot leave of a constant.
_RESOLUTION = 1e-13


class Encoded(typing.NamedTuple):
    """Cells of one column, `[N]` each.

    Attributes:
      code: which value, spike, or that it is missing; 0 elsewhere.
      number: where the code is 0, of columns of numbers.
      is_possible: whether the cell can occur: numbers, whether they are in the support.
      is_known: False of texts and categories that are none of the column's values.
    """

    code: np.ndarray
    number: np.ndarray
    is_possible: np.ndarray
    is_known: np.ndarray


class ColumnCodec:
    """One column's cells as a code, a number, both, or (of a constant) neither.

    ```none
    values:   code = index of the value            ordered: number = index, an integer
    numbers:  code = 0, number = the cell          spikes:  code = 1, ..., S
    missing:  the code after these, where missing cells are modelled
    ```

    Args:
      column: what is known of it.
      has_missing: whether missing cells are modelled.
    """

    def __init__(self, column: Column, has_missing: bool) -> None:
        self.column = column
        self.has_missing = has_missing
        self._is_indexed = column.kind in ("categorical", "boolean", "constant")
        self._codes = {value: code for code, value in enumerate(column.values)}

    @property
    def num_codes(self) -> int:
        """Number of values of the code; 1 where there is none."""
        own = len(self.column.values) if self._is_indexed else 1 + len(self.column.spikes)
        return own + self.has_missing

    @property
    def has_number(self) -> bool:
        """Whether there is a number."""
        return not self._is_indexed

    def encode(self, column: np.ndarray) -> Encoded:
        """Returns the cells of a column, `[N]`.

        Raises:
          ValueError: if cells are of another type; names the column.
        """
        cells = cells_of(self.column.name, column)
        code = np.zeros(len(column), np.int64)
        is_possible = ~cells.is_missing | self.has_missing
        code[cells.is_missing] = self.num_codes - 1 if self.has_missing else 0
        present = ~cells.is_missing
        if self.column.has_values:
            return self._from_values(cells, code, present, is_possible)
        number = self._numbers(cells)
        for index, spike in enumerate(self.column.spikes):
            code[present & (number == spike)] = index + 1
        number = np.where(code == 0, self.on_circle(number), np.nan)
        is_possible &= (code != 0) | self._is_inside(number)
        return Encoded(code, number, is_possible, np.ones(len(code), bool))

    def on_circle(self, number: np.ndarray) -> np.ndarray:
        """Returns numbers, `[N]`, with `low` for a periodic column's `high`, its equal."""
        if self.column.kind != "periodic":
            return number
        low, high = self.column.circle
        rounding = _TURN_ROUNDING * (high - low)
        is_end = (number >= high) & (number <= high + rounding)
        is_end |= (number < low) & (number >= low - rounding)
        return np.where(is_end, low, number)

    def clipped(self, number: np.ndarray, maps: NumberMaps) -> np.ndarray:
        """Returns the nearest numbers of the support, `[N]`; on a circle, the same angle.

        Args:
          number: `[N]`.
          maps: of the column's numbers; an open end is replaced by the number from which
            on networks tell no smaller or larger ones apart.
        """
        low, high = (
            default if end is None else float(end)
            for end, default in ((self._low, -np.inf), (self.column.high, np.inf))
        )
        if self.column.kind == "periodic":
            return low + np.mod(number - low, high - low)
        if self.column.kind == "integer":
            return np.clip(np.round(number), low, high)
        ends = tf.constant([[-FARTHEST], [FARTHEST]], tf.float64)
        first, last = maps.backward(ends).numpy()[:, 0]
        first = low if low in self.column.spikes else first
        last = high if high in self.column.spikes else last
        number = np.where(number <= low, first, number)
        return np.where(number >= high, last, number)

    @property
    def _low(self):
        is_open = self.column.kind == "positive" and self.column.low is None
        return 0.0 if is_open else self.column.low

    def decode(self, code: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Returns the cells of codes and numbers, `[N]` each."""
        is_missing = (code == self.num_codes - 1) & self.has_missing
        if self.column.has_values:
            index = code if self._is_indexed else np.nan_to_num(number).astype(np.int64)
            values = _array(self.column.values)
            return _with_missing(values[np.where(is_missing, 0, index)], is_missing)
        for spike, value in enumerate(self.column.spikes):
            number = np.where(code == spike + 1, value, number)
        number = np.where(is_missing, np.nan, number)
        if self.column.kind == "date":
            days = np.where(is_missing, 0.0, number) * (_DAY / np.timedelta64(1, "ns"))
            dates = _EPOCH + np.round(days).astype("timedelta64[ns]")
            return np.where(is_missing, np.datetime64("NaT", "ns"), dates)
        is_whole = self.column.kind == "integer" and not is_missing.any()
        is_whole = is_whole and all(s == int(s) for s in self.column.spikes)
        return number.astype(np.int64) if is_whole else number

    def measured(self, encoded: Encoded, code: int) -> NumberSpec:
        """Returns how the number is mapped, by those of training rows.

        Args:
          encoded: the training rows' cells.
          code: which of the row's codes is this column's; -1 if there is none.
        """
        is_there = (encoded.code == 0) & encoded.is_possible & np.isfinite(encoded.number)
        numbers = encoded.number[is_there]
        spec = dataclasses.replace(
            _FORMS[self.column.kind](self.column, numbers), code=code
        )
        if spec.form == "circle" or not len(numbers):
            return spec
        maps = NumberMaps([spec])
        mapped = maps.unscaled(maps.middle(tf.constant(numbers[:, None])))
        u = mapped.u.numpy()[mapped.is_inside.numpy()]
        if not len(u):
            return spec
        scale = float(u.std())
        # Only a line has units; on others a relative spread of the numbers is absolute.
        least = _RESOLUTION * (np.abs(u).max() + (spec.form != "line"))
        scale = scale if scale > least else 1.0
        return dataclasses.replace(spec, mean=float(u.mean()), scale=scale)

    def _numbers(self, cells):
        expected = "date" if self.column.kind == "date" else "number"
        if cells.type == "boolean" and expected == "number":
            return np.where(cells.is_missing, np.nan, cells.values.astype(np.float64))
        if cells.type != expected and not cells.is_missing.all():
            raise ValueError(
                f"Expected a {expected} in each cell of the {self.column.kind} column "
                f"{self.column.name!r}; got a {cells.type}."
            )
        if expected == "number":
            return np.where(cells.is_missing, np.nan, cells.values)
        days = (cells.values - _EPOCH) / _DAY
        return np.where(cells.is_missing, np.nan, days)

    def _is_inside(self, number):
        maps = NumberMaps([_FORMS[self.column.kind](self.column, np.zeros(0))])
        y = tf.constant(number[:, None])
        inside = maps.unscaled(maps.middle(y)).is_inside.numpy()[:, 0]
        return inside & (~maps.is_integer | (number == np.floor(number)))

    def _from_values(self, cells, code, present, is_possible):
        found = np.zeros(len(code), np.int64)
        is_known = np.ones(len(code), bool)
        refuses = self.column.kind == "categorical" or self.column.has_ordered_texts
        for value in np.unique(cells.values[present]):
            index = self._codes.get(value)
            from_value = present & (cells.values == value)
            is_known &= ~(from_value & (index is None and refuses))
            is_possible = is_possible & ~(from_value & (index is None))
            found[from_value] = index or 0
        if self._is_indexed:
            code, number = np.where(present, found, code), np.full(len(code), np.nan)
        else:
            number = np.where(present, found, np.nan).astype(float)
        return Encoded(code, number, is_possible, is_known)


def _array(values):
    if all(isinstance(value, str) for value in values):
        return np.array(values, object)
    return np.array(values)


def _with_missing(values, is_missing):
    if not is_missing.any():
        return values
    if values.dtype.kind in "iuf":
        return np.where(is_missing, np.nan, values)
    values = values.astype(object)
    values[is_missing] = None
    return values


def _line(column, numbers):
    return NumberSpec("line")


def _positive(column, numbers):
    return _above(NumberSpec("log", low=column.low or 0.0), numbers)


def _above(spec, numbers):
    """The logarithm, or a map whose upper tail is shorter, whichever is more normal."""
    middles = numbers + 0.5 * spec.is_integer
    middles = middles[middles > spec.low]
    if not len(middles):
        return spec
    y = tf.constant(middles[:, None])
    soft = dataclasses.replace(spec, form="softplus", high=float(np.median(middles)))
    return max(
        spec, soft, key=lambda s: _normal_log_likelihood(NumberMaps([s]).unscaled(y))
    )


def _normal_log_likelihood(mapped):
    """Nats a number of the normal distribution that fits best, but for a constant."""
    u = mapped.u.numpy()[mapped.is_inside.numpy()]
    slope = mapped.log_slope.numpy()[mapped.is_inside.numpy()]
    return float(slope.mean() - np.log(u.std() + 1e-300)) if len(u) else 0.0


def _bounded(column, numbers):
    return NumberSpec("logit", low=column.low, high=column.high)


def _periodic(column, numbers):
    return NumberSpec("circle", low=column.low, high=column.high)


def _heavy_tailed(column, numbers):
    if not len(numbers):
        return NumberSpec("asinh")
    middle = float(np.median(numbers))
    spread = float(np.median(np.abs(numbers - middle))) or float(np.std(numbers)) or 1.0
    return NumberSpec("asinh", low=middle, high=middle + spread)


def _integer(column, numbers):
    if column.low is not None and column.high is not None:
        return NumberSpec("logit", column.low, column.high + 1.0, is_integer=True)
    if column.low is not None:
        return _above(NumberSpec("log", low=column.low, is_integer=True), numbers)
    return NumberSpec("line", is_integer=True)


def _ordered(column, numbers):
    return NumberSpec("logit", 0.0, float(len(column.values)), is_integer=True)


_FORMS = {
    "real": _line,
    "date": _line,
    "positive": _positive,
    "bounded": _bounded,
    "periodic": _periodic,
    "heavy-tailed": _heavy_tailed,
    "integer": _integer,
    "ordered": _ordered,
}
