"""The rounds of a fit: start, training, checks, and again with what the checks found."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.distributions.pareto_smoothing import pareto_k_threshold
from tfp_flows.distributions.posterior_report import PosteriorReport
from tfp_flows.models.compiled_training import compiled_training
from tfp_flows.models.far_tails import improper_ray
from tfp_flows.models.far_tails import improper_slice
from tfp_flows.models.fit_checkpoint import Start
from tfp_flows.models.fit_space import FitSpace
from tfp_flows.models.multi_start import dispersed_starts
from tfp_flows.models.multi_start import narrowest_modes
from tfp_flows.models.posterior_checks import check_posterior
from tfp_flows.models.posterior_checks import seconds_of_checks
from tfp_flows.models.posterior_verdict import agrees
from tfp_flows.models.posterior_verdict import is_final
from tfp_flows.models.posterior_verdict import verdict
from tfp_flows.models.reparametrisation import reparametrise
from tfp_flows.models.round_starts import first_start
from tfp_flows.models.round_starts import likely_draws
from tfp_flows.models.round_starts import next_start
from tfp_flows.models.weighted_draws import mean_and_factor

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.distributions.joint_support import JointSupport
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity
    from tfp_flows.models.fit_budget import Budget
    from tfp_flows.models.fit_budget import Progress
    from tfp_flows.models.fit_checkpoint import FitCheckpoint
    from tfp_flows.models.weighted_draws import WeightedDraws

__all__ = ["PosteriorFit"]

_NUM_STARTS = 32
# Points by whose log-densities a checkpoint knows its target.
_NUM_KEPT = 4
_ROUNDS = 3
# Step sizes, batches of a step, and blocks that each may take.
_LADDER = ((3e-3, 1, 12), (1e-3, 2, 8), (3e-4, 4, 4))
# Of the wall time, what checks have at most, and what a further round needs at least.
_SHARE_OF_CHECKS, _SHARE_OF_ROUND = 0.5, 0.3
_SECONDS_OF_COMPILING = 6.0
# Share of the time left that XLA may take for steps.
_SHARE_OF_COMPILING = 0.4
_FEWEST_STEPS = 5
_WITHOUT_XLA = "; without XLA, which took too long"


class PosteriorFit:
    """One fit of a posterior; `run` does all of it.

    Args:
      density: an `UnconstrainedDensity`.
      support: its `JointSupport`.
      budget: a `Budget`.
      progress: a `Progress`.
      checkpoint: a `FitCheckpoint`, which has the seed.
      prior: draws of the target's prior, `[P, D]`.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        support: JointSupport,
        *,
        budget: Budget,
        progress: Progress,
        checkpoint: FitCheckpoint,
        prior: np.ndarray,
    ) -> None:
        self._space, self._coordinates = FitSpace(density, support), None
        self._plain, self._support = density, support
        self._budget, self._progress = budget, progress
        self._checkpoint, self._seed = checkpoint, checkpoint.seed
        self._prior, self._skipped, self._is_timed_out = prior, 0, False

    def run(self) -> tuple[FlowDistribution, WeightedDraws, PosteriorReport]:
        """Returns the distribution, its `WeightedDraws` and a `PosteriorReport`."""
        self._show(0, "searching for maxima")
        rng = np.random.default_rng([self._seed, 0])
        starts = dispersed_starts(self._plain.event_size, _NUM_STARTS, rng)
        self._check_density(starts)
        start = self._first_start(starts, rng)
        best = None
        while True:
            self._enter(start.coordinates)
            distribution, training = self._new(start)
            training.counters.assign([0.0, 0.0, 0.0, 0.0, *self._used()])
            self._checkpoint.begin(start, training)
            self._train(training, start.index)
            checks = self._check(distribution, training, start)
            if best is None or _rank(checks) > _rank(best[1]):
                best = distribution, checks, start
            index = start.index + 1
            if index == _ROUNDS or self._is_over() or is_final(checks):
                break
            start = self._checkpoint.start(index) or self._next_start(start, checks)
            if start is None:
                break
        self._progress.end()
        distribution, checks, start = best
        self._enter(start.coordinates)
        report = self._report(checks, start)
        return *self._space.of_x(distribution, checks.weighted), report

    def _enter(self, coordinates):
        """Makes the fit one in these coordinates."""
        if coordinates is not self._coordinates:
            self._space = FitSpace(self._plain, self._support, coordinates)
            self._coordinates = coordinates

    def _is_over(self):
        """Whether the budget is too short for a further round."""
        return self._budget.reached() or not self._budget.has_left(_SHARE_OF_ROUND)

    def _first_start(self, starts, rng):
        saved = self._checkpoint.start(0)
        starts = np.concatenate([starts, self._prior])
        return saved or first_start(self._plain, starts, self._budget, rng)

    def _next_start(self, start, checks):
        """In other coordinates, if those are much better; else with what was found."""
        rng = np.random.default_rng([self._seed, 3, start.index])
        coordinates, is_last = None, start.index + 2 == _ROUNDS
        if start.coordinates is None and (is_last or not checks.missing):
            coordinates = reparametrise(likely_draws(checks, rng))
        if coordinates is None:
            return next_start(start, checks, rng)
        self._enter(coordinates)
        self._show(start.index + 1, "searching for maxima")
        starts = dispersed_starts(self._plain.event_size, _NUM_STARTS, rng)
        found = first_start(self._space.density, starts, self._budget, rng)
        words = f"{found.words}, after a map for {coordinates.words}"
        index = start.index + 1
        return Start(
            found.gaussians, found.log_masses, found.ends, words, index, coordinates
        )

    def _check_density(self, starts):
        values, gradients = self._plain.log_prob_and_gradient(starts)
        if not np.isfinite(values).any():
            raise ValueError(
                "Expected a target whose log-density is finite at one of "
                f"{len(starts)} dispersed points at least; got {values[0]} at the first."
            )
        if not gradients.any():
            raise ValueError(
                "Expected a target whose log-density has a gradient; got 0 at each of "
                f"{len(starts)} dispersed points, as of a constant, or of steps that have "
                "no gradient."
            )
        self._checkpoint.check_target(starts[:_NUM_KEPT], values[:_NUM_KEPT])

    def _new(self, start):
        self._show(start.index, "compiling")
        seconds = _SHARE_OF_COMPILING * self._budget.seconds_left
        seed = self._seed + start.index
        made = compiled_training(self._space.density, start, seed=seed, seconds=seconds)
        self._is_timed_out |= made[1].is_timed_out
        return made

    def _check(self, distribution, training, start):
        seed = self._seed + 7919 * (start.index + 1)
        self._budget.reserve = 0.0
        checks = check_posterior(
            self._space.density,
            distribution,
            self._space.flatten,
            start.ends,
            seed,
            self._budget.seconds_left,
            training.is_by_xla,
            components=start.gaussians,
            prior=self._space.coordinates(self._prior),
            show=functools.partial(self._show, start.index),
        )
        self._budget.num_gradients += checks.num_gradients
        return checks

    def _train(self, training, index):
        """Blocks of each step size, until one gains less than twice its standard error."""
        seconds = _SECONDS_OF_COMPILING + 1.5 * seconds_of_checks(self._space.density)
        self._budget.reserve_seconds(seconds, _SHARE_OF_CHECKS)
        rung, count, bound, error, *used = training.counters.numpy()
        self._go_on_from(used)
        while rung < len(_LADDER) and not self._budget.reached():
            rate, num_batches, most = _LADDER[int(rung)]
            num_steps = training.num_steps_in(self._budget.seconds_left, num_batches)
            if num_steps < _FEWEST_STEPS:
                break
            block = training.run(rate, num_batches, num_steps)
            self._skipped += block.skipped
            self._budget.num_gradients += block.num_gradients
            words = f"step size {rung + 1:.0f} of {len(_LADDER)}, block {count + 1:.0f}"
            self._show(index, f"{words}, ELBO {block.elbo:.3f}")
            gains = block.elbo - bound > 2.0 * math.hypot(block.error, error)
            count += 1
            if count == most or (count > 1 and not gains):
                rung, count = rung + 1, 0
            bound, error = block.elbo, block.error
            training.counters.assign([rung, count, bound, error, *self._used()])
            self._checkpoint.save()
        training.use_average()

    def _show(self, index, text):
        self._progress.show(f"round {index + 1} of at most {_ROUNDS}: {text}")

    def _used(self):
        return self._budget.num_gradients, self._skipped, self._budget.seconds

    def _go_on_from(self, used):
        """Counts what an interrupted fit had used already."""
        num_gradients, skipped, seconds = used
        self._budget.go_on(int(num_gradients), seconds)
        self._skipped = max(self._skipped, int(skipped))

    def _report(self, checks, start):
        weighted, improper = checks.weighted, None
        if checks.are_whole:
            own = self._space.unconstrained(weighted.x[: weighted.count])
            ends = self._space.unconstrained(start.ends)
            improper = self._improper(own, ends)
        names = self._space.entry_names(weighted.x)
        found, reasons = verdict(checks, improper, self._budget.reached(), names)
        elbo, evidence = weighted.elbo, weighted.log_evidence
        return PosteriorReport(
            verdict=found,
            reasons=reasons,
            elbo=elbo[0],
            elbo_error=elbo[1],
            log_evidence=evidence[0],
            log_evidence_error=evidence[1],
            pareto_k=weighted.pareto_k,
            pareto_k_threshold=pareto_k_threshold(len(weighted.x)),
            effective_draws=weighted.effective,
            num_draws=len(weighted.x),
            r_hat=checks.r_hat,
            unseen_mass=checks.unseen,
            num_modes=len(start.gaussians),
            narrowest_modes=narrowest_modes(self._plain.event_size)
            if checks.are_whole
            else (math.inf, math.inf),
            num_gradients=self._budget.num_gradients,
            skipped_steps=self._skipped,
            seconds=self._budget.seconds,
            fit=start.words + (_WITHOUT_XLA if self._is_timed_out else ""),
        )

    def _improper(self, own, ends):
        """A sentence about a direction along which the density has no integral, or None."""
        mean, factor = mean_and_factor(own)
        names = FitSpace(self._plain, self._support).variable_names(mean)
        found = improper_ray(
            self._plain, mean, factor, ends, np.random.default_rng([self._seed, 4])
        ) or improper_slice(self._plain, own, lambda: not self._budget.has_left(0.0))
        return None if found is None else found.sentence(names)


def _rank(checks):
    """Orders checks: those that agree, miss nothing, have light weights; then by draws."""
    weighted, count = checks.weighted, len(checks.weighted.x)
    is_light = weighted.pareto_k < pareto_k_threshold(count)
    known = checks.are_whole, agrees(checks), -len(checks.missing)
    return *known, is_light, weighted.effective / count
