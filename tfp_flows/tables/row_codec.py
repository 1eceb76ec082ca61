"""The codec of a table's rows: checks cells and rules, encodes rows, and decodes them."""

from __future__ import annotations

import dataclasses
import typing
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
from tfp_flows.tables.column import Column
from tfp_flows.tables.column_codec import Encoded
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.numbers.measured_maps import measured_map
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec
from tfp_flows.tables.row_layout import Owner, RowLayout
from tfp_flows.tables.rules.differences import in_order
from tfp_flows.tables.rules.rule import Rule


class RowsRead(typing.NamedTuple):
    """Rows of C columns, encoded, whether they can occur or not; booleans are `[N, C]`."""

    x: np.ndarray  # codes and numbers, `[N, K + D]`; arbitrary where missing or unknown
    is_observed: np.ndarray  # which entries follow from the cells, `[N, K + D]`
    is_possible: np.ndarray  # also False for missing cells that are not modelled
    is_known: np.ndarray  # False for texts and categories without a code
    is_missing: np.ndarray


class RowCodec(RowLayout):
    """Encodes rows of some columns by their `RowLayout`, refuses others, and decodes them.

    The arguments and what raises are those of `RowLayout`.
    """

    def read(self, frame: Frame) -> RowsRead:
        """Returns the rows of a frame, also rows that cannot occur."""
        encoded, columns = self._encoded(frame)
        x = np.zeros([len(frame), self.size])
        is_observed = np.ones(x.shape, bool)
        for entry, owner in enumerate(self.owners):
            is_code = entry < len(self.with_code)
            cells = encoded[owner].code if is_code else encoded[owner].number
            x[:, entry] = np.nan_to_num(cells)  # absent numbers are NaN
            is_observed[:, entry] = ~encoded[owner].is_missing
        for composition in self.compositions.values():
            # Which part has all of the room follows from all parts.
            cells = self.columns_of(composition, frame).values()
            is_partial = np.any([is_missing(column) for column in cells], axis=0)
            for name in composition.names[1:]:
                if self.codecs[name].column.spikes:
                    is_observed[is_partial, self.with_code.index(Owner(name))] = False
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
        if not self.refuses_missing:
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
        for place, (name, _) in enumerate(self.with_number):
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
        codes = {owner: code for code, owner in enumerate(self.with_code)}
        for place, owner in enumerate(self.with_number):
            cells = encoded[owner]
            if owner.is_alone:  # few rows have the column alone, but all tell its map
                cells = self._encoded_alone(owner.name, frame)
            cells = Encoded(*(entry[rows] for entry in cells))
            if is_at_atom is not None:
                number = np.where(is_at_atom[:, place], np.nan, cells.number)
                cells = cells._replace(number=number)
            if place in rooms:
                spec = self._measured_share(place, rooms[place], encoded, rows)
            else:
                spec = self.codec_of(owner).measured(cells)
            specs.append(dataclasses.replace(spec, code=codes.get(owner, -1)))
        return specs

    def _measured_share(self, place, room, encoded, rows):
        """The map of a part's share of its room, measured in some rows."""
        numbers = [encoded[self.with_number[n]].number[rows] for n in (place, *room.parts)]
        number, owner = numbers[0], self.with_number[place]
        is_integer = self.codec_of(owner).grid is not None
        share = (number + 0.5 * is_integer) / (room.total - np.nansum(numbers[1:], axis=0))
        share = share[np.isfinite(share)]
        unit = Column(owner.name, "bounded", low=0.0, high=1.0)
        spec = measured_map(unit, (0.0, 1.0), share)
        return dataclasses.replace(spec, is_integer=is_integer)

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
        return {name: self._decoded(Owner(name), x)[0] for name in self.codecs}

    def _decoded(self, owner, x):
        """The cells of a column or its rule, `[N]`, and where their code is present."""
        codec, code, number = self.codec_of(owner), np.zeros(len(x)), np.zeros(len(x))
        if owner in self.with_code:
            code = x[:, self.with_code.index(owner)]
        if owner in self.with_number:
            number = x[:, len(self.with_code) + self.with_number.index(owner)]
        is_present = code < codec.num_codes
        codes = np.where(is_present, code, 0.0).astype(np.int64)
        return codec.decode(codes, number), is_present

    def _with_alone(self, name, x, cells):
        """The cells of a column: those of its rule, or its own where it has none."""
        if name not in self.alone:
            return cells
        return with_cells(cells, *self._decoded(Owner(name, is_alone=True), x))

    def _encoded(self, frame):
        """The cells of each owner's codec and of each column, dictionaries of `Encoded`."""
        encoded, columns = {}, {}
        parts: dict[str, Encoded] = {}
        for composition in self.compositions.values():
            parts |= self._encoded_composition(composition, frame)
        for name in self.names:
            if name in self.functions:
                cells = self._computed(self.functions[name], frame)
            else:
                cells = parts[name] if name in parts else self._encoded_column(name, frame)
            encoded[Owner(name)] = columns[name] = cells
            if name not in self.alone:
                continue
            alone, has_rule = self._encoded_alone(name, frame), self._has_rule(name, frame)
            chosen = (np.where(has_rule, *pair) for pair in zip(cells, alone, strict=True))
            columns[name] = Encoded(*chosen)._replace(is_missing=alone.is_missing)
            num_codes = self.codecs[name].num_codes, self.alone[name].num_codes
            cells = cells._replace(is_missing=cells.is_missing | ~has_rule)
            encoded[Owner(name)] = _with_absent(cells, ~has_rule, num_codes[0])
            encoded[Owner(name, True)] = _with_absent(alone, has_rule, num_codes[1])
        return encoded, columns

    def _encoded_alone(self, name, frame):
        return self.alone[name].encode(self._take(frame)[name])

    def _has_rule(self, name, frame):
        """In which rows the rule of a column says what it can be, booleans `[N]`."""
        _, *sources = self.columns_of(self.rules[name], frame).values()
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
            if last := self.parts_before.get(name):
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

    @property
    def _argument(self):
        """The name of the argument that frames are, for errors."""
        return "context" if self.is_context else "frame"

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
