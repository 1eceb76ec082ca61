"""The codec of a table: cells of the modelled columns and of the context, checked."""

from __future__ import annotations

from collections.abc import Callable
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

    def training_cells(self, frame: Frame, can_occur: Callable) -> Any:
        """Returns cells of training rows, `x` or `(x, context)`.

        Args:
          frame: the rows.
          can_occur: function from cells to which rows have a density above zero.

        Raises:
          ValueError: if a row cannot occur; names the first, and its values.
        """
        x, possible = self.rows.encode(frame)
        context = self.context_of(frame)
        possible &= can_occur(x)
        what = "rows that can occur by the kinds of their columns"
        _refuse_impossible(frame, self.names, possible, what)
        return (x, context["context"]) if context else x

    def context_of(self, frame: Frame) -> dict[str, Any]:
        """Returns the keyword argument `context`, `[N, C]`, if there is one.

        Raises:
          ValueError: if a row has values that no training row had; names the first.
        """
        if not self.contexts.names:
            return {}
        x, possible = self.contexts.encode(frame)
        what = "`context` of values that training rows had"
        _refuse_impossible(frame, self.contexts.names, possible, what)
        return {"context": x} if self.contexts.size else {}


def _refuse_impossible(frame, names, possible, what):
    if possible.all():
        return
    row = int(np.argmin(possible))
    values = {name: column[row] for name, column in frame.take(names).items()}
    raise ValueError(
        f"Expected {what}; got {values} in row {row} "
        f"({int((~possible).sum())} of {len(frame)} rows)."
    )
