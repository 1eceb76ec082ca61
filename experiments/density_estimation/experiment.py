"""Fits a flow to a data set by maximum likelihood and reports its test log-likelihood."""

import dataclasses
import functools
import math
import pathlib

import numpy as np

import tfp_flows
from experiments.command_line import program as command_line
from experiments.command_line.kinds import check_kind
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.data import own_images
from experiments.density_estimation import class_agreement
from experiments.density_estimation import diagnostics
from experiments.density_estimation import evaluation
from experiments.density_estimation import image_levels
from experiments.density_estimation import models as choices
from experiments.density_estimation import pictures
from experiments.density_estimation import report
from experiments.density_estimation import training
from experiments.density_estimation.likelihood_classification import (
    likelihood_classification,
)
from experiments.density_estimation.settings import Settings
from experiments.reports import html_report
from experiments.reports import provenance
from experiments.runs import fitting
from experiments.runs import joint_run
from experiments.runs import strategies
from experiments.runs.epochs import digest
from experiments.runs.run_columns import refuse_other_columns
from experiments.runs.run_directory import RunDirectoryError
from experiments.runs.starting_weights import load_start

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
    """Trains, evaluates and writes everything, as `joint_run.run`, into the run's folder.

    Args:
      settings: a `Settings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    check_kind("settings", settings, Settings)
    return joint_run.run(
        settings,
        strategy,
        prepare=_prepare,
        train=training.train,
        finish=_finish,
        check_finished=functools.partial(_refuse_other_table, settings),
    )


def _prepare(settings, strategy):
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    start = _start(settings, dataset, strategy) if settings.init_from else None
    with strategy.scope():
        distribution = choices.build_distribution(
            settings,
            dataset.event_size,
            dataset.context_size,
            # Classes are zeros and ones already.
            standardize_context=not dataset.class_names,
            is_binary=dataset.is_binary,
            image_shape=dataset.image_shape,
        )
    return start.distribution if start else distribution, dataset, settings, strategy


def _start(settings, dataset, strategy):
    return load_start(
        settings,
        strategy,
        kind=tfp_flows.DensityEstimator,
        architecture=choices.ARCHITECTURE,
        facts=_shape_of(dataset),
        columns=dataset.described_columns,
    )


def _refuse_other_table(settings, results):
    """Refuses a file, of one's own, that is no longer what a finished run was fitted to."""
    path = pathlib.Path(settings.csv_path or settings.npz_path)
    if not path.is_file():
        return
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    columns = dataset.described_columns
    refuse_other_columns(settings.run_dir, results.get("columns"), columns)
    rows = digest(dataset.inputs("train"))
    if results.get("training_rows", rows) != rows:
        raise RunDirectoryError(
            f"{settings.run_dir} holds a finished run on other training rows than those of "
            f"{path}. Choose another --run_dir, or the same data."
        )


def _finish(run_dir, trained, prepared):
    model, history, notes = trained
    distribution, dataset, settings, _ = prepared
    outcome = fitting.outcome(history)
    model.save(run_dir / "model.keras")
    subject = pictures.Subject(distribution, dataset, settings)
    results = measure(model, dataset, history, settings) | {
        **outcome,
        **notes,
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
        "caveat": dataset.caveat,
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "columns": dataset.described_columns,
        "training_rows": digest(dataset.inputs("train")),
        **_shape_of(dataset),
        "init_from": settings.init_from or None,
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "command": provenance.command(settings),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


def _shape_of(dataset):
    shape = dataset.pixel_shape
    return {
        "event_size": dataset.event_size,
        "context_size": dataset.context_size,
        "image_shape": None if shape is None else list(shape),
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
        refusals=(DataError, *joint_run.REFUSALS),
    )


def main(argv):
    """Reads the flags, runs, and prints the table."""
    settings = command_line.read_settings(
        argv, Settings, choices=_CHOICES, description=__doc__
    )
    if settings is not None:
        joint_run.run_and_print(
            settings,
            run,
            check=choices.check,
            table=report.table,
            module="density_estimation",
        )
