"""The density of `--flow=auto`: runs end to end, restarts, pictures, and refusals."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
from derivatives import op_by_op
from short_fits import trained_for
from tiny_runs import outcome, quick_runs, run_without_end

import tfp_flows
from experiments import compare, folds, predict, sample, score
from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError
from experiments.data import DataError, load_dataset
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import pictures, training
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.settings import Settings
from experiments.runs import run_directory

ROWS = np.random.default_rng(0).normal(size=(100, 3)) ** 2 * [1.0, 1000.0, 1.0]
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module", autouse=True)
def _few_steps():
    """Both components, small, trained for two epochs, op by op."""
    splines = {"num_members": 2, "hidden_units": (8, 8), "num_bins": 4}
    flow = {"hidden_units": (8,), "num_steps": 1, "num_bins": 4}
    changes = {"splines": splines, "flow": flow, "steps": {"steps_per_epoch": 2}}
    with op_by_op(), trained_for(2, batch_size=64, **changes):
        yield


def write_table(folder):
    path = folder / "rows.csv"
    np.savetxt(path, ROWS, "%.17g", ",", header=",".join(NAMES), comments="")
    return path


def run_on_table(folder, *flags):
    """Runs the command in `folder / "run"`; returns this folder and the results."""
    path, run_dir = write_table(folder), folder / "run"
    flags = ["--dataset=csv", f"--csv_path={path}", f"--run_dir={run_dir}", *flags]
    assert density_estimation.cli(["density", "--progress=0", *flags]) == 0
    return run_dir, json.loads((run_dir / "results.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_on_table(tmp_path_factory.mktemp("auto"))


def test_a_table_without_a_flow_gets_the_density_of_fit_density(finished):
    folder, results = finished
    assert {path.name for path in folder.iterdir()} == {
        *(".lock", "flags.txt", "model.keras", "results.json", "report.md", "report.html"),
        *("marginals.png", "pairs.png"),
    }
    assert results["flow"] == "auto"
    assert not {"num_epochs", "limits", "best_validation_log_likelihood"} & results.keys()
    model = tfp_flows.load(folder / "model.keras")
    density = model.distribution
    assert [type(part).__name__ for part in density.components] == [
        "TableDistribution",
        "FlowDistribution",
    ]
    report = density.report
    assert report.to_plain() == results["density_report"]
    assert report.num_rows + report.num_held_out == 90  # training and validation rows
    rows = load_dataset("csv", csv_path=folder.parent / "rows.csv").test
    nats = np.mean(density.log_prob(rows))
    assert results["test_log_likelihood"]["nats"] == pytest.approx(nats, rel=1e-5)
    sizes = [math.prod(v.shape) for v in density.trainable_variables]
    assert results["num_parameters"] == sum(sizes) > 0
    assert [column["name"] for column in model.columns] == list(NAMES)


def test_the_report_has_that_of_the_fit_and_no_epochs(finished):
    folder, results = finished
    text = (folder / "report.md").read_text()
    own = tfp_flows.density.DensityReport.from_plain(results["density_report"])
    for line in str(own).splitlines():
        assert f"  {line}\n" in text
    assert "epochs" not in text
    _, first, *_ = text.split("\n\n")
    assert first.startswith(f"**Verdict of the fit: {own.verdict}. {own.reasons[0]}")
    html = (folder / "report.html").read_text()
    assert f"verdict                 {own.verdict}" in html
    assert "| auto |" in " ".join(compare.table({"run": results}).split())


def test_scores_and_samples_of_the_run(finished, tmp_path):
    folder, _ = finished
    density = tfp_flows.load(folder / "model.keras").distribution
    out, table = tmp_path / "scored.csv", folder.parent / "rows.csv"
    assert score.cli(["score", f"--model={folder}", f"--csv={table}", f"--out={out}"]) == 0
    nats = np.array([row[0] for row in read(out)[1:]], float)
    np.testing.assert_allclose(nats, density.log_prob(ROWS), rtol=1e-5)
    out = tmp_path / "samples.csv"
    assert sample.cli(["sample", f"--model={folder}", "--rows=7", f"--out={out}"]) == 0
    header, *rows = read(out)
    assert header == list(NAMES)
    drawn = density.sample(7, seed=np.array([0, 0], np.int32))
    np.testing.assert_allclose(np.array(rows, float), drawn, rtol=1e-5)


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_one_column_given_others_is_predicted(tmp_path):
    with quick_runs():
        folder, results = run_on_table(tmp_path, "--context_columns=a,b")
    assert results["context_size"] == 2
    assert 0.0 <= results["coverage"]["shares"]["0.9"] <= 1.0
    out = tmp_path / "predicted.csv"
    table = folder.parent / "rows.csv"
    arguments = [f"--model={folder}", f"--csv={table}", f"--out={out}"]
    assert predict.cli(["predict", *arguments]) == 0
    header, *rows = read(out)
    assert header == ["c 0.05", "c 0.5", "c 0.95"]
    density = tfp_flows.load(folder / "model.keras").distribution
    for level, y in zip((0.05, 0.5, 0.95), np.array(rows, float).T, strict=True):
        shares = density.cdf(y[:, None], context=ROWS[:, :2])
        np.testing.assert_allclose(shares, np.full(len(ROWS), level), atol=1e-4)
    out = tmp_path / "samples.csv"
    arguments = [f"--model={folder}", f"--given={table}", f"--out={out}"]
    assert sample.cli(["sample", *arguments]) == 0
    _, *rows = read(out)
    np.testing.assert_allclose(np.array(rows, float)[:, 1:], ROWS[:, :2], rtol=1e-5)


@pytest.mark.slow
def test_a_run_that_was_killed_starts_again_and_a_finished_one_is_read(
    tmp_path, capsys, monkeypatch
):
    settings = Settings(
        dataset="csv", csv_path=str(write_table(tmp_path)), run_dir=str(tmp_path / "run")
    )
    settings = dataclasses.replace(settings, progress=0, num_samples=50)
    whole = dataclasses.replace(settings, run_dir=str(tmp_path / "whole"))
    with quick_runs():
        run_without_end(settings)
        assert "To start again from the same seed: " in program.how_to_go_on(settings)
        assert run_directory.finished_results(settings.run_dir) is None
        results = density_estimation.run(settings)
        density_estimation.run(whole)
        other = dataclasses.replace(whole, seed=1, run_dir=str(tmp_path / "other"))
        density_estimation.run(other)
        ends = [outcome(s.run_dir)[0] for s in (settings, whole, other)]
        nats = [each["test_log_likelihood"]["nats"] for each in ends]
        # Up to rounding: sums may have another order.
        assert nats[0] == pytest.approx(nats[1], rel=1e-3)
        assert abs(nats[0] - nats[1]) < abs(nats[2] - nats[1])
    monkeypatch.setattr(training, "fit_density", None)
    for minutes in (0.0, 60.0):
        again = dataclasses.replace(settings, max_minutes=minutes)
        assert density_estimation.run(again) == results
        assert "holds this run, finished" in capsys.readouterr().out


@pytest.mark.slow
def test_folds_of_a_recipe(tmp_path, capsys):
    recipe = tmp_path / "small.flags"
    path = write_table(tmp_path)
    recipe.write_text(f"--dataset=csv\n--csv_path={path}\n--progress=0\n")
    arguments = ["--num_folds=2", f"--run_dir={tmp_path / 'runs'}", str(recipe)]
    with quick_runs():
        assert folds.cli(["folds", *arguments]) == 0
    assert "| small | auto |" in " ".join(capsys.readouterr().out.split())


def some_rows(name, count, **changes):
    """A data set with few rows in each of its sets."""
    dataset = load_dataset(name, **changes)
    sets = [f"{s}{e}" for s in ("train", "validation", "test") for e in ("", "_context")]
    return dataclasses.replace(
        dataset, **{s: x[:count] for s in sets if (x := getattr(dataset, s)) is not None}
    )


PICTURES = {
    "two_moons": {"density.png"},
    "two_modes": {"conditional.png", "levels.png", "predictions.png"},
    "digits": {"samples.png"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_need_no_latents_and_no_history(name, tmp_path):
    dataset = some_rows(name, 60, conditional=name == "digits")
    settings = Settings(run_dir=str(tmp_path), num_samples=40, progress=0)
    model, history, _ = training.fit_density(dataset, settings)
    assert history == {}
    drawn = pictures.draw(Subject(model.distribution, dataset, settings), history)
    assert drawn.keys() == PICTURES[name]
    assert all((tmp_path / name).stat().st_size > 2000 for name in drawn)


BITS = np.random.default_rng(0).integers(0, 2, size=(60, 3)).astype(float)
# Flags, rows of --dataset=npz, the error, and words of it.
REFUSED = {
    "angles": ("torus", None, UsageError, "nsf or nsf_coupling for torus, .* angles"),
    "bits": ("npz", BITS, UsageError, r"one of \['binary_made'\] for npz"),
    "few rows": ("npz", ROWS[:21], DataError, "at least 20 rows for .* got 19"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_without_such_a_density_are_refused(name, tmp_path):
    dataset, rows, error, words = REFUSED[name]
    settings = Settings(run_dir=str(tmp_path / "run"))
    if rows is not None:
        np.save(tmp_path / "rows.npy", rows)
        path = str(tmp_path / "rows.npy")
        settings = Settings(dataset="npz", npz_path=path, run_dir=settings.run_dir)
    else:
        settings = dataclasses.replace(settings, dataset=dataset)
    with pytest.raises(error, match=words):
        density_estimation.run(settings)
    assert not (tmp_path / "run").exists()


UNUSED = {
    **{"batch_size": 7, "patience": 3, "learning_rate": 0.5, "strategy": "mirrored"},
    **{"init_from": "elsewhere", "base": "logistic", "transformer": "mixture_cdf"},
    **{"dropout": 0.1, "weight_prior": False, "defensive_share": 0.1},
    **{"tensorboard": True, "max_validation_rows": 5, "fresh_noise": False},
}


@pytest.mark.parametrize("name", UNUSED)
def test_flags_that_only_named_flows_have_are_refused(name, tmp_path):
    settings = Settings(run_dir=str(tmp_path / "run"), **{name: UNUSED[name]})
    with pytest.raises(UsageError, match=f"no `{name}`, which auto lacks.*--flow=nsf"):
        density_estimation.run(settings)
    assert not (tmp_path / "run").exists()
