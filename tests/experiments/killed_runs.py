"""Runs in processes of their own, which a test kills at moments drawn from a seed."""

import json
import pathlib
import time

import fresh_process
import tensorflow as tf
from tiny_runs import quick_runs

from experiments.density_estimation import experiment as density_estimation


def run_to_the_end(settings, run=density_estimation.run):
    """Runs in a fresh process and returns what the run directory then says."""
    run_alone(settings, run)
    return outcome(settings.run_dir)


def run_alone(settings, run):
    """Runs in a fresh process, which has to end well."""
    process = fresh_process.start(_run, settings, run)
    process.join(300)
    assert process.exitcode == 0


def run_and_kill(settings, run=density_estimation.run, *, rng):
    """Starts the run, and kills it some time after one more epoch, or a few."""
    process = fresh_process.start(_run, settings, run)
    epochs = _num_epochs(settings.run_dir) + rng.integers(0, 4)
    wait_for_epochs(settings.run_dir, epochs, [process])
    time.sleep(rng.uniform(0.0, 0.2))
    process.kill()
    process.join()
    return _num_epochs(settings.run_dir)


def wait_for_epochs(run_dir, count, processes):
    """Returns when a run has finished as many epochs, or a process has ended."""
    while all(p.is_alive() for p in processes) and _num_epochs(run_dir) < count:
        time.sleep(0.005)


def outcome(run_dir):
    """Returns the metrics, and the results without what has no bearing on numbers."""
    run_dir = pathlib.Path(run_dir)
    results = json.loads((run_dir / "results.json").read_text())
    del results["training_seconds"], results["command"]
    return (run_dir / "metrics.csv").read_text(), results


def _run(settings, run):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    with quick_runs():
        run(settings)


def _num_epochs(run_dir):
    files = sorted(pathlib.Path(run_dir, "checkpoints").glob("epoch_*"))
    return int(files[-1].stem.removeprefix("epoch_")) if files else 0
