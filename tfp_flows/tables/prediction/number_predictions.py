"""The distribution of one number in each of several rows; its expectations as sums."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.core.rows import by_parts
from tfp_flows.tables.grids import Grid
from tfp_flows.tables.numbers.number_conditionals import NumberConditionals

_NODES = np.linspace(-7.0, 7.0, 225)  # quantiles of a standard normal, for quadrature
_ARCS = 1024  # arcs of a circle, for quadrature
_MOST_INTEGERS = 1024  # more integers are not summed over, but integrated
_TAIL = 1e-7  # probability of the integers on either side that sums leave out
_MOST_NUMBERS = 2**24  # parameters that are evaluated at once, to bound the memory
# Distance from the median to the farthest number that expectations use, in standard
# deviations of training rows on a logarithmic line: heavy tails may have no mean.
_REACH = 4.0


class NumberPredictions:
    """The distributions of one number, one for each of N rows.

    Args:
      conditionals: the `NumberConditionals` of the number.
      parameters: `[N, M, P, 1]`.
      grid: the `Grid` whose places are modelled; None for other numbers, and for places of
        ordered values.
    """

    def __init__(
        self,
        conditionals: NumberConditionals,
        parameters: tf.Tensor,
        grid: Grid | None = None,
    ) -> None:
        self._conditionals, self._parameters = conditionals, parameters
        self._maps = conditionals.maps
        self._is_integer = bool(self._maps.is_integer.any())
        self._grid = grid

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """Returns log-densities, of integers log-probabilities, `[N, Q]`."""
        y = y if self._grid is None else self._grid.places(y)
        return self._evaluate(self._conditionals.log_prob, y)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """Returns `P(Y <= y)`, `[N, Q]`."""
        y = y if self._grid is None else self._grid.places_up_to(y)
        return self._evaluate(self._conditionals.cdf, y)

    def cdf_below(self, y: np.ndarray) -> np.ndarray:
        """Returns `P(Y < y)`, `[N, Q]`."""
        if self._grid is not None:
            y = self._grid.places_below(y)
        elif self._is_integer:
            y = np.ceil(y) - 1.0
        return self._evaluate(self._conditionals.cdf, y)

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end of the support; on a grid, the first and the last number."""
        low, high = (float(end[0]) for end in self._maps.ends)
        low, high = (float(y) for y in self._at(np.array([low, high - self._is_integer])))
        return low, high

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Returns the least y with `P(Y <= y) >= probability`, `[N, Q]`; not on circles."""
        return self._at(self._evaluate(self._conditionals.quantile, probability))

    def points(self) -> WeightedPoints:
        """Returns points and weights whose sums are expectations."""
        if not len(self._parameters):
            return WeightedPoints(np.zeros([0, 1]), np.zeros([0, 1]))
        points = self._points()
        return points._replace(values=self._at(points.values))

    def _at(self, places):
        """The numbers at places of a grid; other numbers as they are."""
        return places if self._grid is None else self._grid.at(places)

    def _points(self):
        """Points and weights, before places become numbers."""
        is_circle = self._maps.is_circle.any()
        if self._is_integer:
            first, last = self._first_and_last()
            if last - first < (2 * _ARCS if is_circle else _MOST_INTEGERS):
                values = np.arange(first, last + 1.0)
                weights = np.exp(self._evaluate(self._conditionals.log_prob, values))
                return WeightedPoints(np.broadcast_to(values, weights.shape), weights)
        if is_circle:
            return self._points_on_circle()
        values = self._evaluate(self._conditionals.quantile_of_member, _NODES)
        values = values.reshape([len(self._parameters), -1])
        weights = np.repeat(np.exp(-0.5 * _NODES**2), self._parameters.shape[1])
        weights = weights * self._evaluate(self._conditionals.narrowing, values)
        weights = weights / weights.sum(axis=1, keepdims=True)
        return WeightedPoints(self._within_reach(values), weights)

    def _first_and_last(self):
        """The first and last integer with a probability that counts, in any row."""
        if self._maps.is_circle.any():
            low, high = (end[0] for end in self._maps.ends)
            return low, high - 1.0
        tails = np.broadcast_to([_TAIL, 1.0 - _TAIL], [len(self._parameters), 2])
        ends = self._evaluate(self._conditionals.quantile, tails)
        return ends.min(), ends.max()

    def _points_on_circle(self):
        """The middles of arcs, and their probabilities."""
        low, high = (end[0] for end in self._maps.ends)
        edges = np.linspace(low, high, _ARCS + 1)
        middles = 0.5 * (edges[:-1] + edges[1:])
        if self._is_integer:
            edges, middles = np.round(edges), np.floor(middles)
        up_to = edges[1:] - self._is_integer  # an edge is of the arc that it starts
        cdf = self._evaluate(self._conditionals.cdf, up_to)
        weights = np.diff(cdf, axis=1, prepend=0.0)
        return WeightedPoints(np.broadcast_to(middles, weights.shape), weights)

    def _within_reach(self, values):
        if not self._maps.is_logarithmic.any():
            return values
        median = self._evaluate(self._conditionals.quantile, np.full([len(values), 1], 0.5))
        u = self._maps.forward(self._maps.middle(tf.constant(median))).u
        low, high = (self._maps.backward(u + r).numpy() for r in (-_REACH, _REACH))
        return np.clip(values, low, high)

    def _evaluate(self, method: Callable, points: np.ndarray) -> np.ndarray:
        """Calls a method of the conditionals at points, `[N, Q]` or `[Q]`, by parts."""
        count = len(self._parameters)
        points = np.broadcast_to(points, [count, np.shape(points)[-1]])
        per_row = points.shape[1] * math.prod(self._parameters.shape[1:])
        size = max(1, _MOST_NUMBERS // max(per_row, 1))

        def call(points, parameters):
            return method(tf.constant(points[:, :, None]), parameters[:, None])[..., 0]

        results = by_parts(call, points, self._parameters, size=size) if count else points
        return results.astype(np.float64)


class WeightedPoints(typing.NamedTuple):
    """Distributions of points, one for each of N rows."""

    values: np.ndarray  # `[N, points]`
    weights: np.ndarray  # `[N, points]`, whose sum in each row is 1

    def mean(self) -> np.ndarray:
        """Returns expectations, `[N]`."""
        # Distances from a point: the sum of the weights is 1 up to rounding only.
        best = self.weights.argmax(axis=1)[:, None]
        start = np.take_along_axis(self.values, best, axis=1)
        return start[:, 0] + np.sum((self.values - start) * self.weights, axis=1)

    def stddev(self) -> np.ndarray:
        """Returns standard deviations, `[N]`."""
        offsets = self.values - self.mean()[:, None]
        # Divided by powers of two, so that squares neither underflow nor overflow.
        _, exponent = np.frexp(np.abs(offsets).max(axis=1, initial=0.0))
        squares = np.ldexp(offsets, -exponent[:, None]) ** 2
        return np.ldexp(np.sqrt(np.sum(squares * self.weights, axis=1)), exponent)

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Returns `E|Y - y| - E|Y - Y'| / 2`, `[N]`."""
        order = np.argsort(self.values, axis=1)
        values = np.take_along_axis(self.values, order, axis=1) - y[:, None]
        weights = np.take_along_axis(self.weights, order, axis=1)
        distance = np.sum(weights * np.abs(values), axis=1)
        below = np.cumsum(weights, axis=1) - 0.5 * weights
        total = weights.sum(axis=1, keepdims=True)
        spread = np.sum(weights * values * (2.0 * below - total), axis=1)
        return distance - spread


class CirclePoints(typing.NamedTuple):
    """Distributions of points on a circle, one for each of N rows."""

    values: np.ndarray  # `[N, points]`, equal in all rows
    weights: np.ndarray  # `[N, points]`, whose sum in each row is 1
    low: float  # start of the circle
    high: float  # its end, which is the same point

    def mean(self) -> np.ndarray:
        """Returns circular means, `[N]`: directions of the mean point in the plane."""
        angle = np.mod(np.angle(self._center()), 2.0 * math.pi)
        y = self.low + angle * self._radius
        return np.where(y < self.high, y, self.low)

    def stddev(self) -> np.ndarray:
        """Returns circular standard deviations, `[N]`, `sqrt(-2 log R)`."""
        length = np.clip(np.abs(self._center()), 1e-300, 1.0)
        return np.sqrt(-2.0 * np.log(length)) * self._radius

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Returns `E d(Y, y) - E d(Y, Y') / 2`, `[N]`; d is the shorter arc.

        Reference:
          Grimit, Gneiting, Berrocal, Johnson (2006), The continuous ranked probability
          score for circular variables. https://doi.org/10.1256/qj.05.235
        """
        to_y = self._distance(self.values, y[:, None])
        points = self.values[:1]  # equal in all rows
        apart = self._distance(points[:, :, None], points[:, None])
        spread = np.sum((self.weights @ apart) * self.weights, axis=-1).reshape(-1)
        return np.sum(self.weights * to_y, axis=1) - 0.5 * spread

    def _distance(self, a, b):
        apart = np.mod(a - b, self.high - self.low)
        return np.minimum(apart, self.high - self.low - apart)

    @property
    def _radius(self):
        return (self.high - self.low) / (2.0 * math.pi)

    def _center(self):
        """The mean points, `[N]`, as complex numbers; `low` is in the direction of 1."""
        turns = (self.values - self.low) / self._radius
        return np.sum(self.weights * np.exp(1j * turns), axis=1)
