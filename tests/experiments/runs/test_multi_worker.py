"""Two workers on this machine train as one process does, and go on after a loss."""

import dataclasses
import json
import pathlib

import keras
import killed_runs
import local_workers
import numpy as np
import pytest
import tensorflow as tf

from experiments.data import load_dataset
from experiments.runs import workers

# Last batches of one row, so that one worker has none; and an end by the chief's clock.
LONE_ROW = dataclasses.replace(
    local_workers.UNEVEN,
    batch_norm=False,
    act_norm=True,
    batch_size=3333,
    evaluation_batch_size=1999,
    max_minutes=1e-9,
)


def run_workers(settings):
    local_workers.end_well(local_workers.start_run(settings))
    assert not pathlib.Path(f"{settings.run_dir}_of_1").exists()


def metrics_and_model(run_dir):
    metrics = np.genfromtxt(run_dir / "metrics.csv", delimiter=",", skip_header=1)
    return metrics, keras.saving.load_model(run_dir / "model.keras")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of `UNEVEN`, as two workers leave it."""
    folder = tmp_path_factory.mktemp("workers") / "run"
    run_workers(dataclasses.replace(local_workers.UNEVEN, run_dir=str(folder)))
    return folder


def models_of_workers_and_of_one_process(settings, folder, one):
    killed_runs.run_to_the_end(dataclasses.replace(settings, run_dir=str(one)))
    (metrics, model), (expected, expected_model) = map(metrics_and_model, (folder, one))
    np.testing.assert_allclose(metrics, expected, rtol=1e-4)
    return model, expected_model


@pytest.mark.slow
def test_two_workers_equal_one_process(uninterrupted, tmp_path):
    models = models_of_workers_and_of_one_process(
        local_workers.UNEVEN, uninterrupted, tmp_path
    )
    # Not the weights: shift and scale before a batch norm change nothing, so that Adam
    # moves them by rounding.
    rows = load_dataset("two_moons").test
    log_probs = [model.distribution.log_prob(rows).numpy() for model in models]
    np.testing.assert_allclose(*log_probs, atol=1e-3)


@pytest.mark.slow
def test_worker_without_rows_and_a_finished_run(tmp_path):
    folder = tmp_path / "workers"
    settings = dataclasses.replace(LONE_ROW, run_dir=str(folder))
    run_workers(settings)
    models = models_of_workers_and_of_one_process(LONE_ROW, folder, tmp_path / "one")
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=2e-5)
    outcome = killed_runs.outcome(folder)
    assert outcome[1]["num_epochs"] == 1
    run_workers(settings)
    assert "finished" in (tmp_path / "workers_of_0.log").read_text()
    assert killed_runs.outcome(folder) == outcome


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
    chiefs = dataclasses.replace(local_workers.UNEVEN, **change)
    told = json.dumps({"is_finished": True, "flags": chiefs.flags()}).encode()
    monkeypatch.setattr(workers, "from_chief", lambda strategy, content: told)
    if message is None:
        assert workers.agree_on_start(None, local_workers.UNEVEN, is_finished=False)
    else:
        with pytest.raises(workers.WorkersError, match=message):
            workers.agree_on_start(None, local_workers.UNEVEN, is_finished=False)
