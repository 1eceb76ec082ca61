"""The rank-normalised R-hat: whether groups of draws come from one distribution."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["rank_r_hat"]


def rank_r_hat(groups: np.ndarray) -> float:
    """Compares groups of equally many draws, variable by variable.

    ```none
    z = Phi^-1((rank - 3/8) / (S + 1/4)),   R = sqrt((n - 1) / n + B / (n W))
    ```

    with the variance B / n between the groups' means and W within groups; once for the
    draws and once for their distances from the median, which tell of the spread.

    Args:
      groups: `[G, n, D]`.

    Returns:
      The largest R-hat of all variables; 1 where all groups agree.

    Reference:
      Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Rank-normalization, folding, and
      localization. https://arxiv.org/abs/1903.08008
    """
    flat = groups.reshape(-1, groups.shape[-1])
    folded = np.abs(groups - np.median(flat, axis=0))
    return float(max(_r_hat(_normal_scores(groups)), _r_hat(_normal_scores(folded))))


def _normal_scores(groups):
    flat = groups.reshape(-1, groups.shape[-1])
    ranks = np.argsort(np.argsort(flat, axis=0, kind="stable"), axis=0) + 1.0
    return tf.math.ndtri((ranks - 0.375) / (len(flat) + 0.25)).numpy().reshape(groups.shape)


def _r_hat(z):
    count = z.shape[1]
    within = z.var(axis=1, ddof=1).mean(axis=0)
    between = z.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((count - 1.0) / count + between / np.maximum(within, 1e-12)).max()
