"""The codec of rows: a frame's columns as one matrix of codes and numbers, and back."""

from __future__ import annotations

import typing

import numpy as np

from tfp_flows.tables.column import UNUSABLE
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.frames import is_missing
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.number_maps import NumberSpec
from tfp_flows.tables.table_columns import TableColumns

__all__ = ["RowCodec", "RowsRead"]


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
                numbers = codec.clipped(encoded.number, maps.of_columns([cell]))
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
