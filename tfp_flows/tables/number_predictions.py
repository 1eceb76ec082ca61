"""Distributions of one number, one for each of several rows, as arrays."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.tables.number_pool import NumberPool
from tfp_flows.tables.weighted_points import WeightedPoints

__all__ = ["NumberPredictions"]

_NODES = np.linspace(-7.0, 7.0, 225)  # quantiles of a standard normal for quadrature
_ARCS = 1024  # of a circle, whose probabilities are known
_MOST_INTEGERS = 1024  # that are summed over one by one
_MOST_NUMBERS = 2**24  # of parameters at once
_HALVINGS = 48
_FARTHEST = 40.0  # standard deviations, between which quantiles are sought
_TAIL = 1e-7
# Deviations of training rows, on a logarithmic line, from the median to the farthest number
# that expectations know: of heavy tails there, not even the mean is finite.
_REACH = 4.0


class NumberPredictions:
    """Pools of M conditionals of one number, for each of N rows.

    Args:
      pool: the `NumberPool` of the number.
      parameters: `[N, M, P, 1]`.
    """

    def __init__(self, pool: NumberPool, parameters: tf.Tensor) -> None:
        self._pool = pool
        self._parameters = parameters
        self._maps = pool.conditionals.maps
        self._is_integer = bool(self._maps.is_integer.any())

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """Log-densities, of integers log-probabilities, `[N, Q]`."""
        return self._of_points(y, lambda y, p: self._pool.log_prob(y, p)[..., 0])

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """`P(Y <= y)`, `[N, Q]`."""
        return self._of_points(y, lambda y, p: self._pool.cdf(y, p)[..., 0])

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """The least y of `P(Y <= y) >= probability`, `[N, Q]`, by bisection; on a line."""

        def of_rows(u, parameters):
            return self._pool.cdf_on_line(u, parameters)[..., 0]

        low = np.full_like(probability, -_FARTHEST)
        high = np.full_like(probability, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            is_below = self._of_points(middle, of_rows) < probability
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        y = self._maps.backward(tf.constant(high[..., None]))[..., 0].numpy()
        return np.floor(y) if self._is_integer else y

    def points(self) -> WeightedPoints:
        """Points and weights whose sums are expectations."""
        if self._maps.is_circle.any():
            return self._points_on_circle()
        if self._is_integer:
            tails = np.broadcast_to([_TAIL, 1.0 - _TAIL], [len(self._parameters), 2])
            ends = self.quantile(tails)
            low, high = ends.min(), ends.max()
            if high - low < _MOST_INTEGERS:
                values = np.arange(low, high + 1.0)
                weights = np.exp(self.log_prob(values))
                return WeightedPoints(np.broadcast_to(values, weights.shape), weights)

        def of_rows(z, parameters):
            z = tf.cast(z[..., None, :], parameters.dtype)
            return self._pool.conditionals.draw(z, parameters)[..., 0]

        values = self._of_points(_NODES, of_rows).reshape([len(self._parameters), -1])
        weights = np.repeat(np.exp(-0.5 * _NODES**2), self._parameters.shape[1])
        weights = weights * self._of_points(
            values, lambda y, p: self._pool.narrowing(y, p)[..., 0]
        )
        weights = weights / weights.sum(axis=1, keepdims=True)
        return WeightedPoints(self._within_reach(values), weights)

    def _points_on_circle(self):
        low, high = (end[0] for end in self._maps.ends)
        edges = np.linspace(low, high, _ARCS + 1)
        weights = np.diff(self.cdf(edges), axis=1)
        middles = 0.5 * (edges[:-1] + edges[1:])
        return WeightedPoints(np.broadcast_to(middles, weights.shape), weights)

    def _within_reach(self, values):
        if not self._maps.is_logarithmic.any():
            return values
        median = self.quantile(np.full([len(values), 1], 0.5))
        u = self._maps.forward(self._maps.middle(tf.constant(median))).u
        low, high = (self._maps.backward(u + r).numpy() for r in (-_REACH, _REACH))
        return np.clip(values, low, high)

    def _of_points(self, points: np.ndarray, of_rows: Callable) -> np.ndarray:
        """Evaluates points, `[N, Q]` or `[Q]`, with the rows' parameters, by parts."""
        count = len(self._parameters)
        points = np.broadcast_to(points, [count, np.shape(points)[-1]])
        per_row = points.shape[1] * math.prod(self._parameters.shape[1:])
        size = max(1, _MOST_NUMBERS // max(per_row, 1))
        parts = [
            of_rows(
                tf.constant(points[first : first + size, :, None]),
                self._parameters[first : first + size, None],
            ).numpy()
            for first in range(0, count, size)
        ]
        found = np.concatenate(parts) if parts else np.zeros(points.shape)
        return found.astype(np.float64)
