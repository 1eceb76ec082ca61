"""What a fit starts from: Gaussians at maxima, by gradients, or of clusters of draws."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfp_flows.inference.budget import Budget
from tfp_flows.inference.modes import Gaussian, find_modes
from tfp_flows.inference.reparametrisation import Reparametrisation
from tfp_flows.inference.target import UnconstrainedDensity

# Largest number of Gaussians of a mixture.
MOST_COMPONENTS = 8
# Draws from which the ELBO of a Gaussian is estimated, and rounds of `gradient_scale`.
_NUM_NOISE, _GRADIENT_ROUNDS = 256, 16
# Largest number of rounds of k-means.
_MAX_CLUSTERINGS = 25
# Share of the wall time that the search for maxima may take.
_SHARE_OF_SEARCH = 0.3


@dataclasses.dataclass(frozen=True)
class Start:
    """The start of a round of a fit.

    Attributes:
      gaussians: components of the base.
      ends: where searches for maxima ended, `[S, D]`.
      words: the start in words, for the report.
      index: index of the round, from 0.
      coordinates: `Reparametrisation` from the coordinates of the Gaussians and ends to
        the unconstrained variables; None if they are the same.
    """

    gaussians: list[Gaussian]
    ends: np.ndarray
    words: str
    index: int = 0
    coordinates: Reparametrisation | None = None


def first_start(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    budget: Budget,
    rng: np.random.Generator,
) -> Start:
    """Returns Gaussians at the density's maxima, or one that is scaled by gradients."""

    def is_over():
        return not budget.has_left(1.0 - _SHARE_OF_SEARCH)

    modes = find_modes(density, starts, is_over)
    budget.num_gradients += modes.num_gradients
    count = len(modes.gaussians)
    if count > 1:
        words = f"couplings over {count} Gaussians"
        return Start(modes.gaussians, modes.ends, words)
    if not count and is_over():
        words = "couplings over a standard normal, as time was short"
        return Start([standard(density.event_size)], modes.ends, words)
    noise = rng.normal(size=(_NUM_NOISE, density.event_size))
    lowest = bound(density, standard(density.event_size), noise)
    if count and bound(density, modes.gaussians[0], noise) >= lowest:
        words = "couplings over a Laplace approximation"
        return Start(modes.gaussians, modes.ends, words)
    budget.num_gradients += _GRADIENT_ROUNDS * _NUM_NOISE
    words = "couplings over a Gaussian scaled by gradients"
    return Start([gradient_scale(density, noise)], modes.ends, words)


def clusters(x: np.ndarray, count: int, rng: np.random.Generator) -> list[Gaussian]:
    """Divides draws, `[N, D]`, by k-means, and returns the Gaussian of each part.

    Masses are shares of the draws. There are `count` parts at most; those of at most D
    draws are left out.

    Reference:
      Arthur, Vassilvitskii (2007), k-means++: the advantages of careful seeding.
      https://dl.acm.org/doi/10.5555/1283383.1283494
    """
    whole = Gaussian.from_draws(x)
    z = whole.whiten(x)
    centres = z[rng.integers(len(z), size=1)]
    for _ in range(count - 1):
        nearest = _distances(z, centres).min(axis=1)
        chosen = rng.choice(len(z), p=nearest / nearest.sum()) if nearest.any() else 0
        centres = np.concatenate([centres, z[chosen : chosen + 1]])
    for _ in range(_MAX_CLUSTERINGS):
        part = _distances(z, centres).argmin(axis=1)
        for k in range(count):
            if (part == k).any():
                centres[k] = z[part == k].mean(axis=0)
    rows = [x[part == k] for k in range(count)]
    rows = [row for row in rows if len(row) > x.shape[1]] or [x]
    return [
        dataclasses.replace(Gaussian.from_draws(row), log_mass=np.log(len(row) / len(x)))
        for row in rows
    ]


def _distances(z, centres):
    return ((z[:, None] - centres) ** 2).sum(axis=-1)


def standard(size: int) -> Gaussian:
    """Returns the standard normal as a `Gaussian` of `size` variables."""
    return Gaussian(np.zeros(size), np.ones(size))


def bound(density: UnconstrainedDensity, gaussian: Gaussian, noise: np.ndarray) -> float:
    """Estimates the ELBO of a Gaussian from standard normal `noise`, `[N, D]`, in nats."""
    log_probs = density.log_prob(gaussian.draw(noise))
    if not np.isfinite(log_probs).all():
        return -np.inf
    return log_probs.mean() + gaussian.log_scale + 0.5 * (noise**2).sum(axis=1).mean()


def gradient_scale(density: UnconstrainedDensity, noise: np.ndarray) -> Gaussian:
    """Scales the standard normal, variable by variable, by gradients at `[N, D]` draws.

    ```none
    variance = sqrt(variance of draws / variance of gradients)
    mean     = mean of draws + variance * mean gradient
    ```

    It is exact for a Gaussian of independent variables. Otherwise it is repeated from its
    result, or with half the step, while that raises the ELBO, so the result is never worse
    than the standard normal.

    Returns:
      A `Gaussian` whose factor is diagonal.
    """
    best = standard(density.event_size)
    highest = bound(density, best, noise)
    length = 1.0
    for _ in range(_GRADIENT_ROUNDS):
        proposed = _rescaled(density, best, noise, length)
        reached = bound(density, proposed, noise)
        if reached > highest:
            best, highest, length = proposed, reached, 1.0
        else:
            length *= 0.5
    return best


def _rescaled(density, gaussian, noise, length):
    draws = gaussian.draw(noise)
    gradients = density.gradient(draws)
    is_finite = np.isfinite(gradients).all(axis=1)
    if is_finite.sum() < 2:
        return gaussian
    draws, gradients = draws[is_finite], gradients[is_finite]
    spread, steepness = draws.std(axis=0), gradients.std(axis=0)
    is_curved = steepness > 0.0
    variance = np.where(is_curved, spread / np.where(is_curved, steepness, 1.0), spread**2)
    shift = draws.mean(axis=0) - gaussian.mean + variance * gradients.mean(axis=0)
    scale = gaussian.factor * (np.sqrt(variance) / gaussian.factor) ** length
    return Gaussian(gaussian.mean + length * shift, scale)
