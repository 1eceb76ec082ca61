"""Draws in ArviZ's form: names, axes, weights. Skipped without ArviZ."""

import sys

import numpy as np
import pytest
import tensorflow_probability as tfp
from structures import PINNED, Y

import tfp_flows as tff

tfd = tfp.distributions
TINY = {"num_steps": 1, "hidden_units": (4,), "seed": 0, "whiten": False}


@pytest.fixture
def arviz():
    return pytest.importorskip("arviz")


@pytest.mark.parametrize("name", PINNED)
def test_draws_of_a_posterior_have_the_names_of_the_joint(name, arviz):
    target = PINNED[name]
    posterior = tff.flow_posterior(target, "real_nvp", **TINY)
    data = tff.to_arviz(posterior, target=target, num_draws=50, seed=1)
    draws = data["posterior"]
    assert set(draws.data_vars) == {"scale", "places"}
    assert draws["scale"].dims == ("chain", "draw")
    assert draws["scale"].shape == (1, 50)
    assert draws["places"].shape == (1, 50, 2)
    assert (draws["scale"].values > 0.0).all()
    seen = data["observed_data"]["observed"]
    np.testing.assert_array_equal(seen.values, Y)
    again = tff.to_arviz(posterior, target=target, num_draws=50, seed=1)
    np.testing.assert_array_equal(again["posterior"]["places"], draws["places"])
    assert "places[1]" in arviz.summary(data).index


def test_chains_are_turned_as_arviz_has_them_and_named_by_coordinates(arviz, rng):
    draws = {"rate": rng.normal(size=(20, 4)), "slope": rng.normal(size=(20, 4, 3))}
    data = tff.to_arviz(
        draws,
        coords={"predictor": ["a", "b", "c"]},
        dims={"slope": ["predictor"]},
        sample_stats={"diverging": rng.normal(size=(20, 4)) > 1.0},
    )
    slope = data["posterior"]["slope"]
    assert slope.dims == ("chain", "draw", "predictor")
    np.testing.assert_array_equal(slope[1, 2], draws["slope"][2, 1])
    np.testing.assert_array_equal(slope.sel(predictor="b"), draws["slope"][..., 1].T)
    assert data["sample_stats"]["diverging"].shape == (4, 20)
    summary = arviz.summary(data)
    assert "slope[b]" in summary.index


def test_draws_are_resampled_by_their_weights_or_keep_them(arviz, rng):
    """Draws of N(0, 1) with weights for N(1, 1) have the mean 1 after resampling."""
    x = rng.normal(size=20000)
    data = tff.to_arviz({"x": x}, has_chains=False, log_weights=x - 0.5, seed=1)
    draws = data["posterior"]["x"].values
    assert draws.shape == (1, 20000)
    assert draws.mean() == pytest.approx(1.0, abs=0.05)
    assert draws.std() == pytest.approx(1.0, abs=0.05)
    lag_one = np.corrcoef(draws[0, 1:], draws[0, :-1])[0, 1]
    assert abs(lag_one) < 0.05
    kept = tff.to_arviz({"x": x}, has_chains=False, log_weights=x - 0.5, resample=False)
    np.testing.assert_array_equal(kept["posterior"]["x"][0], x)
    np.testing.assert_allclose(kept["sample_stats"]["log_weight"][0], x - 0.5)


def test_draws_of_a_posterior_are_weighted_by_the_target(arviz):
    """The posterior is much wider than the target, N(0, 1)."""
    target = tfd.JointDistributionNamed({"x": tfd.Normal(0.0, 1.0)})
    posterior = tff.flow_posterior(
        tfd.JointDistributionNamed({"x": tfd.Normal(0.0, 2.0)}), **TINY
    )
    posterior.initialize({"x": 2.0 * np.random.default_rng(0).normal(size=500)})
    raw = tff.to_arviz(posterior, num_draws=8000, seed=0)["posterior"]["x"]
    weighted = tff.to_arviz(posterior, target=target, num_draws=8000, seed=0)
    assert float(raw.std()) > 1.5
    assert float(weighted["posterior"]["x"].std()) == pytest.approx(1.0, abs=0.05)


def test_nested_and_unnamed_parts_have_names(arviz, rng):
    parts = {"b": [rng.normal(size=(5, 2)), rng.normal(size=(5, 2))], "a": np.ones([5, 2])}
    draws = tff.to_arviz(parts)["posterior"]
    assert set(draws.data_vars) == {"a", "b.part_0", "b.part_1"}
    np.testing.assert_array_equal(draws["b.part_1"].values, parts["b"][1].T)
    only = tff.to_arviz(rng.normal(size=(5, 2)), names=["mu"])["posterior"]
    assert set(only.data_vars) == {"mu"}


def test_without_arviz_an_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match=r"pip install tfp_flows\[arviz\]"):
        tff.to_arviz({"x": np.zeros([3, 2])})


@pytest.mark.parametrize("has_weights", [True, False])
def test_posteriors_are_resampled_if_they_have_weights(monkeypatch, has_weights):
    class Posterior:
        def log_prob(self, x):
            raise NotImplementedError

        def resample(self, n, seed):
            return np.zeros(n, np.float32)

        def experimental_sample_and_log_prob(self, n, seed):
            return np.ones(n, np.float32), np.zeros(n, np.float32)

    class Arviz:
        __version__ = "1.0"

        @staticmethod
        def from_dict(groups, **options):
            return groups

    monkeypatch.setitem(sys.modules, "arviz", Arviz)
    Posterior.has_weights = has_weights
    draws = tff.to_arviz(Posterior(), num_draws=5)["posterior"]["x"]
    np.testing.assert_array_equal(draws, np.full([1, 5], float(not has_weights)))
    target = tfp.distributions.JointDistributionNamed(
        {"x": tfp.distributions.Normal(0.0, 1.0)}
    )
    kept = tff.to_arviz(Posterior(), target=target, num_draws=5, resample=False)
    np.testing.assert_array_equal(kept["posterior"]["x"], np.ones([1, 5]))
    assert kept["sample_stats"]["log_weight"].shape == (1, 5)
    if has_weights:
        with pytest.raises(ValueError, match="`target`.* with `resample=False`"):
            tff.to_arviz(Posterior(), resample=False)


DRAWS = {"x": np.zeros([6, 2], np.float32)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"posterior_or_draws": {"n": np.zeros([6, 2], int)}}, "the part 'n' of .* int64"),
        ({"posterior_or_draws": {"x": np.zeros(6)}}, r"\[draws, chains, ...\]"),
        ({"posterior_or_draws": {**DRAWS, "y": np.zeros([5, 2])}}, "alike in these axes"),
        ({"log_weights": np.zeros(6)}, "that are no chains"),
        ({"has_chains": False, "log_weights": np.zeros(5)}, r"of shape \[6\].*got \[5\]"),
        ({"target": PINNED["named"]}, "of events"),
    ],
)
def test_draws_that_do_not_fit_are_refused(arguments, message, arviz):
    with pytest.raises(ValueError, match=message):
        tff.to_arviz(**{"posterior_or_draws": DRAWS, **arguments})
