"""The map of a column's numbers, measured in training rows: its form and scale."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import Column
from tfp_flows.tables.grids import FIRST_INEXACT
from tfp_flows.tables.numbers.integer_frequencies import with_frequencies
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec

# Below this relative spread, a column of the context is a constant with rounding noise.
_NOISE = 1e-13
_ROUNDING = 2.0**-52  # rounding of float64; least relative scale of a modelled column
_SMALL = (0.05, 0.1, 0.25, 0.5)  # scales of asinh maps, as quantiles of the amounts
# A common number has so many rows, and such a share of them.
_LEAST_COMMON, _COMMON_SHARE, _MOST_COMMON = 20, 1e-3, 64
# Nats per number that an asinh map must gain; normal and Laplace numbers gain at most 0.1.
_LEAST_GAIN = 0.3


def measured_map(
    column: Column, ends: tuple, numbers: np.ndarray, *, is_context: bool = False
) -> NumberSpec:
    """Returns the map of a column's numbers, measured in those of training rows, `[N]`.

    On a grid, the numbers and their ends are places. An end of None is open.
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
    # Maps other than the line turn a relative spread of the numbers into an absolute one.
    size = np.abs(u).max() + (spec.form != "line")
    least = float((_NOISE if is_context else _ROUNDING) * size)
    scale = max(_deviation(u), least)
    if np.ptp(numbers) == 0.0 or (is_context and scale <= least):
        scale = 1.0
    mean, common = float(u.mean()), _common(numbers) if is_context else ()
    spec = dataclasses.replace(spec, mean=mean, scale=scale, common=common)
    return with_frequencies(spec, numbers) if spec.is_integer else spec


def unmeasured_map(column: Column, ends: tuple, numbers: np.ndarray) -> NumberSpec:
    """Returns the form of a column's map, without mean and deviation."""
    kind, (low, high) = column.kind, ends
    is_grid = column.grid is not None
    if kind == "periodic":
        return NumberSpec("circle", low, high + 1.0 * is_grid, is_integer=is_grid)
    if kind == "ordered":
        return NumberSpec("logit", 0.0, float(len(column.values)), is_integer=True)
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


def _common(numbers):
    """The numbers that many rows have, the most common first, if they are not all equal."""
    distinct, counts = np.unique(numbers, return_counts=True)
    least = max(_LEAST_COMMON, _COMMON_SHARE * len(numbers))
    order = np.argsort(-counts, kind="stable")
    order = order[(counts[order] >= least) & (len(distinct) > 1)]
    return tuple(distinct[order[:_MOST_COMMON]].tolist())


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
    """The logarithm or the softplus map, whichever makes the numbers more normal."""
    middles = numbers + 0.5 * spec.is_integer
    middles = middles[middles > spec.low]
    if not len(middles):
        return spec
    soft = dataclasses.replace(spec, form="softplus", high=float(np.median(middles)))
    return _best([spec, soft], middles, least_gain=0.0)


def _best(specs, numbers, least_gain):
    """The map that makes numbers most normal, if it gains `least_gain`; else the first."""
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
