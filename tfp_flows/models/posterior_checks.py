"""Checks of a fitted posterior by draws that are not its own: what it may have missed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.distributions.pareto_smoothing import pareto_k_threshold
from tfp_flows.models.check_chains import CheckChains
from tfp_flows.models.multi_start import find_modes
from tfp_flows.models.rank_r_hat import rank_r_hat
from tfp_flows.models.weighted_draws import Evaluation
from tfp_flows.models.weighted_draws import WeightedDraws
from tfp_flows.models.weighted_draws import mean_and_factor
from tfp_flows.models.weighted_moments import WeightedMoments
from tfp_flows.models.weighted_moments import weighted_moments

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["Checks", "check_posterior"]

# Fewer, where draws of many variables are many numbers.
_NUMBERS_OF_DRAWS = 20_000, 100_000
_MOST_NUMBERS = 4_000_000
_NUM_CHAINS = 128
_NUM_PROBES = 400
# Starts of the search, and how much broader than the posterior they are.
_NUM_BROAD, _NUM_HEAVIEST = 120, 8
_BREADTHS = (2.0, 5.0, 15.0, 50.0)
# Mass that counts, in nats below the evidence, and how far the posterior must be below the
# target where that mass is.
_COUNTS, _UNDER = 5.0, 1.5
# Chains whose means differ by less than this, in standard deviations, are together.
_TOGETHER = 3.0
_NUM_GROUPS = 4


@dataclasses.dataclass(frozen=True)
class Checks:
    """What the checks found.

    Attributes:
      weighted: draws of the posterior and their weights.
      rows: the same draws as those of the parts, `[S, E]`.
      moments: of these.
      r_hat: between chains and weighted draws; NaN where hardly a chain arrived.
      unseen: share of the chains' draws where the posterior has far too little mass.
      missing: Gaussians of mass that the posterior lacks.
      log_masses: their masses, in nats.
      chain_draws: draws of the chains that arrived where mass is, `[M, D]`.
      num_gradients: evaluations of the target's gradient.
    """

    weighted: WeightedDraws
    rows: np.ndarray
    moments: WeightedMoments
    r_hat: float
    unseen: float
    missing: list[Gaussian]
    log_masses: list[float]
    chain_draws: np.ndarray
    num_gradients: int


def check_posterior(
    density: UnconstrainedDensity,
    distribution: FlowDistribution,
    flatten: Callable,
    ends: np.ndarray,
    seed: int,
) -> Checks:
    """Checks a posterior by its weights, by Markov chains and by a search for maxima.

    Args:
      density: an `UnconstrainedDensity`.
      distribution: a `FlowDistribution`.
      flatten: function from unconstrained draws, `[N, D]`, to those of the parts, `[N, E]`.
      ends: points from which some of the chains start, `[S, D]`.
      seed: of all draws.
    """
    rng = np.random.default_rng([seed, 2])
    evaluation = Evaluation(density, distribution)
    weighted, rows, moments = _weighted(evaluation, flatten, seed)
    own = weighted.x[: weighted.count]
    mean, factor = mean_and_factor(own)
    evidence = weighted.log_evidence[0]
    chains = _chains(density, distribution, weighted, ends, (mean, factor), seed, rng)
    groups = _stuck_groups(chains, factor)
    modes = _search(density, weighted, mean, factor, rng)
    candidates = [Gaussian(*_of_group(chains, group)) for group in groups]
    tested = [_mass(evaluation, g, evidence, rng) for g in candidates]
    is_used = chains.has_arrived.copy()
    for group, (counts, _, _) in zip(groups, tested, strict=True):
        is_used[group] &= counts
    tested += [_mass(evaluation, g, evidence, rng) for g in modes.gaussians]
    missing, log_masses = _distinct([*candidates, *modes.gaussians], tested)
    return Checks(
        weighted,
        rows,
        moments,
        _r_hat(chains, is_used, weighted, rng),
        _unseen(chains, is_used, weighted),
        missing,
        log_masses,
        chains.draws[:, is_used].reshape(-1, len(mean)),
        chains.num_gradients + modes.num_gradients,
    )


def _weighted(evaluation, flatten, seed):
    """Weighted draws, more of them where a few do not tell the moments."""
    most = max(_NUMBERS_OF_DRAWS[0], _MOST_NUMBERS // evaluation.event_size)
    for count in _NUMBERS_OF_DRAWS:
        weighted = evaluation.weighted(min(count, most), seed)
        rows = flatten(weighted.x)
        moments = weighted_moments(rows, weighted.weights)
        is_usable = weighted.pareto_k < pareto_k_threshold(len(weighted.x))
        if moments.are_known or not is_usable:
            break
    return weighted, rows, moments


def _search(density, weighted, mean, factor, rng):
    """Maxima above broad draws, and above the draws of the largest weights."""
    heaviest = weighted.x[np.argsort(-weighted.log_weights)[:_NUM_HEAVIEST]]
    noise = rng.normal(size=(_NUM_BROAD, len(mean))) * np.resize(_BREADTHS, [_NUM_BROAD, 1])
    return find_modes(density, np.concatenate([noise @ factor.T + mean, heaviest]))


def _chains(density, distribution, weighted, ends, gaussian, seed, rng):
    mean, factor = gaussian
    runner = CheckChains(density, distribution)
    size, own = len(mean), weighted.x[: weighted.count]
    noise = rng.normal(size=(14, size)) * np.resize([3.0, 3.0, 10.0, 30.0], 14)[:, None]
    points = ends[rng.permutation(len(ends))[:10]]
    points = np.concatenate([mean + noise @ factor.T, points])
    log_p = density.log_prob(points)
    points = points[np.isfinite(log_p)]
    starts = np.concatenate([points, own[rng.integers(len(own), size=_NUM_CHAINS)]])
    shape = runner.num_proposals, _NUM_CHAINS
    rows = rng.integers(len(own), size=shape)
    ratios = weighted.ratios[rows]
    return runner.run(starts[:_NUM_CHAINS], factor, own[rows], ratios, seed)


def _stuck_groups(chains, factor):
    """Chains that took no draw of the posterior, in groups that are in one place."""
    stuck = np.flatnonzero(chains.has_arrived & (chains.jumps == 0.0))
    groups: list[list[int]] = []
    spread = chains.draws.std(axis=0)  # [C, D]
    centre = chains.draws.mean(axis=0)
    for chain in stuck:
        for group in groups:
            width = np.maximum(spread[group].mean(axis=0), spread[chain])
            distance = np.abs(centre[group].mean(axis=0) - centre[chain])
            if (distance < _TOGETHER * np.maximum(width, 1e-12)).all():
                group.append(int(chain))
                break
        else:
            groups.append([int(chain)])
    return groups


def _of_group(chains, group):
    return mean_and_factor(chains.draws[:, group].reshape(-1, chains.draws.shape[-1]))


def _mass(evaluation, gaussian, evidence, rng):
    """Whether a Gaussian has mass that counts, whether q lacks it, and the log-mass."""
    size = len(gaussian.mean)
    noise = rng.normal(size=(_NUM_PROBES, size))
    log_p, log_q = evaluation.at(gaussian.draw(noise))
    log_normal = -0.5 * (noise**2).sum(axis=1) - 0.5 * size * math.log(2.0 * math.pi)
    ratios = log_p - (log_normal - gaussian.log_scale)
    log_mass = float(np.logaddexp.reduce(ratios) - math.log(_NUM_PROBES))
    if not np.isfinite(evidence):
        return True, True, log_mass
    with np.errstate(invalid="ignore"):
        is_under = np.nanmedian(log_p - log_q) - evidence > _UNDER
    return log_mass > evidence - _COUNTS, bool(is_under), log_mass


def _distinct(candidates, tested):
    missing: list[Gaussian] = []
    masses = []
    for gaussian, (counts, is_under, log_mass) in zip(candidates, tested, strict=True):
        is_new = not any(_overlap(gaussian, other) for other in missing)
        if counts and is_under and is_new and np.isfinite(log_mass):
            missing.append(gaussian)
            masses.append(log_mass)
    return missing, masses


def _overlap(gaussian, other):
    """Whether two Gaussians are in one place, and about equally wide."""
    distances = gaussian.whiten(other.mean), other.whiten(gaussian.mean)
    width = abs(gaussian.log_scale - other.log_scale) / len(gaussian.mean)
    return max(map(np.linalg.norm, distances)) < 1.0 and width < 0.7


def _r_hat(chains, is_used, weighted, rng):
    used = np.flatnonzero(is_used)
    each = len(used) // _NUM_GROUPS
    if each < 2 or not weighted.effective > 1.0:
        return math.nan
    used = rng.permutation(used)[: _NUM_GROUPS * each]
    size = chains.draws.shape[-1]
    of_chains = chains.draws[:, used].transpose(1, 0, 2).reshape(_NUM_GROUPS, -1, size)
    count = of_chains.shape[0] * of_chains.shape[1]
    rows = rng.choice(len(weighted.x), count, p=weighted.weights / weighted.weights.sum())
    groups = weighted.x[rows].reshape(of_chains.shape)
    return rank_r_hat(np.concatenate([of_chains, groups]))


def _unseen(chains, is_used, weighted):
    """How much more of the chains than of the weighted draws is beyond all draws of q."""
    if not is_used.any():
        return math.nan
    most = weighted.ratios[np.isfinite(weighted.ratios)].max(initial=-np.inf)
    beyond = float((chains.log_ratios[:, is_used] > most).mean())
    with np.errstate(invalid="ignore"):
        known = weighted.weights[weighted.log_p - weighted.log_q > most].sum()
    return max(beyond - float(known), 0.0)
