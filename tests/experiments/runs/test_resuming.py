"""An interrupted run goes on, and ends at the numbers of an uninterrupted one."""

import dataclasses
import os
import pathlib
import shutil
import signal
import time

import fresh_process
import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import TINY, TINY_VAE, in_folder, outcome, run_without_end

from experiments.command_line.flag_settings import TrainingError
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import training
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import experiment as iaf_vae
from experiments.runs import run_directory
from experiments.runs.checkpoints import Checkpoint, CheckpointFolder
from experiments.runs.epochs import EpochRows
from experiments.runs.fitting import SaveRun, TimeLimit
from experiments.runs.run_directory import RunDirectoryError, digest

FOUR_EPOCHS = dataclasses.replace(TINY, epochs=4, cosine_decay=False)
pytestmark = pytest.mark.usefixtures("_quick", "all_op_by_op")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The settings of a finished run."""
    settings = in_folder(FOUR_EPOCHS, tmp_path_factory.mktemp("whole"))
    density_estimation.run(settings)
    return settings


def test_finished_run_is_only_read(whole, capsys, monkeypatch):
    assert len(list(pathlib.Path(whole.run_dir, "checkpoints").glob("*.checkpoint"))) == 1
    monkeypatch.setattr(training, "train", None)
    results = run_directory.finished_results(whole.run_dir)
    again = dataclasses.replace(whole, progress=2, max_minutes=1.0)
    assert density_estimation.run(again) == results
    assert "finished" in capsys.readouterr().out


def test_time_counts_across_a_pause(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    strategy = tf.distribute.get_strategy()
    rows = EpochRows(np.zeros((4, 2)), batch_size=2, seed=0)
    facts = {"rows": [{"loss": 1.0}], "seconds": 50.0, "is_stopped": False}
    folder.save(Checkpoint(1, facts | {"data": digest(rows.inputs)}, {}))
    settings = in_folder(FOUR_EPOCHS, tmp_path)
    run = SaveRun(settings, rows, [], columns=None, strategy=strategy)
    assert 50.0 <= run.seconds < 60.0
    is_over = {
        minutes: TimeLimit(minutes, run, strategy).is_over()
        for minutes in (50.0 / 60.0, 2.0, 0.0)
    }
    assert list(is_over.values()) == [True, False, False]


def test_time_limit_saves_the_epochs_between_two_checkpoints(tmp_path):
    settings = in_folder(FOUR_EPOCHS, tmp_path, max_minutes=1e-9, checkpoint_every=3)
    run_without_end(settings)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2
    assert CheckpointFolder(tmp_path / "checkpoints").load_newest().epoch == 1
    more = dataclasses.replace(settings, max_minutes=0.0)
    assert density_estimation.run(more)["num_epochs"] == FOUR_EPOCHS.epochs


@pytest.mark.slow_ids("0.9")
@pytest.mark.parametrize("ema_momentum", [0.0, 0.9])
def test_training_that_diverges_at_once_is_refused(ema_momentum, tmp_path):
    changes = {"learning_rate": 1e5, "scale": "exp", "ema_momentum": ema_momentum}
    settings = in_folder(FOUR_EPOCHS, tmp_path, **changes)
    for _ in range(2):  # the second call resumes
        with pytest.raises(TrainingError, match="smaller --learning_rate"):
            density_estimation.run(settings)
    assert not (tmp_path / "results.json").exists()


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
    output = tmp_path / "output.txt"
    output.touch()
    process = fresh_process.start(exec, code, {}, output=output)
    while "ready" not in output.read_text():
        assert process.is_alive()
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.join(10)
    assert process.exitcode == 128 + number
    message = output.read_text()
    assert f"--flagfile='{run_dir}/flags.txt'" in message.splitlines()[-1]
    assert message.count("tfp-flows vae") == 1
    assert "Traceback" not in message


def checkpoint(epoch):
    arrays = {
        "weights": [np.arange(3.0, dtype=np.float32) + epoch, np.float32(1.5)],
        "none": [],
    }
    return Checkpoint(epoch, {"best": 0.1 + epoch, "loss": float("inf")}, arrays)


def test_last_two_are_kept_or_the_newest_and_the_files_of_others(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.load_newest() is None
    for epoch in range(1, 5):
        folder.save(checkpoint(epoch))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch_000003.checkpoint", "epoch_000004.checkpoint"]
    (tmp_path / "checkpoints" / "note.txt").write_text("mine")
    folder.delete_all_but_newest()
    assert folder.load_newest().epoch == 4
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


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
    *_, last = capsys.readouterr().out.splitlines()
    assert last.endswith(
        "is damaged; there is none before it, and training starts from the beginning."
    )
    folder.save(checkpoint(2))
    assert folder.load_newest().epoch == 2


LONGER = dataclasses.replace(
    TINY,
    act_norm=True,
    ema_momentum=0.9,
    epochs=1,
    warmup_steps=5,
    cosine_decay=False,
    num_samples=20,
)
LONGER_VAE = dataclasses.replace(
    TINY_VAE,
    **{"encoder": "conv", "channels": (2,), "prior": "maf", "latent_size": 2},
    **{"dropout": 0.2, "epochs": 1},
    **{"warm_up_epochs": 3, "ema_momentum": 0.9, "cosine_decay": False},
)
RUNS = {
    "density_estimation": (density_estimation, LONGER),
    "images and early stopping": (
        density_estimation,
        Settings(
            **{"dataset": "digits", "flow": "glow", "num_levels": 1, "hidden_channels": 4},
            **{"num_steps": 1, "epochs": 1, "patience": 1, "batch_size": 500},
            **{"horizontal_flips": True, "ema_momentum": 0.9, "warmup_steps": 9},
            **{"cosine_decay": False, "num_samples": 20, "progress": 0},
        ),
    ),
    "iaf_vae": (iaf_vae, LONGER_VAE),
}


@pytest.mark.slow_ids("iaf_vae", "images and early stopping")
@pytest.mark.parametrize("name", RUNS)
def test_more_epochs_end_at_the_numbers_of_a_run_without_a_stop(name, tmp_path, capsys):
    """The run that goes on is also interrupted, after one more epoch."""
    experiment, settings = RUNS[name]
    longer, whole = (in_folder(settings, tmp_path / n) for n in ("longer", "whole"))
    assert experiment.run(longer)["num_epochs"] == 1
    if experiment is density_estimation:
        run_without_end(dataclasses.replace(longer, epochs=2))
    longer = dataclasses.replace(longer, epochs=3)
    results = experiment.run(longer)
    experiment.run(dataclasses.replace(whole, epochs=3))
    ends = [outcome(s.run_dir) for s in (longer, whole)]
    assert ends[0] == ends[1]
    assert f"went on from epoch 1 to epoch {results['num_epochs']}" in (
        capsys.readouterr().out
    )
    assert experiment.run(longer) == results  # a finished run is only read


@pytest.mark.slow
def test_a_schedule_that_starts_over_is_told(tmp_path):
    settings = in_folder(LONGER, tmp_path, cosine_decay=True, epochs=2)
    assert "schedule_restarts" not in density_estimation.run(settings)
    for epochs, number in ((3, 1), (4, 2)):
        results = density_estimation.run(dataclasses.replace(settings, epochs=epochs))
        assert len(results["schedule_restarts"]) == number
    assert results["schedule_restarts"] == [
        {"after_epoch": 2, "epochs_before": 2, "epochs": 3},
        {"after_epoch": 3, "epochs_before": 3, "epochs": 4},
    ]
    words = "over 2 epochs, and over 3 from epoch 3 on, then over 4 from epoch 4 on"
    assert words in (tmp_path / "report.md").read_text()


def test_training_that_had_ended_by_itself_is_not_taken_up_again(tmp_path, capsys):
    # Weights do not move, so no epoch is better than the first.
    settings = in_folder(LONGER, tmp_path, learning_rate=1e-30, patience=0, epochs=3)
    assert density_estimation.run(settings)["num_epochs"] < 3
    results = density_estimation.run(dataclasses.replace(settings, epochs=9))
    assert results["num_epochs"] < 3
    assert "No epoch was added" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 1}, "--epochs=4 there, --epochs=1 now"),
        ({"epochs": 5, "seed": 1}, "--seed=0 there, --seed=1 now"),
    ],
)
def test_what_is_no_extension_is_refused_and_changes_nothing(changes, words, whole):
    flags = pathlib.Path(whole.run_dir, "flags.txt").read_text()
    with pytest.raises(RunDirectoryError, match=words):
        density_estimation.run(dataclasses.replace(whole, **changes))
    assert pathlib.Path(whole.run_dir, "flags.txt").read_text() == flags


def test_a_run_without_its_last_checkpoint_is_not_extended(whole, tmp_path):
    settings = in_folder(whole, tmp_path / "run")
    shutil.copytree(whole.run_dir, settings.run_dir)
    results = density_estimation.run(settings)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(RunDirectoryError, match=f"--init_from={settings.run_dir}"):
        density_estimation.run(dataclasses.replace(settings, epochs=5))
    assert density_estimation.run(settings) == results


# Permutations, orderings and masks are drawn from the seed.
MAF = dataclasses.replace(
    TINY,
    **{"dataset": "npz", "npz_path": "rows.npy", "context_columns": ("2",), "flow": "maf"},
    **{"num_steps": 2, "random_orderings": True, "act_norm": True, "lu_mixing": True},
    **{"epochs": 1, "batch_size": 100, "num_samples": 20},
)
STEP = 1e-30  # too small to change a weight


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The settings of a finished run on rows given a context."""
    folder = tmp_path_factory.mktemp("first")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(5.0, 2.0, (300, 3)))
    settings = in_folder(MAF, folder / "run", npz_path=str(folder / "rows.npy"))
    density_estimation.run(settings)
    return settings


def weights(run_dir):
    return keras.saving.load_model(pathlib.Path(run_dir) / "model.keras").get_weights()


def from_first(first, folder, **changes):
    return in_folder(first, folder / "run", init_from=first.run_dir, **changes)


def test_a_run_starts_from_the_weights_and_statistics_of_another(first, tmp_path):
    # On rows of another mean, with another seed.
    np.save(tmp_path / "other.npy", np.random.default_rng(1).normal(0.0, 1.0, (300, 3)))
    changes = {"npz_path": str(tmp_path / "other.npy"), "seed": 7, "learning_rate": STEP}
    settings = from_first(first, tmp_path, **changes)
    results = density_estimation.run(settings)
    before, after = weights(first.run_dir), weights(settings.run_dir)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert results["init_from"] == first.run_dir
    assert "those of" in (tmp_path / "run" / "report.md").read_text()
    rows = np.random.default_rng(2).normal(5.0, 2.0, (10, 3)).astype(np.float32)
    ours, theirs = (
        keras.saving.load_model(pathlib.Path(s.run_dir) / "model.keras").distribution
        for s in (settings, first)
    )
    np.testing.assert_allclose(
        ours.log_prob(rows[:, :2], context=rows[:, 2:]),
        theirs.log_prob(rows[:, :2], context=rows[:, 2:]),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flow": "iaf"}, "--flow=maf there, --flow=iaf now"),
        (
            {"context_columns": ("0",)},
            "column '0' was modelled and is context; column '2' was context and is",
        ),
    ],
)
def test_another_architecture_or_table_is_refused_by_name(changes, words, first, tmp_path):
    with pytest.raises(RunDirectoryError) as refusal:
        density_estimation.run(from_first(first, tmp_path, **changes))
    assert words in str(refusal.value)
    assert first.run_dir in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


VAES = {
    "flows": dataclasses.replace(TINY_VAE, prior="real_nvp", latent_size=2, epochs=1),
    "ladder": dataclasses.replace(
        TINY_VAE, encoder="ladder", channels=(2, 2), latent_size=2, epochs=1
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VAES)
def test_a_vae_starts_from_another_and_refuses_another_architecture(name, tmp_path):
    first = in_folder(VAES[name], tmp_path / "first")
    iaf_vae.run(first)
    changes = {"init_from": first.run_dir, "seed": 3, "learning_rate": STEP}
    second = in_folder(VAES[name], tmp_path / "second", **changes)
    iaf_vae.run(second)
    for old, new in zip(weights(first.run_dir), weights(second.run_dir), strict=True):
        np.testing.assert_array_equal(old, new)
    other = in_folder(second, tmp_path / "third", latent_size=3)
    with pytest.raises(RunDirectoryError, match="--latent_size=2 there, --latent_size=3"):
        iaf_vae.run(other)
