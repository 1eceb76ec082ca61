"""Fits a flow to a data set by maximum likelihood and reports its test log-likelihood."""

import dataclasses
import math
import sys

import numpy as np

from experiments import choices
from experiments import class_agreement
from experiments import command_line
from experiments import diagnostics
from experiments import evaluation
from experiments import html_report
from experiments import image_levels
from experiments import interruption
from experiments import pictures
from experiments import report
from experiments import run_directory
from experiments import strategies
from experiments import training
from experiments import workers
from experiments.checkpointing import CheckpointFolder
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.data import own_images
from experiments.likelihood_classification import likelihood_classification
from experiments.run_directory import RunDirectoryError
from experiments.settings import Settings
from experiments.workers import WorkersError

_CHOICES = {
    "dataset": DATASETS,
    "flow": choices.FLOWS,
    "base": choices.BASES,
    "image_fit": own_images.FITS,
    "ordering": choices.ORDERINGS,
    "scale": choices.SCALES,
    "strategy": strategies.STRATEGIES,
}


def run(settings, strategy=None):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    A run that was interrupted goes on; a finished one is only read. Of several workers,
    the chief does all but the training alone.

    Args:
      settings: a `Settings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.

    Raises:
      DataError: if the data are not to be had, or of no use; the folder is untouched.
      RunDirectoryError: if the folder belongs to another process or another run.
      WorkersError: if the workers were started with different flags.
    """
    strategy = strategy or strategies.make_strategy(settings.strategy)
    is_chief = workers.is_chief(strategy)
    results = run_directory.finished_results(settings.run_dir) if is_chief else None
    is_finished = workers.agree_on_start(
        strategy, settings, is_finished=results is not None
    )
    subject = None if is_finished else _prepare(settings, strategy)
    if is_chief:
        results = _lead(settings, subject)
    elif not is_finished:
        training.train(*subject)
    return results


def _lead(settings, subject):
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        if results is not None:
            print(f"{run_dir} holds this run, finished; to repeat it, delete the folder.")
            return results
        results = _run(run_dir, *subject)
        CheckpointFolder(run_dir / "checkpoints").delete()
        return results


def _prepare(settings, strategy):
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    with strategy.scope():
        distribution = choices.build_distribution(
            settings,
            dataset.event_size,
            dataset.context_size,
            is_binary=dataset.is_binary,
            image_shape=dataset.image_shape,
        )
    return distribution, dataset, settings, strategy


def _run(run_dir, distribution, dataset, settings, strategy):
    model, history, seconds = training.train(distribution, dataset, settings, strategy)
    model.save(run_dir / "model.keras")
    subject = pictures.Subject(distribution, dataset, settings)
    results = measure(model, dataset, history, settings) | {
        "training_seconds": seconds,
        "calibration": diagnostics.calibration(subject),
        "two_sample_test": diagnostics.two_sample_test(subject),
    }
    if dataset.class_names:
        results["class_agreement"] = class_agreement.class_agreement(subject)
        results["likelihood_classification"] = likelihood_classification(subject)
    if dataset.bin_width is not None and image_levels.latent_sizes(distribution):
        results["bits_of_levels"] = image_levels.bits_of_levels(
            distribution, subject.data, subject.context, bin_width=dataset.bin_width
        )
    captions = pictures.draw(subject, history)
    page = report.page(results)
    page.write_markdown(captions, run_dir / "report.md")
    html_report.write_report(page, captions, run_dir / "report.html")
    # Last, since it is what marks a run as finished.
    report.write_results(results, run_dir / "results.json")
    return results


def measure(model, dataset, history, settings):
    """Returns the results of a trained model as plain data."""
    flow = evaluation.flow_log_likelihood(
        model, dataset.inputs("test"), batch_size=settings.evaluation_batch_size
    )
    baseline = evaluation.baseline(dataset)
    validation = -np.asarray(history["val_loss"])
    sets = ("train", "validation", "test")
    return {
        "dataset": dataset.name,
        "flow": settings.flow,
        "test_log_likelihood": dataclasses.asdict(flow),
        **{k: dataclasses.asdict(v) for k, v in baseline.items()},
        "bits_per_dimension": evaluation.bits_per_dimension(flow, dataset),
        "best_validation_log_likelihood": float(np.nanmax(validation)),
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "event_size": dataset.event_size,
        "context_size": dataset.context_size,
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "num_epochs": len(validation),
        "best_epoch": int(np.nanargmax(validation)) + 1,
        "command": report.command(settings),
        "versions": report.versions(),
        "machine": report.machine(),
    }


def cli(argv):
    """Runs a command line and returns its exit status.

    Wrong use is 2; wrong data, a folder that cannot be used, or the loss of a worker, is
    1. Both say what is wrong in one line, and neither leaves anything behind.
    """
    return command_line.exit_status(
        main,
        argv,
        name="density_estimation",
        refusals=(DataError, RunDirectoryError, WorkersError),
    )


def main(argv):
    """Reads the flags, runs, and prints the table."""
    settings = command_line.read_settings(
        argv, Settings, choices=_CHOICES, description=__doc__
    )
    if settings is not None:
        _run_and_print(settings)


def _run_and_print(settings):
    # A cluster has to be joined before anything of TensorFlow runs.
    strategy = strategies.make_strategy(settings.strategy)
    choices.check(settings)
    how = interruption.how_to_go_on(settings)
    interruption.stop_at_once(how)
    try:
        results = run(settings, strategy)
    except OSError as error:
        raise RunDirectoryError(f"{error}. {how}") from error
    except workers.OUT_OF_REACH as error:
        if not workers.has_others(strategy):
            raise
        raise WorkersError(f"Another worker is out of reach. {how}") from error
    if results is None:
        print("Done; the chief reports.")
    else:
        print(report.table(results))
        print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
