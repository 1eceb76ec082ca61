"""An interrupted run goes on, and ends at the numbers of one without a pause."""

import dataclasses
import errno
import itertools
import os
import pathlib
import signal
import subprocess
import sys

import killed_runs
import numpy as np
import pytest
import tensorflow as tf
import tiny_runs
from tiny_runs import in_folder
from tiny_runs import run_without_end

from experiments.command_line import program
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import training
from experiments.density_estimation.settings import Settings
from experiments.reports import facts
from experiments.runs import fitting
from experiments.runs import run_directory
from experiments.runs.checkpoints import Checkpoint
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.fitting import SaveRun
from experiments.runs.fitting import TimeLimit
from experiments.runs.run_directory import RunDirectoryError

SMALL = Settings(num_steps=2, hidden_units=(8,), epochs=20, num_samples=100, progress=0)
IMAGES = Settings(
    dataset="digits",
    flow="glow",
    num_levels=1,
    num_steps=1,
    hidden_channels=4,
    horizontal_flips=True,
    ema_momentum=0.9,
    batch_size=200,
    warmup_steps=30,
    epochs=10,
    patience=3,
    num_samples=100,
    progress=0,
)
TINY = dataclasses.replace(tiny_runs.TINY, epochs=4)
pytestmark = [pytest.mark.usefixtures("_quick"), pytest.mark.xdist_group("going on")]


def kill_often(settings, tmp_path, *, count, seed):
    paused = dataclasses.replace(settings, run_dir=str(tmp_path / "paused"))
    whole = dataclasses.replace(settings, run_dir=str(tmp_path / "whole"))
    rng = np.random.default_rng(seed)
    reached = [killed_runs.run_and_kill(paused, rng=rng) for _ in range(count)]
    metrics, results = killed_runs.run_to_the_end(paused)
    expected_metrics, expected_results = killed_runs.run_to_the_end(whole)
    print(f"killed after epochs {reached}")
    assert reached == sorted(reached)
    assert metrics == expected_metrics
    assert results == expected_results


@pytest.mark.slow
def test_run_killed_twice_ends_at_the_same_numbers(tmp_path):
    # Averaged weights, fresh noise and mirrored images have a part in it.
    kill_often(IMAGES, tmp_path, count=2, seed=1)


@pytest.mark.slow
def test_run_killed_ten_times_ends_at_the_same_numbers(tmp_path):
    kill_often(dataclasses.replace(SMALL, batch_norm=True), tmp_path, count=10, seed=0)


def fill_disk(monkeypatch, *, after):
    """Lets `after` files be replaced; then the disk is full."""
    replace, count = os.replace, itertools.count()

    def replace_or_fail(source, target):
        if next(count) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_or_fail)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The settings of a finished run."""
    settings = in_folder(TINY, tmp_path_factory.mktemp("whole"))
    density_estimation.run(settings)
    return settings


@pytest.mark.slow
def test_full_disk_stops_with_one_line_and_the_run_goes_on_later(
    whole, tmp_path, monkeypatch, capsys
):
    paused = in_folder(TINY, tmp_path)
    with monkeypatch.context() as patch:
        fill_disk(patch, after=6)
        status = density_estimation.cli(["density_estimation", *paused.flags()])
    assert status == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert "--flagfile" in message
    assert message.count("\n") == 1
    newest = CheckpointFolder(tmp_path / "checkpoints").load_newest()
    assert 1 <= newest.epoch < TINY.epochs
    assert not list(tmp_path.glob("**/*.partial"))
    density_estimation.run(paused)
    outcomes = [killed_runs.outcome(s.run_dir) for s in (paused, whole)]
    assert outcomes[0] == outcomes[1]


def test_finished_run_is_only_read(whole, capsys, monkeypatch):
    assert len(list(pathlib.Path(whole.run_dir, "checkpoints").iterdir())) == 1
    monkeypatch.setattr(training, "train", None)
    results = run_directory.finished_results(whole.run_dir)
    again = dataclasses.replace(whole, progress=2, max_minutes=1.0)
    assert density_estimation.run(again) == results
    assert "finished" in capsys.readouterr().out


def test_time_counts_across_a_pause(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    facts = {"rows": [{"loss": 1.0}], "seconds": 50.0, "is_stopped": False, "data": "rows"}
    folder.save(Checkpoint(1, facts, {}))
    run = SaveRun(folder, folder.load_newest(), "rows", [], tmp_path / "metrics.csv")
    assert 50.0 <= run.seconds < 60.0
    is_over = {
        minutes: TimeLimit(minutes, run, tf.distribute.get_strategy()).is_over()
        for minutes in (50.0 / 60.0, 2.0, 0.0)
    }
    assert list(is_over.values()) == [True, False, False]


def test_time_limit_saves_the_epochs_between_two_checkpoints(tmp_path):
    settings = dataclasses.replace(
        TINY, run_dir=str(tmp_path), max_minutes=1e-9, checkpoint_every=3
    )
    run_without_end(settings)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2
    assert CheckpointFolder(tmp_path / "checkpoints").load_newest().epoch == 1
    more = dataclasses.replace(settings, max_minutes=0.0)
    assert density_estimation.run(more)["num_epochs"] == TINY.epochs


def test_resuming_on_other_rows_is_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 2))
    np.save(tmp_path / "rows.npy", rows)
    settings = dataclasses.replace(
        TINY,
        dataset="npz",
        npz_path=str(tmp_path / "rows.npy"),
        run_dir=str(tmp_path / "run"),
    )
    run_without_end(settings)
    np.save(tmp_path / "rows.npy", rows + 1.0)
    with pytest.raises(RunDirectoryError, match="run holds a run on other training rows"):
        density_estimation.run(settings)
    np.save(tmp_path / "rows.npy", rows)
    fewer = dataclasses.replace(settings, num_samples=5)
    assert density_estimation.run(fewer)["num_epochs"] == TINY.epochs


@pytest.mark.parametrize("ema_momentum", [0.0, 0.9])
def test_training_that_diverges_at_once_is_refused(ema_momentum, tmp_path):
    settings = dataclasses.replace(
        TINY, run_dir=str(tmp_path), learning_rate=1e5, ema_momentum=ema_momentum
    )
    settings = dataclasses.replace(settings, scale="exp")
    for _ in range(2):  # also where it goes on
        with pytest.raises(fitting.TrainingError, match="smaller --learning_rate"):
            density_estimation.run(settings)
    assert not (tmp_path / "results.json").exists()


def test_training_that_diverges_later_says_so():
    history = {"loss": [2.0, 1.0, np.nan], "val_loss": [3.0, 2.5, np.nan]}
    outcome = fitting.outcome(history)
    assert outcome == {"num_epochs": 3, "best_epoch": 2, "diverged_in_epoch": 3}
    assert facts.epochs(outcome).endswith("since the loss of epoch 3 is not finite")
    assert facts.epochs(outcome | {"diverged_in_epoch": None}) == "3 (best: 2)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_at_once_and_says_how_to_go_on(number, tmp_path):
    run_dir = tmp_path / "my runs"
    run_dir.mkdir()
    (run_dir / "flags.txt").touch()
    code = (
        "import time, types; from experiments.command_line import program; "
        f"settings = types.SimpleNamespace(PROGRAM='vae', run_dir={str(run_dir)!r}); "
        "program.stop_at_once(lambda: program.how_to_go_on(settings)); "
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(number)
    _, message = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    # TensorFlow, too, may have written a line or two while it was imported.
    assert f"--flagfile='{run_dir}/flags.txt'" in message.splitlines()[-1]
    assert message.count("tfp-flows vae") == 1
    assert "Traceback" not in message


def test_what_had_not_begun_is_not_to_go_on(tmp_path):
    how = program.how_to_go_on(Settings(run_dir=str(tmp_path)))
    assert how == "Stopped before the run had begun; nothing was written."
