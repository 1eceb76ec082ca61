"""Checks of a fitted posterior by draws that are not its own: what it may have missed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.distributions.pareto_smoothing import pareto_k_threshold
from tfp_flows.models.check_chains import CheckChains
from tfp_flows.models.missing_mass import distinct
from tfp_flows.models.missing_mass import log_mass
from tfp_flows.models.missing_mass import of_group
from tfp_flows.models.missing_mass import stuck_groups
from tfp_flows.models.multi_start import find_modes
from tfp_flows.models.multi_start import points_on_rays
from tfp_flows.models.rank_r_hat import rank_r_hat
from tfp_flows.models.weighted_draws import Evaluation
from tfp_flows.models.weighted_draws import WeightedDraws
from tfp_flows.models.weighted_draws import mean_and_factor
from tfp_flows.models.weighted_moments import WeightedMoments
from tfp_flows.models.weighted_moments import weighted_moments

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = [
    "LEAST_UNSEEN",
    "Checks",
    "Uncovered",
    "check_posterior",
    "seconds_of_checks",
    "unseen_mass",
]

# The first that tells the moments; fewer, where draws of many variables are many numbers.
_NUMBERS_OF_DRAWS = 20_000, 100_000, 400_000
_MOST_NUMBERS = 4_000_000
_NUM_CHAINS = 128
# Gradients that chains, and all else with the fewest draws, cost.
_NUM_GRADIENTS = 150_000
_FEWEST_DRAWS = 256
# Starts of the search, and how much broader than the posterior they are.
_NUM_BROAD, _NUM_HEAVIEST = 56, 8
_BREADTHS = (2.0, 5.0, 15.0, 50.0)
# Components of the posterior, those of the largest mass, from which rays start, too.
_MOST_CENTRES = 3
# Where the target is below the posterior by no more than this, in nats, nothing is missing.
_KNOWN = 1.0
_NUM_GROUPS = 4
# Unseen mass that is within the error of its estimate; of more, chains are continued so
# many times, as those that begin at the posterior's draws take long to reach its tails.
LEAST_UNSEEN, _NUM_CONTINUED = 0.0015, 4


@dataclasses.dataclass(frozen=True)
class Uncovered:
    """How far expectations by weighted draws may be off, as they lack the unseen share.

    Attributes:
      probability: bound for any probability: the unseen share, with two standard errors.
      mean: for the mean of any variable, in standard deviations.
      deviation: for the logarithm of any standard deviation.
    """

    probability: float
    mean: float
    deviation: float


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
      are_whole: whether there was time for Markov chains and a search for maxima.
      uncovered: bounds of what the unseen share does to expectations.
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
    are_whole: bool = True
    uncovered: Uncovered | None = None


def seconds_of_checks(density: UnconstrainedDensity) -> float:
    """Returns about the wall time of `check_posterior`, without compilation."""
    return _NUM_GRADIENTS * density.seconds_of_gradient


def check_posterior(
    density: UnconstrainedDensity,
    distribution: FlowDistribution,
    flatten: Callable,
    ends: np.ndarray,
    seed: int,
    seconds: float = math.inf,
    by_xla: bool = True,
    *,
    components: Sequence[Gaussian] = (),
    prior: np.ndarray | None = None,
    show: Callable[[str], None] = lambda _: None,
) -> Checks:
    """Checks a posterior by its weights, by Markov chains and by a search for maxima.

    Where there is no time for all of this, only weights are looked at.

    Args:
      density: an `UnconstrainedDensity`.
      distribution: a `FlowDistribution`.
      flatten: function from unconstrained draws, `[N, D]`, to those of the parts, `[N, E]`.
      ends: points from which some of the chains start, `[S, D]`.
      seed: of all draws.
      seconds: wall time that is left for it.
      by_xla: whether XLA can compile the density.
      components: Gaussians that the posterior started from.
      prior: draws of the target's prior, `[P, D]`; None where it has none.
      show: function of words for what is being done, which shows them.
    """
    show("checking weighted draws")
    rng = np.random.default_rng([seed, 2])
    evaluation = Evaluation(density, distribution)
    if seconds < seconds_of_checks(density):
        return _of_weights(evaluation, flatten, seed, seconds)
    more = seconds / max(density.seconds_of_gradient, 1e-12) - _NUM_GRADIENTS
    numbers = [n for n in _NUMBERS_OF_DRAWS if n < more or n == _NUMBERS_OF_DRAWS[0]]
    weighted, rows, moments = _weighted(evaluation, flatten, seed, numbers)
    own = weighted.x[: weighted.count]
    mean, factor = mean_and_factor(own)
    evidence = weighted.log_evidence[0]
    show("checking Markov chains")
    runner = CheckChains(density, distribution, by_xla)
    chains = _chains(runner, evaluation, weighted, ends, (mean, factor), seed, rng)
    num_gradients = chains.num_gradients
    groups = stuck_groups(chains)
    show("searching for further modes")
    centres = [Gaussian(mean, factor)]
    centres += components[:_MOST_CENTRES] if len(components) > 1 else []
    prior = np.zeros([0, len(mean)]) if prior is None else prior
    modes = _search(evaluation, weighted, centres, prior, rng)
    candidates = [of_group(chains, group) for group in groups]
    tested = [log_mass(evaluation, g, evidence, rng) for g in candidates]
    is_used = chains.has_arrived.copy()
    for group, (counts, _, _) in zip(groups, tested, strict=True):
        is_used[group] &= counts
    tested += [log_mass(evaluation, g, evidence, rng) for g in modes.gaussians]
    missing, log_masses = distinct([*candidates, *modes.gaussians], tested)
    known = flatten, rows, moments
    unseen, uncovered = unseen_mass(chains, is_used, weighted, *known)
    if unseen > LEAST_UNSEEN and more < _NUM_CONTINUED * chains.num_gradients:
        uncovered = None  # there is no time to know
    elif unseen > LEAST_UNSEEN:
        longer = _continued(runner, chains, is_used, weighted, factor, seed, rng)
        num_gradients += longer.num_gradients
        later = unseen_mass(longer, longer.has_arrived, weighted, *known)
        unseen, uncovered = max(unseen, later[0]), later[1] or uncovered
    return Checks(
        weighted,
        rows,
        moments,
        _r_hat(chains, is_used, weighted, rng),
        unseen,
        missing,
        log_masses,
        chains.draws[:, is_used].reshape(-1, len(mean)),
        num_gradients + modes.num_gradients,
        uncovered=uncovered,
    )


def _of_weights(evaluation, flatten, seed, seconds):
    """Checks by as many weighted draws as there is time for."""
    # The fewest, if there was no time to measure what one takes.
    affordable = 0.5 * seconds / (evaluation.density.seconds_of_gradient or math.inf)
    count = int(np.clip(affordable, _FEWEST_DRAWS, _NUMBERS_OF_DRAWS[0]))
    evaluation = Evaluation(
        evaluation.density, evaluation.distribution, rows=min(count, 2000)
    )
    weighted, rows, moments = _weighted(evaluation, flatten, seed, [count])
    return Checks(
        weighted,
        rows,
        moments,
        r_hat=math.nan,
        unseen=math.nan,
        missing=[],
        log_masses=[],
        chain_draws=np.zeros([0, evaluation.event_size]),
        num_gradients=0,
        are_whole=False,
    )


def _weighted(evaluation, flatten, seed, numbers):
    """Weighted draws, more of them where a few do not tell the moments."""
    most = max(_NUMBERS_OF_DRAWS[0], _MOST_NUMBERS // evaluation.event_size)
    for count in numbers:
        weighted = evaluation.weighted(min(count, most), seed)
        rows = flatten(weighted.x)
        moments = weighted_moments(rows, weighted.weights)
        is_usable = weighted.pareto_k < pareto_k_threshold(len(weighted.x))
        if moments.are_known or not is_usable:
            break
    return weighted, rows, moments


def _search(evaluation, weighted, centres, prior, rng):
    """Maxima above broad draws, draws of the largest weights, of the prior, and rays."""
    density, evidence = evaluation.density, weighted.log_evidence[0]

    def is_known(x):
        log_p, log_q = evaluation.at(x)
        with np.errstate(invalid="ignore"):
            return log_p - log_q < evidence + _KNOWN

    heaviest = weighted.x[np.argsort(-weighted.log_weights)[:_NUM_HEAVIEST]]
    noise = rng.normal(size=(_NUM_BROAD, density.event_size))
    broad = centres[0].draw(noise * np.resize(_BREADTHS, [_NUM_BROAD, 1]))
    on_rays = points_on_rays(density, centres, prior, is_known, rng)
    starts = np.concatenate([broad, heaviest, prior, on_rays])
    return find_modes(density, starts, is_known=is_known)


def _chains(runner, evaluation, weighted, ends, gaussian, seed, rng):
    mean, factor = gaussian
    density = evaluation.density
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
    starts, num_far = starts[:_NUM_CHAINS], len(points)
    return runner.run(starts, factor, own[rows], ratios, seed, num_far)


def _continued(runner, chains, is_used, weighted, factor, seed, rng):
    """Further draws of the chains that have settled, from where these ended."""
    ends = chains.draws[-1, is_used & chains.is_settled[-1]]
    starts = ends[np.resize(rng.permutation(len(ends)), _NUM_CHAINS)]
    own, pieces = weighted.x[: weighted.count], []
    for i in range(_NUM_CONTINUED):
        rows = rng.integers(len(own), size=(runner.num_proposals, _NUM_CHAINS))
        noise = seed + 104_729 * (i + 1)
        piece = runner.run(starts, factor, own[rows], weighted.ratios[rows], noise)
        pieces.append(piece)
        starts = piece.draws[-1]
    return dataclasses.replace(
        pieces[-1],
        draws=np.concatenate([piece.draws for piece in pieces]),
        log_ratios=np.concatenate([piece.log_ratios for piece in pieces]),
        is_settled=np.concatenate([piece.is_settled for piece in pieces]),
        num_gradients=sum(piece.num_gradients for piece in pieces),
    )


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


def unseen_mass(chains, is_used, weighted, flatten, rows, moments):
    """How much more of the chains than of the weighted draws is beyond all draws of q.

    And an `Uncovered`, or None where there is no more of them.
    """
    if not is_used.any():
        return math.nan, None
    most = weighted.ratios[np.isfinite(weighted.ratios)].max(initial=-np.inf)
    counts = is_used & chains.is_settled
    is_beyond = counts & (chains.log_ratios > most)
    share = float(is_beyond.sum() / max(counts.sum(), 1))
    with np.errstate(invalid="ignore"):
        is_known = weighted.log_p - weighted.log_q > most
    weights = weighted.weights[is_known]
    unseen = share - float(weights.sum())
    if not unseen > 0.0:
        return 0.0, None
    # Where chains stay once they are there, the last third of them has the most.
    late = slice(-(len(counts) // 3), None)
    bounds = [_upper_bound(is_beyond[part], counts[part]) for part in (slice(None), late)]
    bound = max(bounds) - float(weights.sum())
    varies = np.ptp(rows, axis=0) > 0.0
    mean, deviation = moments.mean[varies], moments.deviation[varies]
    found = (flatten(chains.draws[is_beyond])[:, varies] - mean) / deviation
    known = (rows[is_known][:, varies] - mean) / deviation
    # Expectations by weights, with that of the chains in place of theirs beyond q's draws.
    rest = (1.0 - share) / max(1.0 - float(weights.sum()), 1e-9)
    each = np.full(len(found), 1.0 / counts.sum())
    shift = each @ found - rest * (weights @ known)
    square = each @ found**2 + rest * (1.0 - weights @ known**2)
    change = 0.5 * np.log(np.maximum(square - shift**2, 1e-30))
    # As much for each draw that the bound has and the estimate has not.
    effects = (np.abs(x).max() * bound / unseen for x in (shift, change))
    return unseen, Uncovered(bound, *map(float, effects))


def _upper_bound(is_beyond, counts):
    """Share of draws, `[T, C]`, and two standard errors, by how much chains differ."""
    shares = is_beyond.sum(axis=0) / max(counts.sum() / counts.shape[1], 1.0)
    return float(shares.mean() + 2.0 * shares.std() / math.sqrt(len(shares)))
