"""The report on a fitted posterior: whether it can be relied on, and by what numbers."""

from __future__ import annotations

import dataclasses
import math

__all__ = ["VERDICTS", "PosteriorReport"]

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
      effective_draws: effective number of the weighted draws.
      num_draws: their number.
      r_hat: between Markov chains and the weighted draws, the largest of all variables.
      unseen_mass: share of the chains' draws where the posterior has far too little mass.
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
    effective_draws: float
    num_draws: int
    r_hat: float
    unseen_mass: float
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
            ("effective draws", f"{self.effective_draws:.0f} of {self.num_draws}"),
            ("R-hat with chains", _number(self.r_hat)),
            ("chains' mass unseen", _number(self.unseen_mass)),
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
