"""Points with weights: expectations and scores of distributions by quadrature."""

from __future__ import annotations

import math
import typing

import numpy as np

__all__ = ["CirclePoints", "WeightedPoints"]


class WeightedPoints(typing.NamedTuple):
    """Distributions of points, one for each of N rows.

    Attributes:
      values: `[N, points]`.
      weights: `[N, points]`, whose sum in each row is 1.
    """

    values: np.ndarray
    weights: np.ndarray

    def mean(self) -> np.ndarray:
        """Expectations, `[N]`."""
        return np.sum(self.values * self.weights, axis=1)

    def stddev(self) -> np.ndarray:
        """Standard deviations, `[N]`."""
        offsets = self.values - self.mean()[:, None]
        return np.sqrt(np.sum(offsets**2 * self.weights, axis=1))

    def crps(self, y: np.ndarray) -> np.ndarray:
        """`E|Y - y| - E|Y - Y'| / 2` of y, `[N]`."""
        order = np.argsort(self.values, axis=1)
        values = np.take_along_axis(self.values, order, axis=1)
        weights = np.take_along_axis(self.weights, order, axis=1)
        distance = np.sum(weights * np.abs(values - y[:, None]), axis=1)
        below = np.cumsum(weights, axis=1) - 0.5 * weights
        total = weights.sum(axis=1, keepdims=True)
        spread = np.sum(weights * values * (2.0 * below - total), axis=1)
        return distance - spread


class CirclePoints(typing.NamedTuple):
    """Distributions of points on a circle, one for each of N rows.

    Attributes:
      values: `[N, points]`, from `low` to `high`, which is the same point.
      weights: `[N, points]`, whose sum in each row is 1.
      low: start of the circle.
      high: its end.
    """

    values: np.ndarray
    weights: np.ndarray
    low: float
    high: float

    def mean(self) -> np.ndarray:
        """Circular means, `[N]`: directions of the mean point in the plane."""
        angle = np.mod(np.angle(self._center()), 2.0 * math.pi)
        y = self.low + angle * self._radius
        return np.where(y < self.high, y, self.low)

    def stddev(self) -> np.ndarray:
        """Circular standard deviations, `[N]`: `sqrt(-2 log R)`, R the mean's length."""
        length = np.clip(np.abs(self._center()), 1e-300, 1.0)
        return np.sqrt(-2.0 * np.log(length)) * self._radius

    def crps(self, y: np.ndarray) -> np.ndarray:
        """`E d(Y, y) - E d(Y, Y') / 2` of y, `[N]`, with d the shorter way on the circle.

        Reference:
          Grimit, Gneiting, Berrocal, Johnson (2006), The continuous ranked probability
          score for circular variables. https://doi.org/10.1256/qj.05.235
        """
        width = self.high - self.low
        apart = np.mod(self.values - y[:, None], width)
        distance = np.sum(self.weights * np.minimum(apart, width - apart), axis=1)
        return distance - np.array([*map(self._half_spread, self.values, self.weights)])

    def _half_spread(self, values, weights):
        """Half of `E d(Y, Y')` of one row: each pair once, from where it is ahead."""
        order = np.argsort(values)
        values, weights = values[order], weights[order]
        ahead = np.concatenate([values, values + (self.high - self.low)])
        sums = [np.tile(weights, 2), np.tile(weights, 2) * ahead]
        mass, moment = (np.concatenate([[0.0], np.cumsum(each)]) for each in sums)
        first, half = np.arange(len(values)) + 1, values + 0.5 * (self.high - self.low)
        # Points that are opposite of each other are ahead of both: half for each.
        spread = 0.0
        for side in ("left", "right"):
            last = np.maximum(np.searchsorted(ahead, half, side), first)
            of_each = moment[last] - moment[first] - values * (mass[last] - mass[first])
            spread += 0.5 * np.sum(weights * of_each)
        return spread

    @property
    def _radius(self):
        return (self.high - self.low) / (2.0 * math.pi)

    def _center(self):
        """The mean points, `[N]`, as complex numbers; `low` is in the direction of 1."""
        turns = (self.values - self.low) / self._radius
        return np.sum(self.weights * np.exp(1j * turns), axis=1)
