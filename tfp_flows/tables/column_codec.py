"""Codecs of columns: the cells of a table as codes and numbers, and back."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from tfp_flows.tables.cell_features import FARTHEST
from tfp_flows.tables.cells import cells_of
from tfp_flows.tables.column import Column
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.number_maps import NumberSpec

__all__ = ["ColumnCodec", "Encoded"]

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
            return self._of_values(cells, code, present, is_possible)
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

    def _of_values(self, cells, code, present, is_possible):
        found = np.zeros(len(code), np.int64)
        is_known = np.ones(len(code), bool)
        refuses = self.column.kind == "categorical" or self.column.has_ordered_texts
        for value in np.unique(cells.values[present]):
            index = self._codes.get(value)
            of_value = present & (cells.values == value)
            is_known &= ~(of_value & (index is None and refuses))
            is_possible = is_possible & ~(of_value & (index is None))
            found[of_value] = index or 0
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
