"""Checks of an amortised posterior as a whole, by simulations that no training sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.check import Check, Report, lined_up, plus_minus, reasons_of
from tfp_flows.core.rows import parts_of_rows
from tfp_flows.distributions import draws
from tfp_flows.inference.amortized.kernel_ridge import KernelRidge
from tfp_flows.inference.amortized.truncation import Conditioned, TruncatedPrior

if TYPE_CHECKING:
    from tfp_flows.density.fit import Fit

VERDICTS = ("calibrated", "not to be relied on")
_NUM_DRAWS = 200  # draws of the posterior for each simulation
_ROWS_A_CALL = 100  # simulations whose posteriors are drawn from at once
_LEVEL = 0.01  # probability that a test fails though the posterior is right
_LEAST_CHECKED, _MOST_CHECKED = 50, 1_000  # simulations
# Weights are judged with so many draws of the posterior of each simulation, in calls of so
# many simulations.
_NUM_WEIGHTED, _WEIGHTED_A_CALL = 4_000, 10
_LEAST_GAIN = 2.0  # least gain in standard errors
_LEAST_LOG_DENSITY = -50.0  # log-weight of a truth without weight
_MUCH = 0.05  # distance from uniform ranks that matters, however many simulations show it
_WIDTH = 0.1  # logarithm of a factor of all widths that matters


@dataclasses.dataclass(frozen=True)
class WeightsReport(Report):
    """How well draws are calibrated that are weighted by a learned likelihood.

    Attributes:
      gain: mean log-density of the true parameters of simulations under the weighted
        posterior, less that under the posterior itself, in nats.
      gain_error: its standard error.
      checks: checks of their ranks and expected coverage, as of the posterior.
      is_trial: whether the likelihood is that of a short trial.
    """

    gain: float
    gain_error: float
    checks: tuple[Check, ...]
    is_trial: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether the gain, or loss, is above two standard errors."""
        return abs(self.gain) > _LEAST_GAIN * self.gain_error

    @property
    def is_used(self) -> bool:
        """Whether the weights bring draws nearer to the posterior, and all checks pass."""
        gains = not self.is_trial and self.is_clear and self.gain > 0.0
        return gains and not any(check.failed for check in self.checks)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Rows of a report's table."""
        trial = "in a trial, " if self.is_trial else ""
        words = "used" if self.is_used else f"{trial}not used"
        gain = f"{plus_minus(self.gain, self.gain_error)} nats, {words}"
        checks = ((check.name, check.result) for check in self.checks)
        return [("gain by learned likelihood", gain), *checks]


@dataclasses.dataclass(frozen=True)
class CalibrationReport(Report):
    """How well an amortised posterior is calibrated; `print` shows a table.

    Attributes:
      verdict: "calibrated", or "not to be relied on": a check failed.
      reasons: sentences that say why it is not "calibrated", and what to try.
      num_simulations: number of simulations that were fitted when it was judged.
      num_checked: number of other simulations, by which it is judged.
      num_dropped: number of simulations that were left out, since a number was not finite.
        The others are draws of `p(theta, x)` given that x is finite, whose posterior of a
        finite x is that of the model. So this is no check.
      gain: mean log-density of the true parameters of these other simulations, less that
        under a Gaussian whose mean is linear in the data, in nats.
      gain_error: its standard error.
      ranks: rank of each true parameter among its posterior draws, in [0, 1],
        `[num_checked, D]`, in the order of the unconstrained vector.
      coverage: share of the posterior draws that are nearer to a point chosen by the data
        than the true parameters are, `[num_checked]`; uniform if the posterior is right.
      checks: all checks, from which verdict and reasons follow.
      seconds: wall time of the fit.
      shares: share of the prior in which each round simulated; `(1.0,)` without `focus`.
      weights: the `WeightsReport` of draws weighted by a learned likelihood; None if none
        was learned.
    """

    verdict: str
    reasons: tuple[str, ...]
    num_simulations: int
    num_checked: int
    num_dropped: int
    gain: float
    gain_error: float
    ranks: np.ndarray
    coverage: np.ndarray
    checks: tuple[Check, ...]
    seconds: float
    shares: tuple[float, ...] = (1.0,)
    weights: WeightsReport | None = None

    def __str__(self) -> str:
        counts = f"{self.num_simulations:,} fitted, {self.num_checked:,} to check"
        if self.num_dropped:
            words = "not finite and left out, which is exact for finite observations"
            counts += f", {self.num_dropped:,} {words}"
        rows = [("verdict", self.verdict), ("simulations", counts)]
        if len(self.shares) > 1:
            shares = ", ".join(f"{share:.2g}" for share in self.shares)
            rounds = f"{len(self.shares)}, in shares of the prior: {shares}"
            rows.append(("rounds", rounds))
        gain = f"{plus_minus(self.gain, self.gain_error)} nats"
        rows.append(("above linear regression", gain))
        rows += [(check.name, check.result) for check in self.checks]
        if self.weights is not None:
            rows += self.weights.rows
        return lined_up([*rows, ("seconds", f"{self.seconds:.1f}")], self.reasons)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> CalibrationReport:
        """Returns the report from the result of `to_plain`."""
        fields = plain | {n: np.asarray(plain[n]) for n in ("ranks", "coverage")}
        if plain.get("weights") is not None:
            fields["weights"] = WeightsReport.from_plain(plain["weights"])
        return super().from_plain(fields)


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judges densities by simulations that they were not fitted to.

    Attributes:
      num_dropped: number of simulations that had numbers which are not finite.
      prior: the prior of the simulations; None if it is that of the model.
      numbers: if features are a network's summary, the data before it, `[N, K]`, of the
        simulations that were fitted and of the others; otherwise None.
    """

    num_dropped: int = 0
    prior: TruncatedPrior | None = None
    numbers: Sequence[np.ndarray] | None = None

    def calibration(self, fit: Fit, seed: int | None) -> CalibrationReport:
        """Returns the report of a fit of unconstrained parameters, given features."""
        # Here, so that a fit of one posterior does not load the room of densities.
        from tfp_flows.density.checks import copies

        train, checked = fit.train, fit.held_out.first(_MOST_CHECKED)
        drawn = _posterior_draws(fit.judged, checked.context, seed, self.prior)
        equal = np.ones(drawn.shape[:2])
        ranks, coverage = _ranks_and_coverage(drawn, equal, fit, self.numbers)
        checks = *_checks(ranks, coverage), copies(train, checked)
        reasons = reasons_of(checks)
        return CalibrationReport(
            verdict=VERDICTS[bool(reasons)],
            reasons=reasons,
            num_simulations=len(train.x),
            num_checked=len(checked.x),
            num_dropped=self.num_dropped,
            gain=fit.density.report.gain,
            gain_error=fit.density.report.gain_error,
            ranks=ranks,
            coverage=coverage,
            checks=checks,
            seconds=math.nan,
            shares=(1.0,) if self.prior is None else self.prior.shares,
        )

    def weights(
        self,
        posterior: Fit,
        log_prior: Callable,
        likelihood: Fit,
        seed: int | None,
        *,
        count: int = _MOST_CHECKED,
        is_trial: bool = False,
    ) -> WeightsReport:
        """Judges draws weighted by a learned likelihood, by `count` simulations.

        ```none
        w_s = density(x | u_s) prior(u_s) / q(u_s | x)    of the truth u_0 and S draws of q
        log-density of the truth = log q(u_0 | x) + log w_0 - log mean(w_0, w_1, ..., w_S)
        ```

        The mean includes the truth: draws that miss it do not make its weight too large.
        The posterior is fitted to parameters given features, and the likelihood to the same
        features given parameters. `log_prior` returns log-densities of unconstrained
        parameters, `[N, D]`. If simulations were dropped, the learned likelihood, which is
        that given finite data, lacks a factor.
        """
        drawn, log_weights = _weighted_draws(
            posterior, likelihood, log_prior, draws.stateless(seed), self.prior, count
        )
        total = np.logaddexp.reduce(log_weights, axis=0)
        has_weight = total > -np.inf
        gains = log_weights[0] - np.where(has_weight, total, 0.0)  # else minus infinity
        gains = np.maximum(gains + np.log(len(log_weights)), _LEAST_LOG_DENSITY)
        # If no draw has weight, all count equally, and their ranks show that they are far.
        log_weights = np.where(log_weights[1:].max(axis=0) > -np.inf, log_weights[1:], 0.0)
        weights = np.exp(log_weights - log_weights.max(axis=0))
        ranks, coverage = _ranks_and_coverage(drawn, weights, posterior, self.numbers)
        num_kept = len(posterior.train.x) + len(posterior.held_out.x)
        left_out = dropped_check(self.num_dropped, num_kept)
        checks = *_checks(ranks, coverage, "weighted "), left_out
        error = float(gains.std() / np.sqrt(len(gains)))
        return WeightsReport(float(gains.mean()), error, checks, is_trial)


def _weighted_draws(posterior, likelihood, log_prior, seed, prior, count):
    """Draws of the posteriors of N simulations, `[S, N, D]`, and log-weights.

    The log-weights, `[1 + S, N]`, begin with those of the true parameters.
    """
    checked, density, parts = posterior.held_out.first(count), posterior.judged, []
    data = likelihood.held_out.first(count).x
    arrays = data, checked.x, np.asarray(checked.context)
    simulations = parts_of_rows(*arrays, size=_WEIGHTED_A_CALL)
    for part, (x, truth, context) in enumerate(simulations):
        conditioned = Conditioned(density, context, dtype=density.dtype, prior=prior)
        sample = conditioned.sample(_NUM_WEIGHTED, seed=draws.fold_in(seed, part))
        u = tf.concat([tf.cast(truth, sample.dtype)[None], sample], axis=0)
        x = tf.cast(x, likelihood.judged.dtype)
        x = tf.broadcast_to(x, [*u.shape[:2], x.shape[1]])
        log_p = likelihood.judged.log_prob(x, context=tf.cast(u, x.dtype)).numpy()
        log_p = log_p + log_prior(tf.reshape(u, [-1, u.shape[-1]])).reshape(u.shape[:2])
        log_weights = log_p.astype(np.float64) - conditioned.log_prob(u).numpy()
        is_known = np.isfinite(log_weights)
        parts.append((sample.numpy(), np.where(is_known, log_weights, -np.inf)))
    drawn, log_weights = zip(*parts, strict=True)
    return np.concatenate(drawn, axis=1), np.concatenate(log_weights, axis=1)


def _posterior_draws(density, x, seed, prior):
    """Draws of the posterior of each observation, `[S, N, D]`."""
    seed, parts = draws.stateless(seed), []
    for part, (context,) in enumerate(parts_of_rows(x, size=_ROWS_A_CALL)):
        conditioned = Conditioned(density, context, dtype=density.dtype, prior=prior)
        sample = conditioned.sample(_NUM_DRAWS, seed=draws.fold_in(seed, part))
        parts.append(np.asarray(sample))
    return np.concatenate(parts, axis=1)


def _ranks_and_coverage(drawn, weights, fit, numbers):
    """Returns ranks of true parameters among draws, and their expected coverage.

    A posterior that ignores the data passes the ranks of its parameters, but not the
    expected coverage: the truth is near to a prediction, and its draws are not. So the
    prediction must see what a summary has left out. The posterior of each of N simulations
    that were not fitted has draws, `[S, N, D]`, with weights, `[S, N]`. Ranks are shares of
    the draws below the truth, `[N, D]`; coverage is the share of those nearer to the
    prediction than the truth, `[N]`. `numbers` are those of a `Judge`.

    Reference:
      Lemos, Coogan, Hezaveh, Perreault-Levasseur (2023), Sampling-based accuracy testing of
      posterior estimators (TARP). https://arxiv.org/abs/2302.03026
    """
    checked = fit.held_out.first(drawn.shape[1])
    known, others = ([np.asarray(part.context)] for part in (fit.train, checked))
    if numbers is not None:
        numbers_of_fitted, numbers_of_others = numbers
        known.append(numbers_of_fitted)
        others.append(numbers_of_others[: len(checked.x)])
    prediction = KernelRidge(fit.train.x, known)
    point = prediction(others)
    distances = prediction.distances(checked.x, point)
    is_nearer = np.stack([prediction.distances(u, point) < distances for u in drawn])
    shares = weights / weights.sum(axis=0)
    ranks = np.sum(shares[..., None] * (drawn < checked.x), axis=0)
    return ranks, np.sum(shares * is_nearer, axis=0)


def _checks(ranks, coverage, words=""):
    """Checks of `_ranks_and_coverage`, whose names begin with `words`."""
    count = len(ranks)
    advice = f"Only {count} simulations were left for checks. Simulate more."
    enough = Check.at_least("simulations to check", count, _LEAST_CHECKED, advice)
    checks = enough, _ranks_check(ranks), _widths_check(ranks), _coverage_check(coverage)
    return [dataclasses.replace(check, name=words + check.name) for check in checks]


def _ranks_check(ranks):
    """Checks that the ranks of each parameter are uniform (simulation-based calibration).

    Reference:
      Talts, Betancourt, Simpson, Vehtari, Gelman (2018), Validating Bayesian inference
      algorithms with simulation-based calibration. https://arxiv.org/abs/1804.06788
    """
    distances = [_distance_from_uniform(column) for column in ranks.T]
    worst = int(np.argmax(distances))
    center, spread = ranks[:, worst].mean(), 12.0 * ranks[:, worst].var()
    kind = "off to a side"
    if abs(center - 0.5) < 0.05:
        kind = "too narrow" if spread > 1.0 else "too wide"
    advice = (
        f"Ranks of unconstrained parameter {worst} are not uniform: its posteriors are "
        f"{kind}. Simulate more, or give data that summarise better."
    )
    return _uniform_check(
        "ranks, distance", distances[worst], len(ranks), ranks.shape[1], advice
    )


def _widths_check(ranks):
    """Checks the spread of the ranks of each parameter, as normal quantiles.

    ```none
    z = normal quantile(rank),   width = 1 / sqrt(mean z^2),  1 if posteriors are right
    ```

    Kolmogorov's distance hardly sees a wrong width: 0.05 for one of 1.25.
    """
    count, size = ranks.shape
    least = 0.5 / (1.0 + _NUM_DRAWS)
    z = tf.math.ndtri(np.clip(ranks, least, 1.0 - least)).numpy()
    log_widths = -0.5 * np.log(np.mean(z**2, axis=0))
    worst = int(np.argmax(np.abs(log_widths)))
    change = float(log_widths[worst])
    error = 1.0 / math.sqrt(2.0 * count)  # of each, if the posterior is right
    quantile = float(tf.math.ndtri(np.float64(1.0 - 0.5 * _LEVEL / size)))
    advice = (
        f"Posteriors of unconstrained parameter {worst} are {math.exp(abs(change)):.2f} "
        f"times too {'wide' if change > 0.0 else 'narrow'}, on average. Simulate more, or "
        "give data that summarise better."
    )
    threshold = max(quantile * error, _WIDTH)
    return Check.at_most("width, logarithm", abs(change), threshold, advice)


def _coverage_check(coverage):
    advice = (
        "True parameters lie at other distances from their prediction than posterior draws "
        f"do (at {coverage.mean():.0%} of these on average, where 50 % is right): the "
        "posteriors are too narrow or too wide together, or ignore the data. Simulate more."
    )
    distance = _distance_from_uniform(coverage)
    return _uniform_check("expected coverage, distance", distance, len(coverage), 1, advice)


def _uniform_check(name, distance, count, num_tests, advice):
    """Checks Kolmogorov's distance of `count` numbers, the largest of several tests."""
    # Its asymptotic quantile.
    quantile = math.sqrt(-0.5 * math.log(0.5 * _LEVEL / num_tests))
    threshold = max(quantile / math.sqrt(count), _MUCH)
    return Check.at_most(name, distance, threshold, advice)


def dropped_check(count: int, num_kept: int) -> Check:
    """Checks that few simulations were left out for numbers that are not finite."""
    share = count / (count + num_kept)
    advice = (
        f"{share:.0%} of the simulations have numbers that are not finite and were left "
        "out: the learned density of data is that given finite data, and lacks the "
        "probability of these given the parameters."
    )
    return Check.at_most("share left out", share, 0.05, advice)


def _distance_from_uniform(values):
    """Kolmogorov's distance of numbers in [0, 1] from the uniform distribution."""
    values = np.sort(values)
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.max(steps[1:] - values), np.max(values - steps[:-1])))
