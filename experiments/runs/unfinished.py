"""The folder of checkpoints of a run that is not finished."""

import json
import pathlib
import shutil

import tfp_flows
from experiments.reports import provenance
from experiments.runs import run_directory
from experiments.runs.atomic_write import atomic_write
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["checkpoints", "results_of"]

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
    now = {"tfp_flows": tfp_flows.__version__, **provenance.versions()}
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
