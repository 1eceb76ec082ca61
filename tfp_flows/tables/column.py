"""One column of a table: its kind, ends, values, spikes and step."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.grids import Grid, find_step

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
_FEW_VALUES = 10  # maximum length of a list of numbers that are like categories
_DATE = "date"  # key of a date among plain values
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
      step: numbers are multiples of it, each with a probability, `low` and `high`
        included; a circle from `low` to `high` is a multiple of it. None: numbers have a
        density; "integer" columns have a step of 1.

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
    step: float | None = None

    @property
    def grid(self) -> Grid | None:
        """The `Grid` of the numbers that are not spikes; None if they are continuous."""
        is_counted = self.kind == "integer"
        if not is_counted and (self.step is None or not self.is_number):
            return None
        return Grid(self.step or 1.0, self.spikes)

    @property
    def has_values(self) -> bool:
        """Whether cells are one of a list of values."""
        return self.kind in _WITH_VALUES

    @property
    def has_ordered_texts(self) -> bool:
        """Whether cells are texts in the order of `values`."""
        return self.kind == "ordered" and any(isinstance(v, str) for v in self.values)

    @property
    def has_many_numbers(self) -> bool:
        """Whether cells are one of a long list of ordered numbers."""
        are_numbers = self.kind == "ordered" and not self.has_ordered_texts
        return are_numbers and len(self.values) > _FEW_VALUES

    @property
    def is_number(self) -> bool:
        """Whether cells are numbers, except spikes."""
        return self.kind in _NUMBERS

    @property
    def lowest(self) -> float | None:
        """Lower end of the numbers: `low`, but 0 by default for "positive"."""
        return 0.0 if self.kind == "positive" and self.low is None else self.low

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
        if self.step is not None and (self.kind, self.step) != ("integer", 1.0):
            parts.append(f"step {self.step:g}")
        if self.has_values:
            parts.append(_shortened(self.values))
        if self.spikes:
            parts.append(f"spikes {_shortened(self.spikes)}")
        return ", ".join(parts)

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        plain = dataclasses.asdict(self)
        plain["values"] = [_plain_value(v) for v in self.values]
        plain["spikes"] = [float(v) for v in self.spikes]
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Column:
        """Returns the column from the result of `to_plain`."""
        values = [_value_from_plain(value) for value in plain.get("values", ())]
        return cls(**{**plain, "values": values})


def with_kind(column: Column, kind: str) -> Column:
    """Returns a column of another kind, with those entries of `column` that fit both."""
    changed = Column(column.name, kind, num_missing=column.num_missing)
    if changed.is_number and column.is_number:
        changed.spikes = column.spikes
        is_whole = kind != "integer" or float(column.step or 1.0).is_integer()
        changed.step = column.step if is_whole else None
    if kind == "periodic" and column.grid is not None:
        changed.step = column.grid.step
    are_numbers = all(isinstance(v, (int, float, np.number)) for v in column.values)
    if kind == "periodic" and column.values and are_numbers:
        values = np.sort(np.array(column.values, np.float64))
        changed.step = find_step(values, resolution=float(np.finfo(np.float64).eps))
    if changed.has_values and column.has_values:
        # Texts have no order of their own.
        is_text = any(isinstance(value, str) for value in column.values)
        changed.values = [] if kind == "ordered" and is_text else column.values
    return changed


def check_column(column: Column) -> None:
    """Raises `ValueError`, which names the column, if its entries do not fit its kind."""
    name, kind, spikes, step = column.name, column.kind, column.spikes, column.step
    require(kind in KINDS, f"`kind` of column {name!r} of {sorted(KINDS)}", repr(kind))
    which = f"the {kind} column {name!r}"
    ends = [end for end in (column.lowest, column.high) if end is not None]
    got = f"{column.low} and {column.high}"
    is_rising = all(map(_is_finite, ends)) and sorted(set(ends)) == ends
    require(is_rising, f"finite `low` < `high` of column {name!r}", got)
    has_ends = kind not in ("bounded", "periodic") or len(ends) == 2
    require(has_ends, f"`low` and `high` of {which}", got)
    are_whole = kind != "integer" or all(end == math.floor(end) for end in ends)
    require(are_whole, f"integers `low` and `high` of {which}", got)
    is_step = step is None or _is_finite(step) and step > 0.0
    require(is_step, f"`step` above 0 of column {name!r}, or None", repr(step))
    require(step is None or column.is_number, f"no `step` of {which}", repr(step))
    divides = kind != "periodic" or has_whole_steps(column)
    require(divides, f"`step` of {which} that divides `high` - `low`", f"{step}, {got}")
    is_whole = step is None or kind != "integer" or step == math.floor(step)
    require(is_whole, f"an integer `step` of {which}", repr(step))
    require(all(map(_is_finite, spikes)), f"finite `spikes` of column {name!r}", spikes)
    require(column.is_number or not spikes, f"no `spikes` of {which}", spikes)
    if column.has_values:
        values = column.values
        example = f"change({name!r}, kind={kind!r}, values=['low', 'high'])"
        words = f"`values` of {which}, in their order if they have one, as {example}"
        require(values, words, "none")
        require(len(set(values)) == len(values), f"different `values` of {name!r}", values)
        integers = [v for v in values if isinstance(v, (int, np.integer))]
        inexact = [v for v in integers if int(v) != float(v)]
        words = f"`values` of {name!r} that float64 holds, or texts"
        require(not inexact, words, _shortened(inexact))
        fits = kind != "boolean" or len(values) <= 2
        require(fits, f"two `values` of {which}", _shortened(values))


def has_whole_steps(column: Column) -> bool:
    """Returns whether a circle is a multiple, at least twice, of its column's step."""
    if column.step is None:
        return True
    low, high = column.circle
    steps = (high - low) / column.step
    return steps >= 2.0 and abs(steps - round(steps)) < 1e-9 * steps


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _shortened(values):
    shown = [f"{v:g}" if isinstance(v, (float, np.floating)) else str(v) for v in values]
    if len(shown) > 4:
        shown = [*shown[:3], "...", shown[-1]]
    return ", ".join(shown)


def _plain_value(value):
    """A value of a column as one of JSON's types; a date is a dictionary."""
    if isinstance(value, np.datetime64):
        return {_DATE: str(value.astype("datetime64[ns]"))}
    return value.item() if isinstance(value, np.generic) else value


def _value_from_plain(plain):
    return np.datetime64(plain[_DATE], "ns") if isinstance(plain, dict) else plain
