"""The verdict on a fitted posterior, from the numbers of its checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.pareto_smoothing import pareto_k_threshold
from tfp_flows.distributions.posterior_report import VERDICTS
from tfp_flows.models.posterior_checks import LEAST_UNSEEN

if TYPE_CHECKING:
    from tfp_flows.models.posterior_checks import Checks

__all__ = ["agrees", "is_final", "verdict"]

_FEWEST_DRAWS = 400
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
    reasons = tuple(filter(None, [_difference(checks), _small_unseen_mass(checks)]))
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
    is_even &= weighted.effective > _EVEN * len(weighted.x)
    return not reasons or (is_heavy and is_even) or weighted.unknown > _MOST_UNKNOWN


def _reasons(checks, names=None):
    yield from _reasons_of_weights(checks, names)
    if not checks.are_whole:
        yield (
            "There was no time for Markov chains and a search for maxima, without which "
            "nothing is reliable. Try a larger `max_minutes`."
        )
        return
    yield from _reasons_of_chains(checks)


def _reasons_of_weights(checks, names):
    weighted = checks.weighted
    threshold = pareto_k_threshold(len(weighted.x))
    if not weighted.pareto_k < threshold:
        yield (
            f"The weights' tail has Pareto k {weighted.pareto_k:.2f}, not below "
            f"{threshold:.2f}: the posterior's tails are lighter than the target's, or it "
            "is far from the target. Try a larger budget, other parameters (such as "
            "non-centred ones), or MCMC."
        )
    elif weighted.effective < _FEWEST_DRAWS:
        yield (
            f"Only {weighted.effective:.0f} weighted draws are effective, below "
            f"{_FEWEST_DRAWS}. Try a larger budget, other parameters, or MCMC."
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
    if checks.unseen > LEAST_UNSEEN and not _is_harmless(checks.uncovered):
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
    if not checks.unseen > LEAST_UNSEEN:
        return None
    bounds = checks.uncovered
    return (
        f"{_share_of_chains(checks)}. Use `resample`: probabilities may be off by "
        f"{bounds.probability:.3f}, means by {bounds.mean:.3f} standard deviations, and "
        f"standard deviations by {100.0 * np.expm1(bounds.deviation):.1f} %, beside what "
        "`effective_draws` tells."
    )


def _share_of_chains(checks):
    return (
        f"Of the draws of Markov chains, {100.0 * checks.unseen:.2f} % are where the "
        "posterior has far too little mass"
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
