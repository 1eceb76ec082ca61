"""Points with weights: expectations and scores of distributions by quadrature."""

from __future__ import annotations

import typing

import numpy as np

__all__ = ["WeightedPoints"]


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
