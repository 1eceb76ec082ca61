"""Checks of the posterior of one observation: its surroundings, and importance weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.check import Check, lined_up, plus_minus, reasons_of
from tfp_flows.inference.amortized.calibration import VERDICTS as CALIBRATION_VERDICTS
from tfp_flows.inference.amortized.calibration import CalibrationReport
from tfp_flows.inference.checks.importance import (
    FEWEST_RELIABLE_DRAWS,
    ImportanceSampler,
    WeightedDraws,
    entries_that_vary,
    ess_check,
    pareto_k_check,
    systematic_rows,
    unweighted_draws_check,
)
from tfp_flows.inference.checks.verdict import verdict
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

if TYPE_CHECKING:
    from typing_extensions import Self

_ADAPTED = ", adapted"  # last word of names of checks
_MOVED = (
    "The draws are too far from the posterior: use `resample`, whose draws come from a t "
    "distribution that was moved there."
)
_NEIGHBOURS = 5
_LEAST_VARIANCE = 1e-4  # least variance along an axis of standardised numbers
_MOST_KNOWN = 5_000  # simulations among which neighbours are looked for
# Least distance of the furthest simulations from the median, in standard deviations; of a
# constant number, in units of the features. It is above their rounding.
_LEAST_EXTENT = 1e-3
_RARE = 0.01  # share of simulations that are as far from others
_LEAST_MASS = 0.98  # probability of a truncated prior's region under a posterior
_BATCH_SIZE = 3_000  # weighted draws of a batch
# The t distribution that is moved to the target: degrees of freedom, effective draws for
# each dimension, rounds; and halvings in the search for a power of the weights.
_DEGREES, _DRAWS_A_DIMENSION, _MOST_ROUNDS, _BISECTIONS = 5.0, 20.0, 12, 30
# Probabilities whose quantiles must be right, and the largest effect of the weights on
# them, in standard deviations.
_PROBABILITIES, _QUANTILE = (0.05, 0.25, 0.5, 0.75, 0.95), 0.1
# Largest error of the logarithms of standard deviations of draws, by which a few draws far
# out show: with weights, which tell more exactly, and without.
_DEVIATION_ERROR, _WITHOUT_WEIGHTS = 0.03, 0.3


@dataclasses.dataclass(frozen=True)
class _Rarity:
    """How rarely simulations are as far as an observation, by some distance of a row.

    A subclass has this distance, and the `name` and `advice` of its check.
    """

    name: ClassVar[str]
    advice: ClassVar[str]
    distances: np.ndarray  # those of other simulations than fitted ones, rising, `[M]`

    def distance(self, row: np.ndarray) -> float:
        """Returns the distance of `row`, `[S]`."""
        raise NotImplementedError

    def judged_by(self, others: np.ndarray) -> Self:
        """Returns it with the distances of other simulations, `[M, S]`."""
        distances = np.sort([self.distance(row) for row in others])
        return dataclasses.replace(self, distances=distances)

    def rarity(self, row: np.ndarray) -> float:
        """Returns the share of simulations that are at least as far as `row`, `[S]`."""
        is_further = self.distances >= self.distance(row)
        return (1.0 + is_further.sum()) / (1.0 + len(is_further))

    def check(self, row: np.ndarray) -> Check:
        """Checks that `row`, `[S]`, lies as near as a hundredth of the simulations.

        With fewer than a hundred simulations, at least one has to be as far.
        """
        rarity = self.rarity(row)
        threshold = max(_RARE, 1.0 / (1.0 + len(self.distances)))
        advice = self.advice.format(rarity=rarity, distance=self.distance(row))
        return Check(self.name, rarity, threshold, rarity > threshold, advice)


@dataclasses.dataclass(frozen=True)
class Surroundings(_Rarity):
    """How far simulated data lie from each other, to find data out of distribution.

    The distance of data is the distance to the fifth nearest of the known simulations,
    after numbers are standardised and decorrelated. So data that break a relation of the
    simulations are far. Features are numbers whose tails `Scale` has compressed.
    """

    name = "simulations as far away"
    advice = (
        "{rarity:.1%} of the simulated data lie as far from all others as this "
        "observation: the model hardly simulates such data, so the posterior is a "
        "guess. Mend the model, or simulate near it."
    )
    center: np.ndarray  # means of the features, `[S]`
    scale: np.ndarray  # their standard deviations, `[S]`
    axes: np.ndarray  # map that decorrelates them, `[S, S]`
    known: np.ndarray  # known simulations after these maps, `[N, S]`

    @classmethod
    def from_simulations(cls, known: np.ndarray, others: np.ndarray) -> Surroundings:
        """Returns the surroundings from features of simulations that were fitted, `[N, S]`.

        `rarity` counts the distances of other simulations, `[M, S]`.
        """
        center, deviation = known.mean(axis=0), known.std(axis=0)
        scale = np.where(deviation > 0.0, deviation, 1.0)
        near = (known[:_MOST_KNOWN] - center) / scale
        values, axes = np.linalg.eigh(np.cov(near.T).reshape(near.shape[1], -1))
        axes = axes / np.sqrt(np.maximum(values, _LEAST_VARIANCE))
        # Files hold them as text, which few digits keep short.
        near = np.round(near @ axes, 4)
        return cls(np.zeros(0), center, scale, axes, near).judged_by(others)

    def distance(self, row: np.ndarray) -> float:
        """Returns the distance of `row`, `[S]`."""
        near = ((row - self.center) / self.scale) @ self.axes
        squares = np.sum((self.known - near) ** 2, axis=1)
        nearest = min(_NEIGHBOURS, len(squares)) - 1
        return float(np.sqrt(np.partition(squares, nearest)[nearest]))


@dataclasses.dataclass(frozen=True)
class Extent(_Rarity):
    """How far out each number of simulated data lies, to find data beyond all of them.

    ```none
    distance = max over j of |x_j - median_j| / that of the furthest simulation on its side
    ```

    Among data of many numbers, whose noise keeps all apart, `Surroundings` cannot tell data
    that lie beyond the simulations in the one direction in which simulations differ.
    """

    name = "simulations as far out"
    advice = (
        "{rarity:.1%} of the simulated data have a number as far out as this observation, "
        "{distance:.3g} times as far as that of all simulations that were fitted, so the "
        "posterior is a guess. Mend the model, or simulate near it."
    )
    center: np.ndarray  # medians, `[S]`
    below: np.ndarray  # how far the least numbers are below them, `[S]`
    above: np.ndarray  # how far the greatest are above them, `[S]`

    @classmethod
    def from_simulations(cls, known: np.ndarray, others: np.ndarray) -> Extent:
        """Returns the extent of simulations that were fitted, `[N, S]`.

        `rarity` counts the distances of other simulations, `[M, S]`.
        """
        center, varies = np.median(known, axis=0), np.ptp(known, axis=0) > 0.0
        least = _LEAST_EXTENT * np.where(varies, known.std(axis=0), 1.0)
        below = np.maximum(center - known.min(axis=0), least)
        above = np.maximum(known.max(axis=0) - center, least)
        return cls(np.zeros(0), center, below, above).judged_by(others)

    def distance(self, row: np.ndarray) -> float:
        """Returns the distance of `row`, `[S]`."""
        out = row - self.center
        return float(np.max(np.where(out > 0.0, out / self.above, -out / self.below)))


class ImportanceWeights:
    """Importance weights of the posteriors of observations, one after another.

    `pin` returns the log-density of the parameters and an observation, with all constants.
    `features` maps an observation to what `pin` takes, `[size]`. This is a variable, so the
    density of the model is traced once for all.
    """

    def __init__(
        self,
        pin: Callable,
        support: JointSupport,
        size: int,
        features: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ) -> None:
        self._features = features
        self._row = tf.Variable(tf.zeros([size], tf.float64), name="observation")

        def target_log_prob(*parts, **named_parts):
            return pin(self._row)(*parts, **named_parts)

        self._density = UnconstrainedDensity(target_log_prob, support)
        self._entries = support.entries

    def weighted(self, distribution: Any, row: np.ndarray, count: int) -> WeightedDraws:
        """Returns weighted draws of the posterior of one observation, a `row`, `[K]`."""
        self._row.assign(self._features(row))
        return self._draw(distribution, count, 0)

    def adapted(self, row: np.ndarray, weighted: WeightedDraws) -> WeightedDraws:
        """Returns as many weighted draws of a t distribution that is moved to the target.

        In each round, it takes mean and covariance of the weighted draws of the round
        before, with a power of the weights that leaves enough of them effective. The first
        round takes draws whose weights are too uneven. The observation is a `row`, `[K]`.

        Reference:
          Cappé, Guillin, Marin, Robert (2004), Population Monte Carlo.
          https://doi.org/10.1198/106186004X12803
        """
        self._row.assign(self._features(row))
        least = FEWEST_RELIABLE_DRAWS + _DRAWS_A_DIMENSION * weighted.x.shape[1]
        for seed in range(1, 1 + _MOST_ROUNDS):
            weights, is_whole = tempered(weighted.log_weights, least)
            rows = systematic_rows(weights, len(weights), np.random.default_rng(seed))
            gaussian = Gaussian.from_draws(weighted.x[rows])
            mean = tf.constant(gaussian.mean, self._density.dtype)
            factor = tf.linalg.LinearOperatorLowerTriangular(
                tf.constant(gaussian.matrix, mean.dtype)
            )
            proposal = tfd.MultivariateStudentTLinearOperator(_DEGREES, mean, factor)
            weighted = self._draw(proposal, len(weights), seed)
            if is_whole and weighted.is_light and weighted.ess >= least:
                break
        return weighted

    def _draw(self, distribution, count, seed):
        parts = self._density, distribution, self._entries
        sampler = ImportanceSampler(*parts, batch_size=_BATCH_SIZE, is_traced=False)
        return sampler.weighted(count, seed)


def tempered(log_weights: np.ndarray, least_ess: float) -> tuple[np.ndarray, bool]:
    """Returns a power of weights that sums to 1, `[S]`, and whether the power is 1.

    The power is the largest up to 1 that leaves `least_ess` of the draws effective.
    """

    def to_power(power):
        with np.errstate(invalid="ignore"):
            scaled = np.where(np.isfinite(log_weights), power * log_weights, -np.inf)
        weights = np.exp(scaled - scaled.max())
        return weights / weights.sum()

    def has_enough(power):
        return 1.0 / np.sum(to_power(power) ** 2) >= least_ess

    if not np.isfinite(log_weights).any():
        return np.full(len(log_weights), 1.0 / len(log_weights)), False
    if has_enough(1.0):
        return to_power(1.0), True
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if has_enough(middle) else (low, middle)
    return to_power(low), False


@dataclasses.dataclass(frozen=True)
class ObservationReport:
    """Whether the posterior of one observation can be relied on; `print` shows a table.

    Attributes:
      verdict: "reliable": rely on `sample` and `log_prob`. "reliable after resampling":
        rely on `resample`. "not reliable": a check failed; `fit_posterior` takes the
        model with this observation, if its density is known. Without weights, "reliable"
        rests on `CalibrationReport`, which holds on average over all observations, and with
        a simulator on the check of the means by data simulated with the draws.
      reasons: sentences that say why it is not "reliable".
      log_evidence: logarithm of the density of the data under the model; None if the
        model's density is neither known nor learned. A learned density is the density of
        the features of the data.
      log_evidence_error: its standard error.
      ess: effective number of the weighted draws; None as above.
      checks: all checks, from which verdict and reasons follow.
    """

    verdict: str
    reasons: tuple[str, ...]
    log_evidence: float | None
    log_evidence_error: float | None
    ess: float | None
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        rows = [("verdict", self.verdict)]
        if self.log_evidence is not None:
            evidence: Any = self.log_evidence, self.log_evidence_error
            rows.append(("log-evidence", f"{plus_minus(*evidence)} nats"))
        rows += [(check.name, check.result) for check in self.checks]
        return lined_up(rows, self.reasons)


def judge_observation(
    distance_checks: Sequence[Check],
    calibration: CalibrationReport,
    weighted: WeightedDraws | None,
    adapted: WeightedDraws | None = None,
    mass: float | None = None,
    entries: np.ndarray | None = None,
    predictive: Check | None = None,
    *,
    is_learned: bool = False,
) -> ObservationReport:
    """Returns the report of one observation.

    Args:
      distance_checks: checks that it lies among the simulations.
      calibration: the report of all observations together.
      weighted: weighted draws of its posterior; None if the density is not known.
      adapted: those of an adapted distribution, if these weights are too uneven.
      mass: probability of a truncated prior's region under its posterior; None for the
        whole prior.
      entries: entries of draws, `[S, E]`, if there are no weights.
      predictive: the check of means by data simulated with the draws; None for no check.
      is_learned: whether a learned likelihood weighs draws. It knows no more about data far
        from the simulations than the posterior does.
    """
    checks = [*distance_checks]
    if weighted is None or is_learned:
        checks.append(_calibration_check(calibration))
    if weighted is not None:
        of_weights = _checks_of_weights(weighted)
        if adapted is None:
            drawn = weighted.entries[: weighted.num_from_q]
            of_weights += [
                unweighted_draws_check(weighted),
                _quantiles_check(weighted),
                _deviation_check(
                    drawn, _DEVIATION_ERROR, "Use `resample`.", resampling_helps=True
                ),
            ]
        else:
            # Draws that were moved, and are too uneven still, are no advice.
            advice = {"advice": _MOVED} if adapted.are_reliable else {}
            checks += [dataclasses.replace(check, **advice) for check in of_weights]
            of_weights = _checks_of_weights(adapted, _ADAPTED)
        # Resampling by weights mends whatever else is found about this observation. Learned
        # weights do not mend a distance from the simulations.
        first = len(distance_checks) if is_learned else 0
        mended = [dataclasses.replace(c, resampling_helps=True) for c in checks[first:]]
        checks = [*checks[:first], *mended, *of_weights]
        weighted = adapted or weighted
    if mass is not None:
        checks.append(_truncation_check(mass))
    if entries is not None:
        words = "Take medians and quantiles, or simulate more."
        checks.append(_deviation_check(entries, _WITHOUT_WEIGHTS, words))
    if predictive is not None:
        checks.append(predictive)
    reasons = tuple(dict.fromkeys(reasons_of(checks)))
    evidence, error = (None, None) if weighted is None else weighted.log_evidence
    ess = None if weighted is None else weighted.ess
    return ObservationReport(
        verdict(checks)[0], reasons, evidence, error, ess, tuple(checks)
    )


def _truncation_check(mass):
    advice = (
        "The prior was truncated around the observation in focus, and about "
        f"{1.0 - mass:.1%} of this posterior is outside. Fit without `focus`, or with this "
        "observation in focus."
    )
    return Check.at_least("mass in truncated prior", mass, _LEAST_MASS, advice)


def _calibration_check(report):
    passed = report.verdict == CALIBRATION_VERDICTS[0]
    advice = "The amortised posterior is not calibrated: " + " ".join(report.reasons)
    return Check("calibration fails", float(not passed), 0.0, passed=passed, advice=advice)


def _checks_of_weights(weighted, words=""):
    """Checks of weights as of a fitted posterior, with advice for an amortised one."""
    k, ess = pareto_k_check(weighted), ess_check(weighted)
    misses = (
        f"Pareto k of the importance weights is {k.value:.2f}: the posterior "
        "misses mass, which weights cannot make up for. Use `fit_posterior`."
    )
    few = f"Of the weighted draws, {ess.value:.0f} are effective, too few. Simulate more."
    return [
        dataclasses.replace(check, name=check.name + words, advice=advice)
        for check, advice in ((k, misses), (ess, few))
    ]


def _quantiles_check(weighted):
    """Checks that weights do not change quantiles of the parameters."""
    change = 0.0 if weighted.ess else math.inf
    if weighted.ess:
        deviation = np.maximum(weighted.moments.deviation, 1e-30)
        equal = np.arange(len(weighted.x)) < weighted.num_from_q
        for j in np.flatnonzero(entries_that_vary(weighted.entries)):
            column = weighted.entries[:, j]
            right = _weighted_quantiles(column, weighted.weights)
            drawn = _weighted_quantiles(column, equal)
            change = np.maximum(change, np.abs(right - drawn).max() / deviation[j])
    advice = (
        f"Weights move a quantile of 5 to 95 % by {change:.2f} standard deviations; use "
        "`resample`."
    )
    name = "change of quantiles, s.d."
    return Check.at_most(name, float(change), _QUANTILE, advice, resampling_helps=True)


def _weighted_quantiles(column, weights):
    """Weighted quantiles of numbers, `[S]`, each the middle of its own weight."""
    order = np.argsort(column)
    column, total = column[order], np.cumsum(weights[order], dtype=np.float64)
    middles = total - 0.5 * weights[order]
    return np.interp(_PROBABILITIES, middles / total[-1], column)


def _deviation_check(entries, threshold, advice, *, resampling_helps=False):
    """Checks that single draws far out do not carry standard deviations of draws.

    ```none
    error of log(s.d.) = s.d. of squares / (2 sqrt(S) variance),   near 1/2 if one of S
                         draws carries the variance
    ```
    """
    x = entries[:, entries_that_vary(entries)]
    with np.errstate(all="ignore"):  # draws may overflow
        squares = (x - x.mean(axis=0)) ** 2
        errors = 0.5 * squares.std(axis=0) / squares.mean(axis=0) / math.sqrt(len(x))
    error = float(np.max(errors, initial=0.0))
    words = (
        "Few draws are so far out that means and standard deviations of draws depend on "
        f"them. {advice}"
    )
    return Check.at_most(
        "error of s.d. of draws", error, threshold, words, resampling_helps=resampling_helps
    )
