"""The map of a column's numbers, measured in training rows: form, scale and frequencies."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import Column
from tfp_flows.tables.grids import FIRST_INEXACT
from tfp_flows.tables.number_conditionals import normal_cdf
from tfp_flows.tables.number_maps import NumberMaps, NumberSpec

# Relative spread below which a column of the context is taken for a constant with rounding
# noise; and a rounding of float64, the least relative scale of a modelled column.
_NOISE, _ROUNDING = 1e-13, 2.0**-52
# Scales of asinh maps about zero, as quantiles of the amounts; and the nats per number that
# an asinh map must gain: normal and Laplace numbers gain at most 0.1.
_SMALL, _LEAST_GAIN = (0.05, 0.1, 0.25, 0.5), 0.3
_MOST_KEPT = 2000  # about the number of integers with frequencies, the most common ones
_LEAST_MASS = 1e-300  # replaces probabilities that underflow
_GRID = np.linspace(-10.0, 10.0, 2001)  # points on the line of the kernel estimate
_MANY_ROWS = 50  # rows for each different integer
# Least number of rows of a common integer, and its deviations above the expected number.
_LEAST_COMMON, _DEVIATIONS = 8, 8.0
_LEAST_ROWS = 0.25  # rows for all integers that no training row has
_PSEUDO_ROWS = 2.0 ** np.arange(-2, 25)  # candidate numbers for the smooth distribution
# The normal part of the smooth distribution, which gives it tails: its rows beside those of
# the table, its largest share, and its deviation.
_NORMAL_ROWS, _MOST_NORMAL, _NORMAL_DEVIATION = 5.0, 0.05, 1.5
_LEAST_WIDTH = 1e-13  # width of an integer on the line
_FARTHEST = 8.0  # ends of the first and last integer on the line


def measured_map(
    column: Column, ends: tuple, numbers: np.ndarray, is_given: bool
) -> NumberSpec:
    """Returns the map of a column's numbers, measured in those of training rows, `[N]`.

    Args:
      column: the description of the column.
      ends: lower and upper end of the numbers, or of their places on a grid; None for none.
      numbers: `[N]`, or their places.
      is_given: whether the column is part of a context.
    """
    spec = unmeasured_map(column, ends, numbers)
    if spec.form == "circle" or not len(numbers):
        return spec
    if spec.is_integer:
        farthest = float(np.abs(numbers).max())
        words = f"integers below 2^53 in column {column.name!r}, each a float64"
        hint = " With kind='real' they have a density."
        require(farthest < FIRST_INEXACT, words, f"{farthest:g}", hint)
    spec = _with_far(spec, numbers)
    maps = NumberMaps([spec])
    mapped = maps.unscaled(maps.middle(tf.constant(numbers[:, None])))
    u = mapped.u.numpy()[mapped.is_inside.numpy()]
    if not len(u):
        return spec
    # Other maps than a line make a relative spread of the numbers an absolute one.
    size = np.abs(u).max() + (spec.form != "line")
    least = float((_NOISE if is_given else _ROUNDING) * size)
    scale = max(_deviation(u), least)
    if np.ptp(numbers) == 0.0 or (is_given and scale <= least):
        scale = 1.0
    spec = dataclasses.replace(spec, mean=float(u.mean()), scale=scale)
    return with_frequencies(spec, numbers) if spec.is_integer else spec


def unmeasured_map(column: Column, ends: tuple, numbers: np.ndarray) -> NumberSpec:
    """Returns the form of a column's map, without mean and deviation."""
    kind, (low, high) = column.kind, ends
    if kind == "periodic":
        return NumberSpec("circle", low=low, high=high)
    if kind == "ordered":
        return NumberSpec("logit", 0.0, float(len(column.values)), is_integer=True)
    is_grid = column.grid is not None
    if low is not None and high is not None:
        return NumberSpec("logit", low, high + 1.0 * is_grid, is_integer=is_grid)
    if low is not None:
        return _above(NumberSpec("log", low=low, is_integer=is_grid), numbers)
    if kind == "heavy-tailed":
        middle, spread = 0.0, 1.0
        if len(numbers):
            middle = float(np.median(numbers))
            spread = float(np.median(np.abs(numbers - middle))) or float(np.std(numbers))
        return NumberSpec("asinh", middle, middle + (spread or 1.0), is_integer=is_grid)
    line = NumberSpec("line", is_integer=is_grid)
    return _from_zero(line, numbers) if is_grid else line


def _with_far(spec, numbers):
    """Replaces logarithmic maps by tangents beyond e times the farthest number."""
    width = 1.0 if spec.form == "log" else spec.high - spec.low
    far = math.e * float(np.abs(numbers - spec.low).max()) / width
    return dataclasses.replace(spec, far=far) if 0.0 < far < spec.far else spec


def _from_zero(spec, numbers):
    """The line, or an asinh map about zero, for numbers of both signs on a grid.

    The asinh map resolves small amounts beside large ones. It is chosen if it makes the
    numbers much more normal.
    """
    middles = numbers + 0.5
    if not len(numbers):
        return spec
    sizes = np.unique(np.quantile(np.abs(middles), _SMALL))
    others = [dataclasses.replace(spec, form="asinh", high=size) for size in sizes]
    return _best([spec, *others], middles, _LEAST_GAIN)


def _above(spec, numbers):
    """The logarithm, or the softplus map, whose upper tail is shorter.

    The better one makes the numbers more normal.
    """
    middles = numbers + 0.5 * spec.is_integer
    middles = middles[middles > spec.low]
    if not len(middles):
        return spec
    soft = dataclasses.replace(spec, form="softplus", high=float(np.median(middles)))
    return _best([spec, soft], middles, least_gain=0.0)


def _best(specs, numbers, least_gain):
    """The map after which numbers are the most normal; the first unless one gains more."""
    y = tf.constant(numbers[:, None])
    fits = [_normal_log_likelihood(NumberMaps([spec]).unscaled(y)) for spec in specs]
    best = int(np.argmax(fits))
    return specs[best] if fits[best] > fits[0] + least_gain else specs[0]


def _deviation(u):
    """The standard deviation, of any size: squares of numbers below 1 do not underflow."""
    _, exponent = np.frexp(np.abs(u).max())
    return float(np.ldexp(np.ldexp(u, -exponent).std(), exponent))


def _normal_log_likelihood(mapped):
    """Nats per number of the best normal distribution, up to a constant."""
    u = mapped.u.numpy()[mapped.is_inside.numpy()]
    slope = mapped.log_slope.numpy()[mapped.is_inside.numpy()]
    return float(slope.mean() - np.log(u.std() + 1e-300)) if len(u) else 0.0


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
    smooth = _SmoothDistribution(spec, integers, counts)
    # A common integer has more rows than a Poisson count with the expected mean.
    expected = len(numbers) * smooth.mass(integers)
    is_other = counts <= expected + _DEVIATIONS * np.sqrt(expected + 1.0)
    is_other |= counts < _LEAST_COMMON
    if is_other.sum() >= 2:
        smooth = _SmoothDistribution(spec, integers[is_other], counts[is_other])
    else:
        is_other[:] = True
    others, mass = counts[is_other], smooth.mass(integers)
    once, twice = np.sum(others == 1), np.sum(others == 2)
    discount = once / max(once + 2.0 * twice, 1.0)
    discount = discount if discount < 0.5 else 1.0
    total = 1.0 - mass[~is_other].sum()
    pseudo_rows = _best_pseudo_rows(others, mass[is_other] / total, discount)
    if len(numbers) >= _MANY_ROWS * len(integers):  # even rare ones have known frequencies
        pseudo_rows = min(pseudo_rows, 1.0)
    share = others.sum() / (others.sum() + pseudo_rows)
    rows = np.where(is_other, share * np.maximum(counts - discount, 0.0), counts)
    is_kept = (rows > 0.0) & (rows >= np.sort(rows)[-min(_MOST_KEPT, len(rows))])
    if not is_kept.any():
        return spec
    kept, rows = integers[is_kept], rows[is_kept]
    edges = np.union1d(kept, kept + 1.0)
    below = np.concatenate([[smooth.least], smooth.cdf(edges), [smooth.most]])
    parts = np.maximum(np.diff(below), _LEAST_MASS) / smooth.total
    each = parts * max(len(numbers) - rows.sum(), _LEAST_ROWS)
    each[1:-1][np.isin(edges[:-1], kept)] += rows
    probs = each / each.sum()
    levels = _with_middles(_normal_quantiles(probs), probs, edges, smooth.ends)
    levels = np.maximum.accumulate(levels + _LEAST_WIDTH * np.arange(len(levels)))
    return dataclasses.replace(
        spec, positions=tuple(edges.tolist()), levels=tuple(levels.tolist())
    )


class _SmoothDistribution:
    """A kernel estimate of integers on the line of a map."""

    def __init__(self, spec: NumberSpec, integers: np.ndarray, counts: np.ndarray) -> None:
        self._maps = NumberMaps([spec])
        u = np.clip(self._line(integers + 0.5), _GRID[0], _GRID[-1])
        weights = counts / counts.sum()
        self._normal_share = min(_NORMAL_ROWS / counts.sum(), _MOST_NORMAL)
        spread = np.sqrt(np.sum(weights * (u - weights @ u) ** 2))
        width = max(float(spread), 0.1) * counts.sum() ** -0.2
        found, _ = np.histogram(u, _GRID, weights=weights)
        is_found = found > 0.0  # few bins, if there are few integers
        found = found[is_found]
        centers = 0.5 * (_GRID[:-1] + _GRID[1:])[is_found]
        # Narrower kernels where rows are many (Abramson 1982), such as at an end.
        below = normal_cdf((_GRID[:, None] - centers) / width).numpy() @ found
        pilot = np.maximum(np.diff(below)[is_found], _LEAST_MASS)
        widths = width * np.sqrt(np.exp(found @ np.log(pilot)) / pilot)
        self._kernel = normal_cdf((_GRID[:, None] - centers) / widths).numpy() @ found
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
    return np.clip(levels, -_FARTHEST, _FARTHEST)
