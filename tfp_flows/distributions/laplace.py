"""Laplace's approximation: a Gaussian at the maximum of a density, by Newton's method."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

__all__ = ["Gaussian", "NoMaximumError", "laplace"]

_MAX_STEPS = 60
# Multiples of the Newton step, and damping in units of the largest curvature.
_LENGTHS = 2.0 ** np.arange(8, -24, -1)
_DAMPING = 10.0 ** np.arange(-8.0, 8.0, 0.5)


class NoMaximumError(ValueError):
    """The reason why there is no Laplace approximation."""


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A Gaussian by its mean, `[D]`, and a factor L of its covariance L L^T.

    The factor is lower triangular, `[D, D]`, or diagonal and given as `[D]`.
    """

    mean: np.ndarray
    factor: np.ndarray

    def draw(self, noise: np.ndarray) -> np.ndarray:
        """Maps standard normal `noise`, `[N, D]`, to draws, `[N, D]`."""
        is_diagonal = self.factor.ndim == 1
        return (noise * self.factor if is_diagonal else noise @ self.factor.T) + self.mean

    def whiten(self, x: np.ndarray) -> np.ndarray:
        """Maps a point, `[D]`, to coordinates in which the Gaussian is standard normal."""
        return np.linalg.solve(self.factor, x - self.mean)

    @property
    def log_scale(self) -> float:
        """Log-determinant of the factor."""
        is_diagonal = self.factor.ndim == 1
        return float(np.log(self.factor if is_diagonal else np.diag(self.factor)).sum())


def laplace(density: Any, start: np.ndarray) -> Gaussian:
    """Finds a maximum of a log-density and the Gaussian of its curvature there.

    ```none
    A = -L^T H L = U diag(w) U^T,      x + L U diag(w)^-1 U^T L^T g      the Newton step
    L <- L U |w|^-1/2                                                    for the next one
    ```

    The algebra is in float64. As the density may be in float32, its Hessian is evaluated
    along the columns of the factor L of the previous step: there it is nearly -1, so that
    correlated variables of different scales lose no digits. The first L is diagonal, of
    the variables' own curvatures. Each step is the best of many
    lengths and damping factors, which are evaluated at once.

    Args:
      density: an `UnconstrainedDensity`, or another object with its `dtype`, `log_prob` and
        `curvature`.
      start: `[D]`.

    Returns:
      A `Gaussian`.

    Raises:
      NoMaximumError: if there is no maximum within reach, or the Hessian there is not
        negative definite.
    """
    with np.errstate(all="ignore"):  # long steps overflow, and are not taken
        return _ascend(density, np.asarray(start, np.float64))


def _ascend(density, x):
    factor = _own_scales(density, x)
    epsilon = np.finfo(density.dtype.as_numpy_dtype).eps
    (value,) = density.log_prob(x[None])
    _check_finite(value)
    for _ in range(_MAX_STEPS):
        slope, values, vectors = _curvature(density, x, factor)
        floor = np.sqrt(epsilon) * (np.abs(values).max() or 1.0)
        is_maximum = values.min() > floor
        rounding = 8.0 * epsilon * abs(value)
        # The gain that the quadratic approximation predicts, in nats.
        gain = 0.5 * np.sum(slope**2 / np.maximum(np.abs(values), floor))
        axes = factor @ vectors
        if is_maximum and gain < max(1e-8, rounding):
            return _gaussian(x, axes, slope, values)
        candidates = x + _steps(slope, values, floor) @ axes.T
        found = np.nan_to_num(density.log_prob(candidates), nan=-np.inf, posinf=-np.inf)
        if not found.max() > value + rounding:
            if is_maximum and gain < max(1e-4, 100.0 * rounding):
                return _gaussian(x, axes, slope, values)
            raise NoMaximumError(
                "the Hessian at the maximum is not negative definite"
                if gain < max(1e-4, 100.0 * rounding)
                else "the density does not rise along its gradient"
            )
        x, value = candidates[found.argmax()], found.max()
        factor = _triangular(axes / np.sqrt(np.maximum(np.abs(values), floor)))
    raise NoMaximumError(f"{_MAX_STEPS} Newton steps reach no maximum")


def _own_scales(density, x):
    """The factor of the curvature of each variable by itself; 1 where there is none."""
    _, hessian = density.curvature(x, np.eye(len(x)))
    curvature = np.abs(np.diag(hessian))
    is_curved = np.isfinite(curvature) & (curvature > 0.0)
    return np.diag(1.0 / np.sqrt(np.where(is_curved, curvature, 1.0)))


def _curvature(density, x, factor):
    """Gradient and curvature, negated, in the principal axes of the latter."""
    gradient, products = density.curvature(x, factor)
    _check_finite(gradient, products)
    curvature = -factor.T @ products
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    return vectors.T @ (factor.T @ gradient), values, vectors


def _steps(slope, values, floor):
    """Candidates for the next step, `[K, D]`."""
    sizes = np.maximum(np.abs(values), floor)
    damped = sizes + sizes.max() * _DAMPING[:, None]
    return np.concatenate([_LENGTHS[:, None] * (slope / sizes), slope / damped])


def _gaussian(x, axes, slope, values):
    """The Gaussian after one more step, as gradients have more digits than densities."""
    return Gaussian(x + axes @ (slope / values), _triangular(axes / np.sqrt(values)))


def _triangular(factor):
    """The lower triangular matrix of the same covariance, without squaring it."""
    upper = np.linalg.qr(factor.T, mode="r")
    return (upper * np.sign(np.diag(upper))[:, None]).T


def _check_finite(*arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise NoMaximumError("the log-density, its gradient or its Hessian is not finite")
