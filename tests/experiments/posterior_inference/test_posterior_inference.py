"""`posterior_inference` end to end, with tiny settings, and what its numbers rest on."""

import dataclasses
import json

import killed_runs
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import with_slow

from experiments.command_line.flag_settings import UsageError
from experiments.posterior_inference import evaluation
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference import report as posterior_report
from experiments.posterior_inference import targets
from experiments.posterior_inference import training
from experiments.posterior_inference.methods import SURROGATES
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.settings import PosteriorSettings
from experiments.posterior_inference.targets import TARGETS
from experiments.runs.checkpoints import CheckpointFolder

TINY = PosteriorSettings(
    num_steps=1,
    hidden_units=(4,),
    training_steps=3,
    sample_size=4,
    num_draws=200,
    num_chains=2,
    num_adaptation_steps=40,
    jit_compile=False,
    reference="none",
)


THREE = ("full_rank", "asvi", "real_nvp")


def tiny(tmp_path, **changes):
    return dataclasses.replace(TINY, run_dir=str(tmp_path), **changes)


@pytest.fixture(
    scope="module",
    params=[THREE, pytest.param(POSTERIORS, marks=pytest.mark.slow)],
    ids=["three", "all"],
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


def test_a_run_that_died_goes_on_from_its_last_block(
    all_of_mixture, tmp_path, monkeypatch, capsys
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
    settings = tiny(tmp_path, target="gaussian", posterior="full_rank", training_steps=300)
    settings = dataclasses.replace(settings, learning_rate=0.5, sample_size=16)
    one = posterior_inference.run(settings)
    two = dataclasses.replace(settings, strategy="mirrored", run_dir=str(tmp_path / "two"))
    killed_runs.run_alone(two, posterior_inference.run)
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


def test_all_posteriors_are_those_of_the_flag():
    ways = posterior_inference._ways(tiny(".", posterior="all"))
    assert list(ways) == list(POSTERIORS)


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


SCHOOLS = {"eight_schools", "eight_schools_centered"}


@pytest.mark.slow_ids("gaussian")
@pytest.mark.parametrize("name", with_slow([*sorted(SCHOOLS), "gaussian"], SCHOOLS))
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


@pytest.mark.slow
def test_nuts_finds_the_posterior_of_a_linear_model():
    found = evaluation.nuts(
        "gaussian", num_chains=4, num_draws=500, num_adaptation_steps=200, seed=0
    )
    design, response = targets._DESIGN, targets._RESPONSE
    covariance = np.linalg.inv(design.T @ design + np.eye(5) / 4.0)
    deviations = np.sqrt(np.diag(covariance))
    errors = (found.draws.mean(axis=0) - covariance @ design.T @ response) / deviations
    assert np.abs(errors).max() < 0.15
    np.testing.assert_allclose(found.draws.std(axis=0), deviations, rtol=0.1)
    assert found.r_hat < 1.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training_steps": 0}, "`training_steps` of at least 1; got 0"),
        ({"learning_rate": 0.0}, "`learning_rate` above 0"),
        ({"hidden_units": ()}, "`hidden_units`"),
        ({"reference": "hmc"}, "'none', 'nuts'"),
        ({"activation": "softmax"}, "`activation` to be an elementwise one"),
        (
            {"strategy": "mirrored", "jit_compile": True},
            "no `jit_compile` with a `strategy`; give --nojit_compile",
        ),
        ({"strategy": "mirrored", "method": "nuts"}, "`method` to be that of a posterior"),
        ({"strategy": "mirrored", "sample_size": 5}, "a multiple of the 2 replicas; got 5"),
    ],
)
def test_settings_of_no_use_are_refused(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        posterior_inference.run(tiny(tmp_path, **changes))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--target=nothing", "eight_schools"),
        ("--seed=-1", "-1 is not a non-negative"),
    ],
)
def test_wrong_command_line_ends_with_one_line(flag, message, capsys):
    assert posterior_inference.cli(["posterior_inference", flag]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
