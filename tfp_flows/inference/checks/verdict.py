"""The verdict on a fitted posterior and its report, from a list of checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfp_flows.core.check import Check, lined_up, plus_minus, reasons_of
from tfp_flows.inference.checks.chains import r_hat_check, uncovered_mass_check
from tfp_flows.inference.checks.findings import Findings
from tfp_flows.inference.checks.importance import (
    MOMENTS,
    UNKNOWN_DENSITY,
    WeightedDraws,
    ess_check,
    known_density_check,
    moments_check,
    pareto_k_check,
    unweighted_draws_check,
)
from tfp_flows.inference.checks.missing_mass import missing_mass_check

# From the best to the worst; `PosteriorReport` says what each means.
VERDICTS = ("reliable", "reliable after resampling", "not reliable")
_NEARLY_EQUAL = 0.9  # share of effective draws above which weights are as good as equal


def list_checks(findings: Findings, names: Sequence[str] = ()) -> list[Check]:
    """Returns the checks of a posterior, in the order of the report's table."""
    weighted = findings.weighted
    return [
        pareto_k_check(weighted),
        ess_check(weighted),
        moments_check(weighted, names),
        known_density_check(weighted),
        unweighted_draws_check(weighted),
        missing_mass_check(findings.missing),
        r_hat_check(findings.r_hat, findings.complete, findings.seconds_needed),
        uncovered_mass_check(findings.uncovered_mass, findings.uncovered_bounds),
    ]


def verdict(checks: Sequence[Check]) -> tuple[str, tuple[str, ...]]:
    """Returns a verdict and its reasons."""
    against = _failures(checks)
    if against:
        return VERDICTS[2], reasons_of(against)
    reasons = reasons_of(checks)
    return (VERDICTS[1] if reasons else VERDICTS[0]), reasons


def agrees(checks: Sequence[Check]) -> bool:
    """Whether no check speaks against the weighted draws."""
    return not _failures(checks)


def is_final(checks: Sequence[Check], weighted: WeightedDraws) -> bool:
    """Whether another round of the fit would not change the verdict."""
    failures = [check.name for check in _failures(checks)]
    # With nearly equal weights, no posterior is better, also if moments are not known.
    is_even = weighted.is_light and weighted.ess > _NEARLY_EQUAL * len(weighted.x)
    is_heavy = is_even and failures == [MOMENTS]
    return not failures or is_heavy or UNKNOWN_DENSITY in failures


def _failures(checks):
    """Checks that fail and that resampling does not mend."""
    return [c for c in checks if c.failed and not c.resampling_helps]


@dataclasses.dataclass(frozen=True)
class PosteriorReport:
    """The checks of a fitted posterior, and the verdict; `print` shows them as a table.

    Attributes:
      verdict: "reliable": use `sample`. "reliable after resampling": use `resample`;
        reasons bound the error that is left. "not reliable": a check failed.
      reasons: sentences that say why it is not "reliable", and what to try.
      elbo: evidence lower bound, in nats; -inf if draws fall outside the support.
      elbo_error: its standard error.
      log_evidence: log of the mean importance weight, in nats.
      log_evidence_error: its standard error.
      pareto_k: shape of the tail of the importance weights.
      pareto_k_threshold: upper bound for `pareto_k`.
      ess: effective number of the weighted draws.
      num_draws: number of the weighted draws.
      r_hat: R-hat between Markov chains and weighted draws, the largest of all variables.
      uncovered_mass: share of the chains' draws where the posterior has far too little
        mass.
      num_modes: number of Gaussians that the last fit started from.
      narrowest_modes: widths of the narrowest modes that the search would have found, along
        axes and diagonals, and in other directions, in standard deviations of the
        posterior; infinite if there was no time for the search.
      num_gradients: evaluations of the target's gradient.
      skipped_steps: steps that were not taken, since they were not finite.
      seconds: wall time.
      fit: the flow and the coordinates of the fit, in words.
      checks: all checks, from which the verdict and its reasons follow.

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
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        evidence = plus_minus(self.log_evidence, self.log_evidence_error)
        rows = [
            ("verdict", self.verdict),
            ("ELBO", f"{plus_minus(self.elbo, self.elbo_error)} nats"),
            ("log-evidence", f"{evidence} nats"),
            ("weighted draws", f"{self.num_draws:,}"),
            *((check.name, check.result) for check in self.checks),
            ("modes", str(self.num_modes)),
            ("modes not looked for", self._blind_spot()),
            ("fit", self.fit),
            ("gradients", f"{self.num_gradients:,}"),
            ("steps not finite", f"{self.skipped_steps:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return lined_up(rows, self.reasons)

    def _blind_spot(self):
        along, elsewhere = self.narrowest_modes
        if math.isinf(elsewhere):
            return "all others: there was no time"
        widths = f"{along:.2g} posterior deviations"
        if elsewhere > along:
            widths += f", or {elsewhere:.2g} off axes and diagonals"
        return f"any apart from these and narrower than about {widths}"
