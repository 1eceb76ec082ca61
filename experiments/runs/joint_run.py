"""A run of one process, or of several workers of which the first, the chief, leads.

Every worker trains; the chief alone reads and writes the folder, evaluates and reports.
"""

import functools

from experiments.runs import fitting
from experiments.runs import interruption
from experiments.runs import run_directory
from experiments.runs import strategies
from experiments.runs import workers
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.fitting import TrainingError
from experiments.runs.run_directory import RunDirectoryError
from experiments.runs.workers import WorkersError

__all__ = ["REFUSALS", "run", "run_and_print"]

# What a run refuses, beside its data.
REFUSALS = (RunDirectoryError, TrainingError, WorkersError)


def run(
    settings, strategy=None, *, prepare, train, finish, check_finished=lambda results: None
):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    A run that was interrupted goes on, and so does a finished one that is asked for more
    (see `extending`); else that is only read.

    Args:
      settings: any settings with `run_dir`, `strategy`, `epochs` and `max_minutes`.
      strategy: what `make_strategy` returns for these settings, if called already.
      prepare: function of settings and strategy that returns all that the others take.
      train: function of what `prepare` returns, in every worker.
      finish: function, in the chief, of the folder, of what `train` returns, and of what
        `prepare` returns; returns the results, having written them last.
      check_finished: function, in the chief, of the results of a run that is only read;
        raises if that is not what the settings describe.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.

    Raises:
      DataError: if the data are not to be had, or of no use; the folder is untouched.
      RunDirectoryError: if the folder belongs to another process or another run, or to
        this one on other data.
      TrainingError: if the loss is not finite from the start.
      WorkersError: if the workers were started with different flags.
    """
    strategy = strategy or strategies.make_strategy(settings.strategy)
    is_chief = workers.is_chief(strategy)
    is_finished = workers.agree_on_start(
        strategy, settings, is_finished=is_chief and fitting.is_complete(settings)
    )
    subject = None if is_finished else prepare(settings, strategy)
    if is_chief:
        return _lead(settings, subject, train, finish, check_finished)
    if not is_finished:
        train(*subject)
    return None


def run_and_print(settings, run, *, check, table):
    """Runs what a command line asks for, and prints the table of its results.

    Args:
      settings: any settings with `run_dir` and `strategy`.
      run: function of settings and strategy, as of an experiment.
      check: function of settings that raises `UsageError`, whatever the data.
      table: function of results that returns text.

    Raises:
      WorkersError: also if another worker is lost.
    """
    # A cluster has to be joined before anything of TensorFlow runs.
    strategy = strategies.make_strategy(settings.strategy)
    check(settings)
    how = functools.partial(interruption.how_to_go_on, settings)
    interruption.stop_at_once(how)
    try:
        with workers.within_reach(strategy, how):
            results = run(settings, strategy)
    except OSError as error:
        raise RunDirectoryError(f"{error}. {how()}") from error
    if results is None:
        print("Done; the chief reports.")
    else:
        print(table(results))
        print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


def _lead(settings, subject, train, finish, check_finished):
    with run_directory.claim(settings, may_grow=fitting.MAY_GROW) as run_dir:
        if fitting.is_complete(settings):
            results = run_directory.finished_results(run_dir)
            check_finished(results)
            print(f"{run_dir} holds this run, finished; to repeat it, delete the folder.")
            return results
        fitting.refuse_lost_end(run_dir)
        before = run_directory.finished_results(run_dir)
        results = finish(run_dir, train(*subject), subject)
        if before is not None:
            print(fitting.remark(before, results))
        CheckpointFolder(run_dir / "checkpoints").delete_all_but_newest()
        return results
