"""Fits of posteriors by one call: what they return, save and refuse."""

import copy
import dataclasses
import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.inference import initial_flow
from tfp_flows.inference.checkpoint import FitCheckpoint
from tfp_flows.inference.checks.verdict import VERDICTS
from tfp_flows.inference.training import PosteriorTraining

tfb, tfd = tfp.bijectors, tfp.distributions
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


def test_a_folder_belongs_to_one_target_and_seed(posterior, folder):
    other = model().distribution.experimental_pin(counts=COUNTS + 1.0)
    for target, seed in ((tfd.Normal(0.0, 1.0), 0), (other, 0), (model(), 1)):
        with pytest.raises(ValueError, match="`checkpoint_dir`"):
            tff.fit_posterior(target, seed=seed, checkpoint_dir=folder)


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


def pinned_everywhere():
    return model().distribution.experimental_pin(rate=1.0, pair=[0.0, 0.0], counts=COUNTS)


def from_two_dtypes():
    def parts():
        yield tfd.Normal(np.float64(0.0), 1.0, name="a")
        yield tfd.Normal(np.float32(0.0), 1.0, name="b")

    return tfd.JointDistributionCoroutineAutoBatched(parts)


def plain(x):
    return -tf.reduce_sum(x**2, axis=-1)


def inverse(x):
    return tf.linalg.inv(tf.numpy_function(np.asarray, [x], x.dtype)[:, None, None])[
        :, 0, 0
    ]


REFUSED = {
    "every part pinned": (pinned_everywhere, {}, "a variable that is not pinned"),
    "no variables": (lambda: 0, {}, "a variable that is not pinned"),
    "no parts": (dict, {}, "a variable that is not pinned"),
    "two dtypes": (from_two_dtypes, {}, "a of float64, b of float32"),
    "half precision": (lambda: 2, {"dtype": "float16"}, "float32 or float64"),
    "another dtype": (
        lambda: 2,
        {"log_prob": lambda x: plain(tf.cast(x, tf.float64))},
        "of",
    ),
    "NumPy": (
        lambda: 2,
        {"log_prob": lambda x: -np.sum(np.square(x), -1)},
        "takes N draws",
    ),
    "of one draw": (
        lambda: [],
        {"log_prob": lambda x: x * COUNTS},
        r"N draws.*\(64,\) of fl",
    ),
    "names": (
        lambda: {"a": [], "b": [2]},
        {},
        r"a \(64,\), b \(64, 2\).*unexpected keyword",
    ),
    "nothing": (lambda: 2, {"log_prob": lambda _: None}, "takes N draws"),
    "nowhere finite": (
        lambda: 2,
        {"log_prob": lambda x: np.nan * plain(x)},
        "finite at one of",
    ),
    "each entry": (
        lambda: 2,
        {"support": tfb.Exp(), "log_prob": lambda x: -(x**2)},
        "a number for each of N",
    ),
    "all draws": (
        lambda: 2,
        {"log_prob": lambda x: -tf.reduce_sum(x**2)},
        "a number for each of N",
    ),
    "constant": (lambda: 2, {"log_prob": lambda x: tf.zeros(x.shape[0])}, "a gradient"),
    "steps": (lambda: 2, {"log_prob": lambda x: plain(tf.round(x))}, "a gradient"),
    "singular": (
        lambda: 2,
        {"log_prob": lambda x: inverse(tf.nn.relu(4.0 - x[:, 0] ** 2)) + plain(x)},
        "that is a number, NaN or -inf at every draw; .* raised .*not invertible",
    ),
    "a file": (lambda: 2, {"checkpoint_dir": __file__}, "`checkpoint_dir`"),
    "no time": (lambda: 2, {"max_minutes": float("nan")}, "`max_minutes`"),
    "no gradients": (lambda: 2, {"max_gradients": 0}, "`max_gradients`"),
    "seed": (lambda: 2, {"seed": "0"}, "`seed`"),
}


@pytest.mark.parametrize(("target", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_in_one_line(target, options, message):
    options = {"seed": 0, **options}
    log_prob = options.pop("log_prob", plain)
    target = target()
    if not isinstance(target, tfd.Distribution) and not hasattr(target, "pins"):
        options["target_log_prob_fn"] = log_prob
    with pytest.raises(ValueError, match=message) as error:
        tff.fit_posterior(target, **options)
    assert "\n" not in str(error.value)
