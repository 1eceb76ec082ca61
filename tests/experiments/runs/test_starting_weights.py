"""Runs that start from the weights of another."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
from tiny_runs import TINY
from tiny_runs import TINY_VAE
from tiny_runs import in_folder
from tiny_runs import run_without_end

from experiments.density_estimation import experiment as density_estimation
from experiments.iaf_vae import experiment as iaf_vae
from experiments.runs.run_directory import RunDirectoryError

pytestmark = [
    pytest.mark.usefixtures("_quick", "all_op_by_op"),
    pytest.mark.xdist_group("going on"),
]

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


@pytest.mark.slow
def test_training_goes_on_from_there_and_can_be_resumed(first, tmp_path):
    settings = from_first(first, tmp_path, seed=7, epochs=2, learning_rate=1e-2)
    run_without_end(settings)
    resumed = density_estimation.run(settings)
    assert any(
        (old != new).any()
        for old, new in zip(weights(first.run_dir), weights(settings.run_dir), strict=True)
    )
    whole = dataclasses.replace(settings, run_dir=str(tmp_path / "whole"))
    expected = density_estimation.run(whole)
    assert resumed["test_log_likelihood"] == expected["test_log_likelihood"]


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


def test_what_is_no_finished_run_is_refused(first, tmp_path):
    none = dataclasses.replace(
        first, init_from=f"{tmp_path}/none", run_dir=f"{tmp_path}/run"
    )
    words = f"`init_from` to be the folder of a finished run; got {tmp_path}/none"
    with pytest.raises(RunDirectoryError, match=words):
        density_estimation.run(none)


VAE = dataclasses.replace(TINY_VAE, prior="real_nvp", latent_size=2, epochs=1)


@pytest.mark.slow
def test_a_vae_starts_from_another_and_refuses_another_architecture(tmp_path):
    first = in_folder(VAE, tmp_path / "first")
    iaf_vae.run(first)
    changes = {"init_from": first.run_dir, "seed": 3, "learning_rate": STEP}
    second = in_folder(VAE, tmp_path / "second", **changes)
    iaf_vae.run(second)
    for old, new in zip(weights(first.run_dir), weights(second.run_dir), strict=True):
        np.testing.assert_array_equal(old, new)
    other = in_folder(second, tmp_path / "third", latent_size=3)
    with pytest.raises(RunDirectoryError, match="--latent_size=2 there, --latent_size=3"):
        iaf_vae.run(other)
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(100, 3)))
    changes = {"init_from": first.run_dir, "npz_path": str(tmp_path / "rows.npy")}
    with pytest.raises(RunDirectoryError, match="Expected a saved DensityEstimator"):
        density_estimation.run(in_folder(MAF, tmp_path / "fourth", **changes))
