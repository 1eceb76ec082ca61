"""Recipes on several divisions of their data."""

import json
import pathlib
import re
import types

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import tfp_flows
from experiments import folds, prediction_folds
from experiments.data import load_dataset
from experiments.density_estimation.evaluation import gaussian_log_probs
from experiments.reports.baseline_predictions import NormalPrediction, QuantilePrediction
from experiments.reports.predictions import FLOW, LEVELS, shares_inside

RECIPE = """--dataset=two_moons
--flow=nice
--num_steps=1
--hidden_units=4
--epochs=1
--batch_size=6000
--num_samples=100
--progress=0
"""


@pytest.mark.usefixtures("_quick", "op_by_op")
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
    assert mean.endswith(f"{abs(nats[0] - nats[1]):.3f}")  # two standard errors
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
    """Log-density of each test row by the flow minus that by the Gaussian."""
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


Y = np.linspace(-30.0, 30.0, 60_001)


def quantile_prediction(count):
    quantiles = np.tile(stats.norm.ppf(LEVELS), [count, 1])
    return QuantilePrediction(quantiles, mean=0.0, deviation=1.0)


def test_densities_between_quantiles_have_these_and_a_total_of_one():
    density = np.exp(quantile_prediction(len(Y)).log_prob(Y))
    assert integrate.trapezoid(density, Y) == pytest.approx(1.0, abs=1e-3)
    below = integrate.trapezoid(
        density[Y <= stats.norm.ppf(0.3)], Y[Y <= stats.norm.ppf(0.3)]
    )
    assert below == pytest.approx(0.3, abs=5e-3)
    near = np.abs(Y) < 1.5
    assert np.abs(density - stats.norm.pdf(Y))[near].max() < 0.05


def test_counts_are_covered_by_the_randomised_pit_as_often_as_they_should_be():
    y = np.arange(60.0)
    shares = shares_inside(
        stats.poisson.cdf(y - 1.0, 4.0), stats.poisson.cdf(y, 4.0), (0.05, 0.95)
    )
    probs = stats.poisson.pmf(y, 4.0)
    assert probs @ shares == pytest.approx(0.9, abs=1e-9)
    low, high = stats.poisson.ppf([0.05, 0.95], 4.0)
    assert probs[(low <= y) & (y <= high)].sum() > 0.92  # not 0.9


def scores_beside_the_same_normal(y, step, monkeypatch):
    """Scores of `prediction_folds` of one normal distribution, as flow and as baseline.

    As a flow, it is that of numbers with a step, as `TableDensity.predict` returns it.
    """

    def normal(count):
        return NormalPrediction(np.full(count, y.mean()), np.full(count, y.std()))

    def predict(frame):
        prediction, half = normal(len(frame)), 0.5 * (step or 0.0)
        return types.SimpleNamespace(
            cdf=lambda y: prediction.cdf(y + half),
            log_prob=lambda y: prediction.log_prob(y, step),
            quantile=lambda levels: prediction.quantiles,
        )

    frame = pd.DataFrame({"x": np.arange(1.0 * len(y)), "y": y})
    columns = tfp_flows.describe_columns(frame)
    table = types.SimpleNamespace(columns=columns, context=["x"], predict=predict)
    same = {"baseline": normal(len(y) // 2)}
    monkeypatch.setattr(prediction_folds, "baseline_predictions", lambda *_: same)
    settings = prediction_folds.PredictionFoldSettings(csv_path="rows.csv", target="y")
    sets = frame.iloc[::2], frame.iloc[1::2]
    return columns["y"], prediction_folds._from_number(table, sets, settings)


@pytest.mark.parametrize("step", [0.1, 1.0, 100.0])
def test_numbers_with_a_step_have_probabilities_by_all_methods(step, monkeypatch):
    y = np.round(20.0 * np.random.default_rng(0).normal(size=400)) * step
    column, scores = scores_beside_the_same_normal(y, step, monkeypatch)
    assert column.grid.step == step
    for name in ("nll", "covered_by_pit"):
        assert scores["baseline"][name] == pytest.approx(scores[FLOW][name], rel=1e-6)


def test_densities_are_not_compared_with_probabilities_of_spikes(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(400) < 0.3, 0.0, rng.normal(size=400))
    column, scores = scores_beside_the_same_normal(y, None, monkeypatch)
    assert column.spikes == [0.0]
    assert "nll" not in scores["baseline"]
    fold = {name: {**found, "seconds": 1.0} for name, found in scores.items()}
    text = re.sub(" +", " ", prediction_folds.table([fold, fold]))
    crps = scores["baseline"]["crps"]
    assert f"| baseline | 2 | | | | {crps:.3f} ± 0.000 |" in text


@pytest.mark.parametrize("target", ["day", "y"])
def test_dates_and_missing_targets_are_refused(target, tmp_path, capsys):
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame({"day": days, "y": np.random.default_rng(0).normal(size=40)})
    frame.loc[3, "y"] = np.nan
    frame.to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["prediction_folds", f"--csv_path={tmp_path / 'rows.csv'}"]
    arguments += [f"--target={target}", "--missing=indicator"]
    assert prediction_folds.cli([*arguments, f"--run_dir={tmp_path / 'run'}"]) == 1
    assert "without missing cells" in (error := capsys.readouterr().err)
    assert f"got {target!r}: " in error


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--target=x", "--kinds=k=drop"], "other columns to predict it from; got 'x'"),
        (["--target=x", "--context_columns=k,x"], "real, from ['k', 'x']"),
        (["--target=k"], "a `target` that varies"),
        (["--target=x", "--num_folds=41"], "`num_folds` of at most 40"),
    ],
)
def test_targets_that_cannot_be_predicted_are_refused(flags, words, tmp_path, capsys):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=40), "k": 1.5})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["prediction_folds", f"--csv_path={tmp_path / 'rows.csv'}", *flags]
    assert prediction_folds.cli([*arguments, f"--run_dir={tmp_path / 'run'}"]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["y", "kind", "n"])
def test_each_fold_is_scored_once(target, tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    kind = np.where(x + rng.normal(size=200) > 0.0, "a", "b")
    frame = pd.DataFrame({"x": x, "y": 2.0 * x + 0.5 * rng.normal(size=200), "kind": kind})
    frame["n"] = rng.poisson(np.exp(2.0 + 0.2 * x))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    arguments = [
        "prediction_folds",
        f"--csv_path={tmp_path / 'rows.csv'}",
        f"--target={target}",
        "--num_folds=2",
        "--num_members=1",
        "--hidden_units=8",
        "--learning_rate=0.02",
        "--epochs=60",
        f"--run_dir={tmp_path / 'run'}",
    ]
    assert prediction_folds.cli(arguments) == 0
    text = capsys.readouterr().out
    folds = [json.loads((tmp_path / f"run/fold_{k}.json").read_text()) for k in (0, 1)]
    assert sum(fold[FLOW]["num_rows"] for fold in folds) == 200
    nll = np.mean([fold[FLOW]["nll"] for fold in folds])
    assert f"| the flow | 2 | {nll:.3f} ± " in re.sub(" +", " ", text)
    # Entropies of the noise, of a fair coin, and of a Poisson of about 8, with a margin.
    assert nll < {"y": 1.2, "kind": np.log(2.0), "n": 2.8}[target]
    assert ("covered_by_pit" in folds[0][FLOW]) == (target == "n")
    if target == "y":  # the noise has a CRPS of its standard deviation / sqrt(pi)
        crps = {name: np.mean([fold[name]["crps"] for fold in folds]) for name in folds[0]}
        in_noises = {k: v * frame["y"].std() * np.pi**0.5 / 0.5 for k, v in crps.items()}
        boosting = in_noises.pop("quantile gradient boosting")  # 100 rows are few for it
        assert 1.0 < boosting < 2.0
        np.testing.assert_allclose([*in_noises.values()], 1.0, rtol=0.25)
    assert prediction_folds.cli(arguments) == 0  # what has finished is only read
    assert capsys.readouterr().out == text
    frame.iloc[::-1].to_csv(tmp_path / "rows.csv", index=False)
    assert prediction_folds.cli(arguments) == 1  # folds of two tables would be mixed
    assert "another table than" in capsys.readouterr().err
