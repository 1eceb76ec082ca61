"""Means and standard deviations of weighted draws, and how well these are known."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfp_flows.distributions.pareto_smoothing import top_of_tail

__all__ = ["WeightedMoments", "weighted_moments"]

_MEAN_ERROR, _DEVIATION_ERROR = 0.1 / 3.0, 0.05 / 3.0


@dataclasses.dataclass(frozen=True)
class WeightedMoments:
    """Moments of each of E variables, with errors.

    Attributes:
      mean: `[E]`.
      deviation: standard deviation, `[E]`.
      mean_error: standard error of the mean, in standard deviations, `[E]`.
      deviation_error: error of the logarithm of the standard deviation, `[E]`: the standard
        error, and what the variance may lack as draws of its tail are few.
    """

    mean: np.ndarray
    deviation: np.ndarray
    mean_error: np.ndarray
    deviation_error: np.ndarray

    @property
    def unknown(self) -> np.ndarray:
        """Indices of variables with three standard errors above .1 deviations, or 5 %."""
        is_known = self.mean_error <= _MEAN_ERROR
        is_known &= self.deviation_error <= _DEVIATION_ERROR
        return np.flatnonzero(~is_known)  # also where an error is NaN

    @property
    def are_known(self) -> bool:
        """Whether all are."""
        return not len(self.unknown)


def weighted_moments(x: np.ndarray, weights: np.ndarray) -> WeightedMoments:
    """Returns the moments of draws, `[S, E]`, whose `weights`, `[S]`, sum to 1.

    ```none
    mean = sum_s w_s x_s,          error^2 = sum_s w_s^2 (x_s - mean)^2
    v = sum_s w_s (x_s - mean)^2,  error^2 = sum_s w_s^2 ((x_s - mean)^2 - v)^2
    ```

    The effective number of draws is that of weights alone. Where a few draws of a tail
    carry a moment, only these errors say so; and where weights in the tail are large, a
    standard error says too little, as most samples lack the largest of them.
    """
    w = weights[:, None]
    x = np.where(w > 0.0, x, 0.0)
    mean = (w * x).sum(axis=0)
    squares = (x - mean) ** 2
    variance = np.maximum((w * squares).sum(axis=0), 1e-300)
    error = np.sqrt((w**2 * squares).sum(axis=0) / variance)
    of_variance = np.sqrt((w**2 * (squares - variance) ** 2).sum(axis=0)) / variance
    lacking = np.array([top_of_tail(terms) for terms in (w * squares).T]) / variance
    return WeightedMoments(mean, np.sqrt(variance), error, 0.5 * (of_variance + lacking))
