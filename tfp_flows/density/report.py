"""The report on a fitted density: held-out rows beside simple models, checks, verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.core.check import Check, Report, lined_up, plus_minus, reasons_of
from tfp_flows.core.statistics import standard_error
from tfp_flows.density import baselines, checks
from tfp_flows.density.data import Data
from tfp_flows.density.rules import Rules
from tfp_flows.density.weights import (
    log_prob_of_components,
    mixture_log_prob,
    mixture_weights,
    scored_by_other_half,
)
from tfp_flows.distributions import draws
from tfp_flows.distributions.mixture import Mixture

_GOOD, _NO_GAIN = "good", "no better than a Gaussian"
_UNRELIABLE = "not to be relied on"
VERDICTS = (_GOOD, _NO_GAIN, _UNRELIABLE)  # `DensityReport` says what each means
_MOST_SAMPLES = 1_000  # held-out rows that are compared with samples
_SCORED = 1_000  # samples at least whose log-densities are compared with those of rows
_DRAWS = 2_000  # draws at least, without a context
_DRAWS_OF_ROW = 19  # draws of each context; see `checks.along_context`


@dataclasses.dataclass(frozen=True)
class DensityReport(Report):
    """How a fitted density explains rows that it has not seen; `print` shows a table.

    Log-likelihoods are means over held-out rows, in nats a row, ± one standard error. Those
    of a small table are of the fit to four fifths of the rows; the final fit, to all rows,
    is better if anything.

    Attributes:
      verdict: "good": the density explains held-out rows better than a Gaussian of the same
        rows, and no check fails. "no better than a Gaussian": take the Gaussian. "not to be
        relied on": a check failed.
      reasons: sentences that say why it is not "good", and what to try.
      log_likelihood: mean log-density of the held-out rows.
      log_likelihood_error: its standard error.
      gain: mean of the rows' log-densities less those under a Gaussian of the same training
        rows; with a context, under a linear regression.
      gain_error: its standard error.
      worst_gain: the gain of the row that falls furthest behind.
      baselines: mean log-density of the held-out rows under simple models, by name. They
        are fitted without a few rows far beyond all others.
      num_rows: number of training rows; with weights, the effective number.
      num_held_out: number of held-out rows, likewise.
      chosen: sentences that say which models were fitted, and with which weights.
      seconds: wall time of the fit.
      checks: all checks, from which the verdict and its reasons follow.
      notes: sentences about findings that leave the verdict as it is.

    >>> import numpy as np
    >>> import tfp_flows
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> tfp_flows.fit_density(x, max_minutes=0.1).report.verdict
    'no better than a Gaussian'
    """

    verdict: str
    reasons: tuple[str, ...]
    log_likelihood: float
    log_likelihood_error: float
    gain: float
    gain_error: float
    worst_gain: float
    baselines: dict[str, float]
    num_rows: int
    num_held_out: int
    chosen: tuple[str, ...]
    seconds: float
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()  # as in files that were saved before there were notes

    def __str__(self) -> str:
        likelihood = plus_minus(self.log_likelihood, self.log_likelihood_error)
        rows = [
            ("verdict", self.verdict),
            ("rows", f"{self.num_rows:,} fitted, {self.num_held_out:,} held out"),
            ("log-likelihood", f"{likelihood} nats a row"),
            *((name, f"{nats:.3f} nats a row") for name, nats in self.baselines.items()),
            ("above the Gaussian", f"{plus_minus(self.gain, self.gain_error)} nats a row"),
            *((check.name, check.result) for check in self.checks),
            *(("fitted", text) for text in self.chosen),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return lined_up(rows, [*self.reasons, *(f"Note: {text}" for text in self.notes)])


def judge(
    components: Sequence[Any],
    train: Data,
    held_out: Data,
    all_rows: Data,
    rules: Rules,
    seed: int | None,
) -> tuple[DensityReport, Mixture, np.ndarray]:
    """Returns a report on the mixture of components, the mixture, and weights, `[K]`.

    The weights that score one half of the held-out rows come from the other half. A
    component without use has weight 0, and is not in the mixture. All rows are in the order
    in which they were given.
    """
    compared = held_out.resampled(each_once=True).first(_MOST_SAMPLES)
    log_probs = log_prob_of_components(Mixture(components), held_out)
    weights = mixture_weights(log_probs, held_out.weight)
    scores = scored_by_other_half(log_probs, held_out.weight)
    ordinary = checks.without_far_rows(train)
    gaussian = baselines.gaussian(ordinary, held_out)
    student = baselines.student(ordinary, held_out)
    simple = {"Gaussian": gaussian, "Student's t": student}
    simple |= baselines.from_scikit_learn(ordinary, held_out)
    gains = scores - gaussian
    used = np.flatnonzero(weights)
    mixture = Mixture([components[k] for k in used], weights[used])
    drawn = _draws(mixture, compared, seed)
    samples = compared._replace(x=drawn[0])
    sample_scores = _sample_scores(mixture, drawn, compared.context)
    gain = checks.gain(gains, held_out.weight)
    best_scores = scores if gain.value > 0.0 else gaussian
    found = [
        checks.held_out_rows(held_out.num_rows),
        checks.furthest_row(scores - np.maximum(gaussian, student)),
        checks.typical_rows(scores, sample_scores, held_out.weight),
        checks.calibration(scores, sample_scores, held_out.weight),
        checks.neighbours(compared, samples),
        checks.spikes(train),
        checks.dependence(train),
        checks.copies(train, held_out),
        # A lead that is smaller than the gain over a Gaussian is a note only.
        checks.simple_models(best_scores, simple, held_out.weight, least=gain.value),
        gain,
    ]
    if compared.context is not None:
        found.append(checks.along_context(compared, drawn))
    verdict, reasons = decide(found)
    noted = [
        checks.simple_models(best_scores, simple, held_out.weight),
        checks.ends(all_rows, drawn),
        checks.far_rows(all_rows),
        checks.order(all_rows),
    ]
    notes = tuple(note for note in reasons_of(noted) if note not in reasons)

    def mean(values):
        return float(np.average(values, weights=held_out.weight))

    report = DensityReport(
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        log_likelihood=mean(scores),
        log_likelihood_error=standard_error(scores, held_out.weight),
        gain=mean(gains),
        gain_error=standard_error(gains, held_out.weight),
        worst_gain=float(gains.min()),
        baselines={name: mean(values) for name, values in simple.items()},
        num_rows=train.num_rows,
        num_held_out=held_out.num_rows,
        chosen=(*rules.reasons, f"weights {', '.join(f'{w:.2f}' for w in weights)}"),
        seconds=math.nan,
        checks=tuple(found),
    )
    return report, mixture, weights


def decide(found: Sequence[Check]) -> tuple[str, tuple[str, ...]]:
    """Returns the verdict of checks, and its reasons."""
    failed = [check for check in found if check.failed]
    if not failed:
        return _GOOD, ()
    is_gain_alone = [check.name for check in failed] == [checks.GAIN]
    return _NO_GAIN if is_gain_alone else _UNRELIABLE, reasons_of(failed)


def _draws(mixture, compared, seed):
    """Returns draws, `[S, n, D]`: for each held-out row and given its context."""
    count = _DRAWS_OF_ROW if compared.context is not None else -(-_DRAWS // len(compared.x))
    given = {} if compared.context is None else {"context": compared.context}
    shape = count if given else [count, len(compared.x)]
    return np.asarray(mixture.sample(shape, seed=draws.stateless(seed), **given))


def _sample_scores(mixture, drawn, context):
    """Returns log-densities of at least `_SCORED` of the draws, `[S, n, D]`, if so many."""
    scored = drawn[: -(-_SCORED // drawn.shape[1])]
    if context is not None:
        context = np.tile(context, [len(scored), 1])
    data = Data(np.concatenate(scored), context, None)
    return mixture_log_prob(log_prob_of_components(mixture, data), mixture.weights)
