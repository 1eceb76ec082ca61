"""`simulation` end to end, small: tasks, reference draws, own models, killed runs."""

import dataclasses
import json
import sys

import numpy as np
import pandas as pd
import pytest
from short_fits import trained_for

from experiments import sample, score, simulation_inference
from experiments.data.files import DataError
from experiments.runs.run_directory import RunDirectoryError
from experiments.simulation_inference import reference, tasks
from experiments.simulation_inference.evaluation import c2st
from experiments.simulation_inference.settings import SimulationSettings
from tfp_flows.inference.amortized import fit

OWN = """
from __future__ import annotations

import dataclasses

import numpy as np
from tensorflow_probability import distributions as tfd

from beside import SCALE


@dataclasses.dataclass
class Simulator:
    scale: float

    def __call__(self, a, seed):
        return np.random.default_rng(seed).normal(a, self.scale)[:, None]


def make():
    return tfd.JointDistributionNamed({"a": tfd.Normal(0.0, 1.0)}), Simulator(SCALE)
"""


DEPENDENT = """
import numpy as np
from tensorflow_probability import distributions as tfd


def simulate(a, b, seed):
    return np.random.default_rng(seed).normal(b)[:, None]


def make():
    parts = {"a": tfd.LogNormal(0.0, 1.0), "b": lambda a: tfd.Uniform(0.0, a)}
    return tfd.JointDistributionNamed(parts), simulate
"""


@pytest.fixture(autouse=True)
def _few_epochs(op_by_op):
    with trained_for(1, splines={}, flows={}):
        yield


def small(folder, **changes):
    return SimulationSettings(run_dir=str(folder / "run"), num_simulations=300, **changes)


def write_reference(folder):
    rng = np.random.default_rng(0)
    arrays = {
        "observation": np.zeros([2, 2]),
        "reference_posterior": rng.normal(5.0, size=(2, 300, 2)),  # far from all draws
    }
    np.savez(folder / "two_moons.npz", **arrays)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_simulators_repeat_and_fit_their_priors(name):
    task = tasks.TASKS[name]
    theta = task.prior().sample(50, seed=(0, 1)).numpy().astype(np.float64)
    x = task.simulator(theta, 3)
    assert x.shape[0] == 50
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(task.simulator(theta, 3), x)
    assert not np.array_equal(task.simulator(theta, 4), x)


def test_two_moons_lie_where_the_parameters_put_them():
    theta = np.array([[0.3, 0.5], [-0.3, -0.5]])
    x = tasks.two_moons(np.repeat(theta, 500, axis=0), 0)
    # The two places are one, since only |t1 + t2| counts, but for the difference.
    center = x.reshape(2, 500, 2).mean(axis=1)
    np.testing.assert_allclose(center[0, 0], center[1, 0], atol=0.02)
    np.testing.assert_allclose(center[0, 1] - center[1, 1], 0.4 / 2**0.5, atol=0.02)


@pytest.mark.slow
def test_the_score_tells_draws_apart():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2, 400, 2))
    assert c2st(*draws) == pytest.approx(0.5, abs=0.06)
    assert c2st(draws[0], draws[1] + 5.0) > 0.95
    assert c2st(draws[0, :100], draws[1]) == pytest.approx(0.5, abs=0.1)


def test_a_run_writes_report_and_pictures_and_is_read_again(tmp_path, capsys):
    write_reference(tmp_path)
    settings = small(tmp_path, data_dir=str(tmp_path), num_observations=2, num_draws=100)
    assert simulation_inference.cli(["simulation", *settings.flags()]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(results["observations"]) == 2
    assert 0.95 < results["observations"][0]["c2st"] <= 1.0
    report = (tmp_path / "run" / "report.md").read_text()
    assert results["verdict"] in report
    for name in ("pairs.png", "ranks.png", "coverage.png", "model.keras", "report.html"):
        assert (tmp_path / "run" / name).is_file()
    assert "| this run" in capsys.readouterr().out
    more = dataclasses.replace(settings, max_minutes=9.0)
    assert simulation_inference.run(more) == results
    assert "holds this run, finished" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_run_goes_on_with_its_simulations(tmp_path, monkeypatch):
    settings, whole = small(tmp_path), small(tmp_path / "whole")
    expected = simulation_inference.run(whole)
    monkeypatch.setattr(simulation_inference.evaluation, "measure", None)
    with pytest.raises(TypeError, match="not callable"):
        simulation_inference.run(settings)
    monkeypatch.undo()
    kept = (tmp_path / "run" / "simulations.npz").read_bytes()
    found = simulation_inference.run(settings)
    assert (tmp_path / "run" / "simulations.npz").read_bytes() == kept
    with pytest.raises(RunDirectoryError, match="without --data_dir"):
        simulation_inference.run(small(tmp_path, data_dir=str(tmp_path)))
    assert found["checks"] == expected["checks"]
    assert found["gain"] == expected["gain"]


@pytest.mark.slow
def test_own_models_are_read_from_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # a run adds the file's folder
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "beside.py").write_text("SCALE = 1.0")
    settings = small(tmp_path, model=f"{tmp_path}/own.py:make")
    results = simulation_inference.run(settings)
    assert results["observations"] == []
    assert results["model"].endswith("own.py:make")
    given, out = tmp_path / "given.csv", tmp_path / "drawn.csv"
    given.write_text("x[0]\n-2.0\n2.0\n")
    flags = [f"--model={tmp_path}/run", f"--given={given}", f"--out={out}", "--rows=200"]
    assert sample.cli(["sample", *flags]) == 0
    drawn = pd.read_csv(out)
    assert list(drawn) == ["a", "x[0]"]
    means = drawn.groupby("x[0]")["a"].mean()
    assert means[2.0] > means[-2.0]
    flags = [f"--model={tmp_path}/run", f"--csv={out}", f"--out={tmp_path}/scores.csv"]
    assert score.cli(["score", *flags]) == 0
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 400
    (tmp_path / "far.csv").write_text("a,x[0]\n0.1,0.2\n0.1,99.0\n-99.0,0.2\n")
    flags = [f"--model={tmp_path}/run", f"--csv={tmp_path}/far.csv"]
    assert score.cli(["score", *flags, f"--out={tmp_path}/outside.csv"]) == 0
    outside = pd.read_csv(tmp_path / "outside.csv")["outside"].fillna("")
    assert [*outside] == ["", "x[0]", "a"]
    (tmp_path / "own.py").write_text(OWN.replace("(a, ", "(a + 9.0, "))
    with pytest.raises(RunDirectoryError, match="another model than .*own.py is now"):
        simulation_inference.run(settings)
    (tmp_path / "own.py").unlink()
    assert simulation_inference.run(settings) == results


def test_a_model_may_change_until_its_first_simulations(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside.py").write_text("SCALE = 1.0")
    settings = small(tmp_path, model=f"{tmp_path}/own.py:make")
    monkeypatch.setattr(fit, "_fit_round", None)
    wrong = OWN.replace("normal(a,", "normal(no_name,")
    for text, error in (
        (wrong, NameError),
        (OWN, TypeError),  # after the simulations
        (OWN.replace("a, self", "a + 9.0, self"), RunDirectoryError),
    ):
        (tmp_path / "own.py").write_text(text)
        with pytest.raises(error):
            simulation_inference.run(settings)


@pytest.mark.slow
def test_a_support_that_depends_on_a_parameter_ends_a_run_without_a_file(tmp_path):
    (tmp_path / "own.py").write_text(DEPENDENT)
    settings = small(tmp_path, model=f"{tmp_path}/own.py:make")
    with pytest.warns(UserWarning, match="model.keras is not written: .* depends"):
        results = simulation_inference.run(settings)
    assert not (tmp_path / "run" / "model.keras").exists()
    assert simulation_inference.run(settings) == results


def test_wrong_use_is_told(tmp_path, capsys):
    functions = "make = 3\ndef given(x): pass\ndef joint(): return 1, 'y'\n"
    (tmp_path / "own.py").write_text(functions)
    for flags, words in (
        ([f"--model={tmp_path}/own.py:make"], "a function 'make'"),
        ([f"--model={tmp_path}/own.py:given"], "to need no argument; got given(x)"),
        ([f"--model={tmp_path}/own.py:joint"], "a prior and a simulator; got (1, 'y')"),
        ([f"--model={tmp_path}/no.py:make"], "a file that exists"),
        (["--model=a.py:b", "--data_dir=x"], "`data_dir` to be empty"),
        (["--task=tea"], "tea"),
        (["--task=slcp", "--model=own.py:make"], "`task` not to be given with a `model`"),
    ):
        flags = [*flags, f"--run_dir={tmp_path}/run"]
        assert simulation_inference.cli(["simulation", *flags]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(DataError, match="a folder with slcp.npz or sbibm"):
        reference.read("slcp", tmp_path)
    np.savez(tmp_path / "slcp.npz", other=np.zeros(3))
    with pytest.raises(DataError, match="reference_posterior"):
        reference.read("slcp", tmp_path)
