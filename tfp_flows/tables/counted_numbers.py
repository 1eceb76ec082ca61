"""What the numbers of a column show: a step, spikes, ends and tails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfp_flows.tables.grids import find_step

RESOLUTION = 2.0**-48  # relative; numbers from files have 15 decimal digits
# A spike has 5 times the rows of its neighbours, and 8 deviations more (a Poisson count).
_SPIKE_RATIO, _SPIKE_DEVIATIONS = 5.0, 8.0
# Minimum share of the rows at a spike, and maximum number of spikes. On a grid, where all
# frequencies are modelled, spikes need more rows than among continuous numbers.
_LEAST_SHARE_ON_GRID, _MOST_ON_GRID = 0.05, 3
_LEAST_SHARE_OF_SPIKE, _MOST_SPIKES = 0.002, 200
_LEAST_ROWS_OF_SPIKE = 8
_SHARE_OF_REPEATED = 0.9  # repeated numbers with this share of the rows are all spikes
_ROWS_OF_NUMBER = 5  # mean number of rows with a number, if all numbers are repeated
_NEIGHBOURS = 5  # number of neighbours on either side of a value
_BEYOND_IDENTIFIERS = 2.0**64  # from here on, integers of files do not name rows
# The last number is an end, not a tail, if so many rows are expected at the next number.
_LEAST_BEYOND = 4.0
_TAIL_SHARE = 0.05  # share of the rows that the tail index uses on either side
_LEAST_TAIL = 2  # minimum number of rows in a tail, from 40 rows on


class Counted:
    """Different numbers of a column, and how many rows have each.

    Args:
      distinct: the numbers, increasing.
      counts: numbers of rows.
      resolution: relative resolution of their dtype; None: no step is sought.

    Attributes:
      step: the step of the grid that all numbers are on; None if there is none.
      are_on_no_grid: whether a step was sought, and there is none.
    """

    def __init__(
        self, distinct: np.ndarray, counts: np.ndarray, resolution: float | None
    ) -> None:
        self.distinct, self.counts = distinct, counts
        self.size = int(counts.sum())
        self.are_integers = bool((distinct == np.floor(distinct)).all())
        self.are_integers &= bool(np.abs(distinct).max() < _BEYOND_IDENTIFIERS)
        self.step = None
        self._may_be_spike = counts >= _LEAST_ROWS_OF_SPIKE
        if resolution is not None:
            self.step = find_step(distinct, resolution)
            if self.step is None and self.are_integers:
                self.step = 1.0
        self.are_on_no_grid = resolution is not None and self.step is None

    @property
    def are_repeated(self) -> bool:
        """Whether the numbers are on no grid, and each occurs in several rows.

        So new rows are expected to have the same ones. An example is the income of a row's
        county.
        """
        are_few = self.size >= _ROWS_OF_NUMBER * len(self.distinct)
        return self.are_on_no_grid and are_few and bool(self.counts.min() > 1)

    @property
    def are_mostly_spikes(self) -> bool:
        """Whether nearly all rows have one of a few repeated numbers, which are on no grid.

        An example is the logarithm of the age in years.
        """
        are_all = self.counts[self._may_be_spike].sum() >= _SHARE_OF_REPEATED * self.size
        are_few = self._may_be_spike.sum() <= _MOST_SPIKES
        return self.are_on_no_grid and bool(are_all and are_few)

    def without(self, spikes: Sequence[float]) -> np.ndarray:
        """Returns the numbers of all rows in increasing order, without spikes."""
        is_kept = ~np.isin(self.distinct, spikes)
        return np.repeat(self.distinct[is_kept], self.counts[is_kept])

    def spikes(self) -> list[float]:
        """Returns numbers with many more rows than their neighbours, or all of a few."""
        share, most = _LEAST_SHARE_OF_SPIKE, _MOST_SPIKES
        if self.step is not None:
            share, most = _LEAST_SHARE_ON_GRID, _MOST_ON_GRID
        ranks = np.flatnonzero(self._may_be_spike).tolist()
        if not self.are_mostly_spikes:
            least = share * self.size
            ranks = [i for i in ranks if self.counts[i] >= least and self._is_spike(i)]
        common = sorted(ranks, key=lambda i: -self.counts[i])[:most]
        while common and not self._is_rest(common):
            common.pop()
        return sorted(float(self.distinct[i]) for i in common)

    def _is_rest(self, common):
        """Whether rows are left for a density beside spikes."""
        rest = self.size - self.counts[common].sum()
        return len(self.distinct) - len(common) >= 2 and rest >= _LEAST_ROWS_OF_SPIKE

    def has_end(self, spikes: Sequence[float], side: int) -> bool:
        """Whether the last number is an end, and not the last one of a tail.

        Without an end, the next number would be expected in some rows, by the counts of the
        last numbers. The side is 1 for the upper end, -1 for the lower one.
        """
        last = len(self.distinct) - 1 if side > 0 else 0
        if self.step is None:
            return False
        # Numbers of rows with the last number, and with the three before it.
        a, b, c, d = (self._count(last, -side * i) for i in range(4))
        if self.distinct[last] in spikes and not (b or c or d):
            return False  # a code far from the numbers, such as -999
        expected = min(_next_count(a, b), _next_count(0.5 * (a + b), 0.5 * (c + d)))
        others = [s for s in spikes if s != self.distinct[last]]
        if others and self.distinct[last] in spikes:
            # A spike is compared with the spike before it: both are round numbers.
            before = max(others) if side > 0 else min(others)
            count = self.counts[self.distinct == before].sum()
            expected = min(expected, _next_count(a, count)) if a > count else 0.0
        return bool(expected >= _LEAST_BEYOND)

    def _is_spike(self, i):
        sides = [self._neighbours(i, side) for side in (-1, 1)]
        sides = [side for side in sides if len(side)]
        # The larger median of both sides; at an end, the upper quartile of one side.
        share = 0.5 if len(sides) == 2 else 0.75
        usual = max((np.quantile(side, share) for side in sides), default=0.0)
        if self.step is None:
            usual = max(usual - 1.0, 0.0)  # a neighbour has at least one row
        least = usual + _SPIKE_DEVIATIONS * np.sqrt(usual + 1.0)
        return self.counts[i] >= max(_SPIKE_RATIO * usual, least)

    def _neighbours(self, i, side):
        """Counts of the next numbers on one side, up to the last one."""
        if self.step is None:
            ranks = i + side * np.arange(1, _NEIGHBOURS + 1)
            return self.counts[ranks[(ranks >= 0) & (ranks < len(self.counts))]]
        end = self.distinct[-1] if side > 0 else self.distinct[0]
        most = int(np.round(abs(end - self.distinct[i]) / self.step))
        steps = range(1, min(most, _NEIGHBOURS) + 1)
        return np.array([self._count(i, side * step) for step in steps])

    def _count(self, i, steps):
        """Number of rows with the number some steps after the i-th one."""
        step = self.step or 1.0
        y = self.distinct[i] + steps * step
        near = np.searchsorted(self.distinct, y - 0.5 * step)
        is_there = near < len(self.distinct) and self.distinct[near] < y + 0.5 * step
        return int(self.counts[near]) if is_there else 0


def _next_count(last, before):
    """Extrapolates two counts to the next one: it falls by the same ratio, or stays."""
    return last * min(1.0, last / before) if before else float(last)


def tail_index(values: npt.ArrayLike) -> float:
    """Returns the tail index of the heavier tail of finite numbers, about their median.

    ```none
    P(distance > d) ~ d^-index,   1 / index = mean of log(d_i / d_k) over the k largest
    ```

    Normal tails have a large index; tails of index 2 or less have no variance. The tails
    are the farthest 5 % on either side; the index is infinite if they have too few rows.

    >>> import numpy as np
    >>> from tfp_flows.tables.counted_numbers import tail_index
    >>> rng = np.random.default_rng(0)
    >>> round(tail_index(rng.standard_cauchy(10_000)), 1)
    1.0
    >>> tail_index(rng.normal(size=10_000)) > 4.0
    True

    Reference:
      Hill (1975), A simple general approach to inference about the tail of a distribution.
      https://doi.org/10.1214/aos/1176343247
    """
    numbers = np.asarray(values, np.float64)
    distances = numbers - np.median(numbers)
    return float(min(_one_sided(distances), _one_sided(-distances)))


def is_heavy_tailed(values: npt.ArrayLike) -> bool:
    """Whether the tail index is below 3 by two standard errors: no third moment exists."""
    count = max(int(_TAIL_SHARE * np.size(values)), 1)
    return bool(tail_index(values) * (1.0 + 2.0 / np.sqrt(count)) < 3.0)


def _one_sided(distances):
    tail = np.sort(distances[distances > 0.0])[::-1]
    count = int(_TAIL_SHARE * len(distances))
    if count < _LEAST_TAIL or len(tail) <= count:
        return np.inf
    mean = np.mean(np.log(tail[:count] / tail[count]))
    return 1.0 / mean if mean > 0.0 else np.inf
