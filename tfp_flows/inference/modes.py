"""The maxima of a density from dispersed starts, and Gaussians of its curvature there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_flows.inference.target import UnconstrainedDensity

_MOST_ENTRIES = 20_000_000  # entries of the inverse Hessians of all starts of one climb
# Largest numbers of steps of a climb, and of reductions of its step length in a row.
_MAX_SEARCH_STEPS, _MAX_REDUCTIONS = 80, 30
_MAX_MODES = 8  # largest number of modes
_MAX_REFINED = 16  # largest number of ends of climbs that are refined
_SAME = 0.5  # standard deviations of either, within which two maxima are the same
_NEGLIGIBLE = 12.0  # nats; maxima with log-masses so far below the largest are left out
_SPREADS = (2.0, 5.0, 20.0, 100.0)  # half-widths of the cubes of dispersed starts
_MAX_NEWTON_STEPS = 60
_GRADIENTS_OF_NEWTON = 10  # typical cost of Newton's method, for each variable
_LENGTHS = 2.0 ** np.arange(8, -24, -1)  # multiples of a Newton step that are tried
_DAMPING = 10.0 ** np.arange(-8.0, 8.0, 0.5)  # multiples of the largest curvature
_MANY_ROWS = 50  # rows for each variable, from which on correlations are not shrunk


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A Gaussian by its mean, `[D]`, and a factor L of its covariance L L^T.

    The factor is lower triangular, `[D, D]`, or diagonal and given as `[D]`. `log_mass` is
    the log of the mass that it stands for in a density or a mixture, in nats.
    """

    mean: np.ndarray
    factor: np.ndarray
    log_mass: float = 0.0

    @classmethod
    def from_draws(cls, x: np.ndarray) -> Gaussian:
        """Returns the Gaussian with the moments of the finite rows of `x`, `[N, D]`."""
        x = x[np.isfinite(x).all(axis=1)]
        count, size = x.shape
        if not count:
            return cls(np.zeros(size), np.eye(size))
        mean = x.mean(axis=0)
        deviations = np.maximum(x.std(axis=0), 1e-30)
        z = (x - mean) / deviations
        correlation = np.atleast_2d(np.cov(z, rowvar=False, bias=True))
        # Few rows estimate variances better than correlations.
        share = size / (count + size) if count < _MANY_ROWS * size else 0.0
        for ridge in (share, share + 1e-12, share + 1e-6, 1.0):
            mixed = (1.0 - ridge) * correlation + ridge * np.eye(size)
            try:
                return cls(mean, deviations[:, None] * np.linalg.cholesky(mixed))
            except np.linalg.LinAlgError:
                continue
        return cls(mean, np.diag(deviations))

    @property
    def matrix(self) -> np.ndarray:
        """The factor as a matrix, `[D, D]`."""
        return self.factor if self.factor.ndim == 2 else np.diag(self.factor)

    def draw(self, noise: np.ndarray) -> np.ndarray:
        """Maps standard normal `noise`, `[N, D]`, to draws, `[N, D]`."""
        return self.scaled(noise) + self.mean

    def scaled(self, z: np.ndarray) -> np.ndarray:
        """Multiplies rows, `[N, D]`, by the factor: draws less the mean."""
        return z * self.factor if self.factor.ndim == 1 else z @ self.factor.T

    def lengths(self, directions: np.ndarray) -> np.ndarray:
        """Lengths of vectors, `[N, D]`, in standard deviations, `[N]`."""
        return np.linalg.norm(np.linalg.solve(self.factor, directions.T), axis=0)

    def distance(self, other: Gaussian) -> float:
        """Distance of the means, in standard deviations of either: the larger of two."""
        distances = self.whiten(other.mean), other.whiten(self.mean)
        return float(max(map(np.linalg.norm, distances)))

    def whiten(self, x: np.ndarray) -> np.ndarray:
        """Maps `[D]` or `[N, D]` to coordinates in which this is the standard normal."""
        return np.linalg.solve(self.factor, (x - self.mean).T).T

    @property
    def log_det(self) -> float:
        """Log-determinant of the factor."""
        is_diagonal = self.factor.ndim == 1
        return float(np.log(self.factor if is_diagonal else np.diag(self.factor)).sum())


class NoMaximumError(ValueError):
    """The reason why there is no Laplace approximation."""


@dataclasses.dataclass(frozen=True)
class Modes:
    """Maxima of a density, and the cost of the search."""

    gaussians: list[Gaussian]  # of the curvature there, the largest mass first
    ends: np.ndarray  # where the searches ended, `[S, D]`
    num_gradients: int


def dispersed_starts(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the origin and points around it at spreads of 2 to 100, `[count, D]`."""
    spreads = np.resize(np.array(_SPREADS), count)[:, None]
    starts = rng.uniform(-1.0, 1.0, (count, size)) * spreads
    starts[0] = 0.0
    return starts


def find_modes(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    is_over: Callable[[], bool] = lambda: False,
    is_known: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Modes:
    """Climbs from each start, `[S, D]`, and refines the distinct ends by Newton's method.

    It stops if `is_over`, and leaves out ends, `[S, D]`, that are known, `[S]`.
    """
    with np.errstate(all="ignore"):
        ends, values, num_gradients = quasi_newton(density, starts, is_over)
    gaussians: list[Gaussian] = []
    order = np.argsort(-values)
    is_left = np.isfinite(values)
    if is_known is not None:
        is_left &= ~is_known(ends)
    size = density.event_size
    for _ in range(_MAX_REFINED):
        left = [index for index in order if is_left[index]]
        if not left or len(gaussians) == _MAX_MODES or is_over():
            break
        is_left[left[0]] = False
        try:
            gaussian = laplace(density, ends[left[0]])
        except NoMaximumError:
            continue
        finally:
            num_gradients += _GRADIENTS_OF_NEWTON * size
        is_left &= ~(np.linalg.norm(gaussian.whiten(ends), axis=1) < _SAME)
        if not any(gaussian.distance(other) < _SAME for other in gaussians):
            gaussians.append(gaussian)
    return Modes(_by_mass(density, gaussians), ends, num_gradients)


def _by_mass(density, gaussians):
    """The Gaussians with their masses, the largest first, without negligible ones."""
    if not gaussians:
        return []
    values = density.log_prob(np.stack([gaussian.mean for gaussian in gaussians]))
    constant = 0.5 * density.event_size * np.log(2.0 * np.pi)
    masses = values + constant + np.array([gaussian.log_det for gaussian in gaussians])
    order = [i for i in np.argsort(-masses) if masses[i] > masses.max() - _NEGLIGIBLE]
    return [dataclasses.replace(gaussians[i], log_mass=float(masses[i])) for i in order]


def quasi_newton(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Climbs from all starts at once by the BFGS method, with backtracking.

    A row whose density is not finite at its start, `[S, D]`, stays there, with value -inf.
    Ends come with their log-densities, `[S]`, and the number of gradients taken.
    """
    x = np.array(starts, np.float64)
    count, size = x.shape
    at_once = max(1, _MOST_ENTRIES // size**2)
    if count > at_once:
        parts = range(0, count, at_once)
        climbs = [quasi_newton(density, x[i : i + at_once], is_over) for i in parts]
        ends, values, numbers = zip(*climbs, strict=True)
        return np.concatenate(ends), np.concatenate(values), sum(numbers)
    value, gradient = _finite(density, x)
    inverse = np.broadcast_to(np.eye(size), (count, size, size)).copy()
    inverse /= np.maximum(np.linalg.norm(gradient, axis=1), 1.0)[:, None, None]
    is_first = np.ones(count, bool)
    length, reductions = np.ones(count), np.zeros(count, int)
    is_active = np.isfinite(value)
    num_gradients = count
    for _ in range(_MAX_SEARCH_STEPS):
        direction = np.einsum("sij,sj->si", inverse, gradient)
        slope = (direction * gradient).sum(axis=1)
        is_active &= (slope > 1e-4) & (reductions < _MAX_REDUCTIONS)
        rows = np.flatnonzero(is_active)
        if not len(rows) or is_over():
            break
        step = length[rows, None] * direction[rows]
        new_value, new_gradient = _finite(density, x[rows] + step)
        num_gradients += len(rows)
        rises = new_value > value[rows] + 1e-4 * length[rows] * slope[rows]
        length[rows] = np.where(rises, 1.0, 0.3 * length[rows])
        reductions[rows] = np.where(rises, 0, reductions[rows] + 1)
        taken, step = rows[rises], step[rises]
        change = gradient[taken] - new_gradient[rises]
        inverse[taken] = _updated(inverse[taken], step, change, is_first[taken])
        is_first[taken] = False
        x[taken] += step
        value[taken], gradient[taken] = new_value[rises], new_gradient[rises]
    return x, value, num_gradients


def _finite(density, x):
    value, gradient = density.log_prob_and_gradient(x)
    is_finite = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
    return np.where(is_finite, value, -np.inf), np.where(is_finite[:, None], gradient, 0.0)


def _updated(inverse, step, change, is_first):
    """The BFGS update of inverse Hessians, `[S, D, D]`, where the curvature is positive."""
    curvature = (step * change).sum(axis=1)
    lengths = np.linalg.norm(step, axis=1), np.linalg.norm(change, axis=1)
    is_curved = curvature > 1e-10 * lengths[0] * lengths[1]
    curvature = np.where(is_curved, curvature, 1.0)
    scale = curvature / np.maximum((change**2).sum(axis=1), 1e-300)
    scaled = scale[:, None, None] * np.eye(step.shape[1])
    start = np.where((is_first & is_curved)[:, None, None], scaled, inverse)
    # (1 - s y^T / c) B (1 - y s^T / c) + s s^T / c, as an update of rank 2
    moved = np.einsum("sij,sj->si", start, change)
    step, scale = step / curvature[:, None], curvature + (change * moved).sum(axis=1)
    outer = step[:, :, None] * moved[:, None, :]
    new = start - outer - outer.transpose(0, 2, 1)
    new += scale[:, None, None] * step[:, :, None] * step[:, None, :]
    return np.where(is_curved[:, None, None], new, inverse)


def laplace(density: Any, start: np.ndarray) -> Gaussian:
    """Finds a maximum of a log-density and the Gaussian of its curvature there.

    ```none
    A = -L^T H L = U diag(w) U^T,      x + L U diag(w)^-1 U^T L^T g      the Newton step
    L <- L U |w|^-1/2                                                    for the next one
    ```

    The algebra is in float64. The density may be in float32, so its Hessian is evaluated
    along the columns of the factor L of the previous step. There it is nearly -1, and
    correlated variables of different scales lose no digits. The first L is diagonal, from
    the curvature of each variable alone. Each step is the best of many lengths and damping
    factors, which are evaluated at once.

    Without a maximum within reach, or with a Hessian that is not negative definite there,
    it raises `NoMaximumError`.
    """
    with np.errstate(all="ignore"):  # long steps overflow and are not taken
        return _ascend(density, np.asarray(start, np.float64))


def _ascend(density, x):
    factor = _own_scales(density, x)
    epsilon = np.finfo(density.dtype.as_numpy_dtype).eps
    (value,) = density.log_prob(x[None])
    _check_finite(value)
    for _ in range(_MAX_NEWTON_STEPS):
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
        heights = np.nan_to_num(density.log_prob(candidates), nan=-np.inf, posinf=-np.inf)
        if not heights.max() > value + rounding:
            is_flat = gain < max(1e-4, 100.0 * rounding)
            if is_maximum and is_flat:
                return _gaussian(x, axes, slope, values)
            reason = "the density does not rise along its gradient"
            if is_flat:
                reason = "the Hessian at the maximum is not negative definite"
            raise NoMaximumError(reason)
        x, value = candidates[heights.argmax()], heights.max()
        factor = triangular(axes / np.sqrt(np.maximum(np.abs(values), floor)))
    raise NoMaximumError(f"{_MAX_NEWTON_STEPS} Newton steps reach no maximum")


def _own_scales(density, x):
    """A diagonal factor from the curvature of each variable; 1 if there is none."""
    _, hessian = density.curvature(x, np.eye(len(x)))
    curvature = np.abs(np.diag(hessian))
    is_curved = np.isfinite(curvature) & (curvature > 0.0)
    return np.diag(1.0 / np.sqrt(np.where(is_curved, curvature, 1.0)))


def _curvature(density, x, factor):
    """Gradient and negative curvature in the principal axes of the curvature."""
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
    """The Gaussian after a last step by the gradient, which has more digits than values."""
    return Gaussian(x + axes @ (slope / values), triangular(axes / np.sqrt(values)))


def triangular(factor: np.ndarray) -> np.ndarray:
    """Returns the lower triangular L with L L^T = F F^T, of a factor F, `[D, M]`.

    F F^T itself need not be positive definite to rounding: scales differ by 1e8 and more.
    """
    upper = np.asarray(np.linalg.qr(factor.T, mode="r"))
    return (upper * np.where(np.diag(upper) < 0.0, -1.0, 1.0)[:, None]).T


def _check_finite(*arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise NoMaximumError("the log-density, its gradient or its Hessian is not finite")
