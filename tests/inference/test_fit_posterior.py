"""Fits of posteriors by one call: what they return and save, in every structure."""

import copy
import dataclasses
import functools
import importlib.util
import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from structures import PINNED, log_prob

import tfp_flows as tff
from tfp_flows.inference import initial_flow
from tfp_flows.inference.checkpoint import FitCheckpoint
from tfp_flows.inference.checks.verdict import VERDICTS
from tfp_flows.inference.training import PosteriorTraining

tfd = tfp.distributions
COUNTS = np.array([3.0, 7.0, 2.0, 6.0])
SHAPE, RATE = 1.0 + COUNTS.sum(), 0.5 + len(COUNTS)


def model():
    """Counts whose rate has a Gamma posterior; and a pair without data."""

    def parts():
        rate = yield tfd.Gamma(np.float64(1.0), np.float64(0.5), name="rate")
        yield tfd.MultivariateNormalDiag(
            np.float64([1000.0, 0.0]), [1.0, 1e-3], name="pair"
        )
        poisson = tfd.Poisson(rate[..., None] * tf.ones(len(COUNTS), tf.float64))
        yield tfd.Independent(poisson, 1, name="counts")

    joint = tfd.JointDistributionCoroutine(parts)
    return joint.experimental_pin(counts=COUNTS)


@pytest.fixture(scope="module", autouse=True)
def _two_couplings():
    """Six couplings take three times as long to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_flow, "_MOST_PAIRS", 1)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="module")
def posterior(folder):
    return tff.fit_posterior(model(), seed=0, max_gradients=100_000, checkpoint_dir=folder)


def test_moments_and_evidence_are_those_of_the_formula(posterior):
    report = posterior.report
    assert report.verdict in VERDICTS[:2], str(report)
    draws = posterior.resample(20000, seed=1)
    assert np.mean(draws.rate) == pytest.approx(SHAPE / RATE, abs=0.05)
    assert np.std(draws.rate) == pytest.approx(np.sqrt(SHAPE) / RATE, rel=0.05)
    np.testing.assert_allclose(np.mean(draws.pair, axis=0), [1000.0, 0.0], atol=0.05)
    np.testing.assert_allclose(np.std(draws.pair, axis=0), [1.0, 1e-3], rtol=0.05)
    pinned = np.log(0.5) + tf.math.lgamma(SHAPE) - SHAPE * np.log(RATE)
    evidence = pinned - np.sum(tf.math.lgamma(COUNTS + 1.0))
    assert report.log_evidence == pytest.approx(float(evidence), abs=0.02)
    assert report.elbo < report.log_evidence + 0.02


def test_draws_and_densities_have_the_structure_and_dtype_of_the_target(posterior):
    draws, log_prob = posterior.sample_and_log_prob(5, seed=1)
    assert draws._fields == ("rate", "pair")
    assert draws.rate.dtype == log_prob.dtype == tf.float64
    assert (draws.rate > 0.0).numpy().all()
    np.testing.assert_allclose(posterior.log_prob(draws), log_prob, atol=1e-8)
    again = posterior.resample(7, seed=3)
    assert again.pair.shape == [7, 2]
    np.testing.assert_array_equal(again.pair, posterior.resample(7, seed=3).pair)


def test_report_prints_as_a_table_of_all_that_it_holds(posterior):
    report = posterior.report
    text = str(report)
    assert text.splitlines()[0].split(maxsplit=1) == ["verdict", report.verdict]
    assert f"{report.log_evidence:.3f}" in text
    assert f"{report.num_gradients:,}" in text
    assert all(reason in text for reason in report.reasons)
    assert report.num_gradients >= 100_000
    assert report.ess <= report.num_draws


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_hold_weights_report_and_weighted_draws(posterior, copied):
    twin = copied(posterior)
    np.testing.assert_array_equal(
        twin.sample(4, seed=1).rate, posterior.sample(4, seed=1).rate
    )
    np.testing.assert_array_equal(
        twin.resample(4, seed=1).pair, posterior.resample(4, seed=1).pair
    )
    assert dataclasses.astuple(twin.report) == dataclasses.astuple(posterior.report)
    weight = twin.trainable_variables[0]
    before = posterior.sample(4, seed=1).rate
    weight.assign_add(tf.ones_like(weight))
    np.testing.assert_array_equal(posterior.sample(4, seed=1).rate, before)


@pytest.mark.slow_ids("seed")
@pytest.mark.parametrize("other", ["target", "seed"])
def test_a_folder_belongs_to_one_target_and_seed(other, posterior, folder):
    target = model()
    if other == "target":
        target = target.distribution.experimental_pin(counts=COUNTS + 1.0)
    with pytest.raises(ValueError, match=f"`checkpoint_dir` .* got one of .*{other}"):
        tff.fit_posterior(target, seed=int(other == "seed"), checkpoint_dir=folder)


def test_a_target_is_told_by_points_of_finite_density(monkeypatch):
    told = []

    def record(checkpoint, points, log_probs):
        told.append(log_probs)
        raise KeyboardInterrupt

    def log_prob(x, shift):
        inside = shift - 0.5 * (x[:, 0] - 5.0) ** 2
        return tf.where(tf.abs(x[:, 0] - 5.0) < 1.2, inside, -np.inf)

    monkeypatch.setattr(FitCheckpoint, "check_target", record)
    for shift in (0.0, 3.0):
        of_shift = functools.partial(log_prob, shift=shift)
        with pytest.raises(KeyboardInterrupt):
            tff.fit_posterior(1, target_log_prob_fn=of_shift, seed=0)
    assert len(told[0])
    np.testing.assert_allclose(told[1], told[0] + 3.0, rtol=1e-5)


@pytest.mark.slow_ids("round_0")
@pytest.mark.parametrize("name", ["round_0.npz", "round_0"])
def test_a_damaged_checkpoint_is_refused(name, posterior, folder, tmp_path):
    copy_of = shutil.copytree(folder, tmp_path / "copy")
    damaged = copy_of / name
    if damaged.is_dir():
        (damaged,) = damaged.glob("ckpt-*.data*")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="`checkpoint_dir` with what a fit has saved"):
        tff.fit_posterior(model(), seed=0, checkpoint_dir=str(copy_of))


@pytest.mark.slow
def test_an_interrupted_fit_ends_where_it_would_have(posterior, tmp_path, monkeypatch):
    save = FitCheckpoint.save

    def save_and_die(checkpoint):
        save(checkpoint)
        raise KeyboardInterrupt

    options = {"max_gradients": 100_000, "checkpoint_dir": str(tmp_path)}
    with monkeypatch.context() as patch:
        patch.setattr(FitCheckpoint, "save", save_and_die)
        for _ in range(2):  # before the first block, and after it
            with pytest.raises(KeyboardInterrupt):
                tff.fit_posterior(model(), seed=0, **options)
    again = tff.fit_posterior(model(), **options)  # with the seed of the folder
    monkeypatch.setattr(PosteriorTraining, "run", None)  # which is not called again
    tff.fit_posterior(model(), **options)
    np.testing.assert_array_equal(
        again.sample(4, seed=1).rate, posterior.sample(4, seed=1).rate
    )
    reports = (dataclasses.replace(p.report, seconds=0.0) for p in (again, posterior))
    assert len(set(reports)) == 1


SHAPES = {
    "target": {"scale": [], "places": [2]},
    "support": {"scale": tfp.bijectors.Exp(), "places": None},
    "target_log_prob_fn": log_prob,
}


def hamiltonian(log_prob):
    return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PINNED, "shapes"])
def test_draws_have_the_structure_and_go_where_draws_of_posteriors_go(name):
    options = {"target": PINNED[name]} if name in PINNED else SHAPES
    posterior = tff.fit_posterior(**options, seed=0, max_gradients=300_000)
    assert posterior.report.verdict != "not reliable", str(posterior.report)
    for draws in (posterior.sample(5, seed=1), posterior.resample(5, seed=1)):
        tf.nest.assert_same_structure(posterior.event_shape, draws, False)
        assert sorted(tuple(p.shape) for p in tf.nest.flatten(draws)) == [(5,), (5, 2)]
    twin = pickle.loads(pickle.dumps(posterior))
    assert twin.report == posterior.report
    np.testing.assert_array_equal(twin.log_prob(draws), posterior.log_prob(draws))
    density = options.get("target_log_prob_fn") or PINNED[name].unnormalized_log_prob
    for make in (tff.neutra_kernel, tff.flow_proposal_kernel):
        kernel = make(density, posterior, make_kernel=hamiltonian)
        chains = tfp.mcmc.sample_chain(3, draws, kernel=kernel, trace_fn=None, seed=(1, 2))
        assert sorted(p.shape.rank for p in tf.nest.flatten(chains)) == [2, 3]
        assert all(np.isfinite(p).all() for p in tf.nest.flatten(chains))
    if importlib.util.find_spec("arviz"):
        names = options if name in PINNED else {"names": ["places", "scale"]}
        data = tff.to_arviz(posterior, num_draws=50, seed=0, **names)
        assert data["posterior"]["places"].shape == (1, 50, 2)
