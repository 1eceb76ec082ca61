"""Fits a surrogate posterior to a model and compares it with long chains of NUTS."""

import dataclasses
import pathlib

from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError
from experiments.command_line.kinds import check_kind
from experiments.posterior_inference import evaluation
from experiments.posterior_inference import pictures
from experiments.posterior_inference import report
from experiments.posterior_inference import training
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.posteriordb import find
from experiments.posterior_inference.posteriordb import stored
from experiments.posterior_inference.settings import ALL
from experiments.posterior_inference.settings import PosteriorSettings
from experiments.posterior_inference.targets import TARGETS
from experiments.reports import writing
from experiments.runs import run_directory
from experiments.runs.fitting import TrainingError
from experiments.runs.run_directory import RunDirectoryError

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
    if ALL in (settings.target, settings.posterior):
        raise UsageError("Expected one target and one posterior; got all of either.")
    entry = find(settings.target, settings.data_dir)
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
    return [*TARGETS, *stored(settings.data_dir)]


def cli(argv):
    """Runs a command line and returns its exit status.

    It is 2 for wrong use, and 1 for a run that came to nothing.
    """
    return program.run(
        argv, _main, PosteriorSettings, description=__doc__, refusals=REFUSALS
    )


def _main(settings):
    print(report.HEADER, flush=True)
    for results in run_all(settings):
        print(report.row(results), flush=True)
    print(f"Written to {settings.run_dir}.")


def _run(entry, settings, run_dir):
    pinned = entry.pinned()
    posterior = POSTERIORS[settings.posterior](pinned, settings)
    losses, seconds = training.train(posterior, pinned.unnormalized_log_prob, settings)
    drawn = evaluation.draw(posterior, pinned, entry, settings)
    reference = evaluation.find_reference(entry, settings)
    results = evaluation.measure(posterior, entry, drawn, reference, settings)
    results["training_seconds"] = seconds
    captions = pictures.draw(run_dir, results, losses, drawn[0], reference)
    writing.write(report.page(results), captions, results, run_dir)
    return results
