"""Command lines in processes of their own, which a test kills at any moment.

Each process has one thread, so that sums have one order and numbers are equal to the last
digit. Work is cut into small pieces, so that a kill can come between many of them.
"""

import importlib
import json
import os
import pathlib
import signal
import time

import fresh_process
import tensorflow as tf
from tiny_runs import quick_runs

from experiments import sample
from experiments.data import text_table
from experiments.posterior_inference import training
from experiments.runs.checkpoints import CheckpointFolder
from tfp_flows.inference import initial_flow
from tfp_flows.inference import training as posterior_training
from tfp_flows.tables import training as table_training

KILLED = -signal.SIGKILL
_MOST_CHANGES = 12  # changes of files, after which a process is killed at the latest
_LOG = "printed.txt"
_SAME_BYTES = {".csv", ".png", ".txt"}


def start(module, argv, folder):
    """Starts a command in `folder`, and returns the process."""
    output = str(folder / _LOG)
    return fresh_process.start(_call, module, argv, str(folder), output=output)


def run(module, argv, folder):
    """Runs a command to its end, in `folder`; returns the seconds it took."""
    begin = time.perf_counter()
    status = run_to_any_end(module, argv, folder)
    assert status == 0, log(folder)[-4000:]
    return time.perf_counter() - begin


def run_to_any_end(module, argv, folder):
    """Runs a command to its end, in `folder`, and returns its status."""
    process = start(module, argv, folder)
    process.join(300)
    return process.exitcode


def run_and_kill(module, argv, folder, *, seconds, rng):
    """Starts a command, kills it, and returns its status, which is `KILLED` if it did.

    Half of the kills come within `seconds`, at any time; the others when files of the
    folder have changed a few times, as they do while it writes.
    """
    process = start(module, argv, folder)
    if rng.random() < 0.5:
        process.join(rng.uniform(0.0, seconds))
    else:
        _wait_for_changes(folder, rng.integers(1, _MOST_CHANGES), process)
    process.kill()
    process.join()
    return process.exitcode


def kill_in_training(module, argv, folder):
    """Kills a command after a few blocks or epochs of training; returns its checkpoint."""
    process = start(module, argv, folder)
    wait_for_epochs(folder / "run", 2, [process])
    process.kill()
    process.join()
    return CheckpointFolder(folder / "run" / "checkpoints").load_newest()


def wait_for_epochs(run_dir, count, processes):
    """Returns when a run has finished `count` epochs, or a process has ended."""
    checkpoint = pathlib.Path(run_dir, "checkpoints", f"epoch_{count:06}.checkpoint")
    while all(p.is_alive() for p in processes) and not checkpoint.is_file():
        time.sleep(0.001)


def log(folder):
    """Returns the text that the last process wrote to its terminal."""
    return (folder / _LOG).read_text()


def outcome(folder):
    """Returns the content of a command's files by name, without times."""
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    return {
        name: _content(path)
        for name, path in files.items()
        if not name.endswith(".lock") and name != _LOG
    }


def printed(folder):
    """Returns the tables that the last process printed, as rows of cells.

    Lines of TensorFlow and columns of seconds are left out.
    """
    lines = log(folder).splitlines()
    rows = [line.split("|") for line in lines if line.startswith(("|", "digits:"))]
    timed = [i for i, name in enumerate(rows[0]) if "seconds" in name] if rows else []
    return [[cell for i, cell in enumerate(row) if i not in timed] for row in rows]


def _call(module, argv, folder):
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], two
    )
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    os.chdir(folder)
    table_training._SECONDS_BETWEEN_BACKUPS = 0.0
    text_table._BYTES_A_BLOCK = 1 << 11
    training.STEPS = 10
    initial_flow._MOST_PAIRS = 1
    posterior_training._SECONDS_OF_STEP = 60.0  # always with XLA, even on a slow machine
    sample._ROWS_A_CALL = 20
    with quick_runs():
        name = module.partition(".")[0]
        return importlib.import_module(f"experiments.{module}").cli([name, *argv])


def _files(folder):
    return [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]


def _wait_for_changes(folder, count, process):
    before, changes = _states(folder), 0
    while process.is_alive() and changes < count:
        time.sleep(0.001)
        now = _states(folder)
        changes, before = changes + (now != before), now


def _states(folder):
    found = {}
    for path in _files(folder):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        if path.name != _LOG:
            found[path] = state.st_size, state.st_mtime_ns
    return found


def _content(path):
    """Returns a file's bytes or JSON data without times; for other kinds, "there"."""
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    return path.read_bytes() if path.suffix in _SAME_BYTES else "there"


def _timeless(data):
    if isinstance(data, dict):
        return {k: _timeless(v) for k, v in data.items() if "seconds" not in k}
    return [_timeless(each) for each in data] if isinstance(data, list) else data
