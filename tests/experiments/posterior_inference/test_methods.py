"""The methods beside surrogate posteriors: Pathfinder, NUTS, NeuTra; and their table."""

import dataclasses

import numpy as np
import pytest
import tensorflow_probability as tfp
from tiny_runs import TINY_POSTERIOR

from experiments.posterior_inference import evaluation
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference import report
from experiments.posterior_inference import targets
from experiments.posterior_inference.methods import METHODS
from experiments.posterior_inference.pathfinder import pathfinder
from experiments.posterior_inference.targets import TARGETS
from experiments.runs.fitting import TrainingError

tfd = tfp.distributions
TINY = dataclasses.replace(
    TINY_POSTERIOR,
    **{"target": "gaussian", "num_draws": 400},
    **{"nuts_chains": 4, "nuts_draws": 60, "nuts_adaptation_steps": 40},
)


def exact():
    """Mean and covariance of the linear model's slopes."""
    design, response = targets._DESIGN, targets._RESPONSE
    covariance = np.linalg.inv(design.T @ design + np.eye(5) / 4.0)
    return covariance @ design.T @ response, covariance


def test_pathfinder_finds_a_normal_posterior():
    found = pathfinder(
        TARGETS["gaussian"].pinned(), num_paths=2, draws_of_a_path=2000, seed=0
    )
    mean, covariance = exact()
    deviations = np.sqrt(np.diag(covariance))
    weights = np.exp(found.log_weights - found.log_weights.max())
    assert weights.sum() ** 2 / (weights**2).sum() > 2000  # of 4000
    rows = targets.flatten(found.parts)
    errors = (np.average(rows, axis=0, weights=weights) - mean) / deviations
    assert np.abs(errors).max() < 0.15
    assert 10 < found.num_gradients < 400


def test_where_no_path_has_a_normal_pathfinder_says_so():
    nowhere = tfd.JointDistributionNamed({"x": tfd.Normal(0.0, float("nan"))})
    with pytest.raises(TrainingError, match="No path"):
        pathfinder(nowhere, num_paths=2, draws_of_a_path=10, seed=0)


@pytest.mark.slow_ids("fit_posterior", "neutra", "nuts")
@pytest.mark.parametrize("method", ["fit_posterior", "nuts", "neutra", "pathfinder"])
def test_methods_are_judged_as_posteriors_are(method, tmp_path):
    settings = dataclasses.replace(TINY, method=method, run_dir=str(tmp_path))
    results = posterior_inference.run(settings)
    assert results["posterior"] == method
    mean, covariance = exact()
    found = [moments["mean"] for moments in results["moments"].values()]
    assert np.abs((found - mean) / np.sqrt(np.diag(covariance))).max() < 0.6
    assert results["num_gradients"] > 20
    assert 0.0 < results["effective_share"]
    assert ("R̂" in results["says"]) == (method in ("nuts", "neutra"))
    if method == "fit_posterior":
        assert results["says"] in ("reliable", "reliable after resampling")
    row = report.row(results)
    assert f"| {results['num_gradients']:,} |" in row
    assert row.count("|") == report.HEADER.split("\n")[0].count("|")
    assert posterior_inference.run(settings) == results  # which is only read


def _run(target, posterior, **changes):
    found = {"target": target, "posterior": posterior, "evidence": None, "says": ""}
    return found | {"is_right": True, "num_gradients": 100, "seconds": 5.0} | changes


def test_summary_counts_what_was_right_called_reliable_and_ahead():
    runs = [
        _run("a", "nuts"),
        _run("b", "nuts", is_right=False),
        _run("a", "fit_posterior", num_gradients=50, seconds=9.0, says="reliable"),
        _run("b", "fit_posterior", is_right=False, says="reliable after resampling"),
        _run("c", "fit_posterior", is_right=False, says="not reliable"),
        {"target": "d", "posterior": "fit_posterior", "failure": "none"},
    ]
    lines = report.summary(runs).split("\n")
    assert lines[2] == "| nuts | 1 of 2 | 1 | 0 | 0 | - | - |"
    assert lines[3] == "| fit_posterior | 1 of 3 | 2 | 1 | 1 | 1 of 1 | 0 of 1 |"


def test_table_is_written_from_one_command(tmp_path, capsys, monkeypatch):
    def run(settings, strategy):
        return _run(settings.target, settings.name_of_method)

    monkeypatch.setattr(posterior_inference, "run", run)
    flags = ["--target=all", "--method=all", f"--run_dir={tmp_path}"]
    assert posterior_inference.cli(["posterior_inference", *flags]) == 0
    text = (tmp_path / "report.md").read_text()
    printed = capsys.readouterr().out
    for target in TARGETS:
        for method in METHODS:
            (row,) = (
                r for r in text.split("\n") if r.startswith(f"| {target} | {method} ")
            )
            assert row in printed
    assert text.split("\n\n")[1].strip() in printed


def test_exact_draws_are_the_reference_of_targets_without_data():
    settings = dataclasses.replace(TINY, target="banana", reference="own")
    found = evaluation.find_reference(TARGETS["banana"], settings)
    assert found.origin == "exact draws"
    np.testing.assert_allclose(found.draws[:, 0].std(), 10.0, rtol=0.03)
