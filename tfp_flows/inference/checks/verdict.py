"""The verdict on a fitted posterior, from the numbers of its checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.inference.checks.chains import Chains
from tfp_flows.inference.checks.chains import CheckChains
from tfp_flows.inference.checks.chains import rank_r_hat
from tfp_flows.inference.checks.importance import ImportanceSampler
from tfp_flows.inference.checks.importance import WeightedDraws
from tfp_flows.inference.checks.importance import WeightedMoments
from tfp_flows.inference.checks.importance import mean_and_factor
from tfp_flows.inference.checks.importance import pareto_k_threshold
from tfp_flows.inference.checks.importance import weighted_moments
from tfp_flows.inference.checks.missing_mass import distinct
from tfp_flows.inference.checks.missing_mass import from_group
from tfp_flows.inference.checks.missing_mass import log_mass
from tfp_flows.inference.checks.missing_mass import stuck_groups
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.modes import find_modes
from tfp_flows.inference.modes import points_on_rays

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.inference.target import UnconstrainedDensity

__all__ = [
    "agrees",
    "check_posterior",
    "Checks",
    "is_final",
    "PosteriorReport",
    "seconds_of_checks",
    "Uncovered",
    "uncovered_mass",
    "verdict",
    "VERDICTS",
]
_FEWEST_RELIABLE_DRAWS = 400
_MOST_R_HAT = 1.05
# Error of probabilities by weighted draws that are still right.
_PROBABILITY = 0.01
# Draws of which nobody knows how much mass they should have.
_MOST_UNKNOWN = 0.005
# Errors of draws without weights that are still right: of means, in standard deviations,
# and of the logarithms of standard deviations.
_MEAN, _DEVIATION = 0.05, 0.03
# Share of draws that are effective where weights are as good as equal.
_EVEN = 0.9
# Their divergence from the target, in nats.
_GAP = 0.05
# Variables that a reason names.
_MOST_NAMES = 5


def verdict(
    checks: Checks,
    improper: str | None,
    budget: str | None,
    names: Sequence[str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Returns a verdict and its reasons.

    Args:
      checks: of the posterior.
      improper: sentence about a density without an integral, or None.
      budget: sentence about a fit that was stopped, or None.
      names: of the entries of a row, `[E]`; their numbers if None.
    """
    # Nothing else is known of a density without an integral.
    against = [improper] if improper else list(_reasons(checks, names))
    if against:
        return VERDICTS[2], (*against, *filter(None, [budget]))
    bounded = _difference(checks), _small_unseen_mass(checks), _light_tail(checks.weighted)
    reasons = tuple(filter(None, bounded))
    return (VERDICTS[1] if reasons else VERDICTS[0]), reasons


def agrees(checks: Checks) -> bool:
    """Whether no check speaks against the weighted draws."""
    return not list(_reasons(checks))


def is_final(checks: Checks) -> bool:
    """Whether another round of the fit would not change the verdict."""
    weighted, reasons = checks.weighted, list(_reasons(checks))
    # Equal weights whose draws do not tell the moments: no better posterior would.
    is_heavy = not checks.moments.are_known and len(reasons) == 1
    is_even = weighted.pareto_k < pareto_k_threshold(len(weighted.x))
    is_even &= weighted.ess > _EVEN * len(weighted.x)
    return not reasons or (is_heavy and is_even) or weighted.unknown > _MOST_UNKNOWN


def _reasons(checks, names=None):
    yield from _reasons_of_weights(checks, names)
    if not checks.complete:
        yield (
            "There was no time for Markov chains and a search for maxima, without which "
            "nothing is reliable. Try a larger `max_minutes`."
        )
        return
    yield from _reasons_of_chains(checks)


def _reasons_of_weights(checks, names):
    weighted = checks.weighted
    threshold = pareto_k_threshold(len(weighted.x))
    if _has_heavy_tail(weighted) and not weighted.lacking <= _PROBABILITY:
        yield (
            f"The weights' tail has Pareto k {weighted.pareto_k:.2f}, not below "
            f"{threshold:.2f}: the posterior's tails are lighter than the target's, or it "
            "is far from the target. Try a larger budget, other parameters (such as "
            "non-centred ones), or MCMC."
        )
    elif weighted.ess < _FEWEST_RELIABLE_DRAWS:
        yield (
            f"Only {weighted.ess:.0f} weighted draws are effective, below "
            f"{_FEWEST_RELIABLE_DRAWS}. Try a larger budget, other parameters, or MCMC."
        )
    elif not checks.moments.are_known:
        moments = checks.moments
        yield (
            f"{len(weighted.x)} weighted draws tell means and standard deviations of "
            f"{_listed(moments.unknown, names)} to {moments.mean_error.max():.3f} standard "
            f"deviations and {100.0 * moments.deviation_error.max():.1f} % only, as tails "
            "are heavy or draws of them rare. Try other parameters, or MCMC, and quantiles "
            "instead of moments."
        )
    if weighted.unknown > _MOST_UNKNOWN:
        yield (
            f"At {100.0 * weighted.unknown:.1f} % of the posterior's draws, the target's "
            "log-density is NaN, +inf or rounding alone. Try float64, or other parameters."
        )


def _listed(entries, names):
    """The first of the entries of a row, by their names."""
    shown = [names[i] if names else f"entry {i}" for i in entries[:_MOST_NAMES]]
    return ", ".join(shown) + (", ..." if len(entries) > _MOST_NAMES else "")


def _reasons_of_chains(checks):
    if checks.missing:
        yield (
            f"{len(checks.missing)} regions have mass that the posterior lacks. Try MCMC "
            "with many chains, or another seed."
        )
    if math.isnan(checks.r_hat):
        yield (
            "Hardly any of the Markov chains that check the posterior reached a stationary "
            "density. Try other parameters, or MCMC."
        )
    elif checks.r_hat > _MOST_R_HAT:
        yield (
            f"Markov chains and weighted draws differ: R-hat {checks.r_hat:.3f}, above "
            f"{_MOST_R_HAT}. Try MCMC with many chains."
        )
    if checks.uncovered_mass > LEAST_UNSEEN and not _is_harmless(checks.uncovered):
        yield (f"{_share_of_chains(checks)}. Try another seed, or MCMC with many chains.")


def _is_harmless(uncovered):
    """Whether what the weighted draws lack changes no expectation beyond what counts."""
    return (
        uncovered is not None
        and uncovered.probability <= _PROBABILITY
        and uncovered.mean <= _MEAN
        and uncovered.deviation <= _DEVIATION
    )


def _small_unseen_mass(checks):
    if not checks.uncovered_mass > LEAST_UNSEEN:
        return None
    bounds = checks.uncovered
    return (
        f"{_share_of_chains(checks)}. Use `resample`: probabilities may be off by "
        f"{bounds.probability:.3f}, means by {bounds.mean:.3f} standard deviations, and "
        f"standard deviations by {100.0 * np.expm1(bounds.deviation):.1f} %, beside what "
        "`ess` tells."
    )


def _has_heavy_tail(weighted):
    return not weighted.pareto_k < pareto_k_threshold(len(weighted.x))


def _light_tail(weighted):
    """What a tail of heavy shape may lack, if that is little: few weights are in it."""
    if not _has_heavy_tail(weighted):
        return None
    return (
        f"The weights' tail has Pareto k {weighted.pareto_k:.2f}, but little mass. Use "
        f"`resample`: probabilities may be off by {weighted.lacking:.3f}, beside what "
        "`ess` tells."
    )


def _share_of_chains(checks):
    return (
        f"Of the draws of Markov chains, {100.0 * checks.uncovered_mass:.2f} % are where "
        "the posterior has far too little mass"
    )


def _difference(checks):
    """How far draws without weights are from those with them, if that is too far."""
    if not np.isfinite(checks.weighted.ratios).all():
        return "Some draws are outside the target's support; use `resample`."
    own, moments = checks.rows[: checks.weighted.count], checks.moments
    # Not the entries that a support sets, such as the zeros of a triangular matrix.
    varies = np.ptp(checks.rows, axis=0) > 0.0
    own, deviation = own[:, varies], np.maximum(moments.deviation[varies], 1e-30)
    shift = np.abs(own.mean(axis=0) - moments.mean[varies]) / deviation
    with np.errstate(divide="ignore"):
        change = np.abs(np.log(own.std(axis=0) / deviation))
    gap = checks.weighted.log_evidence[0] - checks.weighted.elbo[0]
    if shift.max() <= _MEAN and change.max() <= _DEVIATION:
        words = f"The ELBO is {gap:.2f} nats below the log-evidence; use `resample`."
        return words if gap > _GAP else None
    return (
        f"Weights move a mean by {shift.max():.2f} standard deviations, or a standard "
        f"deviation by {100.0 * np.expm1(change.max()):.0f} %; use `resample`."
    )


# The first that tells the moments; fewer, where draws of many variables are many numbers.
_NUMBERS_OF_DRAWS = 20_000, 100_000, 400_000
_MOST_NUMBERS = 4_000_000
_NUM_CHAINS = 128
# Gradients that chains, and all else with the fewest draws, cost.
_NUM_GRADIENTS = 150_000
_FEWEST_CHECKED_DRAWS = 256
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
      uncovered_mass: share of the chains' draws where the posterior has far too little
        mass.
      missing: Gaussians of mass that the posterior lacks.
      log_masses: their masses, in nats.
      chain_draws: draws of the chains that arrived where mass is, `[M, D]`.
      num_gradients: evaluations of the target's gradient.
      complete: whether there was time for Markov chains and a search for maxima.
      uncovered: bounds of what the unseen share does to expectations.
    """

    weighted: WeightedDraws
    rows: np.ndarray
    moments: WeightedMoments
    r_hat: float
    uncovered_mass: float
    missing: list[Gaussian]
    log_masses: list[float]
    chain_draws: np.ndarray
    num_gradients: int
    complete: bool = True
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
    evaluation = ImportanceSampler(density, distribution)
    if seconds < seconds_of_checks(density):
        return _from_weights(evaluation, flatten, seed, seconds)
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
    candidates = [from_group(chains, group) for group in groups]
    tested = [log_mass(evaluation, g, evidence, rng) for g in candidates]
    is_used = chains.has_arrived.copy()
    for group, (counts, _, _) in zip(groups, tested, strict=True):
        is_used[group] &= counts
    tested += [log_mass(evaluation, g, evidence, rng) for g in modes.gaussians]
    missing, log_masses = distinct([*candidates, *modes.gaussians], tested)
    known = flatten, rows, moments
    unseen, uncovered = uncovered_mass(chains, is_used, weighted, *known)
    if unseen > LEAST_UNSEEN and more < _NUM_CONTINUED * chains.num_gradients:
        uncovered = None  # there is no time to know
    elif unseen > LEAST_UNSEEN:
        longer = _continued(runner, chains, is_used, weighted, factor, seed, rng)
        num_gradients += longer.num_gradients
        later = uncovered_mass(longer, longer.has_arrived, weighted, *known)
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


def _from_weights(evaluation, flatten, seed, seconds):
    """Checks by as many weighted draws as there is time for."""
    # The fewest, if there was no time to measure what one takes.
    affordable = 0.5 * seconds / (evaluation.density.seconds_of_gradient or math.inf)
    count = int(np.clip(affordable, _FEWEST_CHECKED_DRAWS, _NUMBERS_OF_DRAWS[0]))
    evaluation = ImportanceSampler(
        evaluation.density, evaluation.distribution, rows=min(count, 2000)
    )
    weighted, rows, moments = _weighted(evaluation, flatten, seed, [count])
    return Checks(
        weighted,
        rows,
        moments,
        r_hat=math.nan,
        uncovered_mass=math.nan,
        missing=[],
        log_masses=[],
        chain_draws=np.zeros([0, evaluation.event_size]),
        num_gradients=0,
        complete=False,
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
    if each < 2 or not weighted.ess > 1.0:
        return math.nan
    used = rng.permutation(used)[: _NUM_GROUPS * each]
    size = chains.draws.shape[-1]
    from_chains = chains.draws[:, used].transpose(1, 0, 2).reshape(_NUM_GROUPS, -1, size)
    count = from_chains.shape[0] * from_chains.shape[1]
    rows = rng.choice(len(weighted.x), count, p=weighted.weights / weighted.weights.sum())
    groups = weighted.x[rows].reshape(from_chains.shape)
    return rank_r_hat(np.concatenate([from_chains, groups]))


def uncovered_mass(
    chains: Chains,
    is_used: np.ndarray,
    weighted: WeightedDraws,
    flatten: Callable,
    rows: np.ndarray,
    moments: WeightedMoments,
) -> tuple[float, Uncovered | None]:
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


# From the best to the worst; `PosteriorReport` says what each means.
VERDICTS = ("reliable", "reliable after resampling", "not reliable")


@dataclasses.dataclass(frozen=True)
class PosteriorReport:
    """What `fit_posterior` found out about its own result; `print` shows it as a table.

    Attributes:
      verdict: "reliable": use `sample`. "reliable after resampling": use `resample`;
        reasons bound the error that is left. "not reliable": a check failed.
      reasons: sentences that say why it is not "reliable", and what to try.
      elbo: evidence lower bound, in nats; -inf where draws fall outside the support.
      elbo_error: its standard error.
      log_evidence: log of the mean importance weight, in nats.
      log_evidence_error: its standard error.
      pareto_k: shape of the tail of the importance weights.
      pareto_k_threshold: what it has to be below.
      ess: effective number of the weighted draws.
      num_draws: their number.
      r_hat: between Markov chains and the weighted draws, the largest of all variables.
      uncovered_mass: share of the chains' draws where the posterior has far too little
        mass.
      num_modes: modes that the fit began with, or found later.
      narrowest_modes: widths, in standard deviations of the posterior, of the narrowest
        modes that the search for modes would have found: along axes and diagonals, and in
        other directions; infinite if there was no time for it.
      num_gradients: evaluations of the target's gradient.
      skipped_steps: steps that were not finite, and so not taken.
      seconds: wall time.
      fit: what the fit chose, in words.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> target = tfp.distributions.MultivariateNormalDiag([1.0, 2.0], [1.0, 1e-3])
    >>> posterior = tfp_flows.fit_posterior(target, seed=0, max_gradients=100_000)
    >>> report = posterior.report  # of a target whose evidence is 1
    >>> report.verdict, abs(report.log_evidence) < 0.1
    ('reliable', True)
    """

    verdict: str
    reasons: tuple[str, ...]
    elbo: float
    elbo_error: float
    log_evidence: float
    log_evidence_error: float
    pareto_k: float
    pareto_k_threshold: float
    ess: float
    num_draws: int
    r_hat: float
    uncovered_mass: float
    num_modes: int
    narrowest_modes: tuple[float, float]
    num_gradients: int
    skipped_steps: int
    seconds: float
    fit: str

    def __str__(self) -> str:
        rows = [
            ("verdict", self.verdict),
            ("ELBO", f"{self.elbo:.3f} +- {self.elbo_error:.3f} nats"),
            (
                "log-evidence",
                f"{self.log_evidence:.3f} +- {self.log_evidence_error:.3f} nats",
            ),
            ("Pareto k", f"{self.pareto_k:.2f} (below {self.pareto_k_threshold:.2f})"),
            ("effective draws", f"{self.ess:.0f} of {self.num_draws}"),
            ("R-hat with chains", _number(self.r_hat)),
            ("chains' mass unseen", _number(self.uncovered_mass)),
            ("modes", str(self.num_modes)),
            ("modes not looked for", self._blind_spot()),
            ("fit", self.fit),
            ("gradients", f"{self.num_gradients:,}"),
            ("steps not finite", f"{self.skipped_steps:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])

    def _blind_spot(self):
        along, elsewhere = self.narrowest_modes
        if math.isinf(elsewhere):
            return "all others: there was no time"
        widths = f"{along:.2g} posterior deviations"
        if elsewhere > along:
            widths += f", or {elsewhere:.2g} off axes and diagonals"
        return f"any apart from these and narrower than about {widths}"


def _number(value):
    return "not known" if math.isnan(value) else f"{value:.3f}"
