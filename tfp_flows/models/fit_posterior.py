"""Fits of posteriors that need no tuning, and that say whether they can be relied on."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.arguments import check_callable
from tfp_flows.core.arguments import check_flag
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.distributions.fitted_posterior import FittedPosterior
from tfp_flows.distributions.joint_support import JointSupport
from tfp_flows.distributions.target_checks import check_target
from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity
from tfp_flows.models.fit_budget import Budget
from tfp_flows.models.fit_budget import Progress
from tfp_flows.models.fit_checkpoint import FitCheckpoint
from tfp_flows.models.posterior_fit import PosteriorFit

__all__ = ["fit_posterior"]

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
    with the same kind of machine, versions and numbers of threads, if the target's own
    operations return the same bits each time. A clock decides in two cases only, and the
    report says so. `max_minutes` may end the fit. And XLA is left if it takes two minutes
    of the processor for the target, or makes a program that is ten times as slow as
    TensorFlow's. Other machines round differently; chains and weights then differ within
    their errors.

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
    check_arguments({"seed": seed, "dtype": dtype, "name": name})
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
        support = JointSupport.of_distribution(target)
        return support, log_prob or target.unnormalized_log_prob
    if log_prob is None:
        raise ValueError(
            f"Expected `target_log_prob_fn`, {words}, with an event shape; got None."
        )
    return JointSupport.of_shape(target, support, dtype), log_prob
