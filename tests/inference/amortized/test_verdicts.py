"""Verdicts on amortised posteriors that are right, or wrong in a known way."""

import copy
import dataclasses
import functools
import pickle
import types

import exact_posteriors
import numpy as np
import pytest
import tensorflow as tf
from exact_posteriors import fit, pairs
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.density.data import Data
from tfp_flows.density.fit import Fit
from tfp_flows.inference.amortized import posterior as posterior_module
from tfp_flows.inference.amortized.calibration import Judge
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.features import Features, Scale
from tfp_flows.inference.amortized.observation_checks import (
    Extent,
    ImportanceWeights,
    Surroundings,
    judge_observation,
)
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.support import JointSupport

CHECKED = pairs(500, 1)


@functools.cache
def posterior(**options):
    return exact_posteriors.amortized(CHECKED, **options)


def judged(**options):
    return posterior(**options).report


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, ""),
        ({"scale": 0.7}, "too narrow"),
        ({"scale": 1.4}, "too wide"),
        ({"shift": 0.5}, "off to a side"),
        ({"use": 0.0}, "ignore the data"),
    ],
)
def test_wrong_posteriors_fail_as_a_whole(options, word):
    report = judged(**options)
    assert (report.verdict == "calibrated") == (not word)
    assert word in " ".join(report.reasons)
    assert report.ranks.shape == (500, 3)
    assert report.coverage.shape == (500,)
    assert report.verdict in str(report)


def with_data(function):
    """A `Fit` to other data of the same parameters. Its posterior is the prior."""
    found = fit(CHECKED, use=0.0)
    parts = (Data(part.x, function(part)) for part in (found.train, found.held_out))
    return Fit(found.density, found.judged, *parts)


def test_a_summary_that_shows_nothing_fails():
    blind = with_data(lambda part: np.zeros_like(part.x))
    data = exact_posteriors.TRAIN.x, CHECKED.x
    assert Judge().calibration(blind, 2).verdict == "calibrated"  # no data to compare
    report = Judge(numbers=data).calibration(blind, 2)
    assert "ignore the data" in " ".join(report.reasons)


@pytest.mark.parametrize(
    "function",
    [
        lambda part: part.x**2,
        lambda part: part.x * np.roll(part.x, 1, axis=1),
        lambda part: np.abs(part.x) * np.random.default_rng(0).normal(size=part.x.shape),
    ],
    ids=["size", "product", "scale"],
)
def test_data_fail_that_no_linear_regression_understands(function):
    report = Judge().calibration(with_data(function), 2)
    assert "ignore the data" in " ".join(report.reasons)


def test_copies_of_fitted_simulations_are_no_test():
    report = Judge().calibration(fit(exact_posteriors.TRAIN.take(slice(500))), 2)
    assert "100% of the held-out rows are copies" in " ".join(report.reasons)


@pytest.mark.slow
def test_right_posteriors_fail_rarely():
    """Each of four checks fails for at most one in a hundred right posteriors."""
    failed = 0
    for seed in range(60):
        report = Judge().calibration(fit(pairs(200, 10 + seed)), seed)
        failed += report.verdict != "calibrated"
    assert failed <= 6  # more with a probability of 0.01


def test_simulations_that_failed_are_counted_and_change_no_verdict():
    report = Judge(num_dropped=500).calibration(fit(CHECKED), 2)
    assert report.verdict == "calibrated"
    assert report.num_dropped == 500
    assert "500 not finite and left out" in str(report)


@pytest.mark.parametrize(("scale", "word"), [(1.2, "too wide"), (0.8, "too narrow")])
def test_ranks_show_widths_of_one_parameter_that_are_a_little_wrong(scale, word):
    report = judged(scale=(1.0, scale, 1.0))
    failed = [check.name for check in report.checks if check.failed]
    assert "width, logarithm" in failed
    assert word in " ".join(report.reasons)


@pytest.mark.slow_ids("options1-*", "options3-*", "options4-*")
@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, "reliable"),
        ({"scale": 1.25}, "reliable after resampling"),
        ({"shift": 0.3}, "reliable after resampling"),
        ({"scale": 0.2, "shift": 20.0}, "reliable after resampling"),
        ({"scale": 1e-3, "shift": 1e6}, "not reliable"),
    ],
)
def test_weights_judge_one_observation_if_the_density_is_known(options, verdict):
    found = posterior(is_known=True, **options)([0.5, -0.5, 1.0])
    assert found.report.verdict == verdict
    assert verdict in str(found.report)
    if verdict == "not reliable":
        assert "use `resample`" not in " ".join(found.report.reasons)
        return
    # The evidence of x ~ N(0, 1 + NOISE^2), and the posterior's moments.
    exact = -0.5 * np.sum(np.square([0.5, -0.5, 1.0]) / 1.25 + np.log(2.0 * np.pi * 1.25))
    assert found.report.log_evidence == pytest.approx(exact, abs=0.05)
    draws = found.resample(4_000, seed=1)["theta"]
    np.testing.assert_allclose(np.mean(draws, axis=0), [0.4, -0.4, 0.8], atol=0.05)
    np.testing.assert_allclose(np.std(draws, axis=0), 0.2**0.5, atol=0.03)


class WithFewDrawsFarOut:
    """Logarithms of a Gamma variable, `[N, 1]`; some are a normal one about a far mean."""

    dtype = tf.float64

    def __init__(self, shape, rate, share):
        gamma = tfd.TransformedDistribution(
            tfd.Gamma(np.float64(shape), rate), tfb.Invert(tfb.Exp())
        )
        self._parts = gamma, tfd.Normal(np.log(shape / rate) + 3.0, np.float64(0.3))
        self._log_shares = np.log([1.0 - share, share])

    def experimental_sample_and_log_prob(self, count, seed):
        drawn = [part.sample(count, seed=seed) for part in self._parts]
        chosen = tf.random.stateless_uniform([count], seed + 1, dtype=tf.float64)
        is_far = tf.math.log(chosen) < self._log_shares[1]
        x = tf.where(is_far, drawn[1], drawn[0])[:, None]
        return x, self.log_prob(x)

    def log_prob(self, x):
        parts = [part.log_prob(x[..., 0]) for part in self._parts]
        return tf.reduce_logsumexp(tf.stack(parts, -1) + self._log_shares, axis=-1)


@pytest.mark.parametrize(
    ("share", "verdict"), [(1e-12, "reliable"), (1e-3, "reliable after resampling")]
)
def test_few_draws_far_out_are_seen_in_the_units_of_the_parameters(share, verdict):
    """The deviation of the logarithm grows by 0.17, that of the rate is three times it."""
    counts = np.float64([4, 2, 3, 5, 2, 3, 4, 1, 3, 3])

    def pin(row):
        return lambda rate: (
            tfd.Gamma(np.float64(2.0), 0.5).log_prob(rate)
            + tf.reduce_sum(tfd.Poisson(rate[:, None]).log_prob(row), axis=-1)
        )

    support = JointSupport.from_shape([], tfb.Exp(), tf.float64)
    proposal = WithFewDrawsFarOut(2.0 + counts.sum(), 0.5 + len(counts), share)
    weighted = ImportanceWeights(pin, support, 10).weighted(proposal, counts, 10_000)
    found = judge_observation([], judged(), weighted)
    assert found.verdict == verdict
    shape, rate = 2.0 + counts.sum(), 0.5 + len(counts)
    assert weighted.moments.deviation == pytest.approx(shape**0.5 / rate, rel=0.03)


def test_draws_far_out_are_seen_without_weights():
    rows = np.random.default_rng(0).normal(size=(10_000, 2))
    assert judge_observation([], judged(), None, entries=rows).verdict == "reliable"
    narrow = 0.05 * rows  # of which 60 draws lie elsewhere in a bounded prior
    narrow[:60] = np.random.default_rng(1).uniform(-1.0, 1.0, [60, 2])
    assert judge_observation([], judged(), None, entries=narrow).verdict == "reliable"
    rows[:3, 1] = 100.0, -200.0, 500.0
    found = judge_observation([], judged(), None, entries=rows)
    assert found.verdict == "not reliable"
    assert "medians and quantiles" in found.reasons[0]


def test_observations_far_from_the_simulations_are_flagged():
    amortized = posterior()
    assert amortized([0.5, -0.5, 1.0]).report.verdict == "reliable"
    far = amortized([0.5, -0.5, 9.0]).report
    assert far.verdict == "not reliable"
    assert "hardly simulates such data" in far.reasons[0]
    flagged = [amortized(x).report.verdict != "reliable" for x in pairs(100, 5).x]
    assert sum(flagged) <= 5
    with pytest.raises(ValueError, match="Expected weights"):
        amortized([0.5, -0.5, 1.0]).resample(5)


@pytest.mark.parametrize("count", [60, 98])
def test_few_simulations_tell_far_observations_too(count):
    amortized = exact_posteriors.amortized(pairs(count, 4))
    assert amortized.report.verdict == "calibrated"
    assert amortized([0.5, -0.5, 1.0]).report.verdict == "reliable"
    assert amortized([1e6, -0.5, 1.0]).report.verdict == "not reliable"


@pytest.mark.slow
def test_names_of_observed_parts_may_come_in_another_order(monkeypatch):
    expected = posterior(is_known=True)([0.5, -0.5, 1.0]).report.log_evidence
    model = tfd.JointDistributionNamed(
        {
            "theta": tfd.Sample(tfd.Normal(0.0, 1.0), 3),
            "a": lambda theta: tfd.Normal(theta[..., 2], exact_posteriors.NOISE),
            "b": lambda theta: tfd.Independent(
                tfd.Normal(theta[..., :2], exact_posteriors.NOISE), 1
            ),
        }
    )
    exact = exact_posteriors.amortized(CHECKED)
    exact.form = DataForm({"b": (2,), "a": ()})
    file = types.SimpleNamespace(distribution=exact)
    monkeypatch.setattr(posterior_module, "load", lambda path, custom_modules: file)
    found = AmortizedPosterior.load("posterior.keras", model, observed=["a", "b"])
    report = found({"b": [0.5, -0.5], "a": 1.0}).report
    assert report.verdict == "reliable"
    assert report.log_evidence == pytest.approx(expected, abs=0.01)


def test_data_that_break_a_relation_are_far():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(3_000, 1)), 2, axis=1) + rng.normal(
        0.0, 0.01, (3_000, 2)
    )
    surroundings = Surroundings.from_simulations(x[:2_000], x[2_000:])
    assert surroundings.rarity(np.array([1.0, 1.0])) > 0.05
    assert surroundings.rarity(np.array([1.0, 0.5])) < 0.002


def test_heavy_tails_do_not_hide_a_shift_of_all_numbers():
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 2.0, (2_000, 1)) + rng.standard_t(1.5, size=(2_000, 6))
    features = Features(Scale.from_rows(x))
    surroundings = Surroundings.from_simulations(features(x[:1_800]), features(x[1_800:]))
    shifted = surroundings.rarity(features(x[1_800:] + 30.0)[0])
    assert shifted <= 0.01 < surroundings.rarity(features(x[1_800:])[0])


def test_data_beyond_all_simulations_are_far_out_in_a_direction_of_many_numbers():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(2.0, size=(2_000, 1)), size=(2_000, 10))
    x = np.concatenate([counts, np.full([2_000, 1], 0.1)], axis=1)
    extent = Extent.from_simulations(x[:1_800], x[1_800:])
    assert np.mean([extent.check(row).failed for row in x[1_800:]]) <= 0.01
    observed = x[0] + 1e-8  # rounding of the constant number
    assert not extent.check(observed).failed
    for far in (observed + 60.0, observed - 3.0, observed + np.eye(11)[10]):
        assert extent.check(far).failed


def test_a_posterior_that_is_not_calibrated_is_never_reliable_without_a_density():
    amortized = posterior(scale=0.7)
    report = amortized([0.5, -0.5, 1.0]).report
    assert report.verdict == "not reliable"
    assert report.log_evidence is None
    assert "not calibrated" in report.reasons[0]


def test_batches_have_shapes_and_no_report():
    amortized = posterior()
    batch = amortized(np.zeros([4, 2, 3]))
    drawn = batch.sample(5, seed=1)["theta"]
    assert drawn.shape == (5, 4, 2, 3)
    assert batch.log_prob({"theta": drawn}).shape == (5, 4, 2)
    one = amortized(np.zeros(3))
    np.testing.assert_allclose(
        one.log_prob({"theta": drawn}), batch.log_prob({"theta": drawn}), rtol=1e-5
    )
    with pytest.raises(ValueError, match="one observation"):
        _ = batch.report
    copied = copy.deepcopy(one)
    np.testing.assert_array_equal(
        copied.sample(5, seed=1)["theta"], one.sample(5, seed=1)["theta"]
    )
    with pytest.raises(TypeError, match="can be pickled"):
        pickle.dumps(one)


def test_columns_of_nested_parts_have_names_of_all_levels():
    rows = posterior()
    inner = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])
    nested = tfd.JointDistributionNamed({"b": tfd.Normal(0.0, 1.0), "a": inner})
    checks = {"report": rows.report, "surroundings": rows.surroundings}
    parts = JointSupport.from_distribution(nested), rows.form, rows.features
    found = AmortizedPosterior(rows.distribution, *parts, **checks)
    names = [column["name"] for column in found.columns]
    assert names == ["a.0", "a.1", "b", "x[0]", "x[1]", "x[2]"]


def test_reports_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        judged().verdict = "good"
