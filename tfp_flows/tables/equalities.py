"""Equalities of two columns: which the rows show, and which a distribution can model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import Equality, TableColumns

_KINDS = ("real", "positive", "bounded", "integer", "heavy-tailed", "date")
_LEAST_SHARE, _LEAST_ROWS = 0.01, 8  # least share and number of equal rows
# An equality has this ratio to equalities by chance, and these deviations above them as a
# Poisson count.
_RATIO, _DEVIATIONS = 5.0, 8.0
_NEAR_SHARE = 0.05  # share of the rows, on either side, whose numbers are near
_NUM_NEAR = 20  # numbers near each one with which chance is estimated
_MOST_COLUMNS = 100  # among more columns of numbers, none is compared


def find_equalities(columns: TableColumns, cells: dict[str, np.ndarray]) -> list[Equality]:
    """Returns pairs of columns that are equal in more rows than by chance.

    Chance is the larger of two shares of rows: rows that are equal if one column is
    shuffled, and rows in which one column is equal to a different number near the other's,
    which are many if columns are alike or rounded. Numbers that are spikes of either column
    do not count. An equality is left out if other equalities explain most of its rows.

    Args:
      columns: the columns, with their kinds, differences and functions.
      cells: numbers of columns, `[N]`, by name; NaN where missing.
    """
    names = [c.name for c in columns if c.kind in _KINDS and c.name in cells]
    if len(names) > _MOST_COLUMNS:
        return []
    near: dict[str, np.ndarray] = {}
    shares: dict[str, list] = {name: [] for name in names}
    for earlier, later in itertools.combinations(names, 2):
        spikes = [*columns[earlier].spikes, *columns[later].spikes]
        is_equal = (cells[earlier] == cells[later]) & ~np.isin(cells[later], spikes)
        if not _are_many(is_equal) or not _may_be_equal(columns, earlier, later):
            continue
        if earlier not in near:
            near[earlier] = _near(cells[earlier])
        chance = float(np.mean(near[earlier] == cells[later]))
        chance = max(chance, _if_shuffled(cells[earlier], cells[later], spikes))
        if _is_beyond(is_equal, chance):
            shares[later].append((is_equal, chance, earlier))
    found = []
    for later, candidates in shares.items():
        explained = np.zeros(len(cells[later]), bool)
        for is_equal, chance, earlier in sorted(candidates, key=lambda c: -c[0].sum()):
            reason = f"in {100.0 * is_equal.mean():.1f} % of the rows"
            reason += f", by chance in {100.0 * chance:.1f} %"
            equality = Equality([later, earlier], reason)
            is_new = equality.label not in columns.names
            if is_new and _are_many(is_equal & ~explained):
                found.append(equality)
                explained |= is_equal
    return found


def kept_equalities(columns: TableColumns, context: Sequence[str]) -> list[Equality]:
    """Returns the equalities that a distribution given the context models.

    The first of the names of each is the modelled one that has the atom.

    Args:
      columns: the columns and their equalities.
      context: names of the columns that are given.

    Raises:
      ValueError: if two columns cannot be equal by their kinds, steps or differences.
    """
    order = [*context, *(name for name in columns.names if name not in context)]
    kept = []
    for equality in columns.equalities:
        earlier, later = sorted(equality.names, key=order.index)
        require(
            _may_be_equal(columns, earlier, later),
            f"columns that allow the equality {equality.label!r}: numbers on one grid, or "
            "both without, which are no differences or functions",
            str(columns.select(equality.names)),
            f" columns.drop({equality.label!r}) leaves it out.",
        )
        if later not in context:
            kept.append(Equality([later, earlier], equality.reason))
    return kept


def _may_be_equal(columns, *names):
    first, second = (columns[name] for name in names)
    are_numbers = {first.kind, second.kind} <= set(_KINDS)
    are_alike = (first.kind == "date") == (second.kind == "date")
    linked = [link.name for link in (*columns.differences, *columns.functions)]
    are_free = not set(linked) & set(names)
    return are_numbers and are_alike and are_free and _step(first) == _step(second)


def _step(column):
    return column.grid.step if column.grid else None


def _if_shuffled(first, second, spikes):
    """The expected share of equal rows, without spikes, if one column is shuffled."""
    (a, of_a), (b, of_b) = (np.unique(x, return_counts=True) for x in (first, second))
    both, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    products = of_a[in_a] / len(first) * of_b[in_b] / len(first)
    return float(np.sum(products[~np.isin(both, [*spikes, np.nan])]))


def _are_many(is_equal):
    return is_equal.sum() >= max(_LEAST_ROWS, _LEAST_SHARE * len(is_equal))


def _is_beyond(is_equal, chance):
    count, usual = is_equal.sum(), chance * len(is_equal)
    return count >= max(_RATIO * usual, usual + _DEVIATIONS * np.sqrt(usual + 1.0))


def _near(numbers):
    """Different numbers near each one, by rank, `[_NUM_NEAR, N]`; NaN if there is none."""
    ordered = np.sort(numbers[~np.isnan(numbers)])
    reach = max(int(_NEAR_SHARE * len(ordered)), 1)
    below = np.searchsorted(ordered, numbers, "left")
    above = np.searchsorted(ordered, numbers, "right")
    padded = np.concatenate([np.full(reach, np.nan), ordered, np.full(reach, np.nan)])
    # Evenly spaced ranks from the nearest to the farthest, on either side.
    steps = np.unique(np.linspace(0, reach - 1, _NUM_NEAR // 2).astype(int))
    sides = [padded[below + reach - 1 - s] for s in steps]
    return np.stack(
        sides + [padded[np.minimum(above, len(ordered)) + reach + s] for s in steps]
    )
