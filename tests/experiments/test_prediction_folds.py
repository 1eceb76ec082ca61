"""A column predicted from the others in folds, beside baselines with densities."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import integrate
from scipy import stats

from experiments import prediction_folds
from experiments.reports.predictions import FLOW
from experiments.reports.predictions import LEVELS
from experiments.reports.predictions import NormalPrediction
from experiments.reports.predictions import QuantilePrediction
from experiments.reports.predictions import predictions
from experiments.reports.predictions import shares_inside

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


@pytest.mark.parametrize("kind", ["normal", "quantiles"])
def test_probabilities_of_integers_sum_to_one(kind):
    y = np.arange(-40.0, 41.0)
    normal = NormalPrediction(np.zeros(len(y)), np.ones(len(y)))
    made = normal if kind == "normal" else quantile_prediction(len(y))
    probs = np.exp(made.log_prob(y, is_integer=True))
    assert probs.sum() == pytest.approx(1.0, abs=1e-3)
    assert probs[40] == pytest.approx(stats.norm.cdf(0.5) - stats.norm.cdf(-0.5), abs=0.02)


def test_counts_are_covered_by_the_randomised_pit_as_often_as_they_should_be():
    y = np.arange(60.0)
    shares = shares_inside(
        stats.poisson.cdf(y - 1.0, 4.0), stats.poisson.cdf(y, 4.0), (0.05, 0.95)
    )
    probs = stats.poisson.pmf(y, 4.0)
    assert probs @ shares == pytest.approx(0.9, abs=1e-9)
    low, high = stats.poisson.ppf([0.05, 0.95], 4.0)
    assert probs[(low <= y) & (y <= high)].sum() > 0.92  # which no whole numbers can mend


@pytest.mark.slow
def test_a_process_knows_a_line_and_its_noise():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 1))
    y = 2.0 * x[:, 0] + 0.5 * rng.normal(size=120)
    found = predictions(x[:90], y[:90], x[90:], seed=0)
    best = -stats.norm.logpdf(y[90:] - 2.0 * x[90:, 0], scale=0.5).mean()
    nll = {name: -each.log_prob(y[90:]).mean() for name, each in found.items()}
    assert nll["Gaussian process"] < best + 0.1
    assert best - 0.1 < nll["quantile gradient boosting"] < best + 1.5


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
    assert f"| the flow | 2 | {nll:.3f} ± " in text
    # The entropy of the noise; that of a fair coin; that of a Poisson of 8, and more.
    assert nll < {"y": 1.2, "kind": np.log(2.0), "n": 2.8}[target]
    assert ("covered_by_pit" in folds[0][FLOW]) == (target == "n")
    assert prediction_folds.cli(arguments) == 0  # what has finished is only read
    assert capsys.readouterr().out == text


def test_wrong_use_is_refused(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{i / 7},{i % 3}\n" for i in range(30)))
    flags = ["x", f"--csv_path={path}", f"--run_dir={tmp_path / 'run'}"]
    assert prediction_folds.cli(flags) == 2
    assert "`target` to name a" in capsys.readouterr().err
    assert prediction_folds.cli([*flags, "--target=c"]) == 1
    assert "Expected `target` of ['a', 'b']; got 'c'" in capsys.readouterr().err
