"""Fits of posteriors that need no tuning, and that say whether they can be relied on.

Read top-down as the method: target -> modes -> initial flow -> training -> checks ->
verdict. The last four are a `Round`, of which a fit has three at most.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import (
    check_dtype,
    check_instance,
    check_integer,
    check_minutes,
    check_name,
    check_seed,
    require,
)
from tfp_flows.core.check import Check
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.budget import Budget, Progress, bar
from tfp_flows.inference.checkpoint import FitCheckpoint
from tfp_flows.inference.checks.findings import Findings, examine, seconds_of_checks
from tfp_flows.inference.checks.missing_mass import narrowest_modes
from tfp_flows.inference.checks.pareto import pareto_k_threshold
from tfp_flows.inference.checks.tails import improper_direction, tails_check
from tfp_flows.inference.checks.verdict import (
    PosteriorReport,
    agrees,
    is_final,
    list_checks,
    verdict,
)
from tfp_flows.inference.fitted_posterior import FittedPosterior
from tfp_flows.inference.initial_flow import (
    MOST_COMPONENTS,
    Start,
    clusters,
    first_start,
)
from tfp_flows.inference.modes import Gaussian, dispersed_starts
from tfp_flows.inference.parts import LACKING_AXIS
from tfp_flows.inference.reparametrisation import FitSpace, reparametrise
from tfp_flows.inference.stan import is_stan_model, stan_space
from tfp_flows.inference.support import support_and_density
from tfp_flows.inference.target import UnconstrainedDensity
from tfp_flows.inference.training import compiled_training, train

_MAX_ROUNDS = 3
# Starts of the search for modes: dispersed points, and draws of the prior.
_NUM_STARTS, _NUM_PRIOR = 32, 16
_FEWEST_OF_CHAINS = 400  # fewest draws of chains for a start along them
_NUM_KEPT = 4  # points that identify the target of a checkpoint
_NUM_TAIL_DRAWS = 2000  # draws of the first start for the check of the far tails
_SEED_OF_CHECKS = 7919  # a prime that keeps seeds of checks apart from those of training
# Generators are `default_rng([seed, k])`: k is 0 for the first start, 3 for later ones, 4
# and 5 for far tails; with a seed of checks, 2 for chains and modes, 6 for broad draws.
_SHARE_OF_CHECKS = 0.5  # largest share of the wall time for checks
_SHARE_OF_ROUND = 0.3  # least share of the wall time for a further round
# Typical shares of a round that are done after the search for maxima, after compilation and
# after training, for the progress bar.
_SEARCHED, _COMPILED, _TRAINED = 0.1, 0.2, 0.7
_SHARE_OF_COMPILING = 0.4  # share of the time left that XLA may take for steps
_SECONDS_OF_COMPILING = 6.0  # reserved for compiling the checks


def fit_posterior(
    target: object,
    *,
    support: object = None,
    target_log_prob_fn: Callable | None = None,
    dtype: tf.DType | str | None = None,
    seed: int | None = None,
    max_minutes: float | None = None,
    max_gradients: int | None = None,
    checkpoint_dir: str | None = None,
    verbose: int | str = "auto",
    name: str = "fitted_posterior",
) -> FittedPosterior:
    """Fits a posterior to a model and checks it, in one call without tuning.

    ```none
    start   maxima of the density from dispersed starts, and a mixture of Gaussians with its
            curvature there; without a maximum, a Gaussian scaled by gradients
    fit     couplings over these, by the evidence lower bound; each step size until a block
            of steps gains less than twice its standard error, then a third of it; until the
            divergence is below 0.0005 nats
    checks  importance weights, with broad distributions mixed in; Markov chains that start
            far apart; a search for further maxima; the far tails
    ```

    If a check fails, the fit is repeated, at most twice. If weighted draws suggest
    coordinates with lighter tails, or with effects that do not scale with other variables,
    it is repeated in these (`report.fit` says so); else with the missing mass. `report` has
    the results of the checks:

    ```python
    posterior = tfp_flows.fit_posterior(model.experimental_pin(y=y), seed=0)
    print(posterior.report)  # a table; posterior.report.verdict is one of its fields
    posterior.sample(1000, seed=1)  # where the verdict is "reliable"
    posterior.resample(1000, seed=1)  # where it is "reliable after resampling", too
    ```

    The same seed gives the same posterior and draws, bit for bit, in any process with the
    same kind of CPU and versions, if the target's own operations return the same bits each
    time, and after `tf.config.threading.set_inter_op_parallelism_threads(1)`. With more of
    these threads, TensorFlow may sum gradients in another order, and results differ within
    their errors, as on other machines. A clock decides in two cases only, which the report
    names: `max_minutes` ends the fit; or XLA is not used, since it takes two minutes of the
    processor for the target, or its program is ten times as slow as TensorFlow's.

    Args:
      target: a joint distribution, pinned or not, or any other `tfd.Distribution`, with its
        own default bijectors as constraints; or an event shape, or a structure of event
        shapes, with the constraints `support` and the density `target_log_prob_fn`; or a
        `bridgestan.StanModel`, whose parameters, by their names, are the parts.
      support: bijectors from all reals to the support of each part, if `target` is an
        event shape; None leaves a part unconstrained. As in TFP, densities on a simplex
        (`tfb.SoftmaxCentered`) are relative to all shares but one, and densities of
        correlation matrices to the entries below the diagonal.
      target_log_prob_fn: unnormalised log-density, a function of the parts of N draws,
        `[N, *event]` each, to `[N]`; by default that of the distribution `target`.
      dtype: dtype of the parts, if `target` is an event shape or a Stan model, by default
        float32 and float64; else None, or that of `target`. The fit computes in it.
      seed: integer; None takes the seed of the fit in `checkpoint_dir`, or a random one.
      max_minutes: wall time of the call, with compilation and checks. Training ends in
        time for the checks. If the checks alone take too long, some are left out, and the
        verdict is "not reliable". One evaluation of the target, and TensorFlow's work on
        its graph, are not interrupted.
      max_gradients: evaluations of the target's gradient after which training ends.
      checkpoint_dir: folder to save the fit into, and to resume an interrupted fit from.
      verbose: "auto" shows the time, the stage, and how much of the round is done on the
        standard error: a bar on a terminal, a line every 20 seconds in logs and notebooks.
        1 always shows the bar, 0 nothing.
      name: name of the distribution.

    Returns:
      A `FittedPosterior`, with `report` and `resample`.

    Raises:
      ValueError: if `target` has batch axes, parts that are not continuous, or several
        dtypes; if a Stan model comes with `support` or `target_log_prob_fn`; if its density
        is not finite at any start, is not one number a draw, or raises an error, for
        example because a matrix is singular; if `checkpoint_dir` is damaged, or holds the
        fit of another target or seed.

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
    if dtype is not None:
        dtype = check_dtype("dtype", dtype)
    check_name("name", name)
    check_minutes("max_minutes", max_minutes)
    if max_gradients is not None:
        check_integer("max_gradients", max_gradients)
    if checkpoint_dir is not None:
        words = "the name of a folder"
        check_instance("checkpoint_dir", checkpoint_dir, str, words)
        is_file = os.path.isfile(checkpoint_dir)
        require(not is_file, f"`checkpoint_dir`, {words}", "that of a file")
    space = _unconstrained_space(target, support, target_log_prob_fn, dtype)
    checkpoint = FitCheckpoint(checkpoint_dir, None if seed is None else int(seed))
    budget = Budget(max_minutes, max_gradients)
    with Progress(verbose) as shown, _errors_of_the_target():
        shown.show("drawing from the prior")
        if hasattr(target, "event_shape"):
            space.prior_draws = space.support.prior_draws(
                target, _NUM_PRIOR, checkpoint.seed
            )
        fit = Fit(space, budget, shown, checkpoint)
        rounds = [_first_round(fit)]
        while (further := _next_round(fit, rounds[-1])) is not None:
            rounds.append(further)
        best = max(rounds, key=_rank)
        shown.show(f"round {len(rounds)} of {len(rounds)} {bar(1.0)} checking far tails")
        report = _report(fit, rounds, best)
    weighted = best.findings.weighted
    draws = best.start.space.unconstrained(weighted.x)
    return FittedPosterior(
        best.start.space.distribution_from_u(best.distribution),
        space.support.bijector,
        report=report,
        draws=draws.astype(space.density.dtype.as_numpy_dtype),
        weights=weighted.weights,
        name=name,
    )


@dataclasses.dataclass(frozen=True)
class Fit:
    """The data and services that all rounds of a fit share."""

    space: FitSpace  # of the unconstrained variables
    budget: Budget
    progress: Progress
    checkpoint: FitCheckpoint

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.checkpoint.seed

    def show(self, index: int, text: str, share: float) -> None:
        """Shows what is being done in a round, and the share of it that is done."""
        words = f"round {index + 1} of at most {_MAX_ROUNDS}"
        self.progress.show(f"{words} {bar(share)} {text}")


@dataclasses.dataclass(frozen=True)
class Round:
    """A round of a fit: its start, the posterior in its coordinates, and the checks."""

    start: Start
    distribution: FlowDistribution
    findings: Findings
    checks: list[Check]
    xla_timed_out: bool  # whether compiling took too long, so it went on without XLA


def _unconstrained_space(target, support, log_prob, dtype):
    if is_stan_model(target):
        words = "no `support` and no `target_log_prob_fn` with a Stan model, which has its"
        has_none = support is None and log_prob is None
        require(has_none, f"{words} own", "one")
        return stan_space(target, tf.as_dtype(dtype or tf.float64))
    parts, log_prob = support_and_density(target, support, log_prob, dtype or tf.float32)
    words = "`target_log_prob_fn`, a function of the parts of a draw, with an event shape"
    require(log_prob is not None, words, None)
    words = f"`dtype` of the target's parts, {parts.dtype.name}"
    require(dtype in (None, parts.dtype), words, dtype)
    is_known = parts.dtype in (tf.float32, tf.float64)
    require(is_known, "parts of float32 or float64", f"those of {parts.dtype.name}")
    return FitSpace(UnconstrainedDensity(log_prob, parts), parts)


@contextlib.contextmanager
def _errors_of_the_target() -> Iterator[None]:
    """Explains an operation's error, for example that of inverting a singular matrix."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        reason = str(error).split("[[", maxsplit=1)[0].split("\n")
        raise ValueError(
            "Expected a log-density of the target that is a number, NaN or -inf at every "
            "draw; an operation of it raised InvalidArgumentError: "
            f"{' '.join(line.strip() for line in reason if line.strip())[-200:]}"
        ) from error


def _first_round(fit):
    fit.show(0, "searching for maxima", 0.0)
    rng = np.random.default_rng([fit.seed, 0])
    points = dispersed_starts(fit.space.density.event_size, _NUM_STARTS, rng)
    points = np.concatenate([points, fit.space.prior_draws])
    fit.checkpoint.check_target(*_known_densities(fit.space.density, points))
    start = fit.checkpoint.start(0, fit.space)
    return _run_round(fit, start or first_start(fit.space, points, fit.budget, rng))


def _known_densities(density, points):
    """Some points, `[N, D]`, and log-densities, `[N]`, that identify a target.

    Refuses a target without a density or gradient, or one that mixes draws.
    """
    values, gradients = density.log_prob_and_gradient(points)
    count, finite = len(points), np.flatnonzero(np.isfinite(values))
    words = f"a target whose log-density is finite at one of {count} dispersed points"
    require(len(finite), f"{words} at least", f"{values[0]} at the first")
    words = "a target whose log-density has a gradient"
    got = f"0 at each of {count} dispersed points, as of a constant, or of steps that have"
    require(gradients.any(), words, f"{got} no gradient")
    kept = finite[:_NUM_KEPT]
    value = values[kept[0]]
    (alone,), _ = density.log_prob_and_gradient(points[kept[:1]])
    got = f"{value:g} of a draw beside {count - 1} others, and {alone:g} of it alone"
    is_same = np.isclose(alone, value, rtol=1e-3, atol=1e-3)
    require(is_same, "a log-density of each draw by itself", got, LACKING_AXIS)
    return points[kept], values[kept]


def _next_round(fit, last):
    """The round after the last one; None if it would not help, or there is no time."""
    index, budget = last.start.index + 1, fit.budget
    if index == _MAX_ROUNDS or is_final(last.checks, last.findings.weighted):
        return None
    if budget.reached() or not budget.has_left(_SHARE_OF_ROUND):
        budget.end()
        return None
    start = fit.checkpoint.start(index, last.start.space) or _new_start(fit, last)
    return None if start is None else _run_round(fit, start)


def _new_start(fit, last):
    """A start in other coordinates if these are much better; else with missing mass.

    Missing mass comes first, unless it is in more regions than a mixture has room for. They
    are then parts of one curved region.
    """
    index, findings = last.start.index + 1, last.findings
    rng = np.random.default_rng([fit.seed, 3, last.start.index])
    coordinates, is_last = None, index + 1 == _MAX_ROUNDS
    is_curved = len(findings.missing) > MOST_COMPONENTS - len(last.start.gaussians)
    is_first_map = last.start.space.coordinates is None
    if is_first_map and (is_last or is_curved or not findings.missing):
        coordinates = reparametrise(findings.likely_draws(rng))
    if coordinates is None:
        return wider_start(last.start, findings, rng)
    space = fit.space.mapped(coordinates)
    fit.show(index, "searching for maxima", 0.0)
    points = dispersed_starts(space.density.event_size, _NUM_STARTS, rng)
    # So that no region which the last round had, or missed, is lost.
    known = [g.mean for g in (*findings.missing, *last.start.gaussians)][:_NUM_STARTS]
    known = space.from_unconstrained(np.array(known))
    points[: len(known)] = known
    start = first_start(space, points, fit.budget, rng)
    words = f"{start.words}, after a map for {coordinates.words}"
    return dataclasses.replace(start, words=words, index=index)


def wider_start(start: Start, findings: Findings, rng: np.random.Generator) -> Start | None:
    """Returns a start with the missing mass, or along draws of chains; None without both.

    Gaussians with more parameters than there are draws of chains would be no better than a
    posterior with light-tailed weights.
    """
    gaussians = start.gaussians
    room, size = MOST_COMPONENTS - len(gaussians), len(gaussians[0].mean)
    evidence = np.nan_to_num(findings.weighted.log_evidence.value, neginf=0.0)
    fewest = _FEWEST_OF_CHAINS
    if findings.is_near_target:
        fewest = max(fewest, MOST_COMPONENTS * size * (size + 3) // 2)
    if findings.missing and room > 0:
        # Log-masses of the start are relative to each other; missing ones are absolute.
        total = np.logaddexp.reduce([g.log_mass for g in gaussians])
        gaussians = [
            Gaussian(g.mean, g.matrix, float(evidence + (g.log_mass - total)))
            for g in gaussians
        ]
        gaussians += findings.missing[:room]
        words = f"couplings over {len(gaussians)} Gaussians"
    elif len(findings.chain_draws) >= fewest:
        gaussians = [
            dataclasses.replace(part, log_mass=float(evidence + part.log_mass))
            for part in clusters(findings.chain_draws, MOST_COMPONENTS, rng)
        ]
        words = f"couplings over {len(gaussians)} Gaussians along Markov chains"
    else:
        return None
    index = start.index + 1
    return dataclasses.replace(start, gaussians=gaussians, words=words, index=index)


def _run_round(fit, start):
    """Trains the flow of a start, and checks it."""
    budget, show = fit.budget, functools.partial(fit.show, start.index)
    show("compiling", _SEARCHED)
    seed, seconds = fit.seed + start.index, _SHARE_OF_COMPILING * budget.seconds_left
    training = compiled_training(start, seed=seed, seconds=seconds)
    training.counters.assign([0.0, 0.0, 0.0, 0.0, *budget.used])
    fit.checkpoint.begin(start, training)
    seconds = _SECONDS_OF_COMPILING + 1.5 * seconds_of_checks(start.space.density)
    budget.reserve_seconds(seconds, _SHARE_OF_CHECKS)
    show("training", _COMPILED)
    train(
        training,
        budget,
        save=fit.checkpoint.save,
        show=lambda text, share: show(text, _COMPILED + (_TRAINED - _COMPILED) * share),
        is_last=start.index + 1 == _MAX_ROUNDS,
    )
    budget.reserve = 0.0
    findings = examine(
        start,
        training.distribution,
        seed=fit.seed + _SEED_OF_CHECKS * (start.index + 1),
        seconds=budget.seconds_left,
        by_xla=training.jit_compiled,
        show=lambda text, share: show(text, _TRAINED + (1.0 - _TRAINED) * share),
    )
    budget.num_gradients += findings.num_gradients
    checks = list_checks(findings, start.space.entry_names())
    timed_out = training.is_timed_out
    return Round(start, training.distribution, findings, checks, timed_out)


def _rank(result):
    """Orders rounds: by whether checks agree, by missing mass, by weights, by ESS."""
    findings, weighted = result.findings, result.findings.weighted
    known = findings.complete, agrees(result.checks), -len(findings.missing)
    return *known, weighted.is_light, weighted.ess / len(weighted.x)


def _report(fit, rounds, best):
    """The report of the best of the rounds, with a check of the far tails."""
    start, findings, checks = best.start, best.findings, best.checks
    weighted, budget, space = findings.weighted, fit.budget, fit.space
    narrowest = math.inf, math.inf
    if findings.complete:
        narrowest = narrowest_modes(space.density.event_size)
        tails = _far_tails_check(fit, best, rounds[0].start.gaussians[0])
        # For a density without an integral, no other check has a meaning.
        checks = [*checks, tails] if tails.passed else [tails]
    final_verdict, reasons = verdict(checks)
    if not agrees(checks):
        reasons += tuple(filter(None, [budget.ended or budget.reached()]))
    timed_out = any(each.xla_timed_out for each in rounds)
    without_xla = "; without XLA, which took too long" if timed_out else ""
    return PosteriorReport(
        verdict=final_verdict,
        reasons=reasons,
        elbo=weighted.elbo.value,
        elbo_error=weighted.elbo.error,
        log_evidence=weighted.log_evidence.value,
        log_evidence_error=weighted.log_evidence.error,
        pareto_k=weighted.pareto_k,
        pareto_k_threshold=pareto_k_threshold(len(weighted.x)),
        ess=weighted.ess,
        num_draws=len(weighted.x),
        r_hat=findings.r_hat,
        uncovered_mass=findings.uncovered_mass,
        num_modes=len(start.gaussians),
        narrowest_modes=narrowest,
        num_gradients=budget.num_gradients,
        skipped_steps=budget.skipped_steps,
        seconds=budget.seconds,
        fit=start.words + without_xla,
        checks=tuple(checks),
    )


def _far_tails_check(fit, best, first_gaussian):
    """Checks that the density has an integral, from draws of a round outwards."""
    density, space, findings = fit.space.density, best.start.space, best.findings
    draws = space.unconstrained(findings.weighted.from_q)
    sets_of_draws = [draws]
    if not (agrees(best.checks) or findings.is_near_target):
        # The fit of a density without an integral may be so far out that rounding hides
        # how the density falls there. The start of the first round is nearer.
        rng = np.random.default_rng([fit.seed, 5])
        noise = rng.normal(size=(_NUM_TAIL_DRAWS, draws.shape[1]))
        sets_of_draws.append(first_gaussian.draw(noise))
    found = (
        improper_direction(
            density,
            points,
            ends=space.unconstrained(best.start.ends),
            log_mass=findings.weighted.elbo.value,
            rng=np.random.default_rng([fit.seed, 4]),
            is_over=lambda: not fit.budget.has_left(0.0),
        )
        for points in sets_of_draws
    )
    improper = next(filter(None, found), None)
    return tails_check(improper, fit.space.variable_names(draws))
