"""How many trials a learned likelihood can take, by the bias of its score."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.check import Check
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.rows import by_parts

if TYPE_CHECKING:
    from tfp_flows.inference.amortized.simulator import Simulator

_SHARE = 5  # one further simulation for so many that were fitted
_NUM_POINTS = 8  # parameters with which data are simulated
_ROWS_A_PARAMETER = 10  # least number of data at each point, times the parameters
_MOST_ROWS = 1_000  # of data at each point
_MUCH = 0.5  # error of posterior means that matters, in posterior standard deviations
_NUMBERS = np.unique(np.geomspace(1, 1e6, 121).astype(int))  # of trials that are tried


@dataclasses.dataclass(frozen=True)
class ScoreBias:
    """The error of posterior means given T trials, which a likelihood's score predicts.

    ```none
    score s(x) = gradient of log q(x | u) with respect to u, of mean m and covariance S
                 over data x simulated with u
    P = T S + P0                             posterior precision; P0 that of the prior
    error^2 = T^2 m' P^-1 m / D              mean over u and D parameters
    ```

    The score of the exact density has mean zero. That of a learned one has not, and T
    trials move the mode by T P^-1 m. A mean over n data has noise, whose part of the square
    is taken off: `T^2 tr(P^-1 S) / (n D)`.

    Args:
      mean: mean scores at K points, `[K, D]`.
      covariance: their covariances, `[K, D, D]`.
      num_rows: numbers n of data, `[K]`.
      prior_precision: inverse of the prior's covariance, `[D, D]`.

    Reference:
      White (1982), Maximum likelihood estimation of misspecified models.
      https://doi.org/10.2307/1912526 (theorem 3.2)
    """

    mean: np.ndarray
    covariance: np.ndarray
    num_rows: np.ndarray
    prior_precision: np.ndarray

    @classmethod
    def from_simulations(
        cls,
        density: Any,
        source: Simulator,
        rows_of: Callable,
        u: np.ndarray,
        seed: int | None,
    ) -> ScoreBias | None:
        """Measures it by further simulations, a fifth as many; None if these are too few.

        Args:
          density: distribution of rows of data given unconstrained parameters.
          source: the simulator of both.
          rows_of: function from simulated data to rows of the density that can occur.
          u: unconstrained parameters of the simulations that were fitted, `[N, D]`.
          seed: integer that determines the simulations; random if None.
        """
        count, size = len(u) // _SHARE, u.shape[1]
        least = _ROWS_A_PARAMETER * size
        num_points = min(_NUM_POINTS, count // least)
        if not num_points:
            return None
        rng = np.random.default_rng(seed)
        num_rows = min(count // num_points, _MOST_ROWS)
        points = u[rng.choice(len(u), num_points, replace=False)]
        each = [np.repeat(point[None], num_rows, axis=0) for point in points]
        rows = [rows_of(source.given(u, int(rng.integers(2**30))).x) for u in each]
        counts = np.array([len(part) for part in rows])
        scores = _scores(density, np.concatenate(rows), np.repeat(points, counts, axis=0))
        groups = np.split(scores, np.cumsum(counts)[:-1])
        groups = [group for group in groups if len(group) >= least]
        if not groups:
            return None
        return cls(
            np.array([group.mean(axis=0) for group in groups]),
            np.array([_covariance(group) for group in groups]),
            np.array([len(group) for group in groups]),
            np.linalg.pinv(_covariance(u)),
        )

    def squared_error(self, num_trials: int) -> tuple[float, float]:
        """Returns the squared error given T trials, and its standard error."""
        num_points, size = self.mean.shape
        precision = num_trials * self.covariance + self.prior_precision
        moved = num_trials * self.mean[..., None]
        slopes = np.linalg.solve(precision, moved)
        squares = np.sum(moved * slopes, axis=(1, 2))
        noise = np.linalg.solve(precision, self.covariance)
        noise *= (num_trials**2 / self.num_rows)[:, None, None]
        squares -= np.trace(noise, axis1=1, axis2=2)
        # The variance of squares of normal numbers: of mean zero, and of the means found.
        without = 2.0 * np.sum(np.trace(noise @ noise, axis1=1, axis2=2))
        variance = max(4.0 * np.sum(moved * (noise @ slopes)) - without, without)
        return squares.mean() / size, math.sqrt(variance) / (num_points * size)

    def most_trials(self) -> int:
        """Returns the largest T whose error is known to be at most 1/2; perhaps 0.

        An upper bound of the squared error, two standard errors above it, is at most 1/4.
        """
        errors = np.array([self.squared_error(count) for count in _NUMBERS])
        largest = np.maximum(errors[:, 0], 0.0) + 2.0 * errors[:, 1]
        is_known = np.logical_and.accumulate(largest <= _MUCH**2)
        return int(_NUMBERS[is_known].max(initial=0))

    def check(self) -> Check:
        """Checks that one trial's posterior is not off by more than 1/2."""
        square, error = self.squared_error(1)
        deviations = math.sqrt(max(square, 0.0))
        advice = (
            f"Posterior means given one trial are off by about {deviations:.1f} posterior "
            "standard deviations. Simulate more."
        )
        is_bad = square - 2.0 * error > _MUCH**2
        count = self.most_trials()
        passed = False if is_bad else (True if count else None)
        return Check("trials with an error below 0.5 s.d.", count, 1.0, passed, advice)


def _covariance(x):
    return np.atleast_2d(np.cov(x.T))


def _scores(density, rows, u):
    """Gradients of log-densities of rows with respect to their parameters, `[N, D]`."""

    @graph_function
    def gradients(rows, u):
        u = tf.convert_to_tensor(u)
        with tf.GradientTape() as tape:
            tape.watch(u)
            log_prob = density.log_prob(rows, context=tf.cast(u, density.dtype))
        return tape.gradient(log_prob, u)

    return by_parts(gradients, rows.astype(density.dtype.as_numpy_dtype), u)
