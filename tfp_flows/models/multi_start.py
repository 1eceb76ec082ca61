"""Multi-start optimisation: the maxima of a density, found from dispersed starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.distributions.laplace import NoMaximumError
from tfp_flows.distributions.laplace import laplace

if TYPE_CHECKING:
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["Modes", "dispersed_starts", "find_modes", "quasi_newton"]

_MAX_STEPS = 80
_MAX_HALVINGS = 30
_MAX_MODES = 8
_MAX_REFINED = 16
# Two maxima are one within this distance, in standard deviations of either.
_SAME = 0.5
# A maximum of less mass than this share of the largest, in nats, is left out.
_NEGLIGIBLE = 12.0
_SPREADS = (2.0, 5.0, 20.0, 100.0)


@dataclasses.dataclass(frozen=True)
class Modes:
    """Maxima of a density, and what it took to find them.

    Attributes:
      gaussians: the Gaussian of the curvature at each, of the largest mass first; empty
        where no start leads to a maximum.
      log_masses: integral of the density by each Gaussian, in nats.
      ends: where the searches ended, `[S, D]`.
      num_gradients: evaluations of the density's gradient.
    """

    gaussians: list[Gaussian]
    log_masses: list[float]
    ends: np.ndarray
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
) -> Modes:
    """Climbs from each start, and refines the distinct ends by Newton's method.

    Args:
      density: an `UnconstrainedDensity`.
      starts: `[S, D]`.
      is_over: function that says whether the time for it is over.
    """
    with np.errstate(all="ignore"):
        ends, values, num_gradients = quasi_newton(density, starts, is_over)
    found: list[Gaussian] = []
    order = np.argsort(-values)
    is_left = np.isfinite(values)
    size = density.event_size
    for _ in range(_MAX_REFINED):
        left = [index for index in order if is_left[index]]
        if not left or len(found) == _MAX_MODES or is_over():
            break
        is_left[left[0]] = False
        try:
            gaussian = laplace(density, ends[left[0]])
        except NoMaximumError:
            continue
        finally:
            num_gradients += 10 * size
        is_left &= ~_is_near(gaussian, ends)
        if not any(_is_same(gaussian, other) for other in found):
            found.append(gaussian)
    return _by_mass(density, found, ends, num_gradients)


def quasi_newton(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Climbs from all starts at once by the BFGS method, with backtracking.

    Rows whose density is not finite at their start stay there, with value -inf.

    Args:
      density: an `UnconstrainedDensity`.
      starts: `[S, D]`.
      is_over: function that says whether the time for it is over.

    Returns:
      Ends, `[S, D]`, their log-densities, `[S]`, and the number of gradients taken.
    """
    x = np.array(starts, np.float64)
    count, size = x.shape
    value, gradient = _finite(density, x)
    inverse = np.broadcast_to(np.eye(size), (count, size, size)).copy()
    inverse /= np.maximum(np.linalg.norm(gradient, axis=1), 1.0)[:, None, None]
    is_first = np.ones(count, bool)
    length, halvings = np.ones(count), np.zeros(count, int)
    is_active = np.isfinite(value)
    num_gradients = count
    for _ in range(_MAX_STEPS):
        direction = np.einsum("sij,sj->si", inverse, gradient)
        slope = (direction * gradient).sum(axis=1)
        is_active &= (slope > 1e-4) & (halvings < _MAX_HALVINGS)
        rows = np.flatnonzero(is_active)
        if not len(rows) or is_over():
            break
        step = length[rows, None] * direction[rows]
        new_value, new_gradient = _finite(density, x[rows] + step)
        num_gradients += len(rows)
        rises = new_value > value[rows] + 1e-4 * length[rows] * slope[rows]
        length[rows] = np.where(rises, 1.0, 0.3 * length[rows])
        halvings[rows] = np.where(rises, 0, halvings[rows] + 1)
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
    is_curved = curvature > 1e-10 * np.linalg.norm(step, axis=1) * np.linalg.norm(
        change, axis=1
    )
    curvature = np.where(is_curved, curvature, 1.0)
    eye = np.eye(step.shape[1])
    scale = curvature / np.maximum((change**2).sum(axis=1), 1e-300)
    start = np.where(
        (is_first & is_curved)[:, None, None], scale[:, None, None] * eye, inverse
    )
    # (1 - s y^T / c) B (1 - y s^T / c) + s s^T / c, as an update of rank 2
    moved = np.einsum("sij,sj->si", start, change)
    step, scale = step / curvature[:, None], curvature + (change * moved).sum(axis=1)
    outer = step[:, :, None] * moved[:, None, :]
    new = start - outer - outer.transpose(0, 2, 1)
    new += scale[:, None, None] * step[:, :, None] * step[:, None, :]
    return np.where(is_curved[:, None, None], new, inverse)


def _is_near(gaussian, points):
    return np.array([np.linalg.norm(gaussian.whiten(x)) < _SAME for x in points])


def _is_same(gaussian, other):
    distances = gaussian.whiten(other.mean), other.whiten(gaussian.mean)
    return max(map(np.linalg.norm, distances)) < _SAME


def _by_mass(density, found, ends, num_gradients):
    if not found:
        return Modes([], [], ends, num_gradients)
    values = density.log_prob(np.stack([gaussian.mean for gaussian in found]))
    constant = 0.5 * density.event_size * np.log(2.0 * np.pi)
    masses = values + constant + np.array([gaussian.log_scale for gaussian in found])
    order = [i for i in np.argsort(-masses) if masses[i] > masses.max() - _NEGLIGIBLE]
    gaussians, log_masses = [found[i] for i in order], [float(masses[i]) for i in order]
    return Modes(gaussians, log_masses, ends, num_gradients)
