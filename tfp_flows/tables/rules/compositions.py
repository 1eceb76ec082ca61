"""Compositions: parts whose sum is a constant, and which of them the rows show."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import is_missing, with_missing
from tfp_flows.tables.column import Column
from tfp_flows.tables.counted_numbers import RESOLUTION
from tfp_flows.tables.grids import Grid, find_step
from tfp_flows.tables.rules.rule import Rule

_KINDS = ("real", "positive", "bounded", "integer", "ordered")
# Rounding errors of sums and of zeros, relative to the total: of float32, and of float64.
_SUM_ROUNDING, _ZERO_ROUNDING = 5e-7, 1e-12
_SMALL = 1e-6  # smaller parts of the total are small
_LEAST_ROWS = 20  # minimum number of rows where all parts are known
_MOST_COLUMNS = 100  # among more columns of numbers, none is looked for
_SAMPLE = 2000  # rows in which sums are looked for
_NULL = 1e-5  # deviation of a constant sum, in standard deviations of its columns
_COEFFICIENT = 1e-3  # error of a coefficient of 1 or 0


@dataclasses.dataclass
class Composition(Rule):
    """Columns from 0 on whose sum is a constant, such as percentages of 100.

    ```none
    room of a part = total - sum of the parts before that are known
    part           = room * share,   share in (0, 1);  on a grid, one of 0, ..., room
    first of names = total - sum of the others
    ```

    The first of `names` has no distribution of its own where all others are known. The
    others come in the order of the table, each with a density or with probabilities between
    0 and its room, so all sums are kept and densities are exact. On a grid, a part of 0
    has its probability like any other number. Without a grid, "none" and "all of the
    room" have probabilities of their own, if a spike at 0 says that parts may be 0.

    In rows with missing cells, the sum of the known parts does not exceed the total. The
    rule is kept only if none of its columns is in the context.

    Args:
      names: names of three or more columns.
      total: their sum, above 0.
      reason: why there is the composition.

    Raises:
      ValueError: if there are not three different names, or `total` is not above 0.

    >>> from tfp_flows.tables import Composition
    >>> Composition(["clay", "sand", "silt"], 100.0).label
    'sand + silt + clay = 100'
    """

    names: list[str]
    total: float
    reason: str = ""

    has_gaps = True
    needs = (
        "three or more 'bounded' or 'integer' columns from 0 to the total, without other "
        "rules; all on one grid without `spikes`, or none on a grid, with no spikes but 0 "
        "and the total, and none if cells are missing"
    )

    def __post_init__(self) -> None:
        self.names, self.total = list(self.names), float(self.total)
        fits = len(self.names) == len(set(self.names)) >= 3
        require(fits, "`names` of three or more columns of a composition", self.names)
        require(0.0 < self.total < np.inf, "a `total` above 0", self.total)

    @property
    def name(self) -> str:
        """Name of the column that is the total minus the others."""
        return self.names[0]

    def in_order(self, names: Sequence[str]) -> Composition:
        """Returns it with all parts but the first in the order of `names`."""
        others = sorted(self.names[1:], key=list(names).index)
        return dataclasses.replace(self, names=[self.name, *others])

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return f"{self._sum} = {self.total:g}"

    @property
    def _sum(self):
        return " + ".join([*self.names[1:], self.name])

    @property
    def column(self) -> Column:
        """Describes the sum of all parts, which is constant."""
        return Column(self._sum, "constant", self.reason, values=[self.total])

    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether columns, in the order of `names`, allow it."""
        ends = {(column.lowest, column.high) for column in columns}
        spikes = {spike for column in columns for spike in column.spikes}
        has_ends = {c.kind for c in columns} <= {"bounded", "integer"}
        if not has_ends or ends != {(0.0, self.total)}:
            return False
        steps = {column.grid.step if column.grid else None for column in columns}
        if steps == {None}:
            has_missing = any(column.num_missing for column in columns)
            return not spikes or not has_missing and spikes - {self.total} == {0.0}
        return len(steps) == 1 and None not in steps and not spikes

    def last_parts(self, columns: Mapping[str, Column]) -> list[str]:
        """Returns names of parts that may be all of their room: all later ones may be 0."""
        names = []
        for place, name in enumerate(self.names[1:], 1):
            later = [self.name, *self.names[place + 1 :]]
            names += [name] * all(0.0 in columns[n].spikes for n in later)
        return names

    def encoded_columns(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Returns descriptions of what is encoded in place of each column, by name.

        That is the sum in place of the first one. In the others, a spike at the total
        stands for all of the room.
        """
        described, last_parts = {self.name: self.column}, self.last_parts(columns)
        for name in self.names[1:]:
            spikes = [0.0] if 0.0 in columns[name].spikes else []
            spikes += [self.total] if name in last_parts else []
            described[name] = dataclasses.replace(columns[name], spikes=spikes)
        return described

    def encoded(
        self, cells: Sequence[np.ndarray], columns: Mapping[str, Column]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns what is encoded (`encoded_columns`), `[N]` by name.

        Also returns in which rows the known parts leave room for those that are missing,
        booleans `[N]`, True where none is. The cells are numbers, in the order of `names`.
        """
        grid, last_parts = columns[self.name].grid, self.last_parts(columns)
        closed, is_possible = self.closed(cells, grid, self._have_zeros(columns))
        known = np.sum(closed, axis=0)
        is_partial = np.isnan(known)
        parts = {self.name: np.where(is_possible & ~is_partial, self.total, known)}
        for place, name in enumerate(self.names[1:], 1):
            later = np.sum(closed[[0, *range(place + 1, len(closed))]], axis=0)
            is_rest = (name in last_parts) & (closed[place] > 0.0) & (later == 0.0)
            parts[name] = np.where(is_rest, self.total, closed[place])
        return parts, is_possible | ~is_partial

    def decoded(
        self, parts: Mapping[str, np.ndarray], columns: Mapping[str, Column]
    ) -> dict[str, np.ndarray]:
        """Returns the columns, `[N]` by name, from what is encoded in their place."""
        grid, last_parts = columns[self.name].grid, self.last_parts(columns)
        decoded: dict[str, np.ndarray] = {}
        has_room = np.ones(len(parts[self.name]), bool)
        for name in self.names[1:]:
            part = parts[name]
            if last_parts:  # after a part that is all of its room come zeros
                is_rest = has_room & (part == self.total) & (name in last_parts)
                rest = self.rest(list(decoded.values()), grid)
                part = np.where(is_rest, rest, np.where(has_room, part, 0.0))
                has_room &= ~is_rest
            decoded[name] = part
        rest = self.rest(list(decoded.values()), grid)
        rest = with_missing(rest, is_missing(parts[self.name]))
        is_whole = columns[self.name].kind == "integer" and not np.isnan(rest).any()
        return {self.name: rest.astype(np.int64) if is_whole else rest, **decoded}

    def completed(
        self, cells: Sequence[np.ndarray], columns: Mapping[str, Column]
    ) -> np.ndarray:
        """Returns parts, `[K, N]`, with those missing ones that follow from the others.

        One missing part is the rest of the total; all are 0 where there is no rest.
        """
        parts, grid = np.stack(cells), columns[self.name].grid
        is_unknown, rest = np.isnan(parts), self.total - np.nansum(parts, axis=0)
        if grid is not None:
            rest = grid.round_if_near(rest)
        elif any(self._have_zeros(columns)):
            is_single = (is_unknown | (parts == parts.astype(np.float32))).all(axis=0)
            rounding = self.total * np.where(is_single, _SUM_ROUNDING, _ZERO_ROUNDING)
            rest = np.where(np.abs(rest) <= rounding, 0.0, rest)
        follows = is_unknown & ((is_unknown.sum(axis=0) == 1) | (rest == 0.0))
        return np.where(follows, rest, parts)

    def closed(
        self, columns: Sequence[np.ndarray], grid: Grid | None, have_zeros: Sequence[bool]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns parts without rounding errors, `[K, N]`, and which rows can occur, `[N]`.

        The columns are those of `names`, `[N]` each, NaN where missing. Parts that
        `have_zeros`, and all parts on a grid, may be 0.
        """
        parts = np.stack(columns).astype(np.float64)
        if grid is None:
            is_zero = np.abs(parts) <= _ZERO_ROUNDING * self.total
            parts = np.where(is_zero & np.array(have_zeros)[:, None], 0.0, parts)
        else:
            parts = grid.round_if_near(parts)
        known = np.nansum(parts, axis=0)
        is_complete = ~np.isnan(parts).any(axis=0)
        if grid is not None:
            known, total = grid.multiples(known), grid.multiples(np.array(self.total))
            return parts, np.where(is_complete, known == total, known <= total)
        is_near = np.abs(known - self.total) <= _SUM_ROUNDING * self.total
        scale = np.where(
            is_complete & is_near, self.total / np.where(is_near, known, 1.0), 1.0
        )
        is_left = (known < self.total) | (any(have_zeros) & is_near)
        return parts * scale, np.where(is_complete, is_near, is_left)

    def rest(self, parts: Sequence[np.ndarray], grid: Grid | None) -> np.ndarray:
        """Returns the total minus parts, `[N]` each; 0 in place of rounding errors."""
        rest = self.total - np.sum(parts, axis=0)
        return np.maximum(rest, 0.0) if grid is None else grid.round(rest)

    def _have_zeros(self, columns):
        return [0.0 in columns[name].spikes for name in self.names]


@dataclasses.dataclass(frozen=True)
class RoomSpec:
    """The room of one number of a row: plain values.

    ```none
    room = total - sum of the parts that are present
    ```

    Args:
      number: index of the number, which is mapped as its share of the room.
      total: the room without other parts; on a grid, one more, for the bin of the last.
      parts: indices of the numbers before it that count.
    """

    number: int
    total: float
    parts: Sequence[int] = ()


def find_compositions(
    columns: Mapping[str, Column], cells: Mapping[str, np.ndarray]
) -> list[tuple[Composition, list[Column]]]:
    """Returns compositions, each with new descriptions of its columns.

    They are three or more columns from 0 on that have one sum in all rows where all are
    known. No column is in two of them. The last one that is never small is the first of
    `names`.

    Args:
      columns: descriptions by name.
      cells: numbers of those that may be parts, `[N]` by name; NaN where missing.
    """
    names = [n for n, c in columns.items() if n in cells and c.kind in _KINDS]
    names = [n for n in names if len(set(cells[n][~np.isnan(cells[n])])) > 1]
    if not 3 <= len(names) <= _MOST_COLUMNS:
        return []
    numbers = np.stack([cells[n] for n in names], axis=1)
    found = []
    for is_part in _constant_sums(numbers):
        parts = [n for n, is_one in zip(names, is_part, strict=True) if is_one]
        some = [cells[n] for n in parts]
        composition = _composition(parts, some)
        described = composition and _described(composition, columns, cells)
        if composition and described:
            found.append((composition, described))
    return found


def _constant_sums(numbers):
    """Yields which columns of `[N, C]` have a constant sum in some rows, booleans `[C]`.

    Constant sums are vectors of ones and zeros in the null space of centred columns. They
    have no column in common, so they are the rows of its reduced echelon form.
    """
    complete = numbers[~np.isnan(numbers).any(axis=1)]
    complete = complete[:: max(len(complete) // _SAMPLE, 1)]
    if len(complete) < max(_LEAST_ROWS, 2 * complete.shape[1]):
        return
    centred = complete - complete.mean(axis=0)
    deviation = np.abs(centred).max(axis=0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    _, sizes, vectors = np.linalg.svd(centred / deviation, full_matrices=False)
    null = vectors[sizes <= _NULL * np.sqrt(len(complete))] / deviation
    for row in range(len(null)):
        null[row:] /= np.abs(null[row:]).max(axis=1, keepdims=True)
        pivot = np.argmax(np.abs(null[row]))
        null[row] /= null[row, pivot]
        others = np.arange(len(null)) != row
        null[others] -= null[others, pivot, None] * null[row]
    for vector in null:
        is_part = np.abs(vector - 1.0) < _COEFFICIENT
        if is_part.sum() >= 3 and (np.abs(vector[~is_part]) < _COEFFICIENT).all():
            yield is_part


def _composition(names, parts):
    """The composition of columns, whose first part is the one to compute; None if none."""
    known = np.stack(parts)[:, ~np.isnan(parts).any(axis=0)]
    if known.shape[1] < _LEAST_ROWS or known.min() < -_ZERO_ROUNDING * known.max():
        return None
    count = f"all {known.shape[1]} rows where all are known"
    reason = f"in {'all rows' if known.shape[1] == len(parts[0]) else count}"
    total = float(f"{np.median(known.sum(axis=0)):.7g}")
    # Rooms are precise if the part that is computed is never small.
    are_large = np.flatnonzero(known.min(axis=1) > _SMALL * total)
    first = are_large[-1] if len(are_large) else np.argmax(known.mean(axis=1))
    others = [name for place, name in enumerate(names) if place != first]
    return Composition([names[first], *others], total, reason)


def _described(composition, columns, cells):
    """New descriptions of the columns of a composition; empty if it does not hold."""
    parts = [cells[name] for name in composition.names]
    total, present = composition.total, np.concatenate(parts)
    distinct = np.unique(present[~np.isnan(present)])
    step = find_step(np.unique(np.append(distinct, total)), RESOLUTION)
    is_whole = step is not None and step.is_integer()
    has_grid = [
        columns[n].grid is not None or columns[n].has_values for n in composition.names
    ]
    if step is None and any(has_grid):
        return []
    described = []
    for name in composition.names:
        column, words = columns[name], f"a part of {total:g}"
        described.append(
            Column(
                name,
                "integer" if is_whole else "bounded",
                words,
                low=0.0,
                high=total,
                spikes=[] if step is not None else column.spikes,
                num_missing=column.num_missing,
                step=None if is_whole and step == 1.0 else step,
            )
        )
    if step is None:  # a few exact zeros are a spike too
        closed, _ = composition.closed(parts, None, [True] * len(parts))
        for column, part in zip(described, closed, strict=True):
            ends = [end for end in (0.0, total) if (part == end).any()]
            column.spikes = sorted({*column.spikes, *ends})
    grid = described[0].grid
    has_sum = composition.fits(described)
    has_sum = has_sum and composition.closed(parts, grid, [False] * len(parts))[1].all()
    return described if has_sum else []
