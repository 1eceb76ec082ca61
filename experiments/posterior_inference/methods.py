"""The methods of sampling a posterior that `--method` and `--posterior` name."""

import dataclasses
import functools
import math
import time

import numpy as np

import tfp_flows
from experiments.posterior_inference import evaluation, training
from experiments.posterior_inference.chains import Lengths, flow_nuts, windowed_nuts
from experiments.posterior_inference.pathfinder import pathfinder
from experiments.posterior_inference.surrogates import POSTERIORS
from experiments.runs import resuming
from experiments.runs.run_directory import RunDirectoryError

_NUM_PATHS = 20


@dataclasses.dataclass(frozen=True)
class Found:
    """Draws of a method, and their cost.

    Attributes:
      rows: draws of the parameters, `[N, D]`.
      num_gradients: evaluations of the target's gradient, adaptation included.
      log_weights: log importance weights, `[M]`, of the rows or of other draws; or None.
      effective_share: ESS of chains over the number of draws; None without chains.
      num_parameters: number of trainable parameters.
      losses: losses of the training steps; None without training.
      earlier_seconds: seconds of the run before it was interrupted.
      says: the method's own verdict on its draws.
      reasons: sentences that explain the verdict.
    """

    rows: np.ndarray
    num_gradients: int
    log_weights: np.ndarray | None = None
    effective_share: float | None = None
    num_parameters: int = 0
    losses: np.ndarray | None = None
    earlier_seconds: float = 0.0
    says: str = ""
    reasons: tuple = ()


def _surrogate(name, entry, settings, strategy=None):
    posterior, trained = train(name, entry, settings, strategy)
    rows, log_weights = evaluation.draw(posterior, entry, settings)
    return Found(rows, settings.training_gradients, log_weights, **trained)


def _fit_posterior(entry, settings):
    """One call with the defaults; its draws are resampled if its verdict says so."""
    start, folder = time.perf_counter(), resuming.checkpoints(settings.run_dir)
    try:
        posterior = tfp_flows.fit_posterior(
            entry.pinned(),
            seed=settings.seed,
            max_minutes=settings.max_minutes or None,
            checkpoint_dir=str(folder),
        )
    except ValueError as error:  # the checkpoint is damaged, or of other data
        raise RunDirectoryError(f"{error} Choose another --run_dir.") from error
    report = posterior.report
    seconds = time.perf_counter() - start
    rows, log_weights = evaluation.draw(posterior, entry, settings)
    if report.verdict == "reliable after resampling":
        rows = entry.rows(posterior.resample(settings.num_draws, settings.seed))
    return Found(
        rows,
        int(report.num_gradients),
        log_weights,
        num_parameters=_count(posterior),
        says=report.verdict,
        reasons=tuple(report.reasons),
        earlier_seconds=max(report.seconds - seconds, 0.0),
    )


def _nuts(entry, settings):
    chains = windowed_nuts(entry, _lengths(settings), seed=(7, settings.seed))
    return _from_chains(chains)


def _neutra(entry, settings):
    name = settings.posterior if settings.posterior in ("iaf", "real_nvp") else "iaf"
    posterior, trained = train(name, entry, settings)
    lengths = _lengths(settings)
    chains = flow_nuts(posterior, entry, entry.rows, lengths, seed=settings.seed)
    found = _from_chains(chains, settings.training_gradients)
    return dataclasses.replace(found, **trained)


def _pathfinder(entry, settings):
    """Multi-path Pathfinder: draws of all paths, resampled by importance weights."""
    found = pathfinder(
        entry.pinned(),
        num_paths=_NUM_PATHS,
        draws_of_a_path=-(-settings.num_draws // _NUM_PATHS),
        seed=settings.seed,
    )
    weights = np.exp(found.log_weights - found.log_weights.max())
    chosen = np.random.default_rng(settings.seed).choice(
        len(weights), settings.num_draws, p=weights / weights.sum()
    )
    rows = entry.rows(found.parts)[chosen]
    return Found(rows, found.num_gradients, found.log_weights)


def train(name, entry, settings, strategy=None):
    """Returns a trained surrogate posterior, and the fields of `Found` on its training."""
    pinned = entry.pinned()
    posterior = POSTERIORS[name](pinned, settings)
    losses, seconds = training.train(
        posterior, pinned.unnormalized_log_prob, settings, strategy
    )
    trained = {"losses": losses, "earlier_seconds": seconds}
    return posterior, trained | {"num_parameters": _count(posterior)}


def _from_chains(chains, further_gradients=0):
    share = chains.effective_sizes.min() / len(chains.rows)
    return Found(
        chains.rows,
        chains.num_gradients + chains.adaptation_gradients + further_gradients,
        effective_share=float(share),
        says=f"R̂ {chains.r_hat:.3f}, {chains.divergences:.1%} diverge",
    )


def _lengths(settings):
    return Lengths(
        settings.nuts_chains, settings.nuts_draws, settings.nuts_adaptation_steps
    )


def _count(posterior):
    return sum(math.prod(w.shape) for w in posterior.trainable_variables)


SURROGATES = {name: functools.partial(_surrogate, name) for name in POSTERIORS}
# Name -> function of the `Target` and the settings that returns a `Found`.
METHODS = {
    "fit_posterior": _fit_posterior,
    "mean_field": SURROGATES["mean_field"],
    "full_rank": SURROGATES["full_rank"],
    "nuts": _nuts,
    "neutra": _neutra,
    "pathfinder": _pathfinder,
}
