"""The frequencies of a column's integers, as a map to the line by normal quantiles."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_flows.tables.numbers.number_conditionals import normal_cdf
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec

_MOST_KEPT = 2000  # approximate maximum number of integers with a measured frequency
_LEAST_MASS = 1e-300  # replaces probabilities that underflow
_GRID = np.linspace(-10.0, 10.0, 2001)  # points on the line of the kernel estimate
_MANY_ROWS = 50  # rows for each different integer from which all frequencies are known
# A common integer has at least 8 rows, and 8 deviations more than are expected.
_LEAST_COMMON, _DEVIATIONS = 8, 8.0
_LEAST_ROWS = 0.25  # pseudo-rows for all integers that no training row has
_PSEUDO_ROWS = 2.0 ** np.arange(-2, 25)  # candidate numbers for the smooth distribution
# The smooth distribution has a normal part, for its tails: 5 rows, but at most 5 % of all.
_NORMAL_ROWS, _MOST_NORMAL = 5.0, 0.05
_NORMAL_DEVIATION = 1.5  # its deviation on the line
_LEAST_WIDTH = 1e-13  # width of an integer on the line
_LEVEL_BOUND = 8.0  # ends of the first and last integer on the line


def with_frequencies(spec: NumberSpec, numbers: np.ndarray) -> NumberSpec:
    """Returns a map of integers after which a normal distribution has their frequencies.

    ```none
    P(k) = rows with k / N                                       for common integers
    P(k) = r / N (c(k) + (r - sum of c + a) s(k)) / (r + a)      for the other ones
    c(k) = max(rows with k - d, 0)
    u(k + 1) = normal quantile of P(Y <= k)
    ```

    An integer is common if many more rows have it than a smooth distribution expects; r
    rows have the other ones. s is a kernel estimate of these r rows on the line of the
    given map, with normal tails. The discount d is `n_1 / (n_1 + 2 n_2)` (Good-Turing) for
    n_i integers with i rows each, or 1 if that is at least 1/2: then integers with one row
    have no mass of their own. The number of pseudo-rows a is the one that best predicts
    each row from all others. So round numbers that are more common keep their frequencies,
    and networks learn only how these depend on other columns. If each integer has one row,
    the given map is returned.

    Args:
      spec: a map of integers, with mean and scale.
      numbers: the integers of training rows, `[N]`.

    Reference:
      Ney, Essen, Kneser (1994), On structuring probabilistic dependences in stochastic
      language modelling. https://doi.org/10.1006/csla.1994.1001 (absolute discounting)
    """
    integers, counts = np.unique(numbers, return_counts=True)
    if len(integers) < 2:
        return spec
    smooth, is_other = _without_common(spec, integers, counts)
    rows = _discounted(counts, is_other, smooth.mass(integers))
    is_kept = (rows > 0.0) & (rows >= np.sort(rows)[-min(_MOST_KEPT, len(rows))])
    if not is_kept.any():
        return spec
    kept, rows = integers[is_kept], rows[is_kept]
    edges = np.union1d(kept, kept + 1.0)
    below = np.concatenate([[smooth.least], smooth.cdf(edges), [smooth.most]])
    parts = np.maximum(np.diff(below), _LEAST_MASS) / smooth.total
    masses = parts * max(len(numbers) - rows.sum(), _LEAST_ROWS)
    masses[1:-1][np.isin(edges[:-1], kept)] += rows
    probs = masses / masses.sum()
    levels = _with_middles(_normal_quantiles(probs), probs, edges, smooth.ends)
    levels = np.maximum.accumulate(levels + _LEAST_WIDTH * np.arange(len(levels)))
    return dataclasses.replace(
        spec, positions=tuple(edges.tolist()), levels=tuple(levels.tolist())
    )


def _without_common(spec, integers, counts):
    """Returns a smooth distribution of the integers that are not common, and which are not.

    An integer is common if it has more rows than a Poisson count with the expected mean.
    """
    smooth = _SmoothDistribution(spec, integers, counts)
    expected = counts.sum() * smooth.mass(integers)
    is_other = counts <= expected + _DEVIATIONS * np.sqrt(expected + 1.0)
    is_other |= counts < _LEAST_COMMON
    if is_other.sum() < 2:
        return smooth, np.ones_like(is_other)
    return _SmoothDistribution(spec, integers[is_other], counts[is_other]), is_other


def _discounted(counts, is_other, mass):
    """Returns the rows of each integer: common ones have all, others `r / (r + a) c(k)`."""
    others = counts[is_other]
    once, twice = np.sum(others == 1), np.sum(others == 2)
    discount = once / max(once + 2.0 * twice, 1.0)
    discount = discount if discount < 0.5 else 1.0
    total = 1.0 - mass[~is_other].sum()
    pseudo_rows = _best_pseudo_rows(others, mass[is_other] / total, discount)
    if counts.sum() >= _MANY_ROWS * len(counts):  # even rare ones have known frequencies
        pseudo_rows = min(pseudo_rows, 1.0)
    share = others.sum() / (others.sum() + pseudo_rows)
    return np.where(is_other, share * np.maximum(counts - discount, 0.0), counts)


class _SmoothDistribution:
    """A kernel estimate of integers on the line of a map."""

    def __init__(self, spec: NumberSpec, integers: np.ndarray, counts: np.ndarray) -> None:
        self._maps = NumberMaps([spec])
        u = np.clip(self._line(integers + 0.5), _GRID[0], _GRID[-1])
        weights = counts / counts.sum()
        self._normal_share = min(_NORMAL_ROWS / counts.sum(), _MOST_NORMAL)
        spread = np.sqrt(np.sum(weights * (u - weights @ u) ** 2))
        width = max(float(spread), 0.1) * counts.sum() ** -0.2
        masses, _ = np.histogram(u, _GRID, weights=weights)
        is_filled = masses > 0.0  # few bins, if there are few integers
        masses = masses[is_filled]
        centers = 0.5 * (_GRID[:-1] + _GRID[1:])[is_filled]
        # Narrower kernels where rows are many (Abramson 1982), such as at an end.
        below = normal_cdf((_GRID[:, None] - centers) / width).numpy() @ masses
        pilot = np.maximum(np.diff(below)[is_filled], _LEAST_MASS)
        widths = width * np.sqrt(np.exp(masses @ np.log(pilot)) / pilot)
        self._kernel = normal_cdf((_GRID[:, None] - centers) / widths).numpy() @ masses
        self.ends = [float(end[0]) for end in self._maps.ends]
        self.least, self.most = (float(self.cdf(np.array([end]))[0]) for end in self.ends)
        self.total = self.most - self.least

    def cdf(self, edges):
        """`P(Y < edge)`, `[E]`, up to the probability outside of the support."""
        u = self._line(edges)
        kernel = np.interp(u, _GRID, self._kernel, left=0.0, right=1.0)
        normal = normal_cdf(u / _NORMAL_DEVIATION).numpy()
        return (1.0 - self._normal_share) * kernel + self._normal_share * normal

    def mass(self, integers):
        """The probabilities of integers, `[E]`."""
        parts = self.cdf(integers + 1.0) - self.cdf(integers)
        return np.maximum(parts, _LEAST_MASS) / self.total

    def _line(self, y):
        return self._maps.edge(tf.constant(y[:, None])).numpy()[:, 0]


def _best_pseudo_rows(counts, mass, discount):
    """The number of pseudo-rows that best predicts each row from all others."""
    left = np.minimum(counts, discount).sum() + _PSEUDO_ROWS[:, None]
    others = np.maximum(counts - 1.0 - discount, 0.0)
    log_probs = np.log(others + left * mass) - np.log(counts.sum() + _PSEUDO_ROWS[:, None])
    return float(_PSEUDO_ROWS[np.argmax(log_probs @ counts)])


def _with_middles(levels, probs, edges, ends):
    """Moves the levels of a support's ends, so that middles of bins are their medians.

    An end itself is mapped to infinity (`NumberMaps.edge`), but networks see middles.
    """
    levels = levels.copy()
    if edges[0] <= ends[0]:
        middle = tf.math.ndtri(probs[0] + 0.5 * probs[1]).numpy()
        levels[0] = 2.0 * middle - levels[1]
    if edges[-1] >= ends[1]:
        middle = -tf.math.ndtri(probs[-1] + 0.5 * probs[-2]).numpy()
        levels[-1] = 2.0 * middle - levels[-2]
    return levels


def _normal_quantiles(probs):
    """Normal quantiles of the sums of all but the last probability, in both tails exact."""
    below, above = np.cumsum(probs)[:-1], np.cumsum(probs[::-1])[::-1][1:]
    levels = np.where(below < 0.5, tf.math.ndtri(below), -tf.math.ndtri(above))
    return np.clip(levels, -_LEVEL_BOUND, _LEVEL_BOUND)
