"""The layout of a table's rows: which codes and numbers they have, by columns and rules."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import UNUSABLE, Column
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.numbers.atoms import AtomSpec
from tfp_flows.tables.presence import PresenceSpec
from tfp_flows.tables.rules.compositions import Composition, RoomSpec
from tfp_flows.tables.rules.differences import in_order
from tfp_flows.tables.rules.kept_rules import (
    kept_compositions,
    kept_differences,
    kept_equalities,
    kept_functions,
)
from tfp_flows.tables.rules.rule import Rule


class Owner(typing.NamedTuple):
    """What a code or a number is of: a column or its rule, or the column alone."""

    name: str  # of the column
    is_alone: bool = False  # whether the codec is that of `RowLayout.alone`


class RowLayout:
    """The entries of a row: first a code of each of K owners, then D numbers.

    A difference takes the place of its column; a computed column has no entries, nor has
    the first column of a composition. If a part or the source may be missing, the column
    has entries of its own besides, which are present in the rows where it is missing
    (`Presence`).

    Args:
      columns: all `TableColumns`.
      missing: "refuse", or "indicator", which models missing cells of columns that have
        had some.
      names: names of the columns; their rules may name others of the table.
      is_context: whether the columns are a context, which keeps no rules, and in which
        numbers off the grid are possible.

    Attributes:
      names: names of the columns.
      refuses_missing: whether `missing` is "refuse".
      is_context: as given.
      columns: descriptions of the columns, by name.
      differences: the differences that are kept, by name of their column.
      functions: the functions and lookups that are kept, likewise.
      compositions: the compositions that are kept, by name of their first column.
      rules: all of these.
      codecs: the `ColumnCodec` of each column, or of its rule, by name.
      alone: that of the column itself, where its rule does not apply, likewise.
      grids: the grid of each column, by name; None for none.
      parts_before: by name of a part of a composition, the parts before it, after which
        there may be no room for it.
      with_code: the `Owner` of each code, `[K]`.
      with_number: that of each number, `[D]`.
      owners: both, `[K + D]`.

    Raises:
      ValueError: if a column is of a kind that has no distribution, or columns do not allow
        a rule.
    """

    def __init__(
        self,
        columns: TableColumns,
        missing: str,
        names: Sequence[str],
        is_context: bool = False,
    ) -> None:
        self._table, self.names = columns, list(names)
        self.refuses_missing, self.is_context = missing == "refuse", is_context
        self.columns = {name: columns[name] for name in names}
        unusable = {
            name: f"{column.kind}: {column.reason}"
            for name, column in self.columns.items()
            if column.kind in UNUSABLE
        }
        hint = " Change their kinds, or drop them."
        require(not unusable, "columns that have a distribution", unusable, hint)
        self.grids = {name: column.grid for name, column in self.columns.items()}
        are_modelled = not self.refuses_missing
        may_miss = {c.name for c in columns if are_modelled and c.num_missing > 0}
        self._keep_rules(may_miss)
        self.alone = {
            name: ColumnCodec(columns[name], name in may_miss)
            for name, rule in self.rules.items()
            if rule.has_gaps
            and (may_miss & set(rule.names[1:]) or rule.values_without_rule)
        }
        may_miss -= {name for name, f in self.functions.items() if not f.has_gaps}
        self.codecs = {
            name: ColumnCodec(column, name in may_miss, is_context)
            for name, column in self._encoded_columns().items()
        }
        self._place_entries()

    def _keep_rules(self, may_miss):
        """Sets the rules that are kept, and `parts_before`."""
        table, names = self._table, [] if self.is_context else self.names
        differences = kept_differences(table, names, may_miss)
        functions = kept_functions(table, names)
        compositions = kept_compositions(table, names)
        self.differences = {d.name: d for d in differences}
        self.functions = {f.name: f for f in functions}
        self.compositions = {c.name: c for c in compositions}
        self.rules: dict[str, Rule] = {**in_order(self.differences), **self.compositions}
        self.rules |= self.functions
        self.parts_before: dict[str, list[str]] = {}
        for composition in compositions:
            last = composition.last_parts(self.columns)
            self.parts_before |= {name: last[:i] for i, name in enumerate(last) if i}

    def _encoded_columns(self):
        """What is encoded in place of each column, `Column` by name."""
        encoded = self.columns | {d.name: d.column for d in self.differences.values()}
        for composition in self.compositions.values():
            encoded |= composition.encoded_columns(self.columns)
        for f in self.functions.values():  # a column without entries
            encoded[f.name] = Column(f.label, "constant", f.reason, values=[0.0])
        return encoded

    def _place_entries(self):
        """Sets the owners of codes and numbers.

        Codes that some rows do not have are last, each after those that it depends on.
        """
        in_some_rows = [Owner(name) for name in self.parts_before]
        for name in self.alone:
            in_some_rows += [Owner(name), Owner(name, is_alone=True)]
        in_all_rows = [o for o in map(Owner, self.codecs) if o not in in_some_rows]
        self.with_code = [o for o in in_all_rows if self.codec_of(o).num_codes > 1]
        for owner in in_some_rows:
            codec = self.codec_of(owner)
            if codec.has_number or codec.num_codes > 1:
                self.with_code.append(owner)
        owners = [Owner(name, alone) for name in self.codecs for alone in (False, True)]
        owners = [o for o in owners if o.name in self.alone or not o.is_alone]
        self.with_number = [o for o in owners if self.codec_of(o).has_number]
        self.owners = [*self.with_code, *self.with_number]

    @property
    def num_values(self) -> list[int]:
        """Number of values of each code, `[K]`."""
        return [self.codec_of(owner).num_codes for owner in self.with_code]

    @property
    def size(self) -> int:
        """Number of entries of a row, K + D."""
        return len(self.owners)

    @property
    def codes_of_missing(self) -> np.ndarray:
        """The code of a missing cell for each entry of a row, `[K + D]`; NaN for none."""
        codecs = [self.codec_of(owner) for owner in self.with_code]
        codes = [c.num_codes - 1.0 if c.has_missing else np.nan for c in codecs]
        return np.array([*codes, *[np.nan] * len(self.with_number)])

    def codec_of(self, owner: Owner) -> ColumnCodec:
        """Returns the codec of an owner."""
        return (self.alone if owner.is_alone else self.codecs)[owner.name]

    def entries_of_column(self, name: str) -> list[int]:
        """Returns the indices of the code and number of a column, or of its rule."""
        return [entry for entry, owner in enumerate(self.owners) if owner == Owner(name)]

    def presence(self, contexts: RowLayout) -> list[PresenceSpec]:
        """Returns where codes of rules are present, by codes of the row or its context."""
        specs = []
        for code, (name, is_alone) in enumerate(self.with_code):
            if name in self.parts_before:
                cells = [
                    (self.with_code.index(Owner(n)), self.codecs[n].num_codes - 1)
                    for n in self.parts_before[name]  # all of the room is the last spike
                ]
                specs.append(PresenceSpec(code, cells))
            if name in self.alone:
                rule = self.rules[name]
                of_rows, of_context = (c._without_rule(rule) for c in (self, contexts))
                specs.append(PresenceSpec(code, of_rows, of_context, if_any=is_alone))
        return specs

    @property
    def rooms(self) -> list[RoomSpec]:
        """The rooms of the numbers that are parts of compositions."""
        specs = []
        for composition in self.compositions.values():
            owners = enumerate(self.with_number)
            numbers = [n for n, owner in owners if owner.name in composition.names]
            for place, number in enumerate(numbers):
                grid, total = self.grids[composition.name], composition.total
                if grid is not None:
                    total = float(grid.places(np.array(total))) + 1.0
                specs.append(RoomSpec(number, total, tuple(numbers[:place])))
        return specs

    def composition_of(self, name: str) -> Composition | None:
        """Returns the composition of which a column is a part; None if there is none."""
        kept = self.compositions.values()
        return next((c for c in kept if name in c.names), None)

    def atoms(self, contexts: RowLayout) -> list[AtomSpec]:
        """Returns the atoms of the numbers at others, which may be those of the context."""
        specs = []
        for later, earlier in kept_equalities(self._table, self.names):
            owner, first = (self, 0) if earlier in self.names else (contexts, self.size)
            *code, number = owner.entries_of_column(earlier)
            specs.append(
                AtomSpec(
                    number=self.entries_of_column(later)[-1] - len(self.with_code),
                    cell=first + number,
                    code=first + code[0] if code else -1,
                    spikes_there=owner.codecs[earlier].spikes_in_steps,
                    spikes=self.codecs[later].spikes_in_steps,
                )
            )
        return specs

    def _without_rule(self, rule):
        """Pairs of a code of a source and a value at which the rule does not apply."""
        pairs = []
        for code, owner in enumerate(self.with_code):
            if owner.name in rule.names[1:]:
                codec = self.codec_of(owner)
                values = codec.codes_of(rule.values_without_rule)
                values += [codec.num_codes - 1] if codec.has_missing else []
                pairs += [(code, value) for value in values]
        return pairs
