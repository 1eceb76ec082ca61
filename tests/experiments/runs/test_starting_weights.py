"""Runs that start from the weights of another."""

import dataclasses
import pathlib

import keras
import killed_runs
import numpy as np
import pytest
from tiny_runs import TINY_VAE
from tiny_runs import run_without_end

from experiments.command_line.flag_settings import UsageError
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import experiment as iaf_vae
from experiments.runs.run_directory import RunDirectoryError

pytestmark = [pytest.mark.usefixtures("_quick"), pytest.mark.xdist_group("going on")]

# Permutations, orderings and masks are drawn from the seed.
TINY = Settings(
    dataset="npz",
    npz_path="rows.npy",
    context_columns=("2",),
    flow="maf",
    num_steps=2,
    hidden_units=(4,),
    random_orderings=True,
    act_norm=True,
    lu_mixing=True,
    epochs=1,
    batch_size=100,
    num_samples=20,
    progress=0,
)
STEP = 1e-30  # too small to change a weight


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The settings of a finished run on rows given a context."""
    folder = tmp_path_factory.mktemp("first")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(5.0, 2.0, (300, 3)))
    settings = dataclasses.replace(
        TINY, npz_path=str(folder / "rows.npy"), run_dir=str(folder / "run")
    )
    density_estimation.run(settings)
    return settings


def weights(run_dir):
    return keras.saving.load_model(pathlib.Path(run_dir) / "model.keras").get_weights()


def from_first(first, folder, **changes):
    return dataclasses.replace(
        first, init_from=first.run_dir, run_dir=str(folder / "run"), **changes
    )


@pytest.mark.slow_ids("mirrored")
@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_a_run_starts_from_the_weights_and_statistics_of_another(strategy, first, tmp_path):
    # On rows of another mean, with another seed.
    np.save(tmp_path / "other.npy", np.random.default_rng(1).normal(0.0, 1.0, (300, 3)))
    settings = from_first(
        first,
        tmp_path,
        npz_path=str(tmp_path / "other.npy"),
        seed=7,
        learning_rate=STEP,
        strategy=strategy,
    )
    _, results = killed_runs.run_to_the_end(settings)
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


REFUSED = {
    "flow": ({"flow": "iaf"}, "--flow=maf there, --flow=iaf now"),
    "steps": ({"num_steps": 3}, "--num_steps=2 there, --num_steps=3 now"),
    "widths": ({"hidden_units": (8,)}, "--hidden_units=4 there, --hidden_units=8 now"),
    "scale": ({"scale": "exp"}, "--scale=soft_bounded there, --scale=exp now"),
    "context": (
        {"context_columns": ()},
        "column '2' was context and is modelled",
    ),
    "other context": (
        {"context_columns": ("0",)},
        "column '0' was modelled and is context; column '2' was context and is modelled",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_architecture_or_table_is_refused_by_name(name, first, tmp_path):
    changes, words = REFUSED[name]
    with pytest.raises(RunDirectoryError) as refusal:
        density_estimation.run(from_first(first, tmp_path, **changes))
    assert words in str(refusal.value)
    assert first.run_dir in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_finished_run_is_refused(first, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        settings = dataclasses.replace(
            first, init_from=str(tmp_path / name), run_dir=str(tmp_path / "run")
        )
        words = f"`init_from` to be the folder of a finished run; got {tmp_path / name}"
        with pytest.raises(RunDirectoryError, match=words):
            density_estimation.run(settings)
    with pytest.raises(UsageError, match="another folder than `run_dir`"):
        dataclasses.replace(first, init_from=first.run_dir)


VAE = dataclasses.replace(TINY_VAE, prior="real_nvp", latent_size=2, epochs=1)


@pytest.mark.slow
def test_a_vae_starts_from_another_and_refuses_another_architecture(tmp_path):
    first = dataclasses.replace(VAE, run_dir=str(tmp_path / "first"))
    iaf_vae.run(first)
    second = dataclasses.replace(
        VAE,
        init_from=first.run_dir,
        run_dir=str(tmp_path / "second"),
        seed=3,
        learning_rate=STEP,
    )
    iaf_vae.run(second)
    before, after = weights(first.run_dir), weights(second.run_dir)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    other = dataclasses.replace(second, latent_size=3, run_dir=str(tmp_path / "third"))
    with pytest.raises(RunDirectoryError, match="--latent_size=2 there, --latent_size=3"):
        iaf_vae.run(other)
    table = dataclasses.replace(TINY, npz_path=str(tmp_path / "rows.npy"))
    np.save(table.npz_path, np.random.default_rng(0).normal(size=(100, 3)))
    settings = dataclasses.replace(
        table, init_from=first.run_dir, run_dir=str(tmp_path / "fourth")
    )
    with pytest.raises(RunDirectoryError, match="Expected a saved DensityEstimator"):
        density_estimation.run(settings)
