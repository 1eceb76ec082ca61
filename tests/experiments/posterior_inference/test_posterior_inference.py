"""`posterior_inference` end to end, with tiny settings, and what its numbers rest on."""

import dataclasses
import json

import derivatives
import killed_commands
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from slow_cases import with_slow
from tiny_runs import TINY_POSTERIOR
from tiny_runs import in_folder

from experiments.posterior_inference import evaluation
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference import report as posterior_report
from experiments.posterior_inference import targets
from experiments.posterior_inference import training
from experiments.posterior_inference.methods import SURROGATES
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.targets import TARGETS
from experiments.runs.checkpoints import CheckpointFolder

THREE = ("full_rank", "asvi", "real_nvp")


def tiny(tmp_path, **changes):
    return in_folder(TINY_POSTERIOR, tmp_path, **changes)


@pytest.fixture(
    scope="module",
    params=[THREE, pytest.param(POSTERIORS, marks=pytest.mark.slow)],
    ids=["three", "all"],
)
def all_of_mixture(request, tmp_path_factory):
    """The folder of posteriors of one target, and their results by posterior."""
    folder, names = tmp_path_factory.mktemp("all"), list(request.param)
    settings = tiny(folder, posterior="all", target="mixture", num_draws=20)
    with derivatives.op_by_op(), pytest.MonkeyPatch.context() as patch:
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


def test_a_run_that_died_goes_on_from_its_last_block(
    all_of_mixture, op_by_op, tmp_path, monkeypatch, capsys
):
    def save_and_die(folder, checkpoint):
        save(folder, checkpoint)
        raise KeyboardInterrupt

    save = CheckpointFolder.save
    settings = tiny(tmp_path, posterior="full_rank", target="mixture", num_draws=20)
    monkeypatch.setattr(training, "STEPS", 2)
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            posterior_inference.run(settings)
    results = posterior_inference.run(settings)
    assert "Training goes on from step 2 of 3." in capsys.readouterr().out
    assert not (tmp_path / "checkpoints").exists()
    _, found = all_of_mixture
    other = {name: results[name] for name in ("command", "seconds")}
    assert results == found["full_rank"] | other


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
    estimate = evaluation.importance_weighted(np.concatenate(chunks).astype(np.float64))
    difference = abs(estimate.nats - target.evidence())
    assert difference < max(2.0 * estimate.two_standard_errors, 0.02)


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
    bound = evaluation.elbo(log_weights)
    expected = np.log(s) + 0.5 - 0.5 * s**2
    assert abs(bound.nats - expected) < 2.0 * bound.two_standard_errors
    evidence = evaluation.importance_weighted(log_weights)
    assert abs(evidence.nats) < 2.0 * evidence.two_standard_errors
    # E[w^2] = s / sqrt(2 - 1 / s^2) under the proposal
    share = np.sqrt(2.0 - s**-2) / s
    assert evaluation.effective_share(log_weights) == pytest.approx(share, rel=0.02)


def test_equal_weights_are_perfect():
    log_weights = np.full(100, -3.0)
    assert evaluation.pareto_k(log_weights) == -np.inf
    assert evaluation.effective_share(log_weights) == pytest.approx(1.0)
    assert evaluation.importance_weighted(log_weights).nats == pytest.approx(-3.0)
