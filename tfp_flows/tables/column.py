"""The column of a table: its kind, what goes with it, and why."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

__all__ = ["KINDS", "UNUSABLE", "Column", "check_column"]

# What each kind is, in a few words, and what it needs.
KINDS = {
    "real": "any number",
    "positive": "above `low`, 0 by default; its logarithm is modelled",
    "bounded": "between `low` and `high`",
    "periodic": "on a circle from `low` to `high`, as hours or angles; never guessed",
    "heavy-tailed": "any number, with outliers at all scales",
    "integer": "counts: integers, from `low` to `high` where there are such",
    "ordered": "one of `values`, in their order",
    "categorical": "one of `values`, in no order",
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
      name: of the column.
      kind: one of `KINDS`.
      reason: why it has this kind.
      low: lower end: of "bounded", "periodic"; of "positive", "integer" if there is one.
      high: upper end: of "bounded", "periodic"; of "integer" if there is one.
      values: of "ordered", "categorical", "boolean", "constant": what occurs.
      spikes: numbers that many rows share, each of which has a probability of its own.
      num_missing: how many cells were missing.

    >>> import tfp_flows
    >>> column = tfp_flows.Column("hour", "periodic", low=0, high=24)
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
        """Whether it has one of a list of values."""
        return self.kind in _WITH_VALUES

    @property
    def has_ordered_texts(self) -> bool:
        """Whether it has texts in an order, which is that of `values`."""
        return self.kind == "ordered" and any(isinstance(v, str) for v in self.values)

    @property
    def is_number(self) -> bool:
        """Whether it has numbers, but for its spikes."""
        return self.kind in _NUMBERS

    @property
    def circle(self) -> tuple[float, float]:
        """Start and end of the circle of a periodic column: one point of it."""
        return float(self.low or 0.0), float(self.high or 0.0)

    @property
    def details(self) -> str:
        """What goes with the kind, in words."""
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
    name, kind = column.name, column.kind
    if kind not in KINDS:
        raise ValueError(
            f"Expected `kind` of column {name!r} of {sorted(KINDS)}; got {kind!r}."
        )
    low = 0.0 if kind == "positive" and column.low is None else column.low
    ends = [end for end in (low, column.high) if end is not None]
    if not all(_is_finite(end) for end in ends) or len(ends) == 2 and ends[0] >= ends[1]:
        raise ValueError(
            f"Expected finite `low` < `high` of column {name!r}; got {column.low} and "
            f"{column.high}."
        )
    if kind in ("bounded", "periodic") and len(ends) < 2:
        raise ValueError(
            f"Expected `low` and `high` of the {kind} column {name!r}; got {column.low} "
            f"and {column.high}."
        )
    if kind == "integer" and any(end != math.floor(end) for end in ends):
        raise ValueError(
            f"Expected integers `low` and `high` of the integer column {name!r}; got "
            f"{column.low} and {column.high}."
        )
    if not all(_is_finite(spike) for spike in column.spikes):
        raise ValueError(
            f"Expected finite `spikes` of column {name!r}; got {column.spikes}."
        )
    if column.spikes and not column.is_number:
        raise ValueError(
            f"Expected no `spikes` of the {kind} column {name!r}; got {column.spikes}."
        )
    if column.has_values and not column.values:
        raise ValueError(
            f"Expected `values` of the {kind} column {name!r}, in their order if they have "
            f"one, as change({name!r}, kind={kind!r}, values=['low', 'high']); got none."
        )
    if column.has_values and len(set(column.values)) != len(column.values):
        raise ValueError(f"Expected different `values` of {name!r}; got {column.values}.")


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _shortened(values, most=4):
    shown = [f"{v:g}" if isinstance(v, (float, np.floating)) else str(v) for v in values]
    if len(shown) > most:
        shown = [*shown[: most - 1], "...", shown[-1]]
    return ", ".join(shown)
