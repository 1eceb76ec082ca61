"""Differences: orders and sums of columns, and which of them the rows show."""

from __future__ import annotations

import dataclasses
import graphlib
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows.tables.column import Column
from tfp_flows.tables.counted_numbers import RESOLUTION, Counted
from tfp_flows.tables.grids import find_step
from tfp_flows.tables.rules.rule import Rule

_KINDS = ("real", "positive", "integer", "heavy-tailed", "date")
# An order is no chance if at least so many violations are expected: a share of the rows if
# one column is shuffled, and a number of rows if the difference is normal.
_LEAST_SHUFFLED, _LEAST_EXPECTED = 0.05, 5.0
_MOST_COLUMNS = 40  # among more columns of numbers, none is compared
_COUNTS_OF_PARTS = (2, 3, 4)
_MOST_SUMS = 20_000  # with more sums of so many parts, none is looked for
_SAMPLE, _SAMPLE_OF_EACH = 64, 2  # rows that rule out most sums; of each column
_LEAST_KNOWN = 20  # minimum number of rows that show a sum, if cells are missing
_ROUNDING = 1e-14  # rounding error of a sum, relative to its parts


@dataclasses.dataclass
class Difference(Rule):
    """A column minus the sum of others, which is modelled in place of the column.

    ```none
    difference = name - sum of minus,     name = difference + sum of minus
    ```

    So an order of two columns is a difference that is never negative, and a sum is one that
    is always zero, also that of a date and of days; both are kept exactly. The map has a
    volume of 1: densities are those of the columns. Where one of `minus` is missing, the
    column is modelled itself. A column of a context has no difference. That of two dates is
    in days.

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

    has_gaps = True
    needs = (
        "numbers, or two dates; the first without `high`, and, if it is on a grid, the "
        "others on it too"
    )

    @property
    def names(self) -> list[str]:  # type: ignore[override]  # elsewhere a field
        """Names of all columns."""
        return [self.name, *self.minus]

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return self.column.name

    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether differences of 0 or more leave columns in their supports."""
        difference, (column, *parts) = self.column, columns
        if difference.kind == "constant":
            return True
        if any(c.kind not in _KINDS for c in columns) or not _are_alike(columns):
            return False
        if not difference.is_number or difference.lowest is None or difference.lowest < 0.0:
            return False
        # With a difference of any size, parts of a continuous column may be on a grid.
        is_on_grid = _is_multiple(_step(difference), _step(column))
        is_on_grid &= _is_on_grid(column, parts)
        low, lows = column.lowest, _lows(parts)
        is_above = low is None or (None not in lows and sum(lows) >= low)
        is_open = column.high is None and all(spike == low for spike in column.spikes)
        return is_on_grid and is_above and is_open

    def with_room(self, columns: Sequence[Column]) -> Column:
        """Returns the column, from no higher than where the parts' sum starts.

        So differences of 0 leave it in its support. Ordered values, among which not every
        sum is, become integers.
        """
        column, *parts = columns
        lows = _lows(parts)
        if column.has_values:
            low = None if None in lows else min(*column.values, sum(lows))
            return dataclasses.replace(column, kind="integer", values=[], low=low)
        if column.low is None or None in lows:
            return column
        return dataclasses.replace(column, low=min(column.low, sum(lows)))

    def subtracted(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the differences, `[N]`, of the columns of `names`, `[N]` each."""
        total, *parts = columns
        if self.column.kind == "constant":
            return _without_rounding(total, parts)
        return total - np.sum(parts, axis=0)

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        return super().to_plain() | {"column": self.column.to_plain()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Difference:
        """Returns the difference from the result of `to_plain`."""
        return cls(**{**plain, "column": Column.from_plain(plain["column"])})


def in_order(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Returns differences, by column, each after those of its parts."""
    sorter = graphlib.TopologicalSorter({n: d.minus for n, d in differences.items()})
    return {n: differences[n] for n in sorter.static_order() if n in differences}


def find_differences(
    columns: Mapping[str, Column],
    taken: Collection[str],
    cells: Mapping[str, np.ndarray],
) -> list[Difference]:
    """Returns the sums and orders of columns that hold in all rows where all are known.

    A row where parts are missing can have parts that their descriptions allow.
    A sum, such as `d = a + b`, has two parts or more, all of whose sums are on the grid of
    d. Its parts, and d itself if all are whole, may be ordered numbers; parts may also be
    booleans. A date may be the sum of a date and of days. An order `a <= b`, of numbers or
    of dates, is returned if chance would violate it: in many rows if one column were
    shuffled, and in some if the difference were normal. The column with a difference is
    then described from where its parts start (`with_room`). Columns that other rules have
    `taken` have none.
    """
    names = [n for n, c in columns.items() if c.kind in _KINDS and n not in taken]
    if len(names) > _MOST_COLUMNS:
        return []
    every = {n: x for n, x in cells.items() if n not in taken}
    differences: dict[str, Difference] = {}

    def is_new(candidate):
        is_free = candidate.name not in differences and candidate.label not in columns
        ends = (_reaches(differences, part, candidate.name) for part in candidate.minus)
        return is_free and not any(ends)

    numbers = {n: cells[n] for n in names if columns[n].kind != "date"}
    sums = list(_sums(numbers))
    if len(numbers) < len(every) <= _MOST_COLUMNS:
        more = _sums(every)
        sums += [(n, parts) for n, parts in more if _is_mixed_sum(n, parts, columns, every)]
    for name, parts in sums:
        reason = f"{name} = {' + '.join(parts)} in {_rows(cells, [name, *parts])}"
        zero = Column(" - ".join([name, *parts]), "constant", reason, values=[0.0])
        zero.num_missing = _num_unknown(cells, [name, *parts])
        candidate = Difference(name, parts, zero)
        described = [columns[n] for n in candidate.names]
        holds = _is_on_grid(described[0], described[1:])
        holds = holds and _can_be_complete(candidate, described, every)
        if holds and is_new(candidate):
            differences[name] = candidate
    for name, part in _orders({name: cells[name] for name in names}, columns):
        column = _described(f"{name} - {part}", columns[name], cells[name] - cells[part])
        column.reason = f"{part} <= {name} in {_rows(cells, [name, part])}"
        candidate = Difference(name, [part], column)
        pair = [columns[n] for n in candidate.names]
        holds = candidate.fits([candidate.with_room(pair), *pair[1:]])
        holds = holds and _can_be_complete(candidate, pair, cells)
        if holds and is_new(candidate):
            differences[name] = candidate
    columns = dict(columns)
    for name, difference in in_order(differences).items():
        columns[name] = difference.with_room([columns[n] for n in difference.names])
    each = differences.values()
    return [d for d in each if d.fits([columns[n] for n in d.names])]


def _can_be_complete(difference, columns, cells):
    """Whether each row without some parts can have parts that the columns allow.

    So no order `a <= b` is found if a starts at 1, and b is 0 in a row without a.
    """
    column, parts = columns[0], columns[1:]
    total = cells[column.name]
    given = np.stack([cells[part.name] for part in parts])
    is_missing = np.isnan(given)
    lows = [-np.inf if low is None else low for low in _lows(parts)]
    highs = [np.inf if high is None else high for high in _highs(parts)]
    error = _ROUNDING * (np.abs(total) + np.nansum(np.abs(given), axis=0))
    is_wrong = _sum_with(given, lows) > total + error
    if difference.column.kind == "constant":
        is_wrong |= _sum_with(given, highs) < total - error
    return not (is_wrong & is_missing.any(axis=0)).any()


def _sum_with(given, ends):
    """The sums of parts `[K, N]` with ends `[K]` in place of those that are missing."""
    return np.where(np.isnan(given), np.reshape(ends, [-1, 1]), given).sum(axis=0)


def _described(label, column, difference):
    """The description of differences from 0 on, on the grid of their column, if any."""
    grid, is_integer = column.grid, column.kind == "integer"
    num_missing = int(np.isnan(difference).sum())
    difference = difference[~np.isnan(difference)]
    difference = difference if grid is None else grid.round_if_near(difference)
    counted = Counted(*np.unique(difference, return_counts=True), RESOLUTION)
    spikes = counted.spikes()
    step = None if grid is None else counted.step
    if step is None and counted.distinct[0] == 0.0:
        spikes = sorted({0.0, *spikes})
    step = None if is_integer and step == 1.0 else step
    kind = "integer" if is_integer else "positive"
    return Column(label, kind, low=0.0, spikes=spikes, num_missing=num_missing, step=step)


def _rows(cells, names):
    """The rows in which a rule between columns holds, in words."""
    count = len(cells[names[0]])
    known = count - _num_unknown(cells, names)
    return "all rows" if known == count else f"all {known} rows where all are known"


def _num_unknown(cells, names):
    """The number of rows in which a cell of some columns is missing."""
    return int(np.any([np.isnan(cells[name]) for name in names], axis=0).sum())


def _without_rounding(total, parts):
    """A column less the sum of others, `[N]`; 0 where it is rounding of float64."""
    difference = total - np.sum(parts, axis=0)
    size = np.abs(total) + np.sum(np.abs(parts), axis=0)
    return np.where(np.abs(difference) <= _ROUNDING * size, 0.0, difference)


def _sums(cells):
    """Yields names of columns, and of two or more others whose sum they are.

    The sums hold in all rows where all are known. Sums of fewer columns come first. Sums of
    more than four parts are found by least squares, which needs parts that do not depend
    on each other linearly. So columns that were found to be sums are left out as parts.
    """
    if not cells:
        return
    some = _rows_that_tell(np.stack(list(cells.values()), axis=1))
    names, varying = list(cells), np.flatnonzero([_varies(x) for x in some.T])
    totals = set()
    for count in _COUNTS_OF_PARTS:
        if not count <= len(varying) or math.comb(len(varying), count) > _MOST_SUMS:
            break
        parts = np.array(list(itertools.combinations(varying, count)))
        each = np.indices([len(names), len(parts)]).reshape(2, -1)
        for row in some:
            total, terms = row[each[0]], row[parts][each[1]]
            rest = np.abs(total - terms.sum(axis=1))
            size = np.abs(total) + np.abs(terms).sum(axis=1)
            each = each[:, np.isnan(rest) | (rest <= _ROUNDING * size)]
        for column, index in each.T:
            if column not in parts[index] and _is_sum(cells, names, column, parts[index]):
                totals.add(column)
                yield names[column], [names[part] for part in parts[index]]
    some = some[~np.isnan(some).any(axis=1)]
    varying = varying[[_varies(some[:, place]) for place in varying]]
    for column in sorted(set(varying) - totals):
        parts = np.array([part for part in varying if part not in (column, *totals)], int)
        size = np.abs(some[:, parts]).max(axis=0)
        shares = np.linalg.lstsq(some[:, parts] / size, some[:, column], rcond=None)[0]
        parts = parts[shares > 0.5 * size]
        if len(parts) > 1 and _is_sum(cells, names, column, parts):
            totals.add(column)
            yield names[column], [names[part] for part in parts]


def _is_mixed_sum(name, parts, columns, cells):
    """Whether a sum with dates or lists of values is no chance, and its types fit.

    If one column with a list of values were shuffled, the sum would be wrong in some rows.
    """
    names, column = [name, *parts], columns[name]
    num_dates = sum(columns[part].kind == "date" for part in parts)
    if num_dates != (column.kind == "date"):
        return False
    if column.has_values and not all(_is_whole(columns[n]) for n in names):
        return False
    moved = [_num_moved(cells[n]) for n in names if columns[n].has_values]
    return column.kind != "boolean" and min(moved, default=np.inf) >= _LEAST_EXPECTED


def _num_moved(numbers):
    """The number of rows whose number is expected to change if they are shuffled."""
    _, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    return counts.sum() - np.sum(counts**2) / max(counts.sum(), 1)


def _is_whole(column):
    if column.has_values:
        return all(float(value).is_integer() for value in column.values)
    return column.kind == "integer" and all(map(float.is_integer, column.spikes))


def _is_sum(cells, names, column, parts):
    """Whether a column is the sum of others, which vary, in all rows that are known."""
    rows = np.stack([cells[names[place]] for place in (column, *parts)])
    known = rows[:, ~np.isnan(rows).any(axis=0)]
    if known.shape[1] < rows.shape[1]:
        are_few = known.shape[1] < _LEAST_KNOWN
        if are_few or not all(map(_varies, known)):
            return False
    total, *others = known
    return not _without_rounding(total, others).any()


def _varies(numbers):
    """Whether numbers differ; NaN does not count."""
    present = numbers[~np.isnan(numbers)]
    return len(present) > 0 and np.ptp(present) > 0.0


def _rows_that_tell(rows):
    """Some rows that rule out most sums; those with the fewest zeros come first.

    Some are taken from all rows, and some from those where a column is not zero.
    """
    chosen = [np.arange(len(rows))[:: max(len(rows) // _SAMPLE, 1)]]
    for column in rows.T:
        places = np.flatnonzero(column)
        chosen.append(places[:: max(len(places) // _SAMPLE_OF_EACH, 1)])
    some = rows[np.unique(np.concatenate(chosen))]
    tells_little = np.sum((some == 0.0) | np.isnan(some), axis=1)
    return some[np.argsort(tells_little, kind="stable")]


def _orders(cells, columns):
    """Returns pairs of names: a column is never below the other; closest pairs first.

    Rows where either is missing do not count.
    """
    pairs = []
    for name, part in itertools.permutations(cells, 2):
        if not _are_alike([columns[name], columns[part]]):
            continue
        is_known = ~np.isnan(cells[name] - cells[part])
        higher, lower = cells[name][is_known], cells[part][is_known]
        difference = higher - lower
        if not len(difference) or difference.min() < 0.0 or difference.max() == 0.0:
            continue
        below = np.searchsorted(np.sort(higher), lower)
        shuffled = below.sum() / len(difference) ** 2
        scaled = difference / difference.max()  # squares of large numbers overflow
        ratio = scaled.mean() / scaled.std() if scaled.std() else np.inf
        expected = len(difference) * 0.5 * math.erfc(math.sqrt(0.5) * ratio)
        if shuffled >= _LEAST_SHUFFLED and expected >= _LEAST_EXPECTED:
            pairs.append((difference.mean(), name, part))
    return [(name, part) for _, name, part in sorted(pairs)]


def _reaches(differences, start, end):
    """Whether `end` is part of `start` by `differences`."""
    if start == end:
        return True
    parts = differences[start].minus if start in differences else []
    return any(_reaches(differences, part, end) for part in parts)


def _is_on_grid(column, parts):
    """Whether sums of the parts are on the grid of the column, if it has one."""
    unit = _step(column)
    return not unit or all(_is_multiple(_step(part), unit) for part in parts)


def _are_alike(columns):
    """Whether all columns are of numbers, or both of two are of dates."""
    are_dates = [column.kind == "date" for column in columns]
    return not any(are_dates) or (all(are_dates) and len(columns) == 2)


def _step(column):
    """The step of the grid of a column, or of its values; 0 if they are on none."""
    if column.has_values:
        return find_step(np.sort(np.array(column.values, np.float64)), RESOLUTION) or 0.0
    return column.grid.step if column.grid else 0.0


def _lows(columns):
    """The lowest number of each column; None without a lower end."""
    return [min(c.values) if c.has_values else c.lowest for c in columns]


def _highs(columns):
    """The highest number of each column; None without an upper end."""
    return [max(c.values) if c.has_values else c.high for c in columns]


def _is_multiple(step, unit):
    """Whether a step is a multiple of another; 0, which is no grid, of 0 only."""
    if not unit or not step:
        return step == unit
    return abs(step / unit - round(step / unit)) < 1e-9
