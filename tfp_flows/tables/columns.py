"""The columns of a table, as a small editable object that prints as a table."""

from __future__ import annotations

import dataclasses
import graphlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import Column, check_column, has_whole_steps, with_kind
from tfp_flows.tables.rules.compositions import Composition
from tfp_flows.tables.rules.differences import Difference, in_order
from tfp_flows.tables.rules.equalities import Equality
from tfp_flows.tables.rules.functions import Function
from tfp_flows.tables.rules.lookups import Lookup
from tfp_flows.tables.rules.rule import Computed, Rule

_HEADINGS = ("column", "kind", "details", "missing", "reason")
# By an entry that only this rule has: the argument of `TableColumns`, and the rule's class.
_RULES: dict[str, tuple[str, Any]] = {
    "minus": ("differences", Difference),
    "total": ("compositions", Composition),
    "names": ("equalities", Equality),
    "formula": ("functions", Function),
    "pairs": ("functions", Lookup),
}


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
      compositions: three or more of these columns whose sum is a constant (`Composition`),
        named and printed likewise.

    Raises:
      ValueError: if two have one name, or entries of a column do not fit its kind; or if a
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
        functions: Sequence[Computed] = (),
        compositions: Sequence[Composition] = (),
    ) -> None:
        rules: list[Rule] = [*differences, *equalities, *functions, *compositions]
        self._columns = {column.name: column for column in columns}
        self._rules = {rule.label: rule for rule in rules}
        labels = [*(c.name for c in columns), *(rule.label for rule in rules)]
        are_different = len(set(labels)) == len(labels)
        require(are_different, "`columns` of different names", labels)
        for rule in rules:
            unknown = sorted(set(rule.names) - set(self.names))
            words = "`differences`, `compositions`, `equalities`, `functions` of the"
            words = f"{words} columns {self.names}"
            require(not unknown, words, f"{unknown} in {rule.label!r}")
        totals = [difference.name for difference in differences]
        words = "`differences`, one for each column"
        require(len(set(totals)) == len(totals), words, labels[len(self.names) :])
        try:
            in_order({difference.name: difference for difference in differences})
        except graphlib.CycleError as error:
            words = "`differences` of columns that do not need each other"
            require(False, words, " - ".join(error.args[1]))
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
            column = with_kind(column, entries["kind"])
        changed = dataclasses.replace(column, **{"reason": "as given", **entries})
        if changed.kind == "periodic":
            ends = {changed.high: changed.low}  # one point
            changed.spikes = list(dict.fromkeys(ends.get(s, s) for s in changed.spikes))
            if "step" not in entries and not has_whole_steps(changed):
                changed.step = None
        check_column(changed)
        rule = self._rules.get(name)
        if isinstance(rule, Difference):
            self._rules[name] = dataclasses.replace(rule, column=changed)
        else:
            self._columns[name] = changed

    def drop(self, *names: str) -> None:
        """Removes columns, which are then not part of the table's distribution.

        Their rules are removed, too. The name of such a
        rule removes the rule alone.
        """
        for name in names:
            if name not in self._rules:
                del self._columns[self[name].name]
            rules = self._rules.items()
            self._rules = {k: rule for k, rule in rules if name not in (k, *rule.names)}

    def select(self, names: Sequence[str]) -> TableColumns:
        """Returns the columns of these names, in this order.

        Rules of these columns stay.
        """
        selected = TableColumns([self[name] for name in names])
        rules = self._rules.items()
        selected._rules = {k: r for k, r in rules if set(r.names) <= set(names)}
        return selected

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def differences(self) -> list[Difference]:
        """The differences of columns that are kept."""
        return [rule for rule in self._rules.values() if isinstance(rule, Difference)]

    @property
    def equalities(self) -> list[Equality]:
        """The pairs of columns that are equal in some rows."""
        return [rule for rule in self._rules.values() if isinstance(rule, Equality)]

    @property
    def functions(self) -> list[Computed]:
        """The columns that are computed from another one, or looked up by it."""
        return [rule for rule in self._rules.values() if isinstance(rule, Computed)]

    @property
    def compositions(self) -> list[Composition]:
        """The columns whose sum is a constant that is kept."""
        return [rule for rule in self._rules.values() if isinstance(rule, Composition)]

    def to_plain(self) -> list[dict[str, Any]]:
        """Returns dictionaries of JSON's types: of columns and of their rules."""
        return [part.to_plain() for part in (*self, *self._rules.values())]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]]) -> TableColumns:
        """Returns the columns from the result of `to_plain`."""
        arguments: dict[str, list] = {"columns": []}
        for entries in plain:
            kinds = (kind for entry, kind in _RULES.items() if entry in entries)
            argument, kind = next(kinds, ("columns", Column))
            arguments.setdefault(argument, []).append(kind.from_plain(entries))
        return cls(**arguments)

    def __getitem__(self, name: str) -> Column:
        rule = self._rules.get(name)
        if isinstance(rule, Difference):
            return rule.column
        require(name in self._columns, f"a column of {self.names}", repr(name))
        return self._columns[name]

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __len__(self) -> int:
        return len(self._columns)

    def __str__(self) -> str:
        rows = [_HEADINGS]
        for c in [*self, *(d.column for d in self.differences)]:
            rows.append((c.name, c.kind, c.details, str(c.num_missing), c.reason))
        rows += [(e.label, "equality", "", "", e.reason) for e in self.equalities]
        rows += [(f.label, "function", "", "", f.reason) for f in self.functions]
        rows += [(c.label, "composition", "", "", c.reason) for c in self.compositions]
        rows = [tuple(map(_on_one_line, entries)) for entries in rows]
        widths = [max(map(len, entries)) for entries in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)

    __repr__ = __str__


def _on_one_line(text):
    """A text with escapes in place of characters that do not print, such as line ends."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _line(row, widths):
    """A row of the printed table, whose count of missing cells ends at the right."""
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    place = _HEADINGS.index("missing")
    cells[place] = row[place].rjust(widths[place])
    return "  ".join(cells).rstrip()
