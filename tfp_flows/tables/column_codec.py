"""The codec of one column: checks cells, encodes each as a code and a number, decodes."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import cells_of, dates_from_days, with_missing
from tfp_flows.tables.column import Column
from tfp_flows.tables.networks import FEATURE_BOUND
from tfp_flows.tables.numbers.measured_maps import measured_map, unmeasured_map
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec

# Share of a circle by which float32 may round an angle beyond an end.
_TURN_ROUNDING = 1e-6


class Encoded(typing.NamedTuple):
    """Cells of one column, `[N]` each."""

    code: np.ndarray  # index of the value or spike, code of a missing cell; otherwise 0
    number: np.ndarray  # the number where the code is 0; NaN elsewhere
    is_possible: np.ndarray  # False for numbers outside the support
    is_known: np.ndarray  # False for texts and categories that are not among the values
    is_missing: np.ndarray


class ColumnCodec:
    """One column's cells as a code, a number, both, or neither (a constant).

    ```none
    values:   code = index of the value            ordered: number = index, an integer
    numbers:  code = 0, number = the cell          spikes:  code = 1, ..., S
    missing:  the code after these, if missing cells are modelled
    ```

    Numbers on a grid are the integers of their places (`Grid`).

    Args:
      column: the description of the column.
      has_missing: whether missing cells are modelled.
      is_context: whether the column is of a context, where numbers off the grid are
        possible, except counts.

    Attributes:
      grid: the column's `Grid`; None if its numbers are continuous.
      has_number: whether cells have a number, and not a code alone.
    """

    def __init__(self, column: Column, has_missing: bool, is_context: bool = False) -> None:
        self.column = column
        self.grid = column.grid
        self._is_context = is_context
        self.has_missing = has_missing
        self.has_number = column.kind not in ("categorical", "boolean", "constant")
        self._codes = {value: code for code, value in enumerate(column.values)}

    @property
    def num_codes(self) -> int:
        """Number of values of the code; 1 if the column has no code."""
        spikes, values = self.column.spikes, self.column.values
        return (1 + len(spikes) if self.has_number else len(values)) + self.has_missing

    @property
    def spikes_in_steps(self) -> list[float]:
        """The spikes, in the order of their codes; on a grid, as multiples of its step."""
        spikes = np.asarray(self.column.spikes, np.float64)
        return (spikes if self.grid is None else self.grid.multiples(spikes)).tolist()

    def codes_of(self, values: Sequence) -> list[int]:
        """Returns the codes of some values; none if the column's codes are not values."""
        known = [value for value in values if value in self._codes]
        return [] if self.has_number else [self._codes[value] for value in known]

    def numbers_from(self, y: np.ndarray) -> np.ndarray:
        """Returns the entries of numbers y, `[N]`, with rounding errors; NaN for none."""
        if self.column.has_values:
            return np.array([self._codes.get(value, np.nan) for value in y], np.float64)
        return y if self.grid is None else self.grid.places(self.grid.round_if_near(y))

    def encode(self, column: np.ndarray) -> Encoded:
        """Returns the cells of a column, `[N]`; refuses cells of another type."""
        cells = cells_of(self.column.name, column)
        present, is_missing = ~cells.is_missing, cells.is_missing
        is_possible = present | self.has_missing
        is_known = np.ones(len(column), bool)
        code = np.where(is_missing & self.has_missing, self.num_codes - 1, 0)
        self._refuse_other_type(cells)
        if self.column.has_values:
            place = self._places(cells)
            is_possible &= is_missing | (place >= 0.0)
            if self.column.kind == "categorical" or self.column.has_ordered_texts:
                is_known = is_missing | (place >= 0.0)
            number = np.where(present, np.maximum(place, 0.0), np.nan)
            if not self.has_number:
                code = np.where(present, number, code).astype(int)
                number = np.full(len(code), np.nan)
        else:
            given = cells.numbers()
            number = self.on_circle(given)
            # Both, since the spikes of older files may include `high` of a circle.
            for each in (number, given):
                cell = each if self.grid is None else self.grid.multiples(each)
                for index, spike in enumerate(self.spikes_in_steps):
                    code[present & (cell == spike)] = index + 1
            number = self._places_on_circle(number)
            number = np.where(code == 0, number, np.nan)
            is_possible &= (code != 0) | self._is_inside(number)
        return Encoded(code, number, is_possible, is_known, is_missing)

    def _places(self, cells):
        """Returns the places of cells among the column's values, `[N]`; -1 for others.

        In a context, a number between two of many ordered numbers has a place between
        theirs, since a context may have numbers that no training row has.
        """
        place = np.array([self._codes.get(value, -1.0) for value in cells.values], float)
        values = self.column.values
        is_number = self.column.has_many_numbers and cells.type == "number"
        if self._is_context and is_number and sorted(values) == list(values):
            numbers = cells.numbers()
            is_between = (numbers > values[0]) & (numbers < values[-1])
            places = np.interp(numbers, values, np.arange(len(values)))
            place = np.where(is_between, places, place)
        return place

    def on_circle(self, number: np.ndarray) -> np.ndarray:
        """Returns numbers, `[N]`, with `low` in place of `high` on a circle."""
        if self.column.kind != "periodic":
            return number
        low, high = self.column.circle
        rounding = _TURN_ROUNDING * (high - low)
        is_end = (number >= high) & (number <= high + rounding)
        is_end |= (number < low) & (number >= low - rounding)
        return np.where(is_end, low, number)

    def _places_on_circle(self, number):
        """Places of numbers on a grid, `[N]`; on a circle, those below the first come last.

        There are such between a spike at `low` and the first place.
        """
        places = number if self.grid is None else self.grid.places(number)
        if self.grid is None or self.column.kind != "periodic":
            return places
        first, last = self._ends
        is_before = (number >= self.column.circle[0]) & (places < first)
        return np.where(is_before, places + (last - first + 1.0), places)

    def clipped(self, number: np.ndarray, maps: NumberMaps) -> np.ndarray:
        """Returns the nearest numbers of the support, `[N]`; on a circle, the same angle.

        In place of an open end stands the number that the map of the column's numbers has
        where features of networks are clipped (`FEATURE_BOUND`).
        """
        low, high = (
            default if end is None else float(end)
            for end, default in zip(self._ends, (-np.inf, np.inf), strict=True)
        )
        if self.column.kind == "periodic":
            low, high = self.column.circle
            number = number if self.grid is None else self.grid.at(number)
            return low + np.mod(number - low, high - low)
        if self.grid is not None:
            return self.grid.at(np.clip(np.round(number), low, high))
        ends = tf.constant([[-FEATURE_BOUND], [FEATURE_BOUND]], tf.float64)
        first, last = maps.backward(ends).numpy()[:, 0]
        first = low if low in self.column.spikes else first
        last = high if high in self.column.spikes else last
        number = np.where(number <= low, first, number)
        return np.where(number >= high, last, number)

    @property
    def _ends(self):
        """Ends of the numbers, or of their places on a grid; None for none."""
        kind, low, high = self.column.kind, self.column.lowest, self.column.high
        if kind not in ("positive", "bounded", "periodic", "integer"):
            return None, None
        high = None if kind == "positive" else high
        if self.grid is None:
            return low, high
        first, last = self.grid.ends(low, high)
        if kind == "periodic":  # whose `high` is `low`
            last = float(self.grid.places_below(np.array(self.column.circle[1])))
        return first, last

    def decode(self, code: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Returns the cells of codes and numbers, `[N]` each."""
        is_missing = (code == self.num_codes - 1) & self.has_missing
        if self.column.has_values:
            index = np.nan_to_num(number).astype(np.int64) if self.has_number else code
            are_texts = all(isinstance(value, str) for value in self.column.values)
            values = np.array(self.column.values, object if are_texts else None)
            return with_missing(values[np.where(is_missing, 0, index)], is_missing)
        number = number if self.grid is None else self.grid.at(number)
        for spike, value in enumerate(self.column.spikes):
            number = np.where(code == spike + 1, value, number)
        number = np.where(is_missing, np.nan, number)
        if self.column.kind == "date":
            return dates_from_days(number)
        is_whole = self.column.kind == "integer" and not is_missing.any()
        is_whole = is_whole and all(s == int(s) for s in self.column.spikes)
        return number.astype(np.int64) if is_whole else number

    def inside(self, number: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns decoded numbers, `[N]`, which a dtype does not round to an open end."""
        is_small = isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8
        if not is_small or self.grid is not None or not self.has_number:
            return number
        with np.errstate(over="ignore"):
            rounded = number.astype(dtype)
        if np.isinf(rounded).any():  # `Form.written` will not use this dtype
            return number
        is_free = ~np.isin(number, self.column.spikes)
        for end, inwards in zip(self._ends, (np.inf, -np.inf), strict=True):
            if end is not None:
                nearest = np.nextafter(dtype.type(end), dtype.type(inwards))
                rounded = np.where(is_free & (rounded == dtype.type(end)), nearest, rounded)
        return rounded

    def measured(self, encoded: Encoded) -> NumberSpec:
        """Returns the map of the column's numbers, measured in training rows."""
        is_there = (encoded.code == 0) & encoded.is_possible & np.isfinite(encoded.number)
        numbers = encoded.number[is_there]
        return measured_map(self.column, self._ends, numbers, is_context=self._is_context)

    def _refuse_other_type(self, cells):
        """Refuses cells of another type than the column's.

        `is_known` tells which categories and ordered texts are others.
        """
        values = self.column.values
        if self.column.kind == "categorical" or self.column.has_ordered_texts:
            return
        expected = "date" if self.column.kind == "date" else "number"
        if values and isinstance(values[0], (str, np.datetime64)):
            expected = "text" if isinstance(values[0], str) else "date"
        got = "number" if cells.type == "boolean" else cells.type
        words = f"the {self.column.kind} column {self.column.name!r}"
        fits = got == expected or cells.is_missing.all()
        require(fits, f"a {expected} in each cell of {words}", f"a {cells.type}")

    def _is_inside(self, number):
        maps = NumberMaps([unmeasured_map(self.column, self._ends, np.zeros(0))])
        y = tf.constant(number[:, None])
        y = y if self.column.kind == "periodic" else maps.middle(y)
        inside = maps.unscaled(y).is_inside.numpy()[:, 0]
        may_miss_grid = self._is_context and self.column.kind != "integer"
        is_anywhere = ~maps.is_integer | may_miss_grid
        return inside & (is_anywhere | (number == np.floor(number)))
