"""A diagonal Gaussian near a density, by the spread of gradients."""

import numpy as np

from tfp_flows.distributions.laplace import Gaussian

__all__ = ["bound", "gradient_scale", "standard"]

_ROUNDS = 16


def standard(size):
    """Returns the standard normal as a `Gaussian` of `size` variables."""
    return Gaussian(np.zeros(size), np.ones(size))


def bound(density, gaussian, noise):
    """Estimates the ELBO of a Gaussian from standard normal `noise`, `[N, D]`, in nats."""
    log_probs = density.log_prob(gaussian.draw(noise))
    if not np.isfinite(log_probs).all():
        return -np.inf
    return log_probs.mean() + gaussian.log_scale + 0.5 * (noise**2).sum(axis=1).mean()


def gradient_scale(density, noise):
    """Scales the standard normal, variable by variable, by gradients at its draws.

    ```none
    variance = sqrt(variance of draws / variance of gradients)
    mean     = mean of draws + variance * mean gradient
    ```

    It is exact for a Gaussian of independent variables, wherever the draws are. Else it is
    repeated from where it leads to, or half-way, as long as that raises the ELBO, so that
    it never ends below the standard normal.

    Args:
      density: an `UnconstrainedDensity`.
      noise: standard normal draws, `[N, D]`.

    Returns:
      A `Gaussian` whose factor is diagonal.
    """
    best = standard(density.event_size)
    highest = bound(density, best, noise)
    length = 1.0
    for _ in range(_ROUNDS):
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
