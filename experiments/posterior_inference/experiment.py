"""Fits a surrogate posterior to a model and compares it with long chains of NUTS."""

import dataclasses
import math
import pathlib

import numpy as np
import tensorflow as tf

from experiments.command_line import program as command_line
from experiments.command_line.kinds import check_kind
from experiments.density_estimation import report
from experiments.density_estimation.models import SCALES
from experiments.density_estimation.models import choose
from experiments.posterior_inference import importance
from experiments.posterior_inference import pictures
from experiments.posterior_inference import report as posterior_report
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.reference import Reference
from experiments.posterior_inference.reference import nuts
from experiments.posterior_inference.regressions import REGRESSIONS
from experiments.posterior_inference.regressions import find
from experiments.posterior_inference.settings import ALL
from experiments.posterior_inference.settings import PosteriorSettings
from experiments.posterior_inference.targets import TARGETS
from experiments.posterior_inference.targets import flatten
from experiments.posterior_inference.targets import labels
from experiments.posterior_inference.training import train
from experiments.reports import html_report
from experiments.reports import provenance
from experiments.runs import run_directory
from experiments.runs.fitting import TrainingError
from experiments.runs.run_directory import RunDirectoryError

_CHOICES = {"target": [*TARGETS, *REGRESSIONS, ALL], "posterior": [*POSTERIORS, ALL]}
_CHOICES |= {"scale": ["own", *SCALES]}
_DRAWS_AT_ONCE = 5000

# What a run refuses, or comes to nothing by.
REFUSALS = (RunDirectoryError, TrainingError, OSError)


def run(settings):
    """Fits, evaluates and writes everything into `settings.run_dir`.

    A finished run is only read.

    Args:
      settings: a `PosteriorSettings` of one target and one posterior.

    Returns:
      What `results.json` holds; where the posterior does not apply to the target,
      nothing is written, and `failure` says why.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
      TrainingError: if the training diverges.
      UsageError: if the target's data are not in `settings.data_dir`.
    """
    check_kind("settings", settings, PosteriorSettings)
    entry = find(settings.target, settings.data_dir)
    choose("posterior", settings.posterior, POSTERIORS)
    if reason := entry.inapplicable.get(settings.posterior):
        chosen = {"target": settings.target, "posterior": settings.posterior}
        return chosen | {"failure": reason}
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        return _run(entry, settings, run_dir) if results is None else results


def run_all(settings):
    """Runs what `settings` name, each target with each posterior, and yields the results.

    Args:
      settings: a `PosteriorSettings`; where it says "all", each run has a folder of its
        own, `run_dir/target/posterior`, and one that diverges says so by its `failure`.
    """
    targets = _all_targets(settings) if settings.target == ALL else [settings.target]
    posteriors = POSTERIORS if settings.posterior == ALL else [settings.posterior]
    if ALL not in (settings.target, settings.posterior):
        yield run(settings)
        return
    for target in targets:
        for posterior in posteriors:
            folder = pathlib.Path(settings.run_dir) / target / posterior
            chosen = {"target": target, "posterior": posterior, "run_dir": str(folder)}
            try:
                yield run(dataclasses.replace(settings, **chosen))
            except TrainingError as error:  # the others go on
                yield {"target": target, "posterior": posterior, "failure": str(error)}


def _all_targets(settings):
    return [*TARGETS, *(REGRESSIONS if settings.data_dir else ())]


def _run(entry, settings, run_dir):
    pinned = entry.pinned()
    posterior = POSTERIORS[settings.posterior](pinned, settings)
    losses, seconds = train(posterior, pinned.unnormalized_log_prob, settings)
    draws, log_weights = _draw(posterior, pinned, settings)
    results = {
        "target": settings.target,
        "posterior": settings.posterior,
        **_quality(log_weights),
        "evidence": entry.evidence() if entry.evidence else None,
        "moments": _moments(draws, labels(pinned.event_shape)),
        "training_seconds": seconds,
        "num_parameters": sum(math.prod(w.shape) for w in posterior.trainable_variables),
        "command": provenance.command(settings, "posterior_inference"),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    reference = _reference(entry, settings)
    if reference is not None:
        results |= _comparison(draws, reference)
    captions = pictures.draw(run_dir, results, losses, draws, reference)
    page = posterior_report.page(results)
    page.write_markdown(captions, run_dir / "report.md")
    html_report.write_report(page, captions, run_dir / "report.html")
    report.write_results(results, run_dir / "results.json")
    return results


def _draw(posterior, pinned, settings):
    """Returns draws, `[N, D]`, and their log-weights, `[N]`."""

    @tf.function(autograph=False)
    def draw(seed):
        parts, log_prob = posterior.experimental_sample_and_log_prob(
            _DRAWS_AT_ONCE, seed=seed
        )
        return parts, pinned.unnormalized_log_prob(parts) - log_prob

    rows, log_weights = [], []
    for i in range(-(-settings.num_draws // _DRAWS_AT_ONCE)):
        parts, weights = draw(tf.constant([3 + i, settings.seed]))
        rows.append(flatten(parts))
        log_weights.append(weights.numpy().astype(np.float64))
    count = slice(settings.num_draws)
    return np.concatenate(rows)[count], np.concatenate(log_weights)[count]


def _quality(log_weights):
    return {
        "elbo": dataclasses.asdict(importance.elbo(log_weights)),
        "importance_weighted": dataclasses.asdict(
            importance.importance_weighted(log_weights)
        ),
        "effective_share": importance.effective_share(log_weights),
        "pareto_k": importance.pareto_k(log_weights),
        "num_draws": len(log_weights),
    }


def _moments(draws, names):
    means, deviations = draws.mean(axis=0), draws.std(axis=0)
    return {
        name: {"mean": float(mean), "standard_deviation": float(deviation)}
        for name, mean, deviation in zip(names, means, deviations, strict=True)
    }


def _reference(entry, settings):
    if settings.reference == "none":
        return None
    if settings.reference == "own" and entry.reference is not None:
        return Reference(entry.reference, "posteriordb")
    return nuts(
        settings.target,
        data_dir=settings.data_dir,
        num_chains=settings.num_chains,
        num_draws=-(-settings.num_draws // settings.num_chains),
        num_adaptation_steps=settings.num_adaptation_steps,
        seed=settings.seed,
    )


def _comparison(draws, reference):
    """How far means and deviations are off, in standard deviations of the reference."""
    means, deviations = reference.draws.mean(axis=0), reference.draws.std(axis=0)
    return {
        "reference": {
            "means": means.tolist(),
            "standard_deviations": deviations.tolist(),
            "origin": reference.origin,
            "r_hat": reference.r_hat,
            "effective_size": reference.effective_size,
            "divergences": reference.divergences,
            "num_draws": len(reference.draws),
        },
        "greatest_error_of_a_mean": float(
            np.abs((draws.mean(axis=0) - means) / deviations).max()
        ),
        "greatest_ratio_of_deviations": float(
            np.exp(np.abs(np.log(draws.std(axis=0) / deviations)).max())
        ),
    }


def cli(argv):
    """Runs a command line and returns its exit status.

    It is 2 for wrong use, and 1 for a run that came to nothing.
    """
    return command_line.exit_status(
        main, argv, name="posterior_inference", refusals=REFUSALS
    )


def main(argv):
    """Reads the flags, runs, and prints a row a run."""
    settings = command_line.read_settings(
        argv,
        PosteriorSettings,
        choices=_CHOICES,
        description=__doc__,
        lists_datasets=False,
    )
    if settings is None:
        return
    print(posterior_report.HEADER, flush=True)
    for results in run_all(settings):
        print(posterior_report.row(results), flush=True)
    print(f"Written to {settings.run_dir}.")
