"""The codec of a table: cells of rows as codes and numbers, checked, and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.tables.atoms import AtomSpec
from tfp_flows.tables.columns import UNUSABLE, Column, Difference, Equality, TableColumns
from tfp_flows.tables.differences import without_rounding
from tfp_flows.tables.frames import Frame, cells_of, dates_from_days, is_missing
from tfp_flows.tables.functions import Function
from tfp_flows.tables.grids import FIRST_INEXACT
from tfp_flows.tables.lookups import Lookup
from tfp_flows.tables.marginals import with_frequencies
from tfp_flows.tables.networks import FARTHEST
from tfp_flows.tables.number_maps import NumberMaps, NumberSpec

# Share of a circle by which float32 may round an angle beyond an end.
_TURN_ROUNDING = 1e-6
# Relative spread below which a column of the context is taken for a constant with rounding
# noise; and a rounding of float64, the least relative scale of a modelled column.
_NOISE, _ROUNDING = 1e-13, 2.0**-52
# Scales of asinh maps about zero, as quantiles of the amounts; and the nats per number that
# an asinh map must gain: normal and Laplace numbers gain at most 0.1.
_SMALL, _LEAST_GAIN = (0.05, 0.1, 0.25, 0.5), 0.3


class RowsRead(typing.NamedTuple):
    """Rows of C columns as cells, whether they can occur or not.

    Attributes:
      x: codes and numbers, `[N, K + D]`; arbitrary where a cell is missing or unknown.
      is_possible: which cells can occur, booleans `[N, C]`; False for missing cells that
        are not modelled.
      is_known: False for texts and categories without a code, booleans `[N, C]`.
      is_missing: which cells are missing, booleans `[N, C]`.
    """

    x: np.ndarray
    is_possible: np.ndarray
    is_known: np.ndarray
    is_missing: np.ndarray


class RowCodec:
    """Rows of some columns of a table as cells: first all codes, then all numbers.

    Args:
      columns: the `TableColumns`.
      missing: "refuse", or "indicator", which models missing cells of columns that have
        had some.
      argument: name of the frame in errors.
      differences: the `Difference`s that are cells in place of their columns. Other columns
        that they name may also be in the context.
      functions: the `Function`s and `Lookup`s whose columns have no cells, since they are
        computed. Their sources may also be in the context.
      is_given: whether the columns are a context, in which numbers off the grid are
        possible.

    Raises:
      ValueError: if a column is of a kind that has no distribution.
    """

    def __init__(
        self,
        columns: TableColumns,
        missing: str,
        argument: str,
        *,
        differences: Sequence[Difference] = (),
        functions: Sequence[Function | Lookup] = (),
        is_given: bool = False,
    ) -> None:
        unusable = {c.name: f"{c.kind}: {c.reason}" for c in columns if c.kind in UNUSABLE}
        hint = " Change their kinds, or drop them."
        require(not unusable, "columns that have a distribution", unusable, hint)
        self._argument = argument
        self._refuses_missing = missing == "refuse"
        self.names = columns.names
        self.differences = {d.name: d for d in differences}
        self._columns = {column.name: column for column in columns}
        self.functions = {f.name: f for f in functions}
        described = self._columns | {d.name: d.column for d in differences}
        described |= {f.name: _no_column(f) for f in functions}
        self._codecs = [
            ColumnCodec(
                column,
                not self._refuses_missing and column.num_missing > 0,
                is_given=is_given,
            )
            for column in described.values()
        ]
        self._with_code = [i for i, c in enumerate(self._codecs) if c.num_codes > 1]
        self._with_number = [i for i, c in enumerate(self._codecs) if c.has_number]

    @property
    def num_values(self) -> list[int]:
        """Number of values of each code, `[K]`."""
        return [self._codecs[i].num_codes for i in self._with_code]

    @property
    def size(self) -> int:
        """Number of cells of a row, K + D."""
        return len(self._with_code) + len(self._with_number)

    @property
    def column_of_each(self) -> np.ndarray:
        """Index of the column of each cell of a row, `[K + D]`."""
        return np.array([*self._with_code, *self._with_number], int)

    @property
    def codes_of_missing(self) -> np.ndarray:
        """The code of a missing cell for each cell of a row, `[K + D]`; -1 without one."""
        codecs = [self._codecs[i] for i in self._with_code]
        codes = [c.num_codes - 1.0 if c.has_missing else -1.0 for c in codecs]
        return np.array([*codes, *[-1.0] * len(self._with_number)])

    def cells_of_column(self, name: str) -> list[int]:
        """Returns the indices of a column's code and number among the cells of a row."""
        return np.flatnonzero(self.column_of_each == self.names.index(name)).tolist()

    def codec(self, name: str) -> ColumnCodec:
        """Returns the codec of one column."""
        return self._codecs[self.names.index(name)]

    def read(self, frame: Frame) -> RowsRead:
        """Returns the rows of a frame, also rows that cannot occur.

        Raises:
          ValueError: if a column is missing, or has cells of another type.
        """
        encoded = self._encoded(frame)
        cells = [encoded[i].code for i in self._with_code]
        cells += [encoded[i].number for i in self._with_number]
        x = np.zeros([len(frame), self.size])
        for cell, values in enumerate(cells):
            x[:, cell] = np.nan_to_num(values)  # absent numbers are NaN
        flags = np.ones([3, len(frame), len(self.names)], bool)
        for i, each in enumerate(encoded):
            flags[:, :, i] = each.is_possible, each.is_known, each.is_missing
        for name in self.differences:  # a sum must be on the grid of its column
            i = self.names.index(name)
            flags[0, :, i] &= flags[2, :, i] | self._is_on_grid(frame, name)
        for name, function in self.functions.items():
            i = self.names.index(name)
            values, source = self.cells_of_function(function, frame)
            is_possible = function.holds(source, values)
            if isinstance(function, Lookup) and function.source in self.names:
                is_possible |= is_missing(source)  # one of several may have the value
            flags[:, :, i] = is_possible, np.ones(len(frame)), is_missing(values)
        return RowsRead(x, *flags)

    def encode(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Returns cells, `[N, K + D]`, and which can occur, by column, booleans `[N, C]`.

        Raises:
          ValueError: if a column has missing cells (with "refuse"), cells of another type,
            or unknown categories.
        """
        rows = self.read(frame)
        self.refuse(frame, rows)
        return rows.x, rows.is_possible

    def refuse(self, frame: Frame, rows: RowsRead) -> None:
        """Raises `ValueError` for rows that `encode` refuses."""
        counts = dict(zip(self.names, rows.is_missing.sum(axis=0).tolist(), strict=True))
        counts = {name: count for name, count in counts.items() if count}
        require(
            not (self._refuses_missing and counts),
            f"`{self._argument}` without missing cells",
            f"some in {counts} (column: count)",
            " With missing='indicator' they are modelled.",
        )
        self.refuse_unknown(frame, rows)

    def refuse_unknown(self, frame: Frame, rows: RowsRead) -> None:
        """Raises `ValueError` if a category is not among its column's values."""
        for codec, is_known in zip(self._codecs, rows.is_known.T, strict=True):
            if not is_known.all():
                column, row = codec.column, int(np.argmin(is_known))
                raise ValueError(
                    f"Expected one of {column.values} in column {column.name!r}; got "
                    f"{self._take(frame)[column.name][row]!r} in row {row} "
                    f"({(~is_known).sum()} rows)."
                )

    def refuse_cells(self, frame: Frame, is_wrong: np.ndarray, expected: str) -> None:
        """Raises `ValueError`, which names the first wrong cell, if there are some.

        Args:
          frame: the rows.
          is_wrong: which cells are wrong, booleans `[N, C]`.
          expected: words that say what was expected.
        """
        if not is_wrong.any():
            return
        row = int(np.argmax(is_wrong.any(axis=1)))
        index = int(np.argmax(is_wrong[row]))
        column = self._codecs[index].column
        cell = self._cells(frame)[self.names[index]][row]
        cell = cell.item() if isinstance(cell, np.generic) else cell
        details = f" ({column.details})" if column.details else ""
        which = f"{column.kind} column {column.name!r}{details}"
        if self.names[index] in self.functions:
            which = f"computed column {column.name!r}"
        raise ValueError(
            f"Expected {expected}; got {cell!r} in the {which}, in row {row} "
            f"({is_wrong.any(axis=1).sum()} of {len(frame)} rows)."
        )

    def cells_of_function(
        self, function: Function | Lookup, frame: Frame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns cells of a function's column and of its source, `[N]`."""
        known = self._take(frame)
        if function.source not in known:
            known |= frame.take([function.source], self._argument)
        values, source = (function.cells(name, known[name]) for name in function.names)
        return values, source

    def clipped(self, frame: Frame, maps: NumberMaps) -> tuple[dict, dict]:
        """Returns columns with numbers moved into their supports, and which were moved.

        Args:
          frame: rows with the columns.
          maps: maps of the numbers, measured in training rows.
        """
        columns = self._take(frame)  # a context, which has no differences
        where = {name: np.zeros(len(frame), bool) for name in self.names}
        for cell, i in enumerate(self._with_number):
            codec, name = self._codecs[i], self.names[i]
            if codec.column.is_number:
                encoded = codec.encode(columns[name])
                where[name] = ~encoded.is_possible & np.isfinite(encoded.number)
                numbers = codec.clipped(encoded.number, maps.from_columns([cell]))
                columns[name] = numbers if where[name].any() else columns[name]
        return columns, where

    def measure(
        self,
        frame: Frame,
        is_training: npt.NDArray[np.bool_],
        is_at_atom: npt.NDArray[np.bool_] | None = None,
    ) -> list[NumberSpec]:
        """Returns the maps of the numbers, measured in training rows.

        Args:
          frame: N rows.
          is_training: which of them are measured, booleans `[N]`.
          is_at_atom: which numbers of these n rows are not measured, booleans `[n, D]`.
        """
        encoded = [
            Encoded(*(cells[is_training] for cells in each))
            for each in self._encoded(frame)
        ]
        if is_at_atom is not None:
            for i, at_atom in zip(self._with_number, is_at_atom.T, strict=True):
                number = np.where(at_atom, np.nan, encoded[i].number)
                encoded[i] = encoded[i]._replace(number=number)
        codes = {owner: code for code, owner in enumerate(self._with_code)}
        return [
            self._codecs[i].measured(encoded[i], codes.get(i, -1))
            for i in self._with_number
        ]

    def atoms(self, equalities: Sequence[Equality], contexts: RowCodec) -> list[AtomSpec]:
        """Returns the atoms of the numbers.

        Args:
          equalities: pairs of columns, the one that has the atom first.
          contexts: the codec of the context, which may have the other one.
        """
        found = []
        for later, earlier in (equality.names for equality in equalities):
            owner, first = (self, 0) if earlier in self.names else (contexts, self.size)
            *code, cell = owner.cells_of_column(earlier)
            found.append(
                AtomSpec(
                    self.cells_of_column(later)[-1] - len(self._with_code),
                    first + cell,
                    first + code[0] if code else -1,
                    owner.codec(earlier).spikes_in_steps,
                    self.codec(later).spikes_in_steps,
                )
            )
        return found

    def decode(
        self, x: np.ndarray, given: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the columns of cells, `[N, K + D]`, by name.

        Args:
          x: cells.
          given: columns of the context, by name, from which others are computed.
        """
        columns = self._summed(self.parts(x), given or {})
        for name, function in self.functions.items():
            source = ((given or {}) | columns)[function.source]
            columns[name] = function(function.cells(function.source, source))
        return columns

    def parts(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Returns columns, `[N]`, by name, with differences in place of their columns."""
        nothing = np.zeros(len(x))
        codes = dict(zip(self._with_code, x.T, strict=False))
        numbers = dict(zip(self._with_number, x.T[len(self._with_code) :], strict=True))
        return {
            name: self._codecs[i].decode(
                codes.get(i, nothing).astype(np.int64), numbers.get(i, nothing)
            )
            for i, name in enumerate(self.names)
        }

    def number_of(self, name: str, part: np.ndarray) -> np.ndarray:
        """Returns the numbers, `[N]`, of values of a column's `parts`."""
        codec = self.codec(name)
        if codec.grid is None:
            return part
        return codec.grid.places(codec.grid.round_if_near(part))

    def offset(self, name: str, frame: Frame) -> np.ndarray | None:
        """Returns what a difference subtracts from its column, `[N]`; None without one."""
        if name not in self.differences:
            return None
        parts = frame.take(self.differences[name].minus, "context").values()
        return np.sum([part.astype(np.float64) for part in parts], axis=0)

    def _summed(self, columns, given):
        """Turns the differences among `columns` into columns, by adding their parts."""
        waiting = dict(self.differences)
        while waiting:
            known = {n: c for n, c in (given | columns).items() if n not in waiting}
            ready = [d for d in waiting.values() if set(d.minus) <= set(known)]
            for difference in ready:
                name = difference.name
                parts = [columns[name], *(known[part] for part in difference.minus)]
                grid = self._columns[name].grid
                total = np.sum(parts, axis=0)
                columns[name] = (
                    total if grid is None else _as_before(grid.round(total), total)
                )
                del waiting[name]
        return columns

    def _is_on_grid(self, frame, name):
        grid, y = self._columns[name].grid, self._take(frame)[name]
        if grid is None:
            return np.ones(len(y), bool)
        steps = grid.multiples(np.where(is_missing(y), 0.0, y).astype(np.float64))
        return steps == np.floor(steps)

    def _encoded(self, frame):
        columns = self._cells(frame).values()
        return [c.encode(column) for c, column in zip(self._codecs, columns, strict=True)]

    def _cells(self, frame):
        """The columns by name, and differences in place of some of them."""
        columns = self._take(frame)
        return columns | {
            n: self._subtracted(d, frame) for n, d in self.differences.items()
        }

    def _subtracted(self, difference, frame):
        known = self._take(frame)
        others = [name for name in difference.names if name not in known]
        known |= frame.take(others, self._argument) if others else {}
        parts = {name: known[name] for name in difference.names}
        first, *others = (cells_of(name, column) for name, column in parts.items())
        total, parts_of_sum = first.values, [other.values for other in others]
        if difference.column.kind == "constant":
            total = without_rounding(total, parts_of_sum)
        else:
            total = total - np.sum(parts_of_sum, axis=0)
        grid = difference.column.grid or self._columns[difference.name].grid
        return total if grid is None else grid.round_if_near(total)

    def _take(self, frame):
        return frame.take(self.names, self._argument) if self.names else {}


def _no_column(function):
    """A column without cells, which stands for a function's in errors and rules."""
    return Column(function.label, "constant", function.reason, values=[0.0])


def _as_before(rounded, values):
    """Rounded numbers, with the dtype of the values."""
    return rounded.astype(values.dtype) if values.dtype.kind == "i" else rounded


class Encoded(typing.NamedTuple):
    """Cells of one column, `[N]` each.

    Attributes:
      code: index of the value or spike, or the code of a missing cell; otherwise 0.
      number: the number where the code is 0; NaN elsewhere.
      is_possible: whether the cell can occur; False for numbers outside the support.
      is_known: False for texts and categories that are not among the column's values.
      is_missing: whether the cell is missing.
    """

    code: np.ndarray
    number: np.ndarray
    is_possible: np.ndarray
    is_known: np.ndarray
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
      is_given: whether numbers off the grid are possible, unless they are counts.
    """

    def __init__(self, column: Column, has_missing: bool, is_given: bool = False) -> None:
        self.column = column
        self.grid = column.grid
        self._is_given = is_given
        self._may_miss_grid = is_given and column.kind != "integer"
        self.has_missing = has_missing
        self._is_indexed = column.kind in ("categorical", "boolean", "constant")
        self._codes = {value: code for code, value in enumerate(column.values)}

    @property
    def num_codes(self) -> int:
        """Number of values of the code; 1 if the column has no code."""
        own = len(self.column.values) if self._is_indexed else 1 + len(self.column.spikes)
        return own + self.has_missing

    @property
    def spikes_in_steps(self) -> list[float]:
        """The spikes, in the order of their codes; on a grid, as multiples of its step."""
        spikes = np.asarray(self.column.spikes, np.float64)
        return (spikes if self.grid is None else self.grid.multiples(spikes)).tolist()

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
        present, is_missing = ~cells.is_missing, cells.is_missing
        is_possible = present | self.has_missing
        is_known = np.ones(len(column), bool)
        code = np.where(is_missing & self.has_missing, self.num_codes - 1, 0)
        if self.column.has_values:
            found = self._places(cells)
            is_possible &= is_missing | (found >= 0.0)
            if self.column.kind == "categorical" or self.column.has_ordered_texts:
                is_known = is_missing | (found >= 0.0)
            number = np.where(present, np.maximum(found, 0.0), np.nan)
            if self._is_indexed:
                code = np.where(present, number, code).astype(int)
                number = np.full(len(code), np.nan)
        else:
            number = self._numbers(cells)
            cell = number if self.grid is None else self.grid.multiples(number)
            for index, spike in enumerate(self.column.spikes):
                spike = spike if self.grid is None else self.grid.multiples(np.array(spike))
                code[present & (cell == spike)] = index + 1
            number = (
                self.on_circle(number) if self.grid is None else self.grid.places(number)
            )
            number = np.where(code == 0, number, np.nan)
            is_possible &= (code != 0) | self._is_inside(number)
        return Encoded(code, number, is_possible, is_known, is_missing)

    def _places(self, cells):
        """Returns the places of cells among the column's values, `[N]`; -1 for others.

        In a context, a number between two of many ordered numbers has a place between
        theirs: others than those of the training rows may occur.
        """
        found = np.array([self._codes.get(value, -1.0) for value in cells.values], float)
        values = self.column.values
        is_number = self.column.has_many_numbers and cells.type == "number"
        if self._is_given and is_number and sorted(values) == list(values):
            numbers = cells.numbers()
            is_between = (numbers > values[0]) & (numbers < values[-1])
            places = np.interp(numbers, values, np.arange(len(values)))
            found = np.where(is_between, places, found)
        return found

    def on_circle(self, number: np.ndarray) -> np.ndarray:
        """Returns numbers, `[N]`, with `low` in place of `high` on a circle."""
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
          maps: map of the column's numbers. In place of an open end stands the number at
            which features of networks are clipped (`FARTHEST`).
        """
        low, high = (
            default if end is None else float(end)
            for end, default in zip(self._ends, (-np.inf, np.inf), strict=True)
        )
        if self.column.kind == "periodic":
            return low + np.mod(number - low, high - low)
        if self.grid is not None:
            return self.grid.at(np.clip(np.round(number), low, high))
        ends = tf.constant([[-FARTHEST], [FARTHEST]], tf.float64)
        first, last = maps.backward(ends).numpy()[:, 0]
        first = low if low in self.column.spikes else first
        last = high if high in self.column.spikes else last
        number = np.where(number <= low, first, number)
        return np.where(number >= high, last, number)

    @property
    def _ends(self):
        """Ends of the numbers, or of their places on a grid; None for none."""
        kind, low, high = self.column.kind, self.column.low, self.column.high
        if kind not in ("positive", "bounded", "periodic", "integer"):
            return None, None
        if kind == "positive":
            low, high = low or 0.0, None
        return (low, high) if self.grid is None else self.grid.ends(low, high)

    def decode(self, code: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Returns the cells of codes and numbers, `[N]` each."""
        is_missing = (code == self.num_codes - 1) & self.has_missing
        if self.column.has_values:
            index = code if self._is_indexed else np.nan_to_num(number).astype(np.int64)
            values = _array(self.column.values)
            return _with_missing(values[np.where(is_missing, 0, index)], is_missing)
        number = number if self.grid is None else self.grid.at(number)
        for spike, value in enumerate(self.column.spikes):
            number = np.where(code == spike + 1, value, number)
        number = np.where(is_missing, np.nan, number)
        if self.column.kind == "date":
            dates = dates_from_days(np.where(is_missing, 0.0, number))
            return np.where(is_missing, np.datetime64("NaT", "ns"), dates)
        is_whole = self.column.kind == "integer" and not is_missing.any()
        is_whole = is_whole and all(s == int(s) for s in self.column.spikes)
        return number.astype(np.int64) if is_whole else number

    def inside(self, number: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns decoded numbers, `[N]`, which a dtype does not round to an open end.

        Args:
          number: decoded cells of a column without a grid.
          dtype: the dtype in which they are written.
        """
        is_small = isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8
        if not is_small or self.grid is not None or not self.has_number:
            return number
        with np.errstate(over="ignore"):
            rounded = number.astype(dtype)
        if np.isinf(rounded).any():  # then they are not written in this dtype
            return number
        is_free = ~np.isin(number, self.column.spikes)
        for end, inwards in zip(self._ends, (np.inf, -np.inf), strict=True):
            if end is not None:
                nearest = np.nextafter(dtype.type(end), dtype.type(inwards))
                rounded = np.where(is_free & (rounded == dtype.type(end)), nearest, rounded)
        return rounded

    def measured(self, encoded: Encoded, code: int) -> NumberSpec:
        """Returns the map of the column's numbers, measured in training rows.

        Args:
          encoded: cells of the training rows.
          code: index of the column's code among the codes of a row; -1 if it has none.
        """
        is_there = (encoded.code == 0) & encoded.is_possible & np.isfinite(encoded.number)
        numbers = encoded.number[is_there]
        spec = dataclasses.replace(_spec(self.column, self._ends, numbers), code=code)
        if spec.form == "circle" or not len(numbers):
            return spec
        if spec.is_integer:
            farthest = float(np.abs(numbers).max())
            words = f"integers below 2^53 in column {self.column.name!r}, each a float64"
            hint = " With kind='real' they have a density."
            require(farthest < FIRST_INEXACT, words, f"{farthest:g}", hint)
        maps = NumberMaps([spec])
        mapped = maps.unscaled(maps.middle(tf.constant(numbers[:, None])))
        u = mapped.u.numpy()[mapped.is_inside.numpy()]
        if not len(u):
            return spec
        # Other maps than a line make a relative spread of the numbers an absolute one.
        size = np.abs(u).max() + (spec.form != "line")
        least = (_NOISE if self._is_given else _ROUNDING) * size
        scale = _deviation(u)
        if np.ptp(numbers) == 0.0:
            scale = 1.0
        elif scale <= least:
            scale = 1.0 if self._is_given else float(least)
        spec = dataclasses.replace(spec, mean=float(u.mean()), scale=scale)
        return with_frequencies(spec, numbers) if spec.is_integer else spec

    def _numbers(self, cells):
        expected = "date" if self.column.kind == "date" else "number"
        found = "number" if cells.type == "boolean" else cells.type
        words = f"the {self.column.kind} column {self.column.name!r}"
        fits = found == expected or cells.is_missing.all()
        require(fits, f"a {expected} in each cell of {words}", f"a {cells.type}")
        return cells.numbers()

    def _is_inside(self, number):
        maps = NumberMaps([_spec(self.column, self._ends, np.zeros(0))])
        y = tf.constant(number[:, None])
        inside = maps.unscaled(maps.middle(y)).is_inside.numpy()[:, 0]
        may_be = ~maps.is_integer | self._may_miss_grid
        return inside & (may_be | (number == np.floor(number)))


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


def _spec(column, ends, numbers):
    """The form of a column's map, with ends and scales but no mean and deviation."""
    kind, (low, high) = column.kind, ends
    if kind == "periodic":
        return NumberSpec("circle", low=low, high=high)
    if kind == "ordered":
        return NumberSpec("logit", 0.0, float(len(column.values)), is_integer=True)
    is_grid = column.grid is not None
    if low is not None and high is not None:
        return NumberSpec("logit", low, high + 1.0 * is_grid, is_integer=is_grid)
    if low is not None:
        return _above(NumberSpec("log", low=low, is_integer=is_grid), numbers)
    if kind == "heavy-tailed" and len(numbers):
        middle = float(np.median(numbers))
        spread = float(np.median(np.abs(numbers - middle))) or float(np.std(numbers)) or 1.0
        return NumberSpec("asinh", middle, middle + spread, is_integer=is_grid)
    if kind == "heavy-tailed":
        return NumberSpec("asinh", is_integer=is_grid)
    line = NumberSpec("line", is_integer=is_grid)
    return _from_zero(line, numbers) if is_grid else line


def _from_zero(spec, numbers):
    """The line, or an asinh map about zero, for numbers of both signs on a grid.

    The asinh map resolves small amounts beside large ones. It is chosen if it makes the
    numbers much more normal.
    """
    middles = numbers + 0.5
    if not len(numbers):
        return spec
    sizes = np.unique(np.quantile(np.abs(middles), _SMALL))
    maps = [spec, *(dataclasses.replace(spec, form="asinh", high=s) for s in sizes)]
    y = tf.constant(middles[:, None])
    fits = [_normal_log_likelihood(NumberMaps([m]).unscaled(y)) for m in maps]
    best = int(np.argmax(fits))
    return maps[best] if fits[best] > fits[0] + _LEAST_GAIN else spec


def _above(spec, numbers):
    """The logarithm, or the softplus map, whose upper tail is shorter.

    The better one makes the numbers more normal.
    """
    middles = numbers + 0.5 * spec.is_integer
    middles = middles[middles > spec.low]
    if not len(middles):
        return spec
    y = tf.constant(middles[:, None])
    soft = dataclasses.replace(spec, form="softplus", high=float(np.median(middles)))
    return max(
        spec, soft, key=lambda s: _normal_log_likelihood(NumberMaps([s]).unscaled(y))
    )


def _deviation(u):
    """The standard deviation, of any size: squares of numbers below 1 do not underflow."""
    _, exponent = np.frexp(np.abs(u).max())
    return float(np.ldexp(np.ldexp(u, -exponent).std(), exponent))


def _normal_log_likelihood(mapped):
    """Nats per number of the best normal distribution, up to a constant."""
    u = mapped.u.numpy()[mapped.is_inside.numpy()]
    slope = mapped.log_slope.numpy()[mapped.is_inside.numpy()]
    return float(slope.mean() - np.log(u.std() + 1e-300)) if len(u) else 0.0
