"""Annealed particles: points that move from a broad Gaussian to the modes of a density."""

from __future__ import annotations

import numpy as np

__all__ = ["annealed_particles"]

_TEMPERATURES, _LEAPFROGS = 30, 4
_ACCEPTANCE = 0.7


def annealed_particles(
    density, mean, factor, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Moves particles by Hamiltonian Monte Carlo along a path of densities.

    ```none
    log p_b(x) = (1 - b) log N(x; mean, L L^T) + b log p(x),   b from 0 to 1
    ```

    Narrow modes far apart attract particles where b is small, and so the density flat,
    that no climb from a start of the same Gaussian would find.

    Args:
      density: an `UnconstrainedDensity`.
      mean: `[D]`.
      factor: L, `[D, D]`, of a Gaussian much broader than the density.
      count: number of particles, N.
      rng: of the noise.

    Returns:
      Particles, `[N, D]`, and the number of gradients taken.

    Reference:
      Neal (2001), Annealed importance sampling. https://arxiv.org/abs/physics/9803008
    """
    size = len(mean)

    def evaluate(z):
        """Log-density and gradient in coordinates in which the Gaussian is standard."""
        values, gradients = density.log_prob_and_gradient(z @ factor.T + mean)
        is_finite = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
        gradients = np.where(is_finite[:, None], gradients @ factor, 0.0)
        return np.where(is_finite, values, -np.inf), gradients

    z = rng.normal(size=(count, size))
    value, gradient = evaluate(z)
    log_step = np.full(count, np.log(0.2))
    for b in np.linspace(0.0, 1.0, _TEMPERATURES + 1)[1:] ** 3:
        step = (np.exp(log_step) * rng.uniform(0.6, 1.4, count))[:, None]
        start = rng.normal(size=z.shape)
        y, new_value, new_gradient, momentum = z, value, gradient, start
        with np.errstate(all="ignore"):
            for _ in range(_LEAPFROGS):
                momentum = momentum + 0.5 * step * (b * new_gradient - (1.0 - b) * y)
                y = y + step * momentum
                new_value, new_gradient = evaluate(y)
                momentum = momentum + 0.5 * step * (b * new_gradient - (1.0 - b) * y)
            energies = (
                b * v - 0.5 * (1.0 - b) * (w**2).sum(axis=1) - 0.5 * (m**2).sum(axis=1)
                for v, w, m in ((new_value, y, momentum), (value, z, start))
            )
            change = np.subtract(*energies)
            # From where the density is 0, any finite value is taken.
            change = np.where(
                np.isfinite(value), change, np.where(new_value > -np.inf, 0, -np.inf)
            )
            acceptance = np.exp(np.minimum(np.nan_to_num(change, nan=-np.inf), 0.0))
        is_taken = rng.uniform(size=count) < acceptance
        z = np.where(is_taken[:, None], y, z)
        value = np.where(is_taken, new_value, value)
        gradient = np.where(is_taken[:, None], new_gradient, gradient)
        log_step += 0.7 * (acceptance - _ACCEPTANCE)
    return z @ factor.T + mean, count * _TEMPERATURES * _LEAPFROGS
