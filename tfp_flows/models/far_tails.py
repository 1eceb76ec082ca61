"""The far tails of a density along rays: whether it can be integrated at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["improper_ray"]

_RADII = 10.0 ** np.arange(2, 7)
_MOST_AXES = 64
_NUM_RANDOM = 64
# A tail that is lower than this beside the centre, in nats, nothing ever reaches.
_OUT_OF_REACH = 50.0


def improper_ray(
    density: UnconstrainedDensity,
    mean: np.ndarray,
    factor: np.ndarray,
    ends: np.ndarray,
    rng: np.random.Generator,
) -> str | None:
    """Looks for a ray along which the density has no finite integral.

    ```none
    x = mean + r L u,   slope = -(log p(x(10 r)) - log p(x(r))) / log 10
    ```

    Slopes of at most 1 between the three largest radii at which the density is finite and
    not 0 are those of a density without an integral along the ray, if the density there is
    not out of reach of all draws: far below the maximum, where a scale grows with r, it may
    still rise. Directions u are the axes, random ones, and those in which searches for a
    maximum ended far away.

    Args:
      density: an `UnconstrainedDensity`.
      mean: where rays start, `[D]`.
      factor: L, `[D, D]`.
      ends: where searches ended, `[S, D]`.
      rng: of the random directions.

    Returns:
      A sentence about the direction that is worst; None if there is none.
    """
    size = len(mean)
    axes = np.eye(size)[:_MOST_AXES]
    own = factor.T[:_MOST_AXES]
    away = ends - mean
    lengths = np.linalg.norm(np.linalg.solve(factor, away.T), axis=0)
    away = away[np.isfinite(lengths) & (lengths > 10.0)][:_MOST_AXES]
    random = rng.normal(size=(_NUM_RANDOM, size)) @ factor.T
    scales = np.linalg.norm(factor, axis=1)
    directions = np.concatenate([axes * scales, -axes * scales, own, -own, random, away])
    z = np.linalg.solve(factor, directions.T)
    directions = directions / np.maximum(np.linalg.norm(z, axis=0), 1e-300)[:, None]
    points = mean + _RADII[:, None, None] * directions
    with np.errstate(all="ignore"):
        values = density.log_prob(points.reshape(-1, size)).reshape(points.shape[:2])
        slopes = -np.diff(values, axis=0) / np.log(10.0)
        lowest = density.log_prob(mean[None]) - _OUT_OF_REACH
        is_in_reach = values[1:] + np.log(_RADII[1:, None]) > lowest
    # Far out, terms that grow may cancel, and leave their rounding.
    rounding = 16.0 * np.finfo(density.dtype.as_numpy_dtype).eps * np.abs(values[1:])
    slopes = np.where(rounding < 0.1, slopes, np.inf)
    slopes = np.where(np.isfinite(slopes), slopes, np.inf)
    is_known = np.isfinite(slopes)
    is_last = is_known & ~np.concatenate([is_known[1:], np.zeros_like(is_known[:1])])
    # As large as the last two: rounding alone may level off once.
    slopes = np.maximum(slopes[1:], slopes[:-1])
    slopes = np.where(is_last[1:] & is_in_reach[1:], slopes, np.inf)
    worst = np.unravel_index(slopes.argmin(), slopes.shape)
    if slopes[worst] > 1.02:
        return None
    axis = int(np.abs(directions[worst[1]] / scales).argmax())
    return (
        f"The log-density falls by {slopes[worst]:.2f} per unit of log-distance far out, "
        f"mostly along unconstrained variable {axis}; at most 1 is that of a density "
        "without an integral. Try a proper prior."
    )
