"""Recipes on several divisions of their data."""

import json
import pathlib

import numpy as np
import pytest

from experiments import folds

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
    _, _, _, mean, baseline, gain, least, _ = (cell.strip() for cell in row.split("|"))
    assert mean.startswith(f"{np.mean(nats):.3f} ± ")
    assert mean.endswith(f"{abs(nats[0] - nats[1]):.3f}")  # of two numbers
    assert baseline.startswith(f"{np.mean(baselines):.3f} ± ")
    gains = np.subtract(nats, baselines)
    assert gain.startswith(f"{gains.mean():.3f} ± ")
    assert least == f"{gains.min():.3f}"
    (pathlib.Path(runs[0]) / "model.keras").unlink()
    assert folds.cli(arguments) == 0  # what has finished is only read
    assert row in capsys.readouterr().out


def test_wrong_use_is_refused(tmp_path, capsys):
    recipe = tmp_path / "bad.flags"
    recipe.write_text("--flow=nothing\n")
    assert folds.cli(["folds"]) == 2
    assert "at least one recipe" in capsys.readouterr().err
    assert folds.cli(["folds", str(recipe)]) == 2
    assert "flow" in capsys.readouterr().err
