"""A run that goes on after an interruption, in one process or several workers."""

import functools
import json
import pathlib
import shutil

import tfp_flows
from experiments.command_line import program
from experiments.reports import facts
from experiments.runs import fitting
from experiments.runs import run_directory
from experiments.runs import workers
from experiments.runs.atomic_write import atomic_write
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.fitting import TrainingError
from experiments.runs.run_directory import RunDirectoryError
from experiments.runs.workers import WorkersError

__all__ = ["checkpoints", "REFUSALS", "results_of", "run", "run_and_print"]
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
    strategy = strategy or workers.make_strategy(settings.strategy)
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
    strategy = workers.make_strategy(settings.strategy)
    check(settings)
    how = functools.partial(program.how_to_go_on, settings)
    program.stop_at_once(how)
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


_FOLDER, _VERSIONS = "checkpoints", "versions.json"


def results_of(settings, make):
    """Returns the results of a run, whose checkpoints go once there are any.

    Args:
      settings: any settings with `run_dir`.
      make: function of the folder, which writes the results last and returns them; not
        called where they are there.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        results = make(run_dir) if results is None else results
        shutil.rmtree(run_dir / _FOLDER, ignore_errors=True)
        return results


def checkpoints(run_dir):
    """Returns the folder of a run's checkpoints, all of which are of one version.

    Args:
      run_dir: folder of the run.

    Raises:
      RunDirectoryError: if they are of other versions, or nothing says of which.
    """
    path = pathlib.Path(run_dir) / _FOLDER / _VERSIONS
    now = {"tfp_flows": tfp_flows.__version__, **facts.versions()}
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(now))
    try:
        there = json.loads(path.read_text())
    except ValueError as error:
        raise RunDirectoryError(f"{path} is damaged; choose another --run_dir.") from error
    if there != now:
        names = [name for name in now if there.get(name) != now[name]]
        different = "; ".join(f"{n} {there.get(n)} there, {now[n]} now" for n in names)
        raise RunDirectoryError(
            f"{path.parent} holds a training by other versions: {different}. Choose "
            "another --run_dir, or the same versions."
        )
    return path.parent
