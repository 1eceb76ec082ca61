"""Equalities of two columns in some rows, and which of them the rows show."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import Column
from tfp_flows.tables.rules.rule import Rule

_KINDS = ("real", "positive", "bounded", "integer", "heavy-tailed", "date")
_LEAST_SHARE, _LEAST_ROWS = 0.01, 8  # least share and number of equal rows
# Equal rows must be 5 times as many as by chance, and 8 deviations more (Poisson counts).
_RATIO, _DEVIATIONS = 5.0, 8.0
_NEAR_SHARE = 0.05  # numbers are near if at most this share of the rows is between them
_NUM_NEAR = 20  # numbers near each one, by which chance is estimated
_MOST_COLUMNS = 100  # among more columns of numbers, none is compared


@dataclasses.dataclass
class Equality(Rule):
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

    Raises:
      ValueError: if there are not two different names.

    >>> from tfp_flows.tables import Equality
    >>> Equality(["paid", "bill"]).label
    'paid = bill'
    """

    names: list[str]
    reason: str = ""

    needs = "numbers, both on one grid or on none, without differences and functions"

    def __post_init__(self) -> None:
        self.names = list(self.names)
        are_two = len(self.names) == len(set(self.names)) == 2
        require(are_two, "`names` of two columns of an equality", self.names)

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return " = ".join(self.names)

    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether both are numbers on one grid, or without, or both are dates."""
        are_numbers = {column.kind for column in columns} <= set(_KINDS)
        are_alike = len({column.kind == "date" for column in columns}) == 1
        steps = {column.grid.step if column.grid else None for column in columns}
        return are_numbers and are_alike and len(steps) == 1


def find_equalities(
    columns: Mapping[str, Column], taken: Collection[str], cells: Mapping[str, np.ndarray]
) -> list[Equality]:
    """Returns pairs of columns that are equal in more rows than by chance.

    Chance is the larger of two shares of rows. The first is expected if one column is
    shuffled. In the second, one column is equal to a different number near the other's
    number; it is large if columns are alike or rounded. Spikes of either column do not
    count. An equality is left out if other equalities explain most of its rows. Columns
    that other rules have `taken` have none.
    """
    names = [n for n, c in columns.items() if c.kind in _KINDS]
    if len(names) > _MOST_COLUMNS:
        return []
    names = [name for name in names if name not in taken]
    near: dict[str, np.ndarray] = {}
    shares: dict[str, list] = {name: [] for name in names}
    for earlier, later in itertools.combinations(names, 2):
        equality, pair = Equality([later, earlier]), [columns[later], columns[earlier]]
        spikes = [spike for column in pair for spike in column.spikes]
        is_equal = (cells[earlier] == cells[later]) & ~np.isin(cells[later], spikes)
        if not _are_many(is_equal) or not equality.fits(pair):
            continue
        if earlier not in near:
            near[earlier] = _near(cells[earlier])
        chance = float(np.mean(near[earlier] == cells[later]))
        chance = max(chance, _if_shuffled(cells[earlier], cells[later], spikes))
        count, usual = is_equal.sum(), chance * len(is_equal)
        if count >= max(_RATIO * usual, usual + _DEVIATIONS * np.sqrt(usual + 1.0)):
            shares[later].append((is_equal, chance, earlier))
    equalities = []
    for later, candidates in shares.items():
        explained = np.zeros(len(cells[later]), bool)
        for is_equal, chance, earlier in sorted(candidates, key=lambda c: -c[0].sum()):
            reason = f"in {100.0 * is_equal.mean():.1f} % of the rows"
            reason += f", by chance in {100.0 * chance:.1f} %"
            equality = Equality([later, earlier], reason)
            is_new = equality.label not in columns
            if is_new and _are_many(is_equal & ~explained):
                equalities.append(equality)
                explained |= is_equal
    return equalities


def _if_shuffled(first, second, spikes):
    """The expected share of equal rows, without spikes, if one column is shuffled."""
    (a, num_a), (b, num_b) = (np.unique(x, return_counts=True) for x in (first, second))
    both, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    products = num_a[in_a] / len(first) * num_b[in_b] / len(first)
    return float(np.sum(products[~np.isin(both, [*spikes, np.nan])]))


def _are_many(is_equal):
    return is_equal.sum() >= max(_LEAST_ROWS, _LEAST_SHARE * len(is_equal))


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
