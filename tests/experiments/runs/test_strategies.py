"""Two replicas, or two workers on one machine, train as one device up to rounding."""

import dataclasses
import importlib
import json
import pathlib

import killed_commands
import local_workers
import numpy as np
import pytest
import tensorflow as tf
from local_workers import UNEVEN
from tiny_runs import TINY_VAE, in_folder, outcome

from experiments.runs import workers

# The last batch of the 1,257 rows has 57, and the 180 validation rows divide unevenly too.
# The divergence falls below the free bits within the run.
VAE = dataclasses.replace(
    TINY_VAE,
    **{"free_bits": 0.3, "warm_up_epochs": 2, "gradient_clip_norm": 5.0},
    **{"ema_momentum": 0.5, "epochs": 3, "batch_size": 300, "evaluation_batch_size": 67},
)
RUNS = {
    "density": ("density_estimation", UNEVEN),
    "vae": ("iaf_vae", VAE),
}


def numbers(run_dir):
    """Metrics of each epoch, and the log-likelihood of test rows."""
    metrics = np.genfromtxt(run_dir / "metrics.csv", delimiter=",", skip_header=1)
    results = json.loads((run_dir / "results.json").read_text())
    found = results.get("test_log_likelihood") or results["log_likelihood"]
    return metrics, found["nats"]


def run_workers(settings, name="density_estimation"):
    experiment = importlib.import_module(f"experiments.{name}.experiment")
    local_workers.end_well(local_workers.start_run(settings, experiment))
    assert not pathlib.Path(f"{settings.run_dir}_of_1").exists()


def run_alone(settings, name="density_estimation"):
    # A process of its own, since TensorFlow supports one strategy of replicas in a process.
    folder = pathlib.Path(settings.run_dir).parent
    killed_commands.run(f"{name}.experiment", settings.flags(), folder)


# Weights are not compared: a shift before a batch norm has no effect, so Adam moves it by
# rounding errors.
@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mirrored", "multi_worker"])
@pytest.mark.parametrize("run", RUNS)
def test_several_devices_equal_one(run, strategy, tmp_path):
    name, settings = RUNS[run]
    run_alone(in_folder(settings, tmp_path / "one"), name)
    several = in_folder(settings, tmp_path / "several")
    if strategy == "mirrored":
        run_alone(dataclasses.replace(several, strategy=strategy), name)
    else:
        run_workers(several, name)
    assert_equal_numbers(tmp_path / "several", tmp_path / "one")


def assert_equal_numbers(first, second):
    (found, nats), (expected, expected_nats) = numbers(first), numbers(second)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert nats == pytest.approx(expected_nats, rel=1e-4, abs=1e-4)


@pytest.mark.slow
def test_killed_run_of_two_replicas_goes_on(tmp_path):
    settings = dataclasses.replace(UNEVEN, epochs=8, strategy="mirrored")
    paused, whole = (in_folder(settings, tmp_path / n) for n in ("run", "whole"))
    command = "density_estimation.experiment", paused.flags()
    assert 1 < killed_commands.kill_in_training(*command, tmp_path).epoch < 8
    run_alone(paused)
    run_alone(whole)
    assert outcome(paused.run_dir) == outcome(whole.run_dir)


def share_and_write(value, contents, path):
    strategy = workers.make_strategy("multi_worker")
    with strategy.scope():
        variables = [tf.Variable(0.0), tf.Variable([0, 0])]
    for variable in variables:
        variable.assign(tf.fill(variable.shape, tf.cast(value, variable.dtype)))
    workers.share(strategy, variables)
    told = [workers.from_chief(strategy, content).decode() for content in contents]
    values = [variable.numpy().tolist() for variable in variables]
    path.write_text(json.dumps([*values, told, workers.is_chief(strategy)]))


@pytest.mark.slow
def test_what_the_chief_has_is_everyones(tmp_path):
    contents = [b"", b"12345678", b"some more than a word"]
    paths = tmp_path / "chief", tmp_path / "other"
    chief, other = (3, contents, paths[0]), (5, 3 * [b"something else"], paths[1])
    local_workers.end_well(local_workers.start(share_and_write, chief, other))
    found = [json.loads(path.read_text()) for path in paths]
    told = [content.decode() for content in contents]
    assert found[0] == [3.0, [3, 3], told, True]
    assert found[1] == [3.0, [3, 3], told, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "--seed=1 there, --seed=0 now"),
        ({"max_minutes": 1.0}, "--max_minutes=1.0 there"),
        ({"run_dir": "elsewhere", "data_dir": "elsewhere", "progress": 2}, None),
    ],
)
def test_workers_with_other_flags_are_refused(change, message, monkeypatch):
    chiefs = dataclasses.replace(UNEVEN, **change)
    told = json.dumps({"is_finished": True, "flags": chiefs.by_name()}).encode()
    monkeypatch.setattr(workers, "from_chief", lambda strategy, content: told)
    if message is None:
        assert workers.agree_on_start(None, UNEVEN, is_finished=False)
    else:
        with pytest.raises(workers.WorkersError, match=message):
            workers.agree_on_start(None, UNEVEN, is_finished=False)
