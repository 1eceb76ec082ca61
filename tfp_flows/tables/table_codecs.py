"""The codecs of a table: of its modelled columns, and of their context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Form, Frame
from tfp_flows.tables.numbers.atoms import Atoms, AtomSpec
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec
from tfp_flows.tables.row_codec import RowCodec, RowsRead


class TableCodecs:
    """Frames of a table as entries of rows and of their contexts, and back.

    Args:
      columns: all columns of the table.
      missing: "refuse" or "indicator", as in `TableDensity`.
      context: names of the columns of the context.

    Attributes:
      rows: the `RowCodec` of the modelled columns.
      context: that of the context.

    Raises:
      ValueError: if no column that varies is modelled, `context` has an unknown name, or a
        column has no distribution.
    """

    def __init__(self, columns: TableColumns, missing: str, context: Sequence[str]) -> None:
        is_known = set(context) <= set(columns.names)
        fits = is_known and len(set(context)) == len(context)
        require(fits, f"`context` of different names in {columns.names}", context)
        names = [name for name in columns.names if name not in context]
        got = f"{columns.names}, and `context` of {context}"
        require(names, "`columns` beside those of `context`", got)
        self.rows = RowCodec(columns, missing, names)
        self.context = RowCodec(columns, missing, context, is_context=True)
        self._columns = columns
        self._atoms = self.rows.atoms(self.context)
        require(self.rows.size, "columns that vary", f"{names}, all constant")

    def encode_possible(self, frame: Frame) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns entries, `[N, K + D]`, of rows that can occur, and of their context."""
        expected = "rows that can occur by the kinds of their columns"
        self.refuse_lacking(frame)
        return self.rows.encode(frame, expected), self.encode_context(frame)

    def refuse_lacking(self, frame: Frame) -> None:
        """Raises `ValueError` if columns of the rows or of their contexts are missing.

        An array of rows alone would also do as one of contexts, if both are as wide.
        """
        frame.take(self._columns.names, frame.argument)

    def encode_context(self, frame: Frame) -> np.ndarray | None:
        """Returns entries of the context, `[N, C]`; None if there are none."""
        if not self.context.names:
            return None
        expected = "`context` of cells that training rows can have (see `clip_context`)"
        x = self.context.encode(frame, expected)
        return x if self.context.size else None

    def unknown_cells(self, rows: RowsRead, contexts: RowsRead) -> dict[str, np.ndarray]:
        """Returns which cells make a density refuse a row, booleans `[N]`, by column."""
        is_unknown = ~rows.is_known | rows.is_missing & ~rows.is_possible
        unknown = dict(zip(self.rows.names, is_unknown.T, strict=True))
        is_unknown = ~contexts.is_possible | ~contexts.is_known
        return unknown | dict(zip(self.context.names, is_unknown.T, strict=True))

    def measure(
        self,
        frame: Frame,
        rows: npt.NDArray[np.integer],
        x: np.ndarray,
        context: np.ndarray | None,
    ) -> tuple[list[NumberSpec], list[AtomSpec]]:
        """Returns maps and atoms of the numbers, measured in some rows, `[n]`, of a frame.

        The entries of all rows are `x`, `[N, K + D]`, and `context`, `[N, C]`.
        """
        numbers = self.rows.measure(frame, rows)
        if not self._atoms:
            return numbers, []
        entries = x if context is None else np.concatenate([x, context], axis=1)
        atoms = Atoms(self._atoms, NumberMaps(numbers))
        specs, is_at_atom = atoms.measured(entries[rows], len(self.rows.num_values))
        return self.rows.measure(frame, rows, is_at_atom), specs

    def written(self, x: np.ndarray, form: Form, contexts: Frame | None) -> Any:
        """Returns entries, `[N, K + D]`, as a frame of some form, beside their contexts."""
        names, context, index = self.context.names, {}, None
        if contexts is not None:
            context, index = contexts.take_as_given(names, "context"), contexts.index
        given = {} if contexts is None else contexts.take(names, "context")
        columns = {**context, **self._inside(self.rows.decode(x, given), form)}
        columns = {name: columns[name] for name in self._columns.names}
        return form.written(columns, names, index)

    def _inside(self, decoded, form):
        """Decoded columns whose dtypes do not round numbers to an open end."""
        return {
            name: self.rows.codecs[name].inside(column, form.columns[name].dtype)
            if name in form.columns and column.dtype.kind == "f"
            else column
            for name, column in decoded.items()
        }
