"""Data whose order tells nothing about the parameters."""

import numpy as np
import pytest
import tensorflow as tf
from short_fits import trained_for
from tensorflow_probability import distributions as tfd

from tfp_flows.inference import AmortizedPosterior, fit_amortized_posterior
from tfp_flows.inference.amortized import calibration
from tfp_flows.inference.amortized.number_summary import NumberSummary, Part
from tfp_flows.inference.amortized.simulator import JointSimulator

ONE = tfd.Normal(0.0, 1.0)
THREE = tfd.Sample(ONE, 3)
PLACES = tf.range(4.0)


def joint(mean, **observed):
    return tfd.JointDistributionNamedAutoBatched({"mean": mean, **observed})


def parts_of(model, observed="y"):
    source = JointSimulator(model, observed)
    exchangeable = source.exchangeable_summary(source.pairs(300, 0))
    return exchangeable and exchangeable.parts


def draws_of(mean):
    return tfd.Sample(tfd.Normal(mean, 1.0), 4)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (joint(ONE, y=draws_of), Part((4,), 0)),
        (
            joint(ONE, y=lambda mean: tfd.Sample(tfd.Bernoulli(logits=mean), 4)),
            Part((4,), 0),
        ),
        # All numbers of a table; those of each column; those of each row.
        (
            joint(ONE, y=lambda mean: tfd.Sample(tfd.Normal(mean, 1.0), [2, 4])),
            Part((8,), 0),
        ),
        (
            joint(THREE, y=lambda mean: tfd.Sample(tfd.MultivariateNormalDiag(mean), 4)),
            Part((4, 3), 0),
        ),
        (
            joint(
                THREE,
                y=lambda mean: tfd.Independent(
                    tfd.Normal(mean[:, None] + tf.zeros(4), 1.0), 2
                ),
            ),
            Part((3, 4), 1),
        ),
    ],
)
def test_parts_whose_order_does_not_matter_are_found(model, part):
    assert parts_of(model) == (part,)


@pytest.mark.parametrize(
    "model",
    [
        joint(ONE, y=lambda mean: tfd.Independent(tfd.Normal(mean * PLACES, 1.0), 1)),
        # A series, and rows of two dependent numbers.
        joint(
            ONE,
            y=lambda mean: tfd.MultivariateNormalTriL(
                mean + tf.zeros(3),
                tf.linalg.cholesky(0.5 ** tf.abs(PLACES[1:] - PLACES[1:, None])),
            ),
        ),
        joint(
            ONE,
            y=lambda mean: tfd.Sample(
                tfd.MultivariateNormalTriL([mean, mean], [[1.0, 0.0], [1.0, 1.0]]), 4
            ),
        ),
        # Numbers that are nearly always zero show too little.
        joint(
            tfd.Normal(-12.0, 1.0), y=lambda mean: tfd.Sample(tfd.Bernoulli(logits=mean), 4)
        ),
        # One number.
        joint(ONE, y=lambda mean: tfd.Normal(mean, 1.0)),
    ],
)
def test_other_data_stay_as_they_are(model):
    assert parts_of(model) is None


def test_a_part_that_belongs_to_another_has_an_order():
    pairs = joint(
        ONE,
        x=tfd.Sample(ONE, 4),
        y=lambda mean, x: tfd.Independent(tfd.Normal(mean * x, 1.0), 1),
    )
    assert parts_of(pairs, ["x", "y"]) is None
    apart = joint(
        ONE, x=tfd.Sample(ONE, 4), y=draws_of, z=lambda mean: tfd.Normal(mean, 1.0)
    )
    assert parts_of(apart, ["y", "z"]) == (Part((4,), 0), Part((), None))


def test_summaries_are_quantiles_mean_and_deviation():
    summary_of = NumberSummary((Part((2, 3), 1), Part((2,), None)))
    assert summary_of == NumberSummary.from_plain(summary_of.to_plain())
    row = np.array([3.0, 1.0, 2.0, 5.0, 5.0, 5.0, 9.0, 8.0])
    first, second, rest = np.split(summary_of(row), [5, 10])
    np.testing.assert_allclose(first, [1.0, 2.0, 3.0, 2.0, 0.5 * np.log(2.0 / 3.0)])
    np.testing.assert_array_equal(second[:4], 5.0)
    assert second[4] == -np.inf
    np.testing.assert_array_equal(rest, [9.0, 8.0])
    tenths = summary_of(np.full(8, 0.1))[:5]  # whose sum is rounded
    np.testing.assert_array_equal(tenths, [0.1, 0.1, 0.1, 0.1, -np.inf])
    derived = [False, False, False, True, True]
    np.testing.assert_array_equal(summary_of.is_derived, [*derived, *derived, False, False])


def test_moments_come_after_numbers():
    parts = Part((3,), None, has_moments=True), Part((2,), None)
    summary_of = NumberSummary(parts, has_counts=True)
    assert summary_of == NumberSummary.from_plain(summary_of.to_plain())
    x = np.array([[1.0, np.nan, 3.0, 4.0, 5.0], [np.nan] * 5])
    summary = summary_of(x)
    expected = [1.0, np.nan, 3.0, 2.0, 0.0, 2.0, 4.0, 5.0]
    np.testing.assert_array_equal(summary[0], expected)
    np.testing.assert_array_equal(summary[1], [*[np.nan] * 5, 0.0, *[np.nan] * 2])
    np.testing.assert_array_equal(np.flatnonzero(summary_of.is_derived), [3, 4, 5])
    without = NumberSummary(parts)(x)
    np.testing.assert_array_equal(without[0], np.delete(expected, 5))


def test_columns_have_summaries_of_their_own():
    x = np.random.default_rng(0).normal(size=(7, 4, 3))
    by_columns = NumberSummary((Part((4, 3), 0),))(x.reshape(7, 12))
    expected = NumberSummary((Part((4,), 0),))(np.moveaxis(x, 1, 2))
    np.testing.assert_array_equal(by_columns, expected.reshape(7, -1))


def test_many_numbers_and_missing_ones_have_quantiles():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1_000)) * 1e200  # whose squares overflow
    x[:, ::3] = np.nan
    x[4] = np.nan
    summary = NumberSummary((Part((1_000,), 0),), has_counts=True)(x)
    assert summary.shape == (5, 64 + 3)
    probabilities = np.linspace(0.0, 1.0, 64)
    quantiles = np.nanquantile(x[:4], probabilities, axis=1).T
    np.testing.assert_allclose(summary[:4, :64], quantiles, rtol=1e-9)
    expected = [np.nanmean(x[:4], axis=1) / 1e200, np.log(np.nanstd(x[:4] / 1e200, axis=1))]
    found = [summary[:4, 64] / 1e200, summary[:4, 65] - np.log(1e200)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_array_equal(summary[:, 66], [666, 666, 666, 666, 0])
    assert np.isnan(summary[4, :66]).all()
    without = NumberSummary((Part((1_000,), 0),))
    assert np.isnan(without(x)).all()  # where none of the simulations lacks a number


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("is_simulated", [False, True])
def test_posteriors_do_not_depend_on_the_order(tmp_path, is_simulated):
    model, options = joint(ONE, y=draws_of), {"observed": "y"}
    if is_simulated:

        def simulator(mean, seed):
            noise = np.random.default_rng(seed).normal(size=(len(mean), 4))
            return mean[:, None] + noise

        model, options = joint(ONE), {"simulator": simulator, "summary": "set"}
    with trained_for(1, splines={}, flows={}):
        amortized = fit_amortized_posterior(model, num_simulations=600, **options)
    amortized.save(tmp_path / "posterior.keras")
    loaded = AmortizedPosterior.load(tmp_path / "posterior.keras")
    y = np.array([0.3, -1.0, 2.0, 0.1])
    expected = amortized(y).log_prob({"mean": 0.5})
    for posterior in (amortized, loaded):
        assert posterior(y[::-1]).log_prob({"mean": 0.5}) == expected
        assert posterior.log_prob([0.5], context=y[[2, 0, 1, 3]]) == expected


@pytest.mark.usefixtures("op_by_op")
def test_sets_of_numbers_may_lack_some():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 1))
    x = theta + rng.normal(size=(300, 4))
    x[::2, 3] = np.nan
    with trained_for(1, splines={}, flows={}):
        amortized, whole = (
            fit_amortized_posterior((theta, data), summary="set", missing=True)
            for data in (x, np.where(np.isnan(x), 0.0, x))
        )
    lacking = np.array([0.3, np.nan, 2.0, 0.1])
    expected = amortized(lacking).log_prob([0.5])
    assert amortized(lacking[[1, 3, 2, 0]]).log_prob([0.5]) == expected
    with pytest.raises(ValueError, match=r"no simulation lacks; got NaN at \[1\]"):
        whole(lacking)


@pytest.mark.usefixtures("op_by_op")
def test_a_learned_likelihood_sees_no_functions_of_other_numbers(monkeypatch):
    monkeypatch.setattr(calibration.WeightsReport, "is_used", True)  # in any case

    def simulator(mean, seed):
        return mean[:, None] + np.random.default_rng(seed).normal(size=(len(mean), 4))

    options = {"simulator": simulator, "summary": "set", "learn_likelihood": True}
    with trained_for(1, splines={}, flows={}):
        amortized = fit_amortized_posterior(joint(ONE), num_simulations=1_000, **options)
    np.testing.assert_array_equal(amortized.likelihood.varies, [True] * 4 + [False] * 2)
    assert abs(amortized.report.weights.gain) < 0.1
