"""Command lines in processes of their own, which a test kills at any moment.

One core each, so that sums have one order, and numbers of two processes are the same to
the last digit; models and tables in small pieces, so that there is much to be killed in.
"""

import importlib
import itertools
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
_MOST_CHANGES = 12  # of files, after which a process is killed
_LOG = "printed.txt"
_SAME_BYTES = {".csv", ".png", ".txt"}


def start(module, argv, folder, before=None):
    """Starts a command in `folder`, after a call of `before`, and returns the process."""
    output = str(folder / _LOG)
    return fresh_process.start(_call, module, argv, str(folder), before, output=output)


def run(module, argv, folder):
    """Runs a command to its end, in `folder`, and returns the seconds that it took."""
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
    """Starts a command, kills it after a few blocks or epochs; returns its checkpoint."""
    process = start(module, argv, folder)
    wait_for_epochs(folder / "run", 2, [process])
    process.kill()
    process.join()
    return CheckpointFolder(folder / "run" / "checkpoints").load_newest()


def wait_for_epochs(run_dir, count, processes):
    """Returns when a run has finished as many epochs, or a process has ended."""
    checkpoint = pathlib.Path(run_dir, "checkpoints", f"epoch_{count:06}.checkpoint")
    while all(p.is_alive() for p in processes) and not checkpoint.is_file():
        time.sleep(0.001)


def step_back():
    """Lets the time of day be an hour earlier each time that the process asks for it."""
    now, looks = time.time, itertools.count(1)
    time.time = lambda: now() - 3600.0 * next(looks)


def log(folder):
    """Returns what the last process wrote to its terminal."""
    return (folder / _LOG).read_text()


def outcome(folder):
    """Returns what a command has left: files by name, without what tells the time."""
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    return {
        name: _content(path)
        for name, path in files.items()
        if not name.endswith(".lock") and name != _LOG
    }


def printed(folder):
    """Returns what the last process wrote to its terminal, TensorFlow's lines left out.

    They come in cells, without the columns of a table that hold seconds.
    """
    lines = log(folder).splitlines()
    rows = [line.split("|") for line in lines if line.startswith(("|", "digits:"))]
    timed = [i for i, name in enumerate(rows[0]) if "seconds" in name] if rows else []
    return [[cell for i, cell in enumerate(row) if i not in timed] for row in rows]


def _call(module, argv, folder, before):
    if before:
        before()
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], two
    )
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    os.chdir(folder)
    table_training._SECONDS = 0.0
    text_table._BYTES_A_BLOCK = 1 << 11
    training.STEPS = 10
    initial_flow._MOST_PAIRS = 1
    posterior_training._SECONDS_OF_STEP = 60.0  # XLA, however slow the machine is
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
    """Returns bytes, plain data without seconds, or of other files that they are there."""
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    return path.read_bytes() if path.suffix in _SAME_BYTES else "there"


def _timeless(data):
    if isinstance(data, dict):
        return {k: _timeless(v) for k, v in data.items() if "seconds" not in k}
    return [_timeless(each) for each in data] if isinstance(data, list) else data
