"""The codec of a table's rows: checks cells and rules, encodes rows, and decodes them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import check_instance, require
from tfp_flows.tables.cells import (
    cells_of,
    dates_from_days,
    days_if_dates,
    is_missing,
    with_cells,
    with_missing,
)
from tfp_flows.tables.column import UNUSABLE, Column
from tfp_flows.tables.column_codec import ColumnCodec, Encoded
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.numbers.atoms import AtomSpec
from tfp_flows.tables.numbers.measured_maps import measured_map
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec
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


class RowsRead(typing.NamedTuple):
    """Rows of C columns, encoded, whether they can occur or not; booleans are `[N, C]`."""

    x: np.ndarray  # codes and numbers, `[N, K + D]`; arbitrary where missing or unknown
    is_observed: np.ndarray  # which entries follow from the cells, `[N, K + D]`
    is_possible: np.ndarray  # also False for missing cells that are not modelled
    is_known: np.ndarray  # False for texts and categories without a code
    is_missing: np.ndarray


class _Key(typing.NamedTuple):
    """The owner of a code or of a number: a column or its rule, or the column alone."""

    name: str  # of the column
    is_alone: bool = False  # whether the codec is that of `RowCodec.alone`


class RowCodec:
    """Rows of some columns of a table as entries: first all codes, then all numbers.

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
      columns: descriptions of the columns, by name.
      differences: the differences that are kept, by name of their column.
      functions: the functions and lookups that are kept, likewise.
      compositions: the compositions that are kept, by name of their first column.
      codecs: the `ColumnCodec` of each column, or of its rule, by name.
      alone: that of the column itself, where its rule does not apply, likewise.
      grids: the grid of each column, by name; None for none.
      owners: name of the column of each entry of a row.

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
        described = {name: columns[name] for name in names}
        unusable = {
            name: f"{column.kind}: {column.reason}"
            for name, column in described.items()
            if column.kind in UNUSABLE
        }
        hint = " Change their kinds, or drop them."
        require(not unusable, "columns that have a distribution", unusable, hint)
        self._argument = "context" if is_context else "frame"
        self._refuses_missing = missing == "refuse"
        self._table, self.names = columns, list(names)
        self.columns = dict(described)
        may_miss = {
            c.name for c in columns if not self._refuses_missing and c.num_missing > 0
        }
        differences = [] if is_context else kept_differences(columns, names, may_miss)
        functions = [] if is_context else kept_functions(columns, names)
        self.differences = {d.name: d for d in differences}
        self.functions = {f.name: f for f in functions}
        compositions = [] if is_context else kept_compositions(columns, names)
        self.compositions = {c.name: c for c in compositions}
        self.grids = {name: column.grid for name, column in described.items()}
        self._rules: dict[str, Rule] = {**in_order(self.differences), **self.compositions}
        self._rules |= self.functions
        self.alone = {
            name: ColumnCodec(columns[name], name in may_miss)
            for name, rule in self._rules.items()
            if rule.has_gaps
            and (may_miss & set(rule.names[1:]) or rule.values_without_rule)
        }
        described |= {d.name: d.column for d in differences}
        # By name of a part: the parts before it, after which there may be no room for it.
        self._last_before: dict[str, list[str]] = {}
        for c in compositions:
            described |= c.encoded_columns(self.columns)
            last = c.last_parts(self.columns)
            self._last_before |= {name: last[:i] for i, name in enumerate(last) if i}
        for f in functions:  # a column without entries
            described[f.name] = Column(f.label, "constant", f.reason, values=[0.0])
            may_miss -= set() if f.has_gaps else {f.name}
        self.codecs = {
            n: ColumnCodec(c, n in may_miss, is_context) for n, c in described.items()
        }
        # Codes that some rows do not have are last, each after those that it depends on.
        in_some_rows = [_Key(name) for name in self._last_before]
        for name in self.alone:
            in_some_rows += [_Key(name), _Key(name, is_alone=True)]
        in_all_rows = [k for k in map(_Key, self.codecs) if k not in in_some_rows]
        self._with_code = [k for k in in_all_rows if self._codec(k).num_codes > 1]
        for key in in_some_rows:
            if self._codec(key).has_number or self._codec(key).num_codes > 1:
                self._with_code.append(key)
        keys = [_Key(name, alone) for name in self.codecs for alone in (False, True)]
        keys = [key for key in keys if key.name in self.alone or not key.is_alone]
        self._with_number = [key for key in keys if self._codec(key).has_number]
        self._keys = [*self._with_code, *self._with_number]
        self.owners = [key.name for key in self._keys]

    @property
    def num_values(self) -> list[int]:
        """Number of values of each code, `[K]`."""
        return [self._codec(key).num_codes for key in self._with_code]

    @property
    def size(self) -> int:
        """Number of entries of a row, K + D."""
        return len(self.owners)

    @property
    def codes_of_missing(self) -> np.ndarray:
        """The code of a missing cell for each entry of a row, `[K + D]`; -1 without one."""
        codecs = [self._codec(key) for key in self._with_code]
        codes = [c.num_codes - 1.0 if c.has_missing else -1.0 for c in codecs]
        return np.array([*codes, *[-1.0] * len(self._with_number)])

    def entries_of_column(self, name: str) -> list[int]:
        """Returns the indices of the code and number of a column, or of its rule."""
        return [entry for entry, key in enumerate(self._keys) if key == _Key(name)]

    def read(self, frame: Frame) -> RowsRead:
        """Returns the rows of a frame, also rows that cannot occur."""
        encoded, columns = self._encoded(frame)
        x = np.zeros([len(frame), self.size])
        is_observed = np.ones(x.shape, bool)
        for entry, key in enumerate(self._keys):
            is_code = entry < len(self._with_code)
            cells = encoded[key].code if is_code else encoded[key].number
            x[:, entry] = np.nan_to_num(cells)  # absent numbers are NaN
            is_observed[:, entry] = ~encoded[key].is_missing
        for composition in self.compositions.values():
            # Which part has all of the room follows from all parts.
            cells = self.columns_of(composition, frame).values()
            is_partial = np.any([is_missing(column) for column in cells], axis=0)
            for name in composition.names[1:]:
                if self.codecs[name].column.spikes:
                    is_observed[is_partial, self._with_code.index(_Key(name))] = False
        flags = np.ones([3, len(frame), len(self.names)], bool)
        for i, cells in enumerate(columns.values()):
            flags[:, :, i] = cells.is_possible, cells.is_known, cells.is_missing
        return RowsRead(x, is_observed, *flags)

    def encode(self, frame: Frame, expected: str = "") -> np.ndarray:
        """Returns rows, `[N, K + D]`; with `expected`, refuses rows that cannot occur.

        Missing cells (with "refuse"), cells of another type and unknown categories are
        refused.
        """
        rows = self.read(frame)
        self.refuse(frame, rows)
        if expected:
            self.refuse_cells(frame, ~rows.is_possible, expected)
        return rows.x

    def refuse(self, frame: Frame, rows: RowsRead) -> None:
        """Raises `ValueError` for missing cells without a code, and unknown categories.

        With "indicator", computed cells may be missing: then the row cannot occur.
        """
        are_refused, where = rows.is_missing, ""
        hint = " With missing='indicator' they are modelled."
        if not self._refuses_missing:
            are_free = [name not in self.functions for name in self.names]
            are_refused = are_refused & ~rows.is_possible & np.array(are_free, bool)
            where, hint = ", but where the fit had some", ""
        elif self.names:
            # `is_missing` is also True for a cell whose rule lacks another column's cell.
            own = [is_missing(self._take(frame)[name]) for name in self.names]
            are_refused = are_refused & np.stack(own, axis=1)
        counts = dict(zip(self.names, are_refused.sum(axis=0).tolist(), strict=True))
        counts = {name: count for name, count in counts.items() if count}
        require(
            not counts,
            f"`{self._argument}` without missing cells{where}",
            f"some in {counts} (column: count)",
            hint,
        )
        self.refuse_unknown(frame, rows)

    def refuse_unknown(self, frame: Frame, rows: RowsRead) -> None:
        """Raises `ValueError` if a category is not among its column's values."""
        for name, is_known in zip(self.names, rows.is_known.T, strict=True):
            if not is_known.all():
                values, row = self.columns[name].values, int(np.argmin(is_known))
                cell = _shown(self._take(frame)[name][row])
                raise ValueError(
                    f"Expected one of {values} in column {name!r}; got {cell!r} in row "
                    f"{row} ({(~is_known).sum()} rows)."
                )

    def refuse_cells(self, frame: Frame, is_wrong: np.ndarray, expected: str) -> None:
        """Raises `ValueError`, which names the first wrong cell, `[N, C]`, if any."""
        if not is_wrong.any():
            return
        row = int(np.argmax(is_wrong.any(axis=1)))
        name = self.names[int(np.argmax(is_wrong[row]))]
        column, part = self.codecs[name].column, self._modelled_column(name, frame)
        if name in self.alone and not self._has_rule(name, frame)[row]:
            column, part = self.alone[name].column, self._take(frame)[name]
        cell = _shown(part[row])
        details = f" ({column.details})" if column.details else ""
        which = f"{column.kind} column {column.name!r}{details}"
        which = f"computed column {name!r}" if name in self.functions else which
        raise ValueError(
            f"Expected {expected}; got {cell!r} in the {which}, in row {row} "
            f"({is_wrong.any(axis=1).sum()} of {len(frame)} rows)."
        )

    def columns_of(self, rule: Rule, frame: Frame) -> dict[str, np.ndarray]:
        """Returns the columns of a rule, `[N]` by name; some may be in the context."""
        known = self._take(frame)
        others = [name for name in rule.names if name not in known]
        known |= frame.take(others, self._argument) if others else {}
        return {name: known[name] for name in rule.names}

    def clipped(self, frame: Frame, maps: NumberMaps) -> tuple[dict, dict]:
        """Returns columns with numbers moved into their supports, and which were moved.

        The maps of the numbers are those of the training rows.
        """
        columns = self._take(frame)  # a context, which has no differences
        where = {name: np.zeros(len(frame), bool) for name in self.names}
        for place, (name, _) in enumerate(self._with_number):
            codec = self.codecs[name]
            if codec.column.is_number:
                encoded = codec.encode(columns[name])
                where[name] = ~encoded.is_possible & np.isfinite(encoded.number)
                numbers = codec.clipped(encoded.number, maps.from_columns([place]))
                columns[name] = numbers if where[name].any() else columns[name]
        return columns, where

    def measure(
        self,
        frame: Frame,
        rows: npt.NDArray[np.integer],
        is_at_atom: npt.NDArray[np.bool_] | None = None,
    ) -> list[NumberSpec]:
        """Returns the maps of the numbers, measured in some rows of the frame, `[n]`.

        Numbers at atoms, booleans `[n, D]` for these rows, are not measured.
        """
        encoded, specs = self._encoded(frame)[0], []
        rooms = {spec.number: spec for spec in self.rooms}
        codes = {key: code for code, key in enumerate(self._with_code)}
        for place, key in enumerate(self._with_number):
            cells = encoded[key]
            if key.is_alone:  # few rows have the column alone, but all tell its map
                cells = self._encoded_alone(key.name, frame)
            cells = Encoded(*(entry[rows] for entry in cells))
            if is_at_atom is not None:
                number = np.where(is_at_atom[:, place], np.nan, cells.number)
                cells = cells._replace(number=number)
            if place in rooms:
                spec = self._measured_share(place, rooms[place], encoded, rows)
            else:
                spec = self._codec(key).measured(cells)
            specs.append(dataclasses.replace(spec, code=codes.get(key, -1)))
        return specs

    def presence(self, contexts: RowCodec) -> list[PresenceSpec]:
        """Returns where codes of rules are present, by codes of the row or its context."""
        specs = []
        for code, (name, is_alone) in enumerate(self._with_code):
            if name in self._last_before:
                cells = [
                    (self._with_code.index(_Key(n)), self.codecs[n].num_codes - 1)
                    for n in self._last_before[name]  # all of the room is the last spike
                ]
                specs.append(PresenceSpec(code, cells))
            if name in self.alone:
                rule = self._rules[name]
                of_rows, of_context = (c._without_rule(rule) for c in (self, contexts))
                specs.append(PresenceSpec(code, of_rows, of_context, if_any=is_alone))
        return specs

    @property
    def rooms(self) -> list[RoomSpec]:
        """The rooms of the numbers that are parts of compositions."""
        specs = []
        for composition in self.compositions.values():
            keys = enumerate(self._with_number)
            numbers = [n for n, key in keys if key.name in composition.names]
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

    def _measured_share(self, place, room, encoded, rows):
        """The map of a part's share of its room, measured in some rows."""
        numbers = [encoded[self._with_number[n]].number[rows] for n in (place, *room.parts)]
        number, key = numbers[0], self._with_number[place]
        is_integer = self._codec(key).grid is not None
        share = (number + 0.5 * is_integer) / (room.total - np.nansum(numbers[1:], axis=0))
        share = share[np.isfinite(share)]
        unit = Column(key.name, "bounded", low=0.0, high=1.0)
        spec = measured_map(unit, (0.0, 1.0), share)
        return dataclasses.replace(spec, is_integer=is_integer)

    def _without_rule(self, rule):
        """Pairs of a code of a source and a value at which the rule does not apply."""
        pairs = []
        for code, key in enumerate(self._with_code):
            if key.name in rule.names[1:]:
                codec = self._codec(key)
                values = codec.codes_of(rule.values_without_rule)
                values += [codec.num_codes - 1] if codec.has_missing else []
                pairs += [(code, value) for value in values]
        return pairs

    def atoms(self, contexts: RowCodec) -> list[AtomSpec]:
        """Returns the atoms of the numbers at others, which may be those of the context."""
        specs = []
        for later, earlier in kept_equalities(self._table, self.names):
            owner, first = (self, 0) if earlier in self.names else (contexts, self.size)
            *code, number = owner.entries_of_column(earlier)
            specs.append(
                AtomSpec(
                    number=self.entries_of_column(later)[-1] - len(self._with_code),
                    cell=first + number,
                    code=first + code[0] if code else -1,
                    spikes_there=owner.codecs[earlier].spikes_in_steps,
                    spikes=self.codecs[later].spikes_in_steps,
                )
            )
        return specs

    def decode(
        self, x: np.ndarray, context: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the columns of encoded rows, `[N, K + D]`, by name.

        Columns computed from others may need columns of the `context`, `[N]` by name.
        """
        columns = (context or {}) | self.modelled(x)
        for name, composition in self.compositions.items():
            columns |= composition.decoded(columns, self.columns)
            columns[name] = self._with_alone(name, x, columns[name])
        for name, difference in in_order(self.differences).items():
            total = np.sum([days_if_dates(columns[n]) for n in difference.names], axis=0)
            grid = self.grids[name]
            total = total if grid is None else grid.round(total).astype(total.dtype)
            is_date = self.columns[name].kind == "date"
            total = dates_from_days(total) if is_date else total
            columns[name] = self._with_alone(name, x, total)
        for name, function in self.functions.items():
            computed = function(columns[function.source])
            computed = with_missing(computed, is_missing(columns[name]))
            columns[name] = self._with_alone(name, x, computed)
        return {name: columns[name] for name in self.names}

    def modelled(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what is modelled in place of each column (`codecs`), `[N]` by name."""
        return {name: self._decoded(_Key(name), x)[0] for name in self.codecs}

    def _codec(self, key):
        return (self.alone if key.is_alone else self.codecs)[key.name]

    def _decoded(self, key, x):
        """The cells of a column or its rule, `[N]`, and where their code is present."""
        codec, code, number = self._codec(key), np.zeros(len(x)), np.zeros(len(x))
        if key in self._with_code:
            code = x[:, self._with_code.index(key)]
        if key in self._with_number:
            number = x[:, len(self._with_code) + self._with_number.index(key)]
        is_present = code < codec.num_codes
        codes = np.where(is_present, code, 0.0).astype(np.int64)
        return codec.decode(codes, number), is_present

    def _with_alone(self, name, x, cells):
        """The cells of a column: those of its rule, or its own where it has none."""
        if name not in self.alone:
            return cells
        return with_cells(cells, *self._decoded(_Key(name, is_alone=True), x))

    def _encoded(self, frame):
        """The cells of each key's codec and of each column, dictionaries of `Encoded`."""
        encoded, columns = {}, {}
        parts: dict[str, Encoded] = {}
        for composition in self.compositions.values():
            parts |= self._encoded_composition(composition, frame)
        for name in self.names:
            if name in self.functions:
                cells = self._computed(self.functions[name], frame)
            else:
                cells = parts[name] if name in parts else self._encoded_column(name, frame)
            encoded[_Key(name)] = columns[name] = cells
            if name not in self.alone:
                continue
            alone, has_rule = self._encoded_alone(name, frame), self._has_rule(name, frame)
            chosen = (np.where(has_rule, *pair) for pair in zip(cells, alone, strict=True))
            columns[name] = Encoded(*chosen)._replace(is_missing=alone.is_missing)
            num_codes = self.codecs[name].num_codes, self.alone[name].num_codes
            cells = cells._replace(is_missing=cells.is_missing | ~has_rule)
            encoded[_Key(name)] = _with_absent(cells, ~has_rule, num_codes[0])
            encoded[_Key(name, True)] = _with_absent(alone, has_rule, num_codes[1])
        return encoded, columns

    def _encoded_alone(self, name, frame):
        return self.alone[name].encode(self._take(frame)[name])

    def _has_rule(self, name, frame):
        """In which rows the rule of a column says what it can be, booleans `[N]`."""
        _, *sources = self.columns_of(self._rules[name], frame).values()
        if name in self.functions:
            sources = [self.functions[name](*sources)]
        return ~np.any([is_missing(source) for source in sources], axis=0)

    def _computed(self, function, frame):
        """The cells of a computed column, whose only code says whether it is missing."""
        values, source = self.columns_of(function, frame).values()
        is_possible, absent = function.holds(source, values), is_missing(values)
        if not function.has_one_source and function.source in self.names:
            is_possible |= is_missing(source)  # one of several may have the value
        codec = self.codecs[function.name]
        is_possible |= absent & codec.has_missing
        code = np.where(absent & codec.has_missing, codec.num_codes - 1, 0)
        nothing, is_known = np.zeros(len(values)), np.ones(len(values), bool)
        return Encoded(code, nothing, is_possible, is_known, absent)

    def _encoded_composition(self, composition, frame):
        """The cells of the columns of a composition, `Encoded` by name."""
        parts, has_room = self._modelled_composition(composition, frame)
        encoded = {}
        for name, part in parts.items():
            cells = self.codecs[name].encode(part)
            if last := self._last_before.get(name):
                is_absent = np.any([parts[n] == composition.total for n in last], axis=0)
                cells = _with_absent(cells, is_absent, self.codecs[name].num_codes)
            is_possible = cells.is_possible & (has_room | cells.is_missing)
            encoded[name] = cells._replace(is_possible=is_possible)
        return encoded

    def _encoded_column(self, name, frame):
        cells = self.codecs[name].encode(self._modelled_column(name, frame))
        grid = self.grids[name]
        if name not in self.differences or grid is None:
            return cells
        # A sum must be on the grid of its column.
        y = cells_of(name, self._take(frame)[name]).numbers()
        steps = grid.multiples(np.where(cells.is_missing, 0.0, y))
        is_on_grid = cells.is_missing | (steps == np.floor(steps))
        return cells._replace(is_possible=cells.is_possible & is_on_grid)

    def _modelled_column(self, name, frame):
        """A column, or what is encoded in its place: a difference, or a part's cells."""
        composition = self.composition_of(name)
        if composition:
            return self._modelled_composition(composition, frame)[0][name]
        if name not in self.differences:
            return self._take(frame)[name]
        difference = self.differences[name]
        columns = self.columns_of(difference, frame)
        cells = [cells_of(n, column).numbers() for n, column in columns.items()]
        apart = difference.subtracted(cells)
        grid = difference.column.grid or self.grids[name]
        return apart if grid is None else grid.round_if_near(apart)

    def _modelled_composition(self, composition, frame):
        """What a composition encodes, `[N]` by name, and where it has room, `[N]`."""
        columns = self.columns_of(composition, frame)
        cells = [cells_of(name, column).numbers() for name, column in columns.items()]
        return composition.encoded(cells, self.columns)

    def _take(self, frame):
        return frame.take(self.names, self._argument) if self.names else {}


def _with_absent(cells, is_absent, code):
    """Cells with a code in place of those that are absent, and without their numbers."""
    code = np.where(is_absent, code, cells.code)
    return cells._replace(code=code, number=np.where(is_absent, np.nan, cells.number))


def _shown(cell):
    """A cell without NumPy's type, for an error."""
    return cell.item() if isinstance(cell, np.generic) else cell


def violated_rules(frame: Any, columns: TableColumns) -> dict[str, npt.NDArray[np.bool_]]:
    """Returns which rows break the rules of their columns, booleans `[N]`, by rule.

    The rule of a column is that its cells can occur: among its values, between its ends, a
    multiple of its step, and not missing if no described cell was. A `Difference` of
    columns has a rule, too, such as `b - a` from 0 on.

    Args:
      frame: rows with all columns.
      columns: the `TableColumns`.

    Raises:
      ValueError: if `columns` is something else, or if a column is missing or has cells of
        another type.

    >>> import tfp_flows
    >>> columns = tfp_flows.describe_columns({"age": [1.5, 2.25, 30.5], "n": [0, 5, 40]})
    >>> broken = tfp_flows.tables.violated_rules({"age": [-1.0, 7.5], "n": [2, 3]}, columns)
    >>> broken["age: positive, 0 to, step 0.01"]
    array([ True, False])
    """
    check_instance("columns", columns, TableColumns, "what describe_columns returns")
    names = columns.names
    codec = RowCodec(columns, "indicator", names)
    rows = codec.read(Frame(frame))
    broken = {}
    with_label = {**codec.functions, **codec.compositions}
    for name, is_broken in zip(names, (~(rows.is_possible & rows.is_known)).T, strict=True):
        is_part = codec.composition_of(name) is not None
        column = columns[name] if is_part else codec.codecs[name].column
        details = f", {column.details}" if column.details else ""
        rule = f"{column.name}: {column.kind}{details}"
        broken[with_label[name].label if name in with_label else rule] = is_broken
    return broken
