"""An interrupted run goes on, and ends at the numbers of one without a pause."""

import dataclasses
import pathlib
import signal
import subprocess
import sys

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

TINY = dataclasses.replace(tiny_runs.TINY, epochs=4)
pytestmark = [
    pytest.mark.usefixtures("_quick", "all_op_by_op"),
    pytest.mark.xdist_group("going on"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The settings of a finished run."""
    settings = in_folder(TINY, tmp_path_factory.mktemp("whole"))
    density_estimation.run(settings)
    return settings


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
    settings = in_folder(TINY, tmp_path, max_minutes=1e-9, checkpoint_every=3)
    run_without_end(settings)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2
    assert CheckpointFolder(tmp_path / "checkpoints").load_newest().epoch == 1
    more = dataclasses.replace(settings, max_minutes=0.0)
    assert density_estimation.run(more)["num_epochs"] == TINY.epochs


def test_resuming_on_other_rows_is_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 2))
    np.save(tmp_path / "rows.npy", rows)
    data = {"dataset": "npz", "npz_path": str(tmp_path / "rows.npy")}
    settings = in_folder(TINY, tmp_path / "run", **data)
    run_without_end(settings)
    np.save(tmp_path / "rows.npy", rows + 1.0)
    with pytest.raises(RunDirectoryError, match="run holds a run on other training rows"):
        density_estimation.run(settings)


@pytest.mark.slow_ids("0.9")
@pytest.mark.parametrize("ema_momentum", [0.0, 0.9])
def test_training_that_diverges_at_once_is_refused(ema_momentum, tmp_path):
    changes = {"learning_rate": 1e5, "scale": "exp", "ema_momentum": ema_momentum}
    settings = in_folder(TINY, tmp_path, **changes)
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


@pytest.mark.slow_ids("*TERM*", "15")
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
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
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


def checkpoint(epoch):
    arrays = {
        "weights": [np.arange(3.0, dtype=np.float32) + epoch, np.float32(1.5)],
        "none": [],
    }
    return Checkpoint(epoch, {"best": 0.1 + epoch, "loss": float("inf")}, arrays)


def test_round_trip_is_exact():
    before = checkpoint(7)
    after = Checkpoint.from_bytes(before.to_bytes())
    assert (after.epoch, after.facts) == (7, before.facts)
    assert after.arrays["none"] == []
    for a, b in zip(after.arrays["weights"], before.arrays["weights"], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_last_two_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.load_newest() is None
    for epoch in range(1, 5):
        folder.save(checkpoint(epoch))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch_000003.checkpoint", "epoch_000004.checkpoint"]
    assert folder.load_newest().epoch == 4


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[:-100], lambda c: c[:200] + bytes([c[200] ^ 1]) + c[201:], lambda c: b""],
    ids=["cut off", "a bit flipped", "empty"],
)
def test_damaged_checkpoints_are_named_and_the_one_before_used(damage, tmp_path, capsys):
    folder = CheckpointFolder(tmp_path)
    for epoch in (1, 2):
        folder.save(checkpoint(epoch))
    newest = tmp_path / "epoch_000002.checkpoint"
    newest.write_bytes(damage(newest.read_bytes()))
    assert folder.load_newest().epoch == 1
    told = f"{newest} is damaged; the checkpoint before it is used."
    assert told in capsys.readouterr().out
    oldest = tmp_path / "epoch_000001.checkpoint"
    oldest.write_bytes(damage(oldest.read_bytes()))
    assert folder.load_newest() is None
    (_, last) = capsys.readouterr().out.splitlines()
    assert last.endswith("is damaged; there is none before it, and training starts anew.")
    folder.save(checkpoint(2))
    assert folder.load_newest().epoch == 2


def test_deleting_leaves_the_newest_and_the_files_of_others(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    for epoch in (1, 2):
        folder.save(checkpoint(epoch))
    (tmp_path / "checkpoints" / "note.txt").write_text("mine")
    folder.delete_all_but_newest()
    assert folder.load_newest().epoch == 2
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
