"""The far tails of a density: directions in which it has no finite integral."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfp_flows.core.check import Check
from tfp_flows.inference.modes import Gaussian, NoMaximumError, laplace
from tfp_flows.inference.target import UnconstrainedDensity

_RADII = 10.0 ** np.arange(2, 7)
_MOST_AXES = 64
_NUM_RANDOM = 64
_OUT_OF_REACH = 50.0  # nats below the centre, from which on tails are out of reach
# A density that falls by at most 1 nat per unit of log-distance has no finite integral;
# the excess over 1 allows for rounding.
_STEEPEST = 1.02
# Distances of slices from the median, in half the range of 90 % of the draws. The first
# distances are close together, since rounding may hide all others, for example if a scale
# goes to 0.
_FINE = 0.5 * 1.35 ** np.arange(9)
_DISTANCES = np.concatenate([_FINE, _FINE[-1] * 2.5 ** np.arange(1, 14)])
_FEWEST_SLICES = 4
_MOST_SLICED = 24  # variables
# Steepest slope, up or down, without a finite integral if slices end near to the draws.
_STEEPEST_NEARBY = 0.25
# Nats; a slice with so much less mass than the largest one, or than the posterior, is out
# of reach.
_LIGHT = 20.0


@dataclasses.dataclass(frozen=True)
class ImproperDirection:
    """A direction in which a density has no finite integral."""

    variable: int  # the unconstrained variable that grows most
    sign: int  # 1 towards infinity, -1 towards minus infinity
    slope: float  # fall of the log-density per unit of log-distance far out, in nats
    is_integrated: bool  # whether over the other variables

    def sentence(self, names: Sequence[str]) -> str:
        """Returns a reason for the report, given the names of all variables."""
        name = names[self.variable]
        others = ", the others integrated out," if self.is_integrated else ""
        end = "its upper end" if self.sign > 0 else "its lower end"
        return (
            f"The density does not fall along the direction of {name} towards {end} (the "
            f"log-density{others} by {self.slope:.2f} nats per unit of log-distance of the "
            "unconstrained variable; at most 1 is that of a density without an integral): "
            f"the posterior may be improper. Give a proper prior to {name}."
        )


def improper_direction(
    density: UnconstrainedDensity,
    draws: np.ndarray,
    ends: np.ndarray,
    log_mass: float,
    rng: np.random.Generator,
    is_over: Callable[[], bool],
) -> ImproperDirection | None:
    """Looks for a direction in which a density has no finite integral, by both methods."""
    ray = improper_ray(density, Gaussian.from_draws(draws), ends, rng)
    return ray or improper_slice(density, draws, log_mass, is_over)


def tails_check(improper: ImproperDirection | None, names: Sequence[str]) -> Check:
    """Checks that no direction was found in which the density has no finite integral."""
    advice = "" if improper is None else improper.sentence(names)
    return Check.at_most("improper directions", float(improper is not None), 0.0, advice)


def improper_ray(
    density: UnconstrainedDensity,
    gaussian: Gaussian,
    ends: np.ndarray,
    rng: np.random.Generator,
) -> ImproperDirection | None:
    """Looks for a ray along which the density has no finite integral.

    ```none
    x = mean + r L u,   slope = -(log p(x(10 r)) - log p(x(r))) / log 10
    ```

    A density with slopes of at most 1 between the three largest radii at which it is finite
    and not 0 has no finite integral along the ray. Tails out of reach of all draws are
    ignored: far below the maximum, the density may rise if a scale grows with r. Directions
    u are the axes, random directions, and directions of searches for a maximum that ended
    far away.

    The mean and the factor L are those of `gaussian`; `ends` are where searches ended,
    `[S, D]`. The result has the smallest slope; None if no slope is small enough.
    """
    directions = _rays(gaussian, ends, rng)
    points = gaussian.mean + _RADII[:, None, None] * directions
    with np.errstate(all="ignore"):
        values = density.log_prob(points.reshape(-1, points.shape[2]))
        values = values.reshape(points.shape[:2])
        slopes = -np.diff(values, axis=0) / np.log(10.0)
        lowest = density.log_prob(gaussian.mean[None]) - _OUT_OF_REACH
        is_in_reach = values[1:] + np.log(_RADII[1:, None]) > lowest
    # Far out, large terms may cancel and leave rounding noise.
    rounding = 16.0 * np.finfo(density.dtype.as_numpy_dtype).eps * np.abs(values[1:])
    is_known = (rounding < 0.1) & np.isfinite(slopes)
    slopes = np.where(is_known, slopes, np.inf)
    is_last = is_known & ~np.pad(is_known[1:], ((0, 1), (0, 0)))
    # The larger of two slopes, since rounding may make one of them small.
    slopes = np.maximum(slopes[1:], slopes[:-1])
    slopes = np.where(is_last[1:] & is_in_reach[1:], slopes, np.inf)
    worst = np.unravel_index(slopes.argmin(), slopes.shape)
    if slopes[worst] > _STEEPEST:
        return None
    direction = directions[worst[1]] / np.linalg.norm(gaussian.factor, axis=1)
    axis = int(np.abs(direction).argmax())
    sign = 1 if direction[axis] > 0.0 else -1
    return ImproperDirection(axis, sign, float(slopes[worst]), is_integrated=False)


def _rays(gaussian, ends, rng):
    """Directions L u, `[N, D]`: of axes, at random, and towards ends that are far away."""
    factor, size = gaussian.factor, len(gaussian.mean)
    axes = np.eye(size)[:_MOST_AXES] * np.linalg.norm(factor, axis=1)
    columns = factor.T[:_MOST_AXES]
    random = rng.normal(size=(_NUM_RANDOM, size)) @ factor.T
    away = ends - gaussian.mean
    lengths = gaussian.lengths(away)
    away = away[np.isfinite(lengths) & (lengths > 10.0)][:_MOST_AXES]
    directions = np.concatenate([axes, -axes, columns, -columns, random, away])
    return directions / np.maximum(gaussian.lengths(directions), 1e-300)[:, None]


def improper_slice(
    density: UnconstrainedDensity,
    draws: np.ndarray,
    log_mass: float,
    is_over: Callable[[], bool] = lambda: False,
) -> ImproperDirection | None:
    """Looks for a variable whose marginal density has no finite integral.

    ```none
    m(c) = log integral of p(x) over all variables but x_i = c, by Laplace's method
    slope = -(m(c') - m(c)) / (log |c' - median| - log |c - median|)
    ```

    A density has no finite integral if slopes are at most 1 between the farthest three c
    that have a maximum, and m there is within 20 nats of its largest value. If there are
    maxima only near to the draws, because rounding hides others, m must be flat: slopes are
    between -0.25 and 0.25. If it rises, a mode may be there. Slices find directions no ray
    shows: if x_i grows, other variables may have to shrink, for example factors of a
    product, or effects around their mean.

    A maximum may be in the neck of a funnel, high and with little mass. So m times the
    distance from the median must be within 20 nats of the posterior's mass, of which
    `log_mass` is a lower bound.
    """
    if draws.shape[1] == 1:
        return None  # there are no other variables: rays show all
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    scales = 0.5 * (high - low)
    extents = np.abs(draws - middle).max(axis=0) / np.maximum(scales, 1e-300)
    flattest: ImproperDirection | None = None
    # The heaviest tails first, in case there is no time for all.
    for axis in np.argsort(-extents)[:_MOST_SLICED]:
        for sign in (1, -1):
            if is_over() or not scales[axis] > 0.0:
                continue
            distances = scales[axis] * _DISTANCES
            away = sign * (draws[:, axis] - middle[axis]) - distances[0]
            start = draws[np.abs(away).argmin()]
            values = middle[axis] + sign * distances
            least = log_mass - _LIGHT - np.log(distances)
            slope = _last_slope(density, start, axis, values, least)
            if slope <= _STEEPEST and (flattest is None or slope < flattest.slope):
                flattest = ImproperDirection(int(axis), sign, slope, is_integrated=True)
    return flattest


def _last_slope(density, start, axis, values, least):
    """The larger of the last two slopes of m; infinite if m is or falls out of reach."""
    rest = np.delete(start, axis)
    if _falls_at_once(density, rest, axis, values):
        return np.inf
    masses = []
    for value in values:
        slice_ = _Slice(density, axis, value)
        if not np.isfinite(slice_.log_prob(rest[None])).all():
            return np.inf  # the support ends
        try:
            rest, mass = slice_.maximum_and_mass(rest)
        except NoMaximumError:
            break
        masses.append(mass)
        if masses[-1] < max(masses) - _LIGHT:
            return np.inf
    if len(masses) < _FEWEST_SLICES or masses[-1] < least[len(masses) - 1]:
        return np.inf
    slopes = -np.diff(masses) / np.diff(np.log(_DISTANCES[: len(masses)]))
    slope = float(slopes[-2:].max())
    is_nearby = len(masses) < len(_FINE)
    return np.inf if is_nearby and abs(slope) > _STEEPEST_NEARBY else slope


def _falls_at_once(density, rest, axis, values):
    """Whether m falls out of reach between the first slice and the last near one.

    Most densities do, and then the slices between are not needed.
    """
    masses = []
    for value in values[0], values[len(_FINE) - 1]:
        try:
            rest, mass = _Slice(density, axis, value).maximum_and_mass(rest)
        except NoMaximumError:
            return False
        masses.append(mass)
    return masses[1] < masses[0] - _LIGHT


class _Slice:
    """The density of all variables but one, which has a fixed value."""

    def __init__(self, density, axis, value):
        self._density, self._axis, self._value = density, axis, value
        self.dtype = density.dtype

    def maximum_and_mass(self, start):
        """Returns a maximum, `[D - 1]`, and the log-mass by Laplace's method."""
        gaussian = laplace(self, start)
        (height,) = self.log_prob(gaussian.mean[None])
        constant = 0.5 * len(start) * np.log(2.0 * np.pi)
        return gaussian.mean, height + gaussian.log_det + constant

    def log_prob(self, x):
        return self._density.log_prob(np.insert(x, self._axis, self._value, axis=-1))

    def curvature(self, x, directions):
        whole = np.insert(x, self._axis, self._value)
        moves = np.insert(directions, self._axis, 0.0, axis=0)
        gradient, products = self._density.curvature(whole, moves)
        rows = np.arange(len(whole)) != self._axis
        return gradient[rows], products[rows]
