"""The columns of a table, as a small editable object that prints as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require

_HEADINGS = ("column", "kind", "details", "missing", "reason")


class TableColumns:
    """The columns of a table by name, in order, which `describe_columns` returns.

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
        names = [column.name for column in columns]
        require(len(self) == len(names), "`columns` of different names", names)
        for column in self:
            check_column(column)

    def change(self, name: str, **entries: Any) -> None:
        """Overrides entries of a column.

        Args:
          name: name of the column.
          **entries: arguments of `Column`, such as `kind`. With another kind, entries that
            only fit the old one are dropped.

        Raises:
          ValueError: if there is no such column or entry, or they do not fit the kind.
        """
        column = self[name]
        known = {field.name for field in dataclasses.fields(Column)} - {"name"}
        is_known = set(entries) <= known
        require(is_known, f"entries {sorted(known)} of a column", sorted(entries))
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
        """Removes columns, which are then not part of the table's distribution."""
        for name in names:
            del self._columns[self[name].name]

    def select(self, names: Sequence[str]) -> TableColumns:
        """Returns the columns of these names, in this order."""
        return TableColumns([self[name] for name in names])

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns the columns as dictionaries of JSON's types."""
        return [column.to_plain() for column in self]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]]) -> TableColumns:
        """Returns the columns from the result of `to_plain`."""
        return cls([Column(**entries) for entries in plain])

    def __getitem__(self, name: str) -> Column:
        require(name in self._columns, f"a column of {self.names}", repr(name))
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
    """Whether values of `column` are texts, which have no order of their own."""
    is_text = any(isinstance(value, str) for value in column.values)
    return ordered.kind == "ordered" and is_text


def _line(row, widths):
    *first, missing, reason = (
        entry.ljust(width) for entry, width in zip(row, widths, strict=True)
    )
    return "  ".join([*first, missing.strip().rjust(widths[3]), reason]).rstrip()


# Meaning of each kind, and the entries that it needs.
KINDS = {
    "real": "any number",
    "positive": "above `low`, 0 by default; its logarithm is modelled",
    "bounded": "between `low` and `high`",
    "periodic": "on a circle from `low` to `high`, as hours or angles; never guessed",
    "heavy-tailed": "any number, with outliers at all scales",
    "integer": "counts: integers, from `low` to `high` where there are such",
    "ordered": "one of `values`, in their order",
    "categorical": "one of `values`, without an order",
    "boolean": "one of two `values`",
    "date": "a point in time",
    "constant": "always the same value",
    "text": "text of too many kinds to be a category; give another kind, or drop it",
    "identifier": "names the row: a row number, or a huge integer; drop it",
    "missing": "no value at all; drop it",
}
# Kinds without a distribution.
UNUSABLE = ("text", "identifier", "missing")
_WITH_VALUES = ("ordered", "categorical", "boolean", "constant")
_NUMBERS = ("real", "positive", "bounded", "periodic", "heavy-tailed", "integer", "date")


@dataclasses.dataclass
class Column:
    """One column of a table, which may be edited.

    Args:
      name: name of the column.
      kind: one of `KINDS`.
      reason: why the column has this kind.
      low: lower end of "bounded" and "periodic"; optional for "positive" and "integer".
      high: upper end of "bounded" and "periodic"; optional for "integer".
      values: possible values of "ordered", "categorical", "boolean" and "constant".
      spikes: numbers that many rows share, each with a probability of its own.
      num_missing: number of missing cells.

    >>> import tfp_flows
    >>> column = tfp_flows.tables.Column("hour", "periodic", low=0, high=24)
    >>> column.kind, column.high
    ('periodic', 24)
    """

    name: str
    kind: str
    reason: str = ""
    low: float | None = None
    high: float | None = None
    values: list = dataclasses.field(default_factory=list)
    spikes: list = dataclasses.field(default_factory=list)
    num_missing: int = 0

    @property
    def has_values(self) -> bool:
        """Whether cells are one of a list of values."""
        return self.kind in _WITH_VALUES

    @property
    def has_ordered_texts(self) -> bool:
        """Whether cells are texts in the order of `values`."""
        return self.kind == "ordered" and any(isinstance(v, str) for v in self.values)

    @property
    def is_number(self) -> bool:
        """Whether cells are numbers, except spikes."""
        return self.kind in _NUMBERS

    @property
    def circle(self) -> tuple[float, float]:
        """Start and end of a periodic column's circle, which are the same point."""
        return float(self.low or 0.0), float(self.high or 0.0)

    @property
    def details(self) -> str:
        """Ends, values and spikes in words."""
        parts = []
        if self.is_number and (self.low is not None or self.high is not None):
            ends = [f"{end:g}" if end is not None else "" for end in (self.low, self.high)]
            parts.append("{} to {}".format(*ends).strip())
        if self.has_values:
            parts.append(_shortened(self.values))
        if self.spikes:
            parts.append(f"spikes {_shortened(self.spikes)}")
        return ", ".join(parts)

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        plain = dataclasses.asdict(self)
        plain["values"] = [
            v.item() if isinstance(v, np.generic) else v for v in self.values
        ]
        plain["spikes"] = [float(v) for v in self.spikes]
        return plain


def check_column(column: Column) -> None:
    """Raises `ValueError`, which names the column, if its entries do not fit its kind."""
    name, kind, spikes = column.name, column.kind, column.spikes
    require(kind in KINDS, f"`kind` of column {name!r} of {sorted(KINDS)}", repr(kind))
    low = 0.0 if kind == "positive" and column.low is None else column.low
    ends = [end for end in (low, column.high) if end is not None]
    given = f"{column.low} and {column.high}"
    is_rising = all(map(_is_finite, ends)) and sorted(set(ends)) == ends
    require(is_rising, f"finite `low` < `high` of column {name!r}", given)
    has_ends = kind not in ("bounded", "periodic") or len(ends) == 2
    require(has_ends, f"`low` and `high` of the {kind} column {name!r}", given)
    are_allowed = kind != "integer" or all(end == math.floor(end) for end in ends)
    require(are_allowed, f"integers `low` and `high` of the integer column {name!r}", given)
    are_finite = all(map(_is_finite, spikes))
    require(are_finite, f"finite `spikes` of column {name!r}", spikes)
    are_wanted = column.is_number or not spikes
    require(are_wanted, f"no `spikes` of the {kind} column {name!r}", spikes)
    if column.has_values:
        example = f"change({name!r}, kind={kind!r}, values=['low', 'high'])"
        expected = (
            f"`values` of the {kind} column {name!r}, in their order if they have one"
        )
        require(column.values, f"{expected}, as {example}", "none")
        are_different = len(set(column.values)) == len(column.values)
        require(are_different, f"different `values` of {name!r}", column.values)


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _shortened(values, most=4):
    shown = [f"{v:g}" if isinstance(v, (float, np.floating)) else str(v) for v in values]
    if len(shown) > most:
        shown = [*shown[: most - 1], "...", shown[-1]]
    return ", ".join(shown)
