"""Log-densities that are rounding alone, far out, and so are not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["is_rounding", "without_rounding"]

# Second differences of the log-density, over so many units in the last place of a point,
# that no density has which floating-point numbers can tell: in nats.
_UNITS, _MOST = (2.0, 4.0), 1.0
_HEAVIEST, _ROUNDS = 256, 8


def is_rounding(density: UnconstrainedDensity, x: np.ndarray) -> np.ndarray:
    """Returns whether the log-density is rounding at each of some points, `[N]`.

    ```none
    |log p(x + d) + log p(x - d) - 2 log p(x)| / 2 > 1,     d a few units in the last place
    ```

    Where numbers of 1e9 are subtracted, such as log-gamma functions of a large parameter,
    it is off by hundreds of nats, and draws there would have all weight.

    Args:
      density: an `UnconstrainedDensity`.
      x: points, `[N, D]`.
    """
    epsilon = np.finfo(density.dtype.as_numpy_dtype).eps
    steps = [units * epsilon * x for units in _UNITS]
    points = [x, *(x + sign * step for step in steps for sign in (1.0, -1.0))]
    values = density.log_prob(np.concatenate(points)).reshape(len(points), len(x))
    with np.errstate(invalid="ignore"):
        second = 0.5 * (values[1::2] + values[2::2]) - values[0]
    return ~(np.abs(second) <= _MOST).all(axis=0)


def without_rounding(
    density: UnconstrainedDensity, x: np.ndarray, log_p: np.ndarray, log_q: np.ndarray
) -> np.ndarray:
    """Returns log-densities with NaN where they are rounding, as far as that has weight.

    Args:
      density: an `UnconstrainedDensity`.
      x: draws, `[S, D]`.
      log_p: their log-densities, `[S]`.
      log_q: those of the distribution that they are drawn from, `[S]`.
    """
    log_p, count = log_p.copy(), min(_HEAVIEST, len(x) // 8)
    for _ in range(_ROUNDS):
        with np.errstate(invalid="ignore"):
            log_weights = log_p - log_q
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
        heaviest = np.argsort(-log_weights)[:count]
        heaviest = heaviest[np.isfinite(log_weights[heaviest])]
        if not len(heaviest):
            break
        rounds = is_rounding(density, x[heaviest])
        log_p[heaviest[rounds]] = np.nan
        if not rounds.any():
            break
    return log_p
