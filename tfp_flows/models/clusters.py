"""Clusters of draws: a mixture of Gaussians that follows a bent or hollow density."""

from __future__ import annotations

import numpy as np

from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.models.weighted_draws import mean_and_factor

__all__ = ["clusters"]

_ROUNDS = 25


def clusters(
    x: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[list[Gaussian], list[float]]:
    """Divides draws by k-means, and returns the Gaussian and log-share of each part.

    Args:
      x: draws, `[N, D]`.
      count: number of parts, at most; parts of fewer than D + 1 draws are left out.
      rng: of the first centres.

    Reference:
      Arthur, Vassilvitskii (2007), k-means++: the advantages of careful seeding.
      https://dl.acm.org/doi/10.5555/1283383.1283494
    """
    mean, factor = mean_and_factor(x)
    z = np.linalg.solve(factor, (x - mean).T).T
    centres = z[rng.integers(len(z), size=1)]
    for _ in range(count - 1):
        nearest = _distances(z, centres).min(axis=1)
        chosen = rng.choice(len(z), p=nearest / nearest.sum()) if nearest.any() else 0
        centres = np.concatenate([centres, z[chosen : chosen + 1]])
    for _ in range(_ROUNDS):
        part = _distances(z, centres).argmin(axis=1)
        for k in range(count):
            if (part == k).any():
                centres[k] = z[part == k].mean(axis=0)
    rows = [x[part == k] for k in range(count)]
    rows = [row for row in rows if len(row) > x.shape[1]] or [x]
    log_shares = [float(np.log(len(row) / len(x))) for row in rows]
    return [Gaussian(*mean_and_factor(row)) for row in rows], log_shares


def _distances(z, centres):
    return ((z[:, None] - centres) ** 2).sum(axis=-1)
