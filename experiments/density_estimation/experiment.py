"""Fits a flow to a data set by maximum likelihood and reports its test log-likelihood."""

import functools
import pathlib

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import check_kind
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.density_estimation import evaluation
from experiments.density_estimation import models
from experiments.density_estimation import pictures
from experiments.density_estimation import report
from experiments.density_estimation import training
from experiments.density_estimation.settings import Settings
from experiments.density_estimation.training import Subject
from experiments.reports import page
from experiments.runs import fitting
from experiments.runs import resuming
from experiments.runs.epochs import digest
from experiments.runs.run_directory import RunDirectoryError
from experiments.runs.starting_weights import load_start
from experiments.runs.starting_weights import refuse_other_columns


def run(settings, strategy=None):
    """Trains, evaluates and writes everything, as `resuming.run`, into the run's folder.

    Args:
      settings: a `Settings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    check_kind("settings", settings, Settings)
    return resuming.run(
        settings,
        strategy,
        prepare=_prepare,
        train=training.train,
        finish=_finish,
        check_finished=functools.partial(_refuse_other_table, settings),
    )


def cli(argv):
    """Runs a command line and returns its exit status.

    Wrong use is 2; wrong data, a folder that cannot be used, or the loss of a worker, is
    1. Both say what is wrong in one line, and neither leaves anything behind.
    """
    refusals = (DataError, *resuming.REFUSALS)
    return program.run(argv, _main, Settings, description=__doc__, refusals=refusals)


def _main(settings):
    resuming.run_and_print(settings, run, check=models.check, table=report.table)


def _prepare(settings, strategy):
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    start = None
    if settings.init_from:
        start = load_start(
            settings,
            strategy,
            kind=tfp_flows.DensityEstimator,
            architecture=models.ARCHITECTURE,
            facts=evaluation.shape_of(dataset),
            columns=dataset.described_columns,
        )
    with strategy.scope():
        distribution = models.build_distribution(
            settings,
            dataset.event_size,
            dataset.context_size,
            # Classes are zeros and ones already.
            standardize_context=not dataset.class_names,
            is_binary=dataset.is_binary,
            image_shape=dataset.image_shape,
            angles=dataset.angles,
        )
    return start.distribution if start else distribution, dataset, settings, strategy


def _finish(run_dir, trained, prepared):
    model, history, notes = trained
    subject = Subject(*prepared[:3])
    outcome = fitting.outcome(history)
    model.save(run_dir / "model.keras")
    results = evaluation.measure(model, history, subject) | outcome | notes
    captions = pictures.draw(subject, history)
    page.write(report.page(results), captions, results, run_dir)
    return results


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
