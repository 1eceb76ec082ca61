"""The columns of a table, as a small editable object that prints as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from tfp_flows.tables.column import Column
from tfp_flows.tables.column import check_column

__all__ = ["TableColumns"]

_HEADINGS = ("column", "kind", "details", "missing", "reason")


class TableColumns:
    """Columns by name, in order; what `describe_columns` returns.

    Args:
      columns: `Column`s of different names.

    Raises:
      ValueError: if two have one name, or the entries of one do not fit its kind.

    >>> import tfp_flows
    >>> columns = tfp_flows.describe_columns({"hour": [0.5, 7.25, 23.0], "n": [1, 2, 1]})
    >>> columns.change("hour", kind="periodic", low=0, high=24)
    >>> columns["hour"].kind
    'periodic'
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = {column.name: column for column in columns}
        if len(self._columns) < len(columns):
            raise ValueError(
                f"Expected `columns` of different names; got {[c.name for c in columns]}."
            )
        self.check()

    def check(self) -> None:
        """Raises `ValueError` if the entries of a column do not fit its kind."""
        for column in self:
            check_column(column)

    def change(self, name: str, **entries: Any) -> None:
        """Overrides entries of a column.

        Args:
          name: of the column.
          **entries: of `Column`, such as `kind`; those that belonged to another kind only
            are dropped.

        Raises:
          ValueError: if there is no such column or entry, or they do not fit the kind.
        """
        column = self[name]
        known = {field.name for field in dataclasses.fields(Column)} - {"name"}
        if set(entries) - known:
            raise ValueError(
                f"Expected entries {sorted(known)} of a column; got {sorted(entries)}."
            )
        if entries.get("kind", column.kind) != column.kind:
            fresh = Column(name, entries["kind"], num_missing=column.num_missing)
            if fresh.is_number and column.is_number:
                fresh.spikes = column.spikes
            if fresh.has_values and column.has_values and not _lacks_order(fresh, column):
                fresh.values = column.values
            column = fresh
        changed = dataclasses.replace(column, **{"reason": "as given", **entries})
        check_column(changed)
        self._columns[name] = changed

    def drop(self, *names: str) -> None:
        """Takes columns out: they are not part of the table's distribution."""
        for name in names:
            del self._columns[self[name].name]

    def select(self, names: Sequence[str]) -> TableColumns:
        """Returns the columns of these names, in this order."""
        return TableColumns([self[name] for name in names])

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def values(self) -> dict[str, list]:
        """The values of the columns that have a list of them, by name."""
        return {column.name: column.values for column in self if column.has_values}

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns them as dictionaries of JSON's types."""
        return [column.to_plain() for column in self]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]]) -> TableColumns:
        """Rebuilds what `to_plain` has returned."""
        return cls([Column(**entries) for entries in plain])

    def __getitem__(self, name: str) -> Column:
        if name not in self._columns:
            raise ValueError(f"Expected a column of {self.names}; got {name!r}.")
        return self._columns[name]

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __len__(self) -> int:
        return len(self._columns)

    def __str__(self) -> str:
        rows = [_HEADINGS]
        rows += [(c.name, c.kind, c.details, str(c.num_missing), c.reason) for c in self]
        widths = [max(map(len, entries)) for entries in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)

    __repr__ = __str__


def _lacks_order(ordered, column):
    """Whether it would be the alphabet's: texts have none of their own."""
    is_text = any(isinstance(value, str) for value in column.values)
    return ordered.kind == "ordered" and is_text


def _line(row, widths):
    *first, missing, reason = (
        entry.ljust(width) for entry, width in zip(row, widths, strict=True)
    )
    return "  ".join([*first, missing.strip().rjust(widths[3]), reason]).rstrip()
