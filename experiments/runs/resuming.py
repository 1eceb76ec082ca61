"""The frame of a run that can be resumed, in one process or several workers.

A command asks whether its run `is_finished`. If it is, `finished` reads the results; if
not, the run is made within `unfinished`. The chief alone reads and writes the folder; the
other workers only train.
"""

import contextlib
import functools
import json
import pathlib
import shutil

import tfp_flows
from experiments.command_line import program
from experiments.reports import facts
from experiments.runs import run_directory, workers
from experiments.runs.atomic_write import atomic_write
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError

_FOLDER, _VERSIONS = "checkpoints", "versions.json"


@contextlib.contextmanager
def stoppable(settings, strategy):
    """Prints how to go on if the block is stopped or another worker is lost.

    Raises:
      RunDirectoryError: if a file cannot be written.
      WorkersError: if another worker is lost.
    """
    how = functools.partial(program.how_to_go_on, settings)
    program.stop_at_once(how)
    try:
        with workers.within_reach(strategy, how):
            yield
    except OSError as error:
        raise RunDirectoryError(f"{error}. {how()}") from error


def is_finished(settings, strategy=None):
    """Whether the run is finished, by the chief's folder; all workers must call this.

    A finished run that the settings extend is not: a greater `epochs` extends it, and so
    does a greater `max_minutes` after a time limit.

    Raises:
      WorkersError: if the workers were started with different flags.
    """
    is_there = workers.is_chief(strategy) and _is_complete(settings)
    return workers.agree_on_start(strategy, settings, is_finished=is_there)


def finished(settings, strategy=None, *, refuse=lambda settings, results: None):
    """Returns the results of a finished run, and prints that it was finished already.

    `refuse` raises `RunDirectoryError` if the data have changed since.

    A worker that is not the chief gets None.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    if not workers.is_chief(strategy):
        return None
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        refuse(settings, results)
        _delete_checkpoints(run_dir, results)
    print(f"{run_dir} holds this run, finished; delete it to repeat it.")
    return results


@contextlib.contextmanager
def unfinished(settings, strategy=None):
    """Yields the folder of a run; None in a worker that is not the chief.

    The block writes the results last. A run that can be extended keeps its last
    checkpoint; other runs keep none.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run, its
        checkpoints are of other versions of the packages, or it lacks the checkpoint for an
        extension.
    """
    if not workers.is_chief(strategy):
        yield None
        return
    with run_directory.claim(settings) as run_dir:
        before = run_directory.finished_results(run_dir)
        if before is not None and CheckpointFolder(run_dir / _FOLDER).is_empty:
            raise RunDirectoryError(
                f"Expected the last checkpoint of the run in {run_dir}, to go on from; got "
                f"none. Choose another --run_dir, with --init_from={run_dir} to start from "
                "its weights."
            )
        checkpoints(run_dir)
        yield run_dir
        results = run_directory.finished_results(run_dir)
        if before is not None:
            print(_remark(before, results))
        _delete_checkpoints(run_dir, results)


def tell_written(settings, table):
    """Prints the table of a run and the path of its report; None: the chief has both."""
    if table is None:
        print("Done; the chief reports.")
        return
    print(table)
    print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


def checkpoints(run_dir):
    """Returns the checkpoint folder of a run, and stores the versions of packages in it."""
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


def _is_complete(settings):
    """Whether `settings.run_dir` holds a finished run that `settings` do not extend."""
    results = run_directory.finished_results(settings.run_dir)
    if results is None or "limits" not in results:
        return results is not None
    if not hasattr(settings, "epochs"):
        return True  # the run of another command, which is refused where it is read
    limits = results["limits"]
    minutes = limits["max_minutes"]
    wants_minutes = minutes is not None and not 0.0 < settings.max_minutes <= minutes
    return settings.epochs <= limits["epochs"] and not wants_minutes


def _remark(before, results):
    first, last = before["num_epochs"], results["num_epochs"]
    if first == last:
        return (
            f"No epoch was added to the {first}: training had stopped early (see "
            "--patience), or its time is up."
        )
    return f"The run went on from epoch {first} to epoch {last}."


def _delete_checkpoints(run_dir, results):
    if results and "limits" in results:
        CheckpointFolder(run_dir / _FOLDER).delete_all_but_newest()
    else:
        shutil.rmtree(run_dir / _FOLDER, ignore_errors=True)
