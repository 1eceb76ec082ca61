"""The rounds of a fit: start, training, checks, and again with what the checks found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.pareto_smoothing import pareto_k_threshold
from tfp_flows.distributions.posterior_report import PosteriorReport
from tfp_flows.distributions.posterior_start import bound
from tfp_flows.distributions.posterior_start import gradient_scale
from tfp_flows.distributions.posterior_start import standard
from tfp_flows.models.clusters import clusters
from tfp_flows.models.far_tails import improper_ray
from tfp_flows.models.fit_checkpoint import Start
from tfp_flows.models.multi_start import dispersed_starts
from tfp_flows.models.multi_start import find_modes
from tfp_flows.models.posterior_checks import check_posterior
from tfp_flows.models.posterior_training import PosteriorTraining
from tfp_flows.models.posterior_verdict import agrees
from tfp_flows.models.posterior_verdict import is_final
from tfp_flows.models.posterior_verdict import verdict
from tfp_flows.models.starting_flow import starting_flow
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

_NUM_STARTS, _NUM_NOISE = 32, 256
# Points by whose log-densities a checkpoint knows its target.
_NUM_KEPT = 4
_ROUNDS = 3
# Step sizes, batches of a step, and blocks that each may take.
_LADDER = ((3e-3, 1, 12), (1e-3, 2, 8), (3e-4, 4, 4))
_MOST_COMPONENTS = 8
_FEWEST_OF_CHAINS = 400


class PosteriorFit:
    """One fit of a posterior; `run` does all of it.

    Args:
      density: an `UnconstrainedDensity`.
      support: its `JointSupport`.
      budget: a `Budget`.
      progress: a `Progress`.
      checkpoint: a `FitCheckpoint`, which has the seed.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        support: JointSupport,
        *,
        budget: Budget,
        progress: Progress,
        checkpoint: FitCheckpoint,
    ) -> None:
        self._density, self._support = density, support
        self._budget, self._progress = budget, progress
        self._checkpoint, self._seed = checkpoint, checkpoint.seed
        self._skipped = 0

    def run(self) -> tuple[FlowDistribution, WeightedDraws, PosteriorReport]:
        """Returns the distribution, its `WeightedDraws` and a `PosteriorReport`."""
        self._progress.show("searching for maxima")
        rng = np.random.default_rng([self._seed, 0])
        starts = dispersed_starts(self._density.event_size, _NUM_STARTS, rng)
        self._check_density(starts)
        start = self._checkpoint.start(0) or self._start(starts, rng)
        best = None
        while True:
            distribution, training = self._new(start)
            self._checkpoint.begin(start, training)
            self._train(training, start.index)
            self._progress.show(f"round {start.index + 1}: checking")
            seed = self._seed + 7919 * (start.index + 1)
            checks = check_posterior(
                self._density, distribution, self._flatten, start.ends, seed
            )
            self._budget.num_gradients += checks.num_gradients
            if best is None or _rank(checks) > _rank(best[1]):
                best = distribution, checks, start
            if start.index + 1 == _ROUNDS or self._budget.reached() or is_final(checks):
                break
            index = start.index + 1
            start = self._checkpoint.start(index) or self._next(start, checks)
            if start is None:
                break
        self._progress.end()
        distribution, checks, start = best
        return distribution, checks.weighted, self._report(checks, start)

    def _start(self, starts, rng):
        """Gaussians to start from: of the density's maxima, or scaled by gradients."""
        density = self._density
        modes = find_modes(density, starts)
        self._budget.num_gradients += modes.num_gradients
        count = len(modes.gaussians)
        if count > 1:
            words = f"couplings over {count} Gaussians"
            return Start(modes.gaussians, modes.log_masses, modes.ends, words)
        noise = rng.normal(size=(_NUM_NOISE, density.event_size))
        lowest = bound(density, standard(density.event_size), noise)
        if count and bound(density, modes.gaussians[0], noise) >= lowest:
            words = "couplings over a Laplace approximation"
            return Start(modes.gaussians, modes.log_masses, modes.ends, words)
        self._budget.num_gradients += 16 * _NUM_NOISE
        words = "couplings over a Gaussian scaled by gradients"
        return Start([gradient_scale(density, noise)], [0.0], modes.ends, words)

    def _next(self, start, checks):
        """The start of another round: with what was missing, or along the chains' draws."""
        room = _MOST_COMPONENTS - len(start.gaussians)
        if checks.missing and room > 0:
            missing = checks.missing[:room], checks.log_masses[:room]
            return start.with_missing(*missing)
        x = checks.chain_draws
        if len(x) < _FEWEST_OF_CHAINS:
            return None
        rng = np.random.default_rng([self._seed, 3, start.index])
        gaussians, log_shares = clusters(x, _MOST_COMPONENTS, rng)
        evidence = np.nan_to_num(checks.weighted.log_evidence[0], neginf=0.0)
        log_masses = [float(evidence + share) for share in log_shares]
        words = f"couplings over {len(gaussians)} Gaussians along Markov chains"
        return Start(gaussians, log_masses, start.ends, words, start.index + 1)

    def _check_density(self, starts):
        values = self._density.log_prob(starts)
        if not np.isfinite(values).any():
            raise ValueError(
                "Expected a target whose log-density is finite at one of "
                f"{len(starts)} dispersed points at least; got {values[0]} at the first."
            )
        self._checkpoint.check_target(starts[:_NUM_KEPT], values[:_NUM_KEPT])

    def _new(self, start):
        seed, dtype = self._seed + start.index, self._density.dtype
        distribution = starting_flow(
            start.gaussians, start.log_masses, seed=seed, dtype=dtype
        )
        return distribution, PosteriorTraining(self._density, distribution, seed=seed)

    def _train(self, training, index):
        """Blocks of each step size, until one gains less than twice its standard error."""
        rung, count, bound, error, *used = training.counters.numpy()
        self._go_on_from(used)
        while rung < len(_LADDER) and not self._budget.reached():
            rate, num_batches, most = _LADDER[int(rung)]
            block = training.run(rate, num_batches)
            self._skipped += block.skipped
            self._budget.num_gradients += block.num_gradients
            self._progress.show(f"round {index + 1}: ELBO {block.elbo:.3f}")
            gains = block.elbo - bound > 2.0 * math.hypot(block.error, error)
            count += 1
            if count == most or (count > 1 and not gains):
                rung, count = rung + 1, 0
            bound, error = block.elbo, block.error
            used = self._budget.num_gradients, self._skipped, self._budget.seconds
            training.counters.assign([rung, count, bound, error, *used])
            self._checkpoint.save()
        training.use_average()

    def _go_on_from(self, used):
        """Counts what an interrupted fit had used already."""
        num_gradients, skipped, seconds = used
        self._budget.go_on(int(num_gradients), seconds)
        self._skipped = max(self._skipped, int(skipped))

    def _report(self, checks, start):
        weighted = checks.weighted
        mean, factor = mean_and_factor(weighted.x[: weighted.count])
        rng = np.random.default_rng([self._seed, 4])
        improper = improper_ray(self._density, mean, factor, start.ends, rng)
        found, reasons = verdict(checks, improper, self._budget.reached())
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
            num_gradients=self._budget.num_gradients,
            skipped_steps=self._skipped,
            seconds=self._budget.seconds,
            fit=start.words,
        )

    def _flatten(self, x):
        """Unconstrained rows, `[N, D]`, as those of the parts, `[N, E]`."""
        parts = self._support.bijector.forward(tf.constant(x, self._density.dtype))
        rows = [np.reshape(part, [len(x), -1]) for part in tf.nest.flatten(parts)]
        return np.concatenate(rows, axis=1).astype(np.float64)


def _rank(checks):
    """Orders checks: first those that agree, that miss nothing, then by effective draws."""
    weighted = checks.weighted
    share = weighted.effective / len(weighted.x)
    return agrees(checks), -len(checks.missing), share
