"""A finished run that is asked for more goes on, exactly where that has a meaning."""

import dataclasses
import pathlib
import shutil

import pytest
import tiny_runs
from tiny_runs import in_folder
from tiny_runs import outcome
from tiny_runs import run_without_end

from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import report
from experiments.iaf_vae import experiment as iaf_vae
from experiments.runs.run_directory import RunDirectoryError

pytestmark = [
    pytest.mark.usefixtures("_quick", "all_op_by_op"),
    pytest.mark.xdist_group("going on"),
]
TINY = dataclasses.replace(
    tiny_runs.TINY,
    act_norm=True,
    ema_momentum=0.9,
    batch_size=2000,
    warmup_steps=9,
    cosine_decay=False,
    num_samples=20,
)
VAE = dataclasses.replace(
    tiny_runs.TINY_VAE, latent_size=2, warm_up_epochs=3, cosine_decay=False
)
RUNS = {
    "density_estimation": (density_estimation, TINY),
    "images and early stopping": (
        density_estimation,
        dataclasses.replace(
            TINY,
            **{"dataset": "digits", "flow": "glow", "num_levels": 1, "hidden_channels": 4},
            **{"horizontal_flips": True, "patience": 1, "batch_size": 500},
        ),
    ),
    "iaf_vae": (iaf_vae, VAE),
}


@pytest.mark.slow_ids("iaf_vae", "images and early stopping")
@pytest.mark.parametrize("name", RUNS)
def test_more_epochs_end_at_the_numbers_of_a_run_without_a_stop(name, tmp_path, capsys):
    """Also where the run that goes on is itself interrupted, after one epoch more."""
    experiment, settings = RUNS[name]
    longer, whole = (in_folder(settings, tmp_path / n) for n in ("longer", "whole"))
    assert experiment.run(longer)["num_epochs"] == 2
    if experiment is density_estimation:
        run_without_end(dataclasses.replace(longer, epochs=4))
    longer = dataclasses.replace(longer, epochs=5)
    results = experiment.run(longer)
    experiment.run(dataclasses.replace(whole, epochs=5))
    ends = [outcome(s.run_dir) for s in (longer, whole)]
    assert ends[0] == ends[1]
    assert f"went on from epoch 2 to epoch {results['num_epochs']}" in (
        capsys.readouterr().out
    )
    assert experiment.run(longer) == results  # now it is only read


@pytest.mark.slow
def test_a_schedule_that_starts_over_is_told(tmp_path):
    settings = in_folder(TINY, tmp_path, cosine_decay=True)
    assert "schedule_restarts" not in density_estimation.run(settings)
    for epochs, number in ((3, 1), (4, 2)):
        results = density_estimation.run(dataclasses.replace(settings, epochs=epochs))
        assert len(results["schedule_restarts"]) == number
    assert results["schedule_restarts"] == [
        {"after_epoch": 2, "epochs_before": 2, "epochs": 3},
        {"after_epoch": 3, "epochs_before": 3, "epochs": 4},
    ]
    words = report.page(results).facts["step size"]
    assert "over 2 epochs, and over 3 from epoch 3 on, then over 4 from epoch 4 on" in words
    assert "a run of 4 epochs without a stop ends at other numbers" in words
    assert words in (tmp_path / "report.md").read_text()


def test_training_that_had_ended_by_itself_is_not_taken_up_again(tmp_path, capsys):
    # Without a step, no epoch is better than the first.
    settings = in_folder(TINY, tmp_path, learning_rate=1e-30, patience=0, epochs=3)
    assert density_estimation.run(settings)["num_epochs"] < 3
    results = density_estimation.run(dataclasses.replace(settings, epochs=9))
    assert results["num_epochs"] < 3
    assert "No epoch was added" in capsys.readouterr().out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    settings = in_folder(TINY, tmp_path_factory.mktemp("run"))
    density_estimation.run(settings)
    return settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 1}, "--epochs=2 there, --epochs=1 now"),
        ({"epochs": 3, "seed": 1}, "--seed=0 there, --seed=1 now"),
    ],
)
def test_what_is_no_extension_is_refused_and_changes_nothing(changes, words, finished):
    flags = pathlib.Path(finished.run_dir, "flags.txt").read_text()
    with pytest.raises(RunDirectoryError, match=words):
        density_estimation.run(dataclasses.replace(finished, **changes))
    assert pathlib.Path(finished.run_dir, "flags.txt").read_text() == flags


def test_a_run_without_its_last_checkpoint_is_not_extended(finished, tmp_path):
    settings = in_folder(finished, tmp_path / "run")
    shutil.copytree(finished.run_dir, settings.run_dir)
    results = density_estimation.run(settings)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(RunDirectoryError, match=f"--init_from={settings.run_dir}"):
        density_estimation.run(dataclasses.replace(settings, epochs=3))
    assert density_estimation.run(settings) == results
