"""Recipes on several divisions of their data."""

import json
import pathlib

import keras
import numpy as np
import pytest

from experiments import folds
from experiments.data import load_dataset
from experiments.density_estimation.evaluation import gaussian_log_probs

RECIPE = """--dataset=two_moons
--flow=nice
--num_steps=1
--hidden_units=4
--epochs=1
--batch_size=1000
--num_samples=100
--progress=0
"""


@pytest.mark.usefixtures("_quick")
def test_means_are_over_runs_of_which_each_has_its_division(tmp_path, capsys):
    recipe = tmp_path / "two_moons_small.flags"
    recipe.write_text(RECIPE)
    arguments = ["folds", "--num_folds=2", f"--run_dir={tmp_path / 'runs'}", str(recipe)]
    assert folds.cli(arguments) == 0
    table = capsys.readouterr().out.splitlines()
    runs = [tmp_path / "runs" / "two_moons_small" / str(k) for k in (0, 1)]
    results = [json.loads((run / "results.json").read_text()) for run in runs]
    assert results[0]["training_rows"] != results[1]["training_rows"]
    nats = [each["test_log_likelihood"]["nats"] for each in results]
    baselines = [each["gaussian_log_likelihood"]["nats"] for each in results]
    row = next(line for line in table if line.startswith("| two_moons_small | nice"))
    cells = [cell.strip() for cell in row.split("|")]
    _, _, _, mean, baseline, gain, least, worst, far, _ = cells
    assert mean.startswith(f"{np.mean(nats):.3f} ± ")
    assert mean.endswith(f"{abs(nats[0] - nats[1]):.3f}")  # of two numbers
    assert baseline.startswith(f"{np.mean(baselines):.3f} ± ")
    gains = np.subtract(nats, baselines)
    assert gain.startswith(f"{gains.mean():.3f} ± ")
    assert least == f"{gains.min():.3f}"
    gaps = [gaps_of_rows(run, seed) for seed, run in enumerate(runs)]
    assert worst == f"{np.min(gaps):.1f}"
    assert far == f"{np.sum(np.less(gaps, -20.0)):,} of {np.size(gaps):,}"
    (pathlib.Path(runs[0]) / "model.keras").unlink()
    assert folds.cli(arguments) == 0  # what has finished is only read
    assert row in capsys.readouterr().out


def gaps_of_rows(run, data_seed):
    """By how much each test row is likelier under the flow than under the Gaussian."""
    dataset = load_dataset("two_moons", seed=data_seed)
    flow = keras.saving.load_model(run / "model.keras").distribution
    return flow.log_prob(dataset.test).numpy() - gaussian_log_probs(dataset)


def test_each_recipe_is_fitted_to_each_data_set(tmp_path, monkeypatch):
    recipe = tmp_path / "small.flags"
    recipe.write_text(RECIPE)
    monkeypatch.setattr(folds.density_estimation, "run", lambda settings: settings)
    given = folds.FoldSettings(
        num_folds=2, dataset=("rings", "pinwheel"), run_dir="here", recipes=(str(recipe),)
    )
    found = folds.run(given)
    assert list(found) == ["small_rings", "small_pinwheel"]
    for key, name in zip(found, ("rings", "pinwheel"), strict=True):
        assert [fold.dataset for fold in found[key]] == [name, name]
        assert [fold.data_seed for fold in found[key]] == [0, 1]
        assert [fold.run_dir for fold in found[key]] == [f"here/{key}/0", f"here/{key}/1"]
        assert {fold.flow for fold in found[key]} == {"nice"}


def test_wrong_use_is_refused(tmp_path, capsys):
    recipe = tmp_path / "same.flags"
    recipe.write_text(RECIPE)
    assert folds.cli(["folds", str(recipe), str(recipe)]) == 2
    assert "same twice" in capsys.readouterr().err
    recipe = tmp_path / "bad.flags"
    recipe.write_text("--flow=nothing\n")
    assert folds.cli(["folds"]) == 2
    assert "at least one recipe" in capsys.readouterr().err
    assert folds.cli(["folds", str(recipe)]) == 2
    assert "flow" in capsys.readouterr().err
