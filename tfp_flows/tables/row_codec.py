"""The codec of rows: a frame's columns as one matrix of codes and numbers, and back."""

from __future__ import annotations

import numpy as np

from tfp_flows.tables.column import UNUSABLE
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.frames import is_missing
from tfp_flows.tables.number_maps import NumberSpec
from tfp_flows.tables.table_columns import TableColumns

__all__ = ["RowCodec"]


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

    def missing(self, frame: Frame) -> np.ndarray:
        """Which cells of the frame are missing, booleans `[N, columns]`."""
        columns = frame.take(self.names, self._argument)
        return np.stack([is_missing(column) for column in columns.values()], axis=1)

    def encode(self, frame: Frame, *, to_impute: bool = False) -> tuple:
        """Returns cells, `[N, K + D]`, and which rows are possible, booleans `[N]`.

        Args:
          frame: with the columns.
          to_impute: whether missing cells are to be imputed: they are not refused.

        Raises:
          ValueError: if there are missing cells that are not modelled, or a column has
            cells of another type, or unknown categories.
        """
        columns = frame.take(self.names, self._argument) if self.names else {}
        if self._refuses_missing and not to_impute:
            self._refuse_missing(columns)
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
        possible = np.ones(len(frame), bool)
        for each in encoded:
            possible &= each.is_possible
        return x, possible

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

    def _refuse_missing(self, columns):
        counts = {name: int(is_missing(column).sum()) for name, column in columns.items()}
        counts = {name: count for name, count in counts.items() if count}
        if counts:
            raise ValueError(
                f"Expected `{self._argument}` without missing cells; got some in "
                f"{counts} (column: count). With missing='indicator' they are modelled."
            )
