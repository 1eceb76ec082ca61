"""Orders and sums of columns: which the rows show, and which a distribution can keep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import Column, Difference, TableColumns

_KINDS = ("real", "positive", "integer", "heavy-tailed")
# If there is no order, at least so many rows are expected to violate it: a share if one
# column is shuffled, and a number if the difference is normal.
_LEAST_SHUFFLED, _LEAST_EXPECTED = 0.05, 5.0
_MOST_COLUMNS = 40  # among more columns of numbers, none is compared
_SAMPLE = 64  # rows that rule out most sums
_ROUNDING = 1e-14  # rounding error of a sum, relative to its parts


def find_differences(
    columns: TableColumns,
    cells: dict[str, np.ndarray],
    describe: Callable[[str, str, np.ndarray], Column],
) -> list[Difference]:
    """Returns the sums and orders of columns that hold in all rows.

    A sum is `c = a + b`. An order `a <= b` is found if rows without it would
    violate it: many if one column were shuffled, and some if the difference were normal.

    Args:
      columns: the columns, with their kinds and functions.
      cells: numbers of columns, `[N]`, by name.
      describe: returns the description of differences, `[N]`, by their name and that of the
        column.
    """
    computed = [function.name for function in columns.functions]
    names = [c.name for c in columns if c.kind in _KINDS and not c.num_missing]
    names = [name for name in names if name not in computed]
    if len(names) > _MOST_COLUMNS:
        return []
    cells = {name: cells[name] for name in names}
    found: dict[str, Difference] = {}
    for name, parts in _sums(cells):
        label = " - ".join([name, *parts])
        is_part = any(name in d.minus for d in found.values())
        if name not in found and not is_part and label not in columns.names:
            reason = f"{name} = {' + '.join(parts)} in all rows"
            zero = Column(label, "constant", reason, values=[0.0])
            found[name] = Difference(name, list(parts), zero)
    for name, part in _orders(cells):
        difference = cells[name] - cells[part]
        column = describe(f"{name} - {part}", name, difference)
        column.reason = f"{part} <= {name} in all rows"
        candidate = Difference(name, [part], column)
        is_new = name not in found and column.name not in columns.names
        is_new = is_new and not _reaches(found, part, name)
        if is_new and _is_rectangular(candidate, columns):
            found[name] = candidate
    return list(found.values())


def without_rounding(total: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a column less the sum of others, `[N]`; 0 where it is rounding of float64."""
    difference = total - np.sum(parts, axis=0)
    size = np.abs(total) + np.sum(np.abs(parts), axis=0)
    return np.where(np.abs(difference) <= _ROUNDING * size, 0.0, difference)


def kept_differences(columns: TableColumns, context: Sequence[str]) -> list[Difference]:
    """Returns the differences that a distribution given the context keeps.

    They are differences of modelled columns. A sum that leaves nothing to model is not
    kept.

    Args:
      columns: the columns and their differences.
      context: names of the columns that are given.

    Raises:
      ValueError: if the supports of columns do not allow a difference.
    """
    modelled = [name for name in columns.names if name not in context]
    kept = [d for d in columns.differences if d.name in modelled]
    for difference in kept:
        require(
            difference.column.kind == "constant" or _is_rectangular(difference, columns),
            f"columns that allow the difference {difference.column.name!r}: on one grid, "
            f"numbers without missing cells, and {difference.name!r} without `high`",
            str(columns.select(difference.names)),
            f" columns.drop({difference.column.name!r}) leaves it out.",
        )
    is_determined = len(modelled) == 1 and any(d.column.kind == "constant" for d in kept)
    return [] if is_determined else kept


def _sums(cells):
    """Yields names of columns, and of two others whose sum they are in all rows."""
    some = {
        name: column[:: max(len(column) // _SAMPLE, 1)] for name, column in cells.items()
    }
    for parts in itertools.combinations(cells, 2):
        if any(np.ptp(some[part]) == 0.0 for part in parts):
            continue
        for name in cells:
            if name in parts:
                continue
            if all(_are_sums(each, name, parts) for each in (some, cells)):
                yield name, parts


def _are_sums(cells, name, parts):
    found = without_rounding(cells[name], [cells[part] for part in parts])
    return not found.any()


def _orders(cells):
    """Returns pairs of names: a column is never below the other; closest pairs first."""
    found = []
    for name, part in itertools.permutations(cells, 2):
        difference = cells[name] - cells[part]
        if difference.min() < 0.0 or difference.max() == 0.0:
            continue
        below = np.searchsorted(np.sort(cells[name]), cells[part])
        shuffled = below.sum() / len(difference) ** 2
        ratio = difference.mean() / difference.std() if difference.std() else np.inf
        expected = len(difference) * 0.5 * math.erfc(math.sqrt(0.5) * ratio)
        if shuffled >= _LEAST_SHUFFLED and expected >= _LEAST_EXPECTED:
            found.append((difference.mean(), name, part))
    return [(name, part) for _, name, part in sorted(found)]


def _reaches(found, start, end):
    """Whether `end` is part of `start` by the differences found so far."""
    if start == end:
        return True
    parts = found[start].minus if start in found else []
    return any(_reaches(found, part, end) for part in parts)


def _is_rectangular(difference, columns):
    """Whether each difference of 0 or more leaves the columns in their supports."""
    column, parts = columns[difference.name], [columns[part] for part in difference.minus]
    found = difference.column
    each = [column, *parts]
    if any(c.kind not in _KINDS or c.num_missing for c in each):
        return False
    is_positive = found.kind == "positive" or found.low is not None
    if not found.is_number or not is_positive or (found.low or 0.0) < 0.0:
        return False
    steps = [c.grid.step if c.grid else 0.0 for c in [*each, found]]
    is_on_grid = all(_is_multiple(step, steps[0]) for step in steps[1:])
    low = _low(column)
    is_above = low is None or all(_low(part) is not None for part in parts)
    is_above = is_above and (low is None or sum(map(_low, parts)) >= low)
    is_open = column.high is None and all(spike == low for spike in column.spikes)
    return is_on_grid and is_above and is_open


def _low(column):
    return 0.0 if column.kind == "positive" and column.low is None else column.low


def _is_multiple(step, of):
    if not of or not step:
        return step == of
    return abs(step / of - round(step / of)) < 1e-9
