"""Fits of posteriors that need no tuning, and that say whether they can be relied on."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_callable
from tfp_flows.core.arguments import check_dtype
from tfp_flows.core.arguments import check_flag
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_name
from tfp_flows.core.arguments import check_number
from tfp_flows.core.arguments import check_seed
from tfp_flows.inference.budget import Budget
from tfp_flows.inference.budget import Progress
from tfp_flows.inference.checkpoint import FitCheckpoint
from tfp_flows.inference.checkpoint import Start
from tfp_flows.inference.checks.importance import mean_and_factor
from tfp_flows.inference.checks.importance import pareto_k_threshold
from tfp_flows.inference.checks.tails import improper_ray
from tfp_flows.inference.checks.tails import improper_slice
from tfp_flows.inference.checks.verdict import PosteriorReport
from tfp_flows.inference.checks.verdict import agrees
from tfp_flows.inference.checks.verdict import check_posterior
from tfp_flows.inference.checks.verdict import is_final
from tfp_flows.inference.checks.verdict import seconds_of_checks
from tfp_flows.inference.checks.verdict import verdict
from tfp_flows.inference.fitted_posterior import FittedPosterior
from tfp_flows.inference.initial_flow import bound
from tfp_flows.inference.initial_flow import gradient_scale
from tfp_flows.inference.initial_flow import standard
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.modes import dispersed_starts
from tfp_flows.inference.modes import find_modes
from tfp_flows.inference.modes import narrowest_modes
from tfp_flows.inference.reparametrisation import FitSpace
from tfp_flows.inference.reparametrisation import reparametrise
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity
from tfp_flows.inference.target import check_target
from tfp_flows.inference.training import compiled_training

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.inference.checks.importance import WeightedDraws
    from tfp_flows.inference.checks.verdict import Checks

__all__ = ["clusters", "fit_posterior"]
tfd = tfp.distributions

# Draws of the prior from which searches for modes start, too.
_NUM_PRIOR = 16


def fit_posterior(
    target: object,
    *,
    support: object = None,
    target_log_prob_fn: Callable | None = None,
    dtype: tf.DType | str = tf.float32,
    seed: int | None = None,
    max_minutes: float | None = None,
    max_gradients: int | None = None,
    progress: bool | None = None,
    checkpoint_dir: str | None = None,
    name: str = "fitted_posterior",
) -> FittedPosterior:
    """Fits a posterior to a model, and checks it: one call, without anything to tune.

    ```none
    start   maxima of the density from dispersed starts; the Gaussian, or mixture of them,
            of its curvature there; if there are none, a Gaussian scaled by gradients
    fit     couplings over it, by the evidence lower bound; each step size until a block of
            steps gains less than twice its standard error, then a third of it
    checks  importance weights, with broad distributions mixed in; Markov chains that start
            far apart; a search for further maxima; the far tails
    ```

    If a check fails, it is fitted again, twice at most: in coordinates in which tails are
    lighter, or effects do not scale with other variables, if weighted draws suggest any
    (`report.fit` says so); else with the mass that it lacks. What the checks come to is
    `report`:

    ```python
    posterior = tfp_flows.fit_posterior(model.experimental_pin(y=y), seed=0)
    print(posterior.report)  # a table; posterior.report.verdict is one of its fields
    posterior.sample(1000, seed=1)  # where the verdict is "reliable"
    posterior.resample(1000, seed=1)  # where it is "reliable after resampling", too
    ```

    On CPUs, the same seed gives the same posterior and draws, bit for bit, in any process
    with the same kind of machine and versions, after
    `tf.config.threading.set_inter_op_parallelism_threads(1)`, if the target's own
    operations return the same bits each time. With more of these threads, TensorFlow may
    sum gradients in another order: chains that check the posterior, and what follows from
    them, then differ within their errors, as on other machines. A clock decides in two
    cases only, and the report says so. `max_minutes` may end the fit. XLA is left if it
    takes two minutes of the processor for the target, or makes a program that is ten times
    as slow as TensorFlow's.

    Args:
      target: a joint distribution, pinned or not, or any other `tfd.Distribution`, with its
        own default bijectors as constraints; or an event shape, or a structure of event
        shapes, with the constraints `support` and the density `target_log_prob_fn`.
      support: bijectors from all reals to the support of each part, where `target` is an
        event shape; None leaves a part unconstrained. Densities on a simplex
        (`tfb.SoftmaxCentered`) are relative to all shares but one, those of correlation
        matrices to the entries below the diagonal, as TFP's are.
      target_log_prob_fn: unnormalised log-density, a function of the parts of N draws,
        `[N, *event]` each, to `[N]`; by default that of the distribution `target`.
      dtype: of the parts, where `target` is an event shape. With "float64", all is.
      seed: integer; if None, that of the fit in `checkpoint_dir`, or a random one.
      max_minutes: wall time of the call, with compilation and checks. Training ends in
        time for the checks; if these take too long by themselves, there are fewer of them,
        and the verdict is "not reliable". Not interrupted are one evaluation of the target,
        and TensorFlow at work on its graph.
      max_gradients: evaluations of the target's gradient after which training ends.
      progress: whether a line shows the time and what is being done; if None, it does on
        a terminal, and elsewhere a line is written to the standard error once a minute.
      checkpoint_dir: folder to go on from, if a fit was interrupted, and to save into.
      name: name of the distribution.

    Returns:
      A `FittedPosterior`, with `report` and `resample`.

    Raises:
      ValueError: if `target` has batch axes, parts that are not continuous, or several
        dtypes; if its density is not finite at any start, not one number a draw, or
        raises an error, as `tf.linalg.inv` does of a singular matrix; if
        `checkpoint_dir` is damaged, or holds the fit of another target or seed.

    Reference:
      Agrawal, Domke (2024), Disentangling impact of capacity, objective, batchsize,
      estimators, and step-size on flow VI. https://arxiv.org/abs/2412.08824

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> target = tfp.distributions.MultivariateNormalDiag([1.0, 2.0], [1.0, 1e-3])
    >>> posterior = tfp_flows.fit_posterior(target, seed=0, max_gradients=100_000)
    >>> posterior.report.verdict
    'reliable'
    >>> posterior.resample(5, seed=1).shape.as_list()
    [5, 2]
    """
    check_seed("seed", seed)
    check_dtype("dtype", dtype)
    check_name("name", name)
    _check_budget(max_minutes, max_gradients)
    if progress is not None:
        check_flag("progress", progress)
    if checkpoint_dir is not None:
        words = "the name of a folder"
        check_instance("checkpoint_dir", checkpoint_dir, str, words)
        if os.path.isfile(checkpoint_dir):
            raise ValueError(f"Expected `checkpoint_dir`, {words}; got that of a file.")
    parts, log_prob = _support_and_density(target, support, target_log_prob_fn, dtype)
    if parts.dtype not in (tf.float32, tf.float64):
        raise ValueError(
            f"Expected parts of float32 or float64; got those of {parts.dtype.name}."
        )
    density = UnconstrainedDensity(log_prob, parts)
    checkpoint = FitCheckpoint(checkpoint_dir, None if seed is None else int(seed))
    budget, shown = Budget(max_minutes, max_gradients), Progress(progress)
    shown.show("drawing from the prior")
    prior = np.zeros([0, parts.event_size])
    if hasattr(target, "event_shape"):
        prior = parts.prior_draws(target, _NUM_PRIOR, checkpoint.seed)
    fit = PosteriorFit(
        density,
        parts,
        budget=budget,
        progress=shown,
        checkpoint=checkpoint,
        prior=prior,
    )
    try:
        distribution, weighted, report = fit.run()
    except tf.errors.InvalidArgumentError as error:
        # Such as of a singular matrix, of which XLA makes a NaN.
        reason = str(error).split("[[", maxsplit=1)[0].split("\n")
        raise ValueError(
            "Expected a log-density of the target that is a number, NaN or -inf at every "
            "draw; an operation of it raised InvalidArgumentError: "
            f"{' '.join(line.strip() for line in reason if line.strip())[-200:]}"
        ) from error
    return FittedPosterior(
        distribution,
        parts.bijector,
        report=report,
        draws=weighted.x.astype(parts.dtype.as_numpy_dtype),
        weights=weighted.weights,
        name=name,
    )


def _check_budget(max_minutes, max_gradients):
    if max_minutes is not None:
        check_number("max_minutes", max_minutes, "above 0", lambda value: value > 0.0)
    if max_gradients is not None:
        check_integer("max_gradients", max_gradients)


def _support_and_density(target, support, log_prob, dtype):
    check_target(target)
    words = "a function of the parts of a draw"
    if log_prob is not None:
        check_callable("target_log_prob_fn", log_prob, words)
    if isinstance(target, tfd.Distribution) or hasattr(target, "event_shape"):
        if support is not None:
            raise ValueError(
                "Expected no `support` with a distribution, which has its own."
            )
        support = JointSupport.from_distribution(target)
        return support, log_prob or target.unnormalized_log_prob
    if log_prob is None:
        raise ValueError(
            f"Expected `target_log_prob_fn`, {words}, with an event shape; got None."
        )
    return JointSupport.from_shape(target, support, dtype), log_prob


_NUM_STARTS = 32
# Points by whose log-densities a checkpoint knows its target.
_NUM_KEPT = 4
_MAX_ROUNDS = 3
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
            if index == _MAX_ROUNDS or self._is_over() or is_final(checks):
                break
            start = self._checkpoint.start(index) or self._next_start(start, checks)
            if start is None:
                break
        self._progress.end()
        distribution, checks, start = best
        self._enter(start.coordinates)
        report = self._report(checks, start)
        return *self._space.from_x(distribution, checks.weighted), report

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
        coordinates, is_last = None, start.index + 2 == _MAX_ROUNDS
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
            training.jit_compiled,
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
        self._progress.show(f"round {index + 1} of at most {_MAX_ROUNDS}: {text}")

    def _used(self):
        return self._budget.num_gradients, self._skipped, self._budget.seconds

    def _go_on_from(self, used):
        """Counts what an interrupted fit had used already."""
        num_gradients, skipped, seconds = used
        self._budget.go_on(int(num_gradients), seconds)
        self._skipped = max(self._skipped, int(skipped))

    def _report(self, checks, start):
        weighted, improper = checks.weighted, None
        if checks.complete:
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
            ess=weighted.ess,
            num_draws=len(weighted.x),
            r_hat=checks.r_hat,
            uncovered_mass=checks.uncovered_mass,
            num_modes=len(start.gaussians),
            narrowest_modes=narrowest_modes(self._plain.event_size)
            if checks.complete
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
    known = checks.complete, agrees(checks), -len(checks.missing)
    return *known, is_light, weighted.ess / count


_NUM_NOISE = 256
_MOST_COMPONENTS = 8
_FEWEST_OF_CHAINS = 400
_FEWEST_EFFECTIVE = 1000
# Of the wall time, that the search for maxima may take.
_SHARE_OF_SEARCH = 0.3


def first_start(
    density: UnconstrainedDensity,
    starts: np.ndarray,
    budget: Budget,
    rng: np.random.Generator,
) -> Start:
    """Returns Gaussians at the density's maxima, or one that is scaled by gradients.

    Args:
      density: an `UnconstrainedDensity`.
      starts: of the search, `[S, D]`.
      budget: a `Budget`.
      rng: of noise.
    """

    def is_over():
        return not budget.has_left(1.0 - _SHARE_OF_SEARCH)

    modes = find_modes(density, starts, is_over)
    budget.num_gradients += modes.num_gradients
    count = len(modes.gaussians)
    if count > 1:
        words = f"couplings over {count} Gaussians"
        return Start(modes.gaussians, modes.log_masses, modes.ends, words)
    if not count and is_over():
        words = "couplings over a standard normal, as time was short"
        return Start([standard(density.event_size)], [0.0], modes.ends, words)
    noise = rng.normal(size=(_NUM_NOISE, density.event_size))
    lowest = bound(density, standard(density.event_size), noise)
    if count and bound(density, modes.gaussians[0], noise) >= lowest:
        words = "couplings over a Laplace approximation"
        return Start(modes.gaussians, modes.log_masses, modes.ends, words)
    budget.num_gradients += 16 * _NUM_NOISE
    words = "couplings over a Gaussian scaled by gradients"
    return Start([gradient_scale(density, noise)], [0.0], modes.ends, words)


def next_start(start: Start, checks: Checks, rng: np.random.Generator) -> Start | None:
    """Returns a start with what was missing, or along the draws of chains; or None.

    Args:
      start: of the last round.
      checks: of the last round.
      rng: of the first centres of clusters.
    """
    room = _MOST_COMPONENTS - len(start.gaussians)
    if checks.missing and room > 0:
        missing = checks.missing[:room], checks.log_masses[:room]
        return start.with_missing(*missing)
    x = checks.chain_draws
    if len(x) < _FEWEST_OF_CHAINS:
        return None
    gaussians, log_shares = clusters(x, _MOST_COMPONENTS, rng)
    evidence = np.nan_to_num(checks.weighted.log_evidence[0], neginf=0.0)
    log_masses = [float(evidence + share) for share in log_shares]
    words = f"couplings over {len(gaussians)} Gaussians along Markov chains"
    return Start(
        gaussians, log_masses, start.ends, words, start.index + 1, start.coordinates
    )


def likely_draws(checks: Checks, rng: np.random.Generator) -> np.ndarray:
    """Returns draws, `[N, D]`, near to those of the target: by weights, or of chains."""
    weighted = checks.weighted
    if weighted.ess < _FEWEST_EFFECTIVE:
        return rng.permutation(checks.chain_draws)
    total = weighted.weights.sum()
    rows = rng.choice(len(weighted.x), len(weighted.x), p=weighted.weights / total)
    return weighted.x[rows]


_MAX_ITERATIONS = 25


def clusters(
    x: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[list[Gaussian], list[float]]:
    """Divides draws by k-means, and returns the Gaussian and log-share of each part.

    Args:
      x: draws, `[N, D]`.
      count: number of parts, at most; parts of fewer than D + 1 draws are left out.
      rng: of the first centres.

    Reference:
      Arthur, Vassilvitskii (2007), k-means++: the advantages of careful seeding.
      https://dl.acm.org/doi/10.5555/1283383.1283494
    """
    mean, factor = mean_and_factor(x)
    z = np.linalg.solve(factor, (x - mean).T).T
    centres = z[rng.integers(len(z), size=1)]
    for _ in range(count - 1):
        nearest = _distances(z, centres).min(axis=1)
        chosen = rng.choice(len(z), p=nearest / nearest.sum()) if nearest.any() else 0
        centres = np.concatenate([centres, z[chosen : chosen + 1]])
    for _ in range(_MAX_ITERATIONS):
        part = _distances(z, centres).argmin(axis=1)
        for k in range(count):
            if (part == k).any():
                centres[k] = z[part == k].mean(axis=0)
    rows = [x[part == k] for k in range(count)]
    rows = [row for row in rows if len(row) > x.shape[1]] or [x]
    log_shares = [float(np.log(len(row) / len(x))) for row in rows]
    return [Gaussian(*mean_and_factor(row)) for row in rows], log_shares


def _distances(z, centres):
    return ((z[:, None] - centres) ** 2).sum(axis=-1)
