"""`posterior_inference` end to end, with tiny settings, and what its numbers rest on."""

import dataclasses
import json

import killed_commands
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from slow_cases import with_slow
from tiny_runs import TINY_POSTERIOR, in_folder

from experiments.command_line.flag_settings import TrainingError
from experiments.posterior_inference import evaluation, report, targets
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference import report as posterior_report
from experiments.posterior_inference.methods import METHODS, SURROGATES
from experiments.posterior_inference.pathfinder import pathfinder
from experiments.posterior_inference.surrogates import POSTERIORS
from experiments.posterior_inference.targets import TARGETS
from experiments.reports.estimate import estimate

TWO = ("full_rank", "asvi")


def tiny(tmp_path, **changes):
    return in_folder(TINY_POSTERIOR, tmp_path, **changes)


@pytest.fixture(
    scope="module",
    params=[TWO, pytest.param(POSTERIORS, marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def all_of_mixture(request, tmp_path_factory):
    """The folder of posteriors of one target, and their results by posterior."""
    folder, names = tmp_path_factory.mktemp("all"), list(request.param)
    settings = tiny(folder, posterior="all", target="mixture", num_draws=20)
    with pytest.MonkeyPatch.context() as patch:
        chosen = {name: SURROGATES[name] for name in names}
        patch.setattr(posterior_inference, "SURROGATES", chosen)
        first = list(posterior_inference.run_all(settings))
        assert [results["posterior"] for results in first] == names
        assert list(posterior_inference.run_all(settings)) == first  # which is only read
    return folder, {results["posterior"]: results for results in first}


def assert_judged(results, folder):
    assert json.loads((folder / "results.json").read_text()) == results
    assert results["elbo"]["nats"] <= results["importance_weighted"]["nats"]
    assert 0.0 < results["effective_share"] <= 1.0
    assert results["num_parameters"] > 0
    text = (folder / "report.md").read_text()
    assert f"{results['elbo']['nats']:.3f}" in text
    assert (folder / "learning_curve.png").is_file()


def test_every_posterior_is_fitted_and_judged_in_a_folder_of_its_own(all_of_mixture):
    folder, found = all_of_mixture
    for posterior, results in found.items():
        assert ("| none: " in posterior_report.row(results)) == (posterior == "asvi")
        if posterior != "asvi":
            assert_judged(results, folder / "mixture" / posterior)
    assert not (folder / "mixture" / "asvi").exists()


@pytest.mark.slow_ids("iaf")
@pytest.mark.parametrize("posterior", with_slow(POSTERIORS, POSTERIORS.keys() - {"iaf"}))
def test_posterior_of_a_hierarchical_model(posterior, tmp_path):
    results = posterior_inference.run(tiny(tmp_path, posterior=posterior))
    assert_judged(results, tmp_path)
    assert list(results["moments"])[:3] == ["mean", "spread", "z[0]"]


@pytest.mark.slow
def test_replicas_that_share_the_draws_find_what_one_device_finds(tmp_path):
    changes = {"training_steps": 300, "learning_rate": 0.5, "sample_size": 16}
    settings = tiny(tmp_path, target="gaussian", posterior="full_rank", **changes)
    one = posterior_inference.run(settings)
    two = dataclasses.replace(settings, strategy="mirrored", run_dir=str(tmp_path / "two"))
    killed_commands.run("posterior_inference.experiment", two.flags(), tmp_path)
    results_of_two = json.loads((tmp_path / "two" / "results.json").read_text())
    bounds = [results["elbo"]["nats"] for results in (one, results_of_two)]
    assert bounds[0] != bounds[1]  # by the noise of other draws
    np.testing.assert_allclose(*bounds, atol=0.05)


@pytest.mark.slow
def test_run_beside_nuts(tmp_path):
    results = posterior_inference.run(tiny(tmp_path, target="gaussian", reference="nuts"))
    assert results["reference"]["num_draws"] == 200
    assert (tmp_path / "pairs.png").is_file()
    mean = f"(NUTS: {results['reference']['means'][0]:.3f}, "
    assert mean in (tmp_path / "report.md").read_text()
    assert mean in (tmp_path / "report.html").read_text()
    assert results["greatest_error_of_a_mean"] > 0.0
    assert results["greatest_ratio_of_deviations"] >= 1.0


@pytest.mark.slow
def test_one_that_diverges_is_a_row_and_the_others_go_on(tmp_path):
    settings = tiny(tmp_path, posterior="all", target="banana", learning_rate=1e30)
    rows = [
        posterior_report.row(results) for results in posterior_inference.run_all(settings)
    ]
    assert len(rows) == len(POSTERIORS)
    assert all("not finite at step" in row for row in rows)


def test_what_is_skipped_cannot_be_built():
    for name, target in TARGETS.items():
        for posterior in target.inapplicable:
            with pytest.raises(TypeError):
                POSTERIORS[posterior](target.pinned(), tiny(".", target=name))


def test_what_is_skipped_writes_nothing_and_says_so(tmp_path, capsys):
    flags = ["--target=mixture", "--posterior=asvi", f"--run_dir={tmp_path}/run"]
    assert posterior_inference.cli(["posterior", *flags]) == 0
    printed = capsys.readouterr().out
    assert "none: ASVI interpolates" in printed
    assert "Written to" not in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.slow_ids("eight_schools_centered", "mixture")
@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_continuous_and_named(name):
    pinned = TARGETS[name].pinned()
    sample = pinned.sample_unpinned if TARGETS[name].observed else pinned.sample
    draws = sample(3, seed=(1, 2))
    assert np.isfinite(pinned.unnormalized_log_prob(draws)).all()
    rows = targets.flatten(draws)
    assert rows.shape == (3, len(targets.labels(pinned.event_shape)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eight_schools", "eight_schools_centered", "gaussian"])
def test_evidence_is_the_mean_likelihood_under_the_prior(name):
    target = TARGETS[name]
    model, (observed,) = target.build(), target.observed.values()

    @tf.function
    def log_likelihood(seed):
        *latent, _ = model.sample(50000, seed=seed)
        return model.log_prob_parts([*latent, tf.constant(observed)])[-1]

    chunks = [log_likelihood(tf.constant([0, i])).numpy() for i in range(4)]
    found = evaluation.importance_weighted(np.concatenate(chunks).astype(np.float64))
    difference = abs(found["nats"] - target.evidence())
    assert difference < max(2.0 * found["two_standard_errors"], 0.02)


def test_mixture_banana_and_funnel_are_normalised():
    """By a Riemann sum over a wide grid of the plane, of those with two variables."""
    for name, half_width, count in [("mixture", 9.0, 600), ("banana", 120.0, 2400)]:
        axis = np.linspace(-half_width, half_width, count, dtype=np.float32)
        grid = np.stack(np.meshgrid(axis, 2.0 * axis if name == "banana" else axis), -1)
        parts = [grid] if name == "mixture" else [grid[..., 0], grid[..., 1]]
        log_prob = (
            TARGETS[name].build().log_prob(*(p.reshape(-1, *p.shape[2:]) for p in parts))
        )
        area = (axis[1] - axis[0]) ** 2 * (2.0 if name == "banana" else 1.0)
        assert np.exp(log_prob).sum() * area == pytest.approx(1.0, abs=0.01)


def test_weights_of_a_gaussian_proposal_have_known_values():
    """Target N(0, 1), proposal N(0, s^2): log-evidence 0, ELBO and ESS in closed form."""
    s, rng = 1.3, np.random.default_rng(0)
    x = s * rng.normal(size=200000)
    log_weights = scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, scale=s)
    bound = estimate(log_weights)
    expected = np.log(s) + 0.5 - 0.5 * s**2
    assert abs(bound["nats"] - expected) < 2.0 * bound["two_standard_errors"]
    evidence = evaluation.importance_weighted(log_weights)
    assert abs(evidence["nats"]) < 2.0 * evidence["two_standard_errors"]
    # E[w^2] = s / sqrt(2 - 1 / s^2) under the proposal
    share = np.sqrt(2.0 - s**-2) / s
    assert evaluation.effective_share(log_weights) == pytest.approx(share, rel=0.02)


tfd = tfp.distributions
OF_METHOD = dataclasses.replace(
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
    settings = dataclasses.replace(OF_METHOD, method=method, run_dir=str(tmp_path))
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
    lines = [line.strip("| ").split("|") for line in report.summary(runs).split("\n")]
    _, _, nuts, ours = ([cell.strip() for cell in line] for line in lines)
    assert nuts == ["nuts", "1 of 2", "1", "0", "0", "-", "-"]
    assert ours == ["fit_posterior", "1 of 3", "2", "1", "1", "1 of 1", "0 of 1"]


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


@pytest.mark.slow
@pytest.mark.usefixtures("op_by_op")
def test_exact_draws_are_the_reference_of_targets_without_data():
    settings = dataclasses.replace(OF_METHOD, target="banana", reference="own")
    found = evaluation.find_reference(TARGETS["banana"], settings)
    assert found.origin == "exact draws"
    np.testing.assert_allclose(found.draws[:, 0].std(), 10.0, rtol=0.03)
