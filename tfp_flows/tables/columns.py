"""The columns of a table, as a small editable object that prints as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.functions import Function
from tfp_flows.tables.grids import Grid
from tfp_flows.tables.lookups import Lookup

_HEADINGS = ("column", "kind", "details", "missing", "reason")


class TableColumns:
    """The columns of a table by name, in order, which `describe_columns` returns.

    Args:
      columns: `Column`s of different names.
      differences: `Difference`s of these columns, which are kept exactly. They have names
        too: `change` and `drop` take them, and they print as columns do.
      equalities: pairs of these columns that are equal in some rows (`Equality`). `drop`
        takes their names, and they print as columns do.
      functions: those of these columns that are computed from another one (`Function`) or
        looked up by it (`Lookup`), named and printed likewise.

    Raises:
      ValueError: if two have one name, or the entries of one do not fit its kind; or if a
        difference, equality or function names a column that is not there.

    >>> import tfp_flows
    >>> columns = tfp_flows.describe_columns({"hour": [0.5, 7.25, 23.0], "n": [1, 2, 1]})
    >>> columns.change("hour", kind="periodic", low=0, high=24)
    >>> columns["hour"].kind
    'periodic'
    """

    def __init__(
        self,
        columns: Sequence[Column],
        differences: Sequence[Difference] = (),
        equalities: Sequence[Equality] = (),
        functions: Sequence[Function | Lookup] = (),
    ) -> None:
        self._columns = {column.name: column for column in columns}
        self._differences = {d.column.name: d for d in differences}
        self._equalities = {equality.label: equality for equality in equalities}
        self._functions = {function.label: function for function in functions}
        names = [column.name for column in columns]
        all_names = names + [d.column.name for d in differences]
        all_names += [*self._equalities, *self._functions]
        are_different = len(set(all_names)) == len(all_names)
        require(are_different, "`columns` of different names", all_names)
        for difference in differences:
            unknown = set(difference.names) - set(names)
            words = f"`differences` of the columns {names}"
            require(not unknown, words, sorted(unknown))
        for equality in equalities:
            fits = set(equality.names) <= set(names) and len(set(equality.names)) == 2
            words = f"`equalities` of two of the columns {names}"
            require(fits, words, equality.names)
        for function in functions:
            words = f"`functions` of the columns {names}"
            require(set(function.names) <= set(names), words, function.names)
        for column in [*self, *(d.column for d in differences)]:
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
                fresh.step = _step_of_kind(fresh.kind, column.step)
            if fresh.has_values and column.has_values and not _lacks_order(fresh, column):
                fresh.values = column.values
            column = fresh
        changed = dataclasses.replace(column, **{"reason": "as given", **entries})
        check_column(changed)
        if name in self._differences:
            found = self._differences[name]
            self._differences[name] = dataclasses.replace(found, column=changed)
        else:
            self._columns[name] = changed

    def drop(self, *names: str) -> None:
        """Removes columns, which are then not part of the table's distribution.

        Their differences, equalities and functions are removed, too. One of these that is
        removed by its own name is no longer modelled.
        """
        for name in names:
            if name in self._equalities or name in self._functions:
                self._equalities.pop(name, None)
                self._functions.pop(name, None)
                continue
            dropped = self[name].name
            self._columns.pop(dropped, None)
            self._differences = {
                key: difference
                for key, difference in self._differences.items()
                if key != dropped and dropped not in difference.names
            }
            self._equalities = {
                label: equality
                for label, equality in self._equalities.items()
                if dropped not in equality.names
            }
            self._functions = {
                label: function
                for label, function in self._functions.items()
                if dropped not in function.names
            }

    def select(self, names: Sequence[str]) -> TableColumns:
        """Returns the columns of these names, in this order.

        Differences, equalities and functions of these columns stay.
        """
        columns = [self[name] for name in names]
        kept = [d for d in self.differences if set(d.names) <= set(names)]
        equalities = [e for e in self.equalities if set(e.names) <= set(names)]
        functions = [f for f in self.functions if set(f.names) <= set(names)]
        return TableColumns(columns, kept, equalities, functions)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def differences(self) -> list[Difference]:
        """The differences of columns that are kept."""
        return list(self._differences.values())

    @property
    def equalities(self) -> list[Equality]:
        """The pairs of columns that are equal in some rows."""
        return list(self._equalities.values())

    @property
    def functions(self) -> list[Function | Lookup]:
        """The columns that are computed from another one, or looked up by it."""
        return list(self._functions.values())

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns dictionaries of JSON's types: of columns and of what links them."""
        links = (*self.differences, *self.equalities, *self.functions)
        return [each.to_plain() for each in (*self, *links)]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]]) -> TableColumns:
        """Returns the columns from the result of `to_plain`."""
        columns, differences, equalities = [], [], []
        functions: list[Function | Lookup] = []
        for entries in plain:
            if "minus" in entries:
                differences.append(Difference.from_plain(entries))
            elif "names" in entries:
                equalities.append(Equality(**entries))
            elif "formula" in entries:
                functions.append(Function(**entries))
            elif "pairs" in entries:
                functions.append(Lookup(**entries))
            else:
                columns.append(Column.from_plain(entries))
        return cls(columns, differences, equalities, functions)

    def __getitem__(self, name: str) -> Column:
        if name in self._differences:
            return self._differences[name].column
        require(name in self._columns, f"a column of {self.names}", repr(name))
        return self._columns[name]

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __len__(self) -> int:
        return len(self._columns)

    def __str__(self) -> str:
        rows = [_HEADINGS]
        all_columns = [*self, *(d.column for d in self.differences)]
        rows += [
            (c.name, c.kind, c.details, str(c.num_missing), c.reason) for c in all_columns
        ]
        rows += [(e.label, "equality", "", "", e.reason) for e in self.equalities]
        rows += [(f.label, "function", "", "", f.reason) for f in self.functions]
        widths = [max(map(len, entries)) for entries in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)

    __repr__ = __str__


def _step_of_kind(kind, step):
    """The step, if the kind allows one; None otherwise."""
    is_allowed = kind != "periodic" and (
        kind != "integer" or float(step or 1.0).is_integer()
    )
    return step if is_allowed else None


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
        included. None: numbers have a density; "integer" columns have a step of 1.

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


@dataclasses.dataclass
class Difference:
    """A column minus the sum of others, which is modelled in place of the column.

    ```none
    difference = name - sum of minus,     name = difference + sum of minus
    ```

    So an order of two columns is a difference that is never negative, and a sum is one that
    is always zero; both are kept exactly. The map has a volume of 1: densities are those of
    the columns. A column of a context has no difference.

    Args:
      name: name of the column.
      minus: names of the columns that are subtracted.
      column: describes the difference; of a kind with numbers, or a constant 0.

    >>> from tfp_flows.tables import Column, Difference
    >>> zero = Column("total - a - b", "constant", values=[0.0])
    >>> Difference("total", ["a", "b"], zero).names
    ['total', 'a', 'b']
    """

    name: str
    minus: list[str]
    column: Column

    @property
    def names(self) -> list[str]:
        """Names of all columns."""
        return [self.name, *self.minus]

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        entries = {"name": self.name, "minus": list(self.minus)}
        return entries | {"column": self.column.to_plain()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Difference:
        """Returns the difference from the result of `to_plain`."""
        return cls(plain["name"], list(plain["minus"]), Column.from_plain(plain["column"]))


@dataclasses.dataclass
class Equality:
    """Two columns of numbers that are exactly equal in some rows, such as bill and payment.

    ```none
    P(later | before) = w [later = earlier] + (1 - w) P_rest(later | before)
    ```

    The later column in the table's order has an atom of weight w at the number of the
    earlier one; a column of the context is the earlier one. The weight depends on all cells
    before. See `Atoms` for several equalities of a column.

    `TableDensity.impute` is approximate if a missing number without a step has equalities
    with two later ones that are observed, equal, and have no equality with each other.

    Args:
      names: names of the two columns, of kinds with numbers, on one grid or both without.
      reason: why there is the equality.

    >>> from tfp_flows.tables import Equality
    >>> Equality(["paid", "bill"]).label
    'paid = bill'
    """

    names: list[str]
    reason: str = ""

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return " = ".join(self.names)

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        return {"names": list(self.names), "reason": self.reason}


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
    step = column.step
    is_step = step is None or _is_finite(step) and step > 0.0
    require(is_step, f"`step` above 0 of column {name!r}, or None", repr(step))
    is_allowed = step is None or column.is_number and kind != "periodic"
    require(is_allowed, f"no `step` of the {kind} column {name!r}", repr(step))
    is_whole = step is None or kind != "integer" or step == math.floor(step)
    require(is_whole, f"an integer `step` of the integer column {name!r}", repr(step))
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
        fits = kind != "boolean" or len(column.values) <= 2
        words = f"two `values` of the boolean column {name!r}"
        require(fits, words, _shortened(column.values))


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _shortened(values, most=4):
    shown = [f"{v:g}" if isinstance(v, (float, np.floating)) else str(v) for v in values]
    if len(shown) > most:
        shown = [*shown[: most - 1], "...", shown[-1]]
    return ", ".join(shown)


def _plain_value(value):
    """A value of a column as one of JSON's types; a date is a dictionary."""
    if isinstance(value, np.datetime64):
        return {_DATE: str(value.astype("datetime64[ns]"))}
    return value.item() if isinstance(value, np.generic) else value


def _value_from_plain(plain):
    return np.datetime64(plain[_DATE], "ns") if isinstance(plain, dict) else plain
