"""The codec of a table: cells of the modelled columns and of the context, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.tables.frames import Frame
from tfp_flows.tables.row_codec import RowCodec
from tfp_flows.tables.table_columns import TableColumns

__all__ = ["TableCodec"]


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
        """Returns arguments of `MixedRows`, by training rows."""
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
        of_contexts = ~contexts.is_possible | ~contexts.is_known
        unknown |= dict(zip(self.contexts.names, of_contexts.T, strict=True))
        given = {"context": contexts.x} if self.contexts.size else {}
        is_possible = np.logical_and.reduce(rows.is_possible, axis=1)
        return {"value": rows.x, **given}, is_possible, unknown
