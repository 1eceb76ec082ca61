"""Where the rounds of a fit start: at maxima, and then with what the checks found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.posterior_start import bound
from tfp_flows.distributions.posterior_start import gradient_scale
from tfp_flows.distributions.posterior_start import standard
from tfp_flows.models.clusters import clusters
from tfp_flows.models.fit_checkpoint import Start
from tfp_flows.models.multi_start import find_modes

if TYPE_CHECKING:
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity
    from tfp_flows.models.fit_budget import Budget
    from tfp_flows.models.posterior_checks import Checks

__all__ = ["first_start", "likely_draws", "next_start"]

_NUM_NOISE = 256
_MOST_COMPONENTS = 8
_FEWEST_OF_CHAINS = 400
_FEWEST_EFFECTIVE = 1000
# Of the wall time, that the search for maxima may take.
_SHARE_OF_SEARCH = 0.3


def first_start(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    budget: Budget,
    rng: np.random.Generator,
) -> Start:
    """Returns Gaussians at the density's maxima, or one that is scaled by gradients.

    Args:
      density: an `UnconstrainedDensity`.
      starts: of the search, `[S, D]`.
      budget: a `Budget`.
      rng: of noise.
    """

    def is_over():
        return not budget.has_left(1.0 - _SHARE_OF_SEARCH)

    modes = find_modes(density, starts, is_over)
    budget.num_gradients += modes.num_gradients
    count = len(modes.gaussians)
    if count > 1:
        words = f"couplings over {count} Gaussians"
        return Start(modes.gaussians, modes.log_masses, modes.ends, words)
    if not count and is_over():
        words = "couplings over a standard normal, as time was short"
        return Start([standard(density.event_size)], [0.0], modes.ends, words)
    noise = rng.normal(size=(_NUM_NOISE, density.event_size))
    lowest = bound(density, standard(density.event_size), noise)
    if count and bound(density, modes.gaussians[0], noise) >= lowest:
        words = "couplings over a Laplace approximation"
        return Start(modes.gaussians, modes.log_masses, modes.ends, words)
    budget.num_gradients += 16 * _NUM_NOISE
    words = "couplings over a Gaussian scaled by gradients"
    return Start([gradient_scale(density, noise)], [0.0], modes.ends, words)


def next_start(start: Start, checks: Checks, rng: np.random.Generator) -> Start | None:
    """Returns a start with what was missing, or along the draws of chains; or None.

    Args:
      start: of the last round.
      checks: of the last round.
      rng: of the first centres of clusters.
    """
    room = _MOST_COMPONENTS - len(start.gaussians)
    if checks.missing and room > 0:
        missing = checks.missing[:room], checks.log_masses[:room]
        return start.with_missing(*missing)
    x = checks.chain_draws
    if len(x) < _FEWEST_OF_CHAINS:
        return None
    gaussians, log_shares = clusters(x, _MOST_COMPONENTS, rng)
    evidence = np.nan_to_num(checks.weighted.log_evidence[0], neginf=0.0)
    log_masses = [float(evidence + share) for share in log_shares]
    words = f"couplings over {len(gaussians)} Gaussians along Markov chains"
    return Start(
        gaussians, log_masses, start.ends, words, start.index + 1, start.coordinates
    )


def likely_draws(checks: Checks, rng: np.random.Generator) -> np.ndarray:
    """Returns draws, `[N, D]`, near to those of the target: by weights, or of chains."""
    weighted = checks.weighted
    if weighted.effective < _FEWEST_EFFECTIVE:
        return rng.permutation(checks.chain_draws)
    total = weighted.weights.sum()
    rows = rng.choice(len(weighted.x), len(weighted.x), p=weighted.weights / total)
    return weighted.x[rows]
