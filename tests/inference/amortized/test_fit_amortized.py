"""Fits of amortised posteriors, small: forms of data, summaries, seeds and time."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from exact_posteriors import joint
from short_fits import trained_for
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows.core.rows import random_split
from tfp_flows.density.rules import held_out_share
from tfp_flows.inference import AmortizedPosterior, fit_amortized_posterior
from tfp_flows.inference.amortized import features
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.pairs import Pairs
from tfp_flows.inference.amortized.truncation import Conditioned
from tfp_flows.inference.support import JointSupport
from tfp_flows.networks.layer_arguments import split_seed

SPLINES = {"num_members": 2, "hidden_units": (16, 16), "num_bins": 4}
PRIOR = tfd.Independent(tfd.Normal(tf.zeros(1), 1.0), 1)


@pytest.fixture(autouse=True)
def _few_epochs(monkeypatch):
    monkeypatch.setattr(features, "_EPOCHS", 12)
    # Flows take long to compile: one test below has them.
    with trained_for(25, splines=SPLINES, flows={}):
        yield


@pytest.fixture
def regression(op_by_op, monkeypatch):
    """Linear regressions alone, whatever is fitted; summaries learn for an epoch."""
    monkeypatch.setattr(features, "_EPOCHS", 1)
    with trained_for(1, splines={}, flows={}):
        yield


@pytest.fixture
def short(op_by_op):
    """Splines of two steps."""
    with trained_for(2, splines=SPLINES, flows={}, batch_size=512):
        yield


def rows(theta, seed):
    """Up to 6 exchangeable rows about theta, `[N, 6, 1]`; absent ones are NaN."""
    rng = np.random.default_rng(seed)
    x = rng.normal(theta[:, None, :], 0.5, size=(len(theta), 6, 1))
    absent = np.arange(6) >= rng.integers(2, 7, size=(len(theta), 1))
    return np.where(absent[..., None], np.nan, x)


def series(theta, seed):
    return np.random.default_rng(seed).normal(theta, 0.5, size=(len(theta), 8))


def image(theta, seed):
    noise = np.random.default_rng(seed).normal(size=(len(theta), 6, 6))
    return theta[:, :, None] + noise


@pytest.mark.slow_ids("flow")
@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"flows": {}}, id="regression"),
        pytest.param({"flow": {"hidden_units": (16,), "num_steps": 1}}, id="flow"),
    ],
)
def test_the_posterior_of_a_known_model_is_found_and_is_reliable(rules, tmp_path):
    with trained_for(25, splines={}, **rules):
        amortized = fit_amortized_posterior(joint(), observed="x", num_simulations=1_500)
    assert amortized.report.num_checked == 300
    x = np.array([0.5, -0.5, 1.0])
    posterior = amortized(x)
    draws = posterior.sample(4_000, seed=1)["theta"]
    assert "compiled" in vars(amortized)
    np.testing.assert_allclose(np.mean(draws, axis=0), 0.8 * x, atol=0.15)
    np.testing.assert_allclose(np.std(draws, axis=0), 0.2**0.5, atol=0.1)
    assert posterior.report.verdict.startswith("reliable")
    np.testing.assert_array_equal(posterior.sample(4_000, seed=1)["theta"], draws)
    path = tmp_path / "posterior.keras"
    amortized.save(path)
    loaded = AmortizedPosterior.load(path, joint(), observed="x")
    np.testing.assert_array_equal(loaded(x).sample(4_000, seed=1)["theta"], draws)
    assert str(loaded(x).report) == str(posterior.report)
    assert str(loaded.report) == str(amortized.report)
    one = tfd.JointDistributionNamed(
        {"theta": tfd.Normal(0.0, 1.0), "x": lambda theta: tfd.Normal(theta, 1.0)}
    )
    narrow = tfd.JointDistributionNamed(
        {
            "theta": tfd.Sample(tfd.Uniform(-1.0, 1.0), 3),
            "x": lambda theta: tfd.Independent(tfd.Normal(theta, 0.5), 1),
        }
    )
    for other in (one, narrow):
        with op_by_op(), pytest.raises(ValueError, match="`model` of this file"):
            AmortizedPosterior.load(path, other, observed="x")
    with pytest.raises(ValueError, match=r"`model`, the joint .*; got <function"):
        AmortizedPosterior.load(path, joint)
    model = tff.load(path)
    assert [c["name"] for c in model.columns if c["role"] == "context"] == [
        "x[0]",
        "x[1]",
        "x[2]",
    ]
    np.testing.assert_allclose(
        model.distribution.log_prob(draws[:9], context=np.tile(x, [9, 1])),
        posterior.log_prob({"theta": draws[:9]}),
        rtol=1e-5,
    )
    assert model.distribution.sample(2, seed=0, context=np.tile(x, [9, 1])).shape == (
        2,
        9,
        3,
    )


@pytest.mark.usefixtures("regression")
def test_draws_stay_in_the_support_and_the_density_integrates_to_one():
    prior = tfd.Independent(tfd.Uniform(tf.zeros(1), tf.ones(1)), 1)
    amortized = fit_amortized_posterior(
        prior,
        simulator=lambda theta, seed: np.random.default_rng(seed).normal(theta, 0.3),
        num_simulations=600,
        learn_likelihood=False,
    )
    posterior = amortized([0.95])
    draws = posterior.sample(2_000, seed=0).numpy()
    assert draws.min() >= 0.0
    assert draws.max() <= 1.0
    grid = (np.arange(2_000) + 0.5)[:, None] / 2_000
    total = np.mean(np.exp(posterior.log_prob(grid.astype(np.float32))))
    assert total == pytest.approx(1.0, abs=0.03)
    outside = np.array([[-0.1], [1.2]], np.float32)
    for density in (
        posterior.log_prob(outside),
        amortized.log_prob(outside, context=[0.95]),
    ):
        np.testing.assert_array_equal(density, [-np.inf, -np.inf])
    wide = np.zeros([5, 2], np.float32)
    for words, call in (
        ("`value`", lambda: posterior.log_prob(wide)),
        ("`value`", lambda: amortized.log_prob(wide, context=[0.95])),
        ("`context`", lambda: amortized.log_prob(outside, context=wide)),
        ("`context`", lambda: amortized.sample(context=0.95)),
    ):
        with pytest.raises(ValueError, match=rf"{words} of shape \[\.\.\., 1\]"):
            call()
    with pytest.raises(ValueError, match="finite `context`"):
        amortized.sample(context=[np.inf])


@pytest.mark.slow_ids("series-*", "image-*", "None-*")
@pytest.mark.parametrize(
    ("summary", "simulator", "missing"),
    [
        ("set", rows, True),
        ("series", series, False),
        ("image", image, False),
        (None, rows, True),
    ],
)
def test_any_shape_of_data(summary, simulator, missing, tmp_path):
    # A regression on the summary is enough to show that it tells parameters apart.
    splines = {} if summary else {**SPLINES, "num_members": 1}
    with trained_for(8, splines=splines, flows={}, batch_size=64):
        amortized = fit_amortized_posterior(
            PRIOR,
            simulator=simulator,
            summary=summary,
            missing=missing,
            num_simulations=400,
        )
    theta = np.array([[-1.0], [1.0]])
    x = simulator(theta, 5)
    means = np.mean(amortized(x).sample(200, seed=0), axis=0)
    assert means[1] > means[0] + 0.5
    assert amortized(x[0]).sample(seed=0).shape == (1,)
    assert amortized(x).batch_shape == (2,)
    independent = tfd.Independent(amortized(x), 1)
    assert independent.log_prob(independent.sample(3, seed=0)).shape == (3,)
    amortized.save(tmp_path / "posterior.keras")
    loaded = AmortizedPosterior.load(tmp_path / "posterior.keras")
    for same in (loaded, copy.deepcopy(amortized)):
        again = np.mean(same(x).sample(200, seed=0), axis=0)
        np.testing.assert_array_equal(again, means)
    if missing:
        with pytest.raises(ValueError, match="no simulation lacks"):
            amortized(np.full_like(x[0], np.nan))


def test_the_order_of_the_rows_of_a_set_does_not_matter(monkeypatch):
    monkeypatch.setattr(features, "_EPOCHS", 1)
    theta = np.random.default_rng(0).normal(size=(200, 1))
    x = np.sort(rows(theta, 1), axis=1)  # each place has numbers of its own, if sorted
    pairs = Pairs(theta, x.reshape(200, -1))
    of_sets = features.fit_features(
        "set",
        DataForm.from_batch(x, is_missing_allowed=True),
        pairs,
        simulations=pairs,
        exchangeable=None,
        seed=0,
        max_minutes=None,
        verbose=0,
    )
    whole = x[~np.isnan(x).any(axis=(1, 2)), :, 0]
    np.testing.assert_allclose(of_sets(whole), of_sets(whole[:, ::-1]), atol=1e-5)


@pytest.mark.usefixtures("regression")
def test_a_layer_of_the_user_summarises():
    layer = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    options = {"simulator": series, "num_simulations": 600, "learn_likelihood": False}
    amortized = fit_amortized_posterior(PRIOR, summary=layer, **options)
    assert amortized.density.context_size == 3
    assert not layer.weights  # it was copied: a later fit does not change this posterior
    wrong = keras.layers.Reshape((2, 4))
    with pytest.raises(ValueError, match=r"`summary` that maps"):
        fit_amortized_posterior(PRIOR, summary=wrong, **options)


def test_posteriors_of_intervals_are_copied_and_pickled(tmp_path):
    model = tfd.JointDistributionNamed(
        {"a": tfd.Uniform(0.0, 1.0), "x": lambda a: tfd.Normal(a, 0.2)}
    )
    with trained_for(1, splines={}, flows={}):
        amortized = fit_amortized_posterior(model, observed="x", num_simulations=200)
    expected = amortized(0.3).sample(5, seed=1)["a"]
    assert len(amortized(0.3).resample(5, seed=1)["a"]) == 5  # the weights are traced
    pickled = pickle.loads(pickle.dumps(amortized))
    copies = copy.copy(amortized), copy.deepcopy(amortized), pickled
    for same, has_weights in zip(copies, (True, True, False), strict=True):
        np.testing.assert_array_equal(same(0.3).sample(5, seed=1)["a"], expected)
        assert same(0.3).has_weights == has_weights  # the model's functions are shared
    given = amortized(0.3)
    for same in (copy.copy(given), copy.deepcopy(given), given.copy(name="other")):
        np.testing.assert_array_equal(same.sample(5, seed=1)["a"], expected)
    assert same.name == "other"
    shared = [same.variables[0] is amortized.variables[0] for same in copies]
    assert shared == [True, False, False]
    assert amortized.can_be_saved
    ordered = tfb.Ascending()(tfd.Sample(tfd.Normal(0.0, 1.0), 3))
    amortized.support = JointSupport.from_distribution(ordered)
    assert not amortized.can_be_saved  # TFP's bijector is private
    with pytest.raises(ValueError, match="values that can be saved"):
        amortized.save(tmp_path / "posterior.keras")


@pytest.mark.usefixtures("short")
def test_a_cell_may_be_missing_in_one_simulation():
    theta = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    # One that is held out with the seed 0.
    for_rows = split_seed(split_seed(0, 4)[2], 4)[0]
    _, held_out = random_split(np.arange(200), held_out_share(200), for_rows)
    x = theta + np.random.default_rng(1).normal(size=(200, 2))
    x[held_out[0], 1] = np.nan
    amortized = fit_amortized_posterior((theta, x), missing=True, seed=0)
    assert np.isfinite(amortized([0.3, np.nan]).sample(3, seed=0)).all()


@pytest.mark.usefixtures("short")
def test_sets_of_numbers_may_lack_some():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(200, 1)).astype(np.float32)
    x = theta + rng.normal(size=(200, 4))
    x[rng.random(size=x.shape) < 0.3] = np.nan
    amortized = fit_amortized_posterior((theta, x), summary="set", missing=True, seed=0)
    few = [0.3, np.nan, 0.1, np.nan]
    drawn = amortized(few).sample(3, seed=0)
    np.testing.assert_array_equal(amortized(few[::-1]).sample(3, seed=0), drawn)


def test_a_component_may_draw_no_row_in_a_graph():
    flow = tff.MAF(3, num_steps=1, hidden_units=(16,), context_size=2, seed=0)
    part = tff.FlowDistribution(tff.standard_normal(3), flow)
    rng = np.random.default_rng(0)
    part.initialize(rng.normal(size=(50, 3)), context=rng.normal(size=(50, 2)))
    mixture = tff.distributions.Mixture([part, part], [0.999, 0.001])
    given = Conditioned(mixture, np.zeros(2), dtype=tf.float32)
    drawn = tf.function(lambda: given.sample(5, seed=1))()
    np.testing.assert_allclose(drawn, given.sample(5, seed=1), rtol=1e-4)


@pytest.mark.usefixtures("short")
def test_a_seed_repeats_everything():
    theta = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    x = theta + np.random.default_rng(1).normal(size=(300, 2))
    first, second = (fit_amortized_posterior((theta, x), seed=4) for _ in range(2))
    expected = first([0.0, 0.5]).sample(5, seed=1)
    np.testing.assert_array_equal(second([0.0, 0.5]).sample(5, seed=1), expected)
    assert "compiled" not in vars(first)  # splines draw without a graph


@pytest.mark.usefixtures("regression")
def test_a_file_of_simulations_makes_a_later_fit_simulate_the_missing_ones(tmp_path):
    counts = []

    def simulator(theta, seed):
        counts.append(len(theta))
        return np.random.default_rng(seed).normal(theta, 0.5)

    options = {"simulator": simulator, "learn_likelihood": False}
    options["backup"] = tmp_path / "simulations.npz"
    few = fit_amortized_posterior(PRIOR, num_simulations=400, **options)
    more = fit_amortized_posterior(PRIOR, num_simulations=4_000, **options)
    assert sum(count for count in counts if count > 2) == 400 + 3_600
    assert (few.report.num_simulations, more.report.num_simulations) == (320, 3_600)
    mean = np.mean(more([1.0]).sample(4_000, seed=0))
    assert mean == pytest.approx(0.8, abs=0.04)


@pytest.mark.usefixtures("short")
def test_heavy_tails_and_constants_in_data_do_no_harm():
    def simulator(theta, seed):
        noise = np.random.default_rng(seed).standard_cauchy(size=(len(theta), 3))
        return np.concatenate([theta + noise, np.full([len(theta), 1], 0.3)], axis=1)

    options = {"num_simulations": 600, "learn_likelihood": False}
    amortized = fit_amortized_posterior(PRIOR, simulator=simulator, **options)
    for x in ([0.0, 0.5, 0.2, 0.3], [1e9, 0.5, 0.2, 0.3]):
        draws = amortized(x).sample(100, seed=0)
        assert np.isfinite(draws).all()
        assert np.abs(draws).max() < 20.0
        rounded = amortized(np.float32(x))  # their constant is another number
        np.testing.assert_allclose(rounded.sample(100, seed=0), draws, atol=1e-4)


@pytest.mark.usefixtures("regression")
def test_simulations_that_fail_are_left_out():
    def simulator(theta, seed):
        x = np.random.default_rng(seed).normal(theta)
        return np.where(theta > 1.0, np.nan, x)

    options = {"num_simulations": 600, "learn_likelihood": False}
    amortized = fit_amortized_posterior(PRIOR, simulator=simulator, **options)
    assert 50 < amortized.report.num_dropped < 150
    assert "not finite" not in " ".join(amortized.report.reasons)
    # The prior times the likelihood of a finite number, which is 0 above 1.
    right = tfd.TruncatedNormal(0.5, 0.5**0.5, -100.0, 1.0)
    draws = amortized([1.0]).sample(4_000, seed=0)
    assert np.mean(draws) == pytest.approx(right.mean().numpy(), abs=0.1)
