"""Fits a density to a data set and reports its test log-likelihood.

The density is that of `tfp_flows.fit_density`, or one flow that --flow names.
"""

import functools
import pathlib

from experiments.command_line import program
from experiments.command_line.flag_settings import check_kind
from experiments.data import load_dataset
from experiments.density_estimation import evaluation, models, pictures, report
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.settings import Settings
from experiments.reports import page
from experiments.runs import resuming, workers
from experiments.runs.run_directory import RunDirectoryError, digest
from experiments.runs.starting_weights import refuse_other_columns


def run(settings, strategy=None):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    An interrupted run goes on; the fit of `--flow=auto` starts again. A finished run goes
    on if `settings` ask for more (see `resuming.is_finished`), else its results are read.
    Unusable data leave the folder untouched.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    from experiments.runs import fitting  # TensorFlow, once the flags are read

    check_kind("settings", settings, Settings)
    strategy = strategy or workers.make_strategy(settings.strategy)
    if resuming.is_finished(settings, strategy):
        return resuming.finished(settings, strategy, refuse=_refuse_other_table)
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    fit = _fit_of(settings, dataset, strategy)
    with resuming.unfinished(settings, strategy) as run_dir:
        model, history, notes = fit()
        if run_dir is None:
            return None
        outcome = fitting.outcome(history) if history else {}
        model.save(run_dir / "model.keras")
        subject = Subject(model.distribution, dataset, settings)
        results = evaluation.measure(model, history, subject) | outcome | notes
        captions = pictures.draw(subject, history)
        page.write(report.page(results), captions, results, run_dir)
        return results


@program.command(Settings, description=__doc__)
def cli(settings):
    """Fits, and prints the report."""
    # A process must join its cluster before it runs any operation of TensorFlow.
    strategy = workers.make_strategy(settings.strategy)
    models.check(settings)
    with resuming.stoppable(settings, strategy):
        results = run(settings, strategy)
    resuming.tell_written(settings, results and report.page(results).text())


def _fit_of(settings, dataset, strategy):
    """Returns the function that fits, after all checks that need no fit."""
    from experiments.density_estimation import training  # TensorFlow, as above

    if settings.flow == models.AUTO:
        models.check_auto(settings, dataset)
        return functools.partial(training.fit_density, dataset, settings)
    distribution = models.for_dataset(settings, dataset, strategy)
    return functools.partial(training.train, distribution, dataset, settings, strategy)


def _refuse_other_table(settings, results):
    """Refuses a user's file that has changed since the finished run was fitted to it."""
    path = pathlib.Path(settings.csv_path or settings.npz_path)
    if not path.is_file():
        return
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    columns = dataset.described_columns
    refuse_other_columns(settings.run_dir, results.get("columns"), columns)
    if results["training_rows"] != digest(dataset.inputs("train")):
        raise RunDirectoryError(
            f"{settings.run_dir} holds a finished run on other training rows than those of "
            f"{path}. Choose another --run_dir, or the same data."
        )
