"""Weights of rows in `fit_density`: rules, components, weights of a mixture, reports."""

import numpy as np
import pytest
from refusals import all_refused
from short_fits import trained_for
from sklearn.neighbors import NearestNeighbors
from subject import close

from tfp_flows import fit_density
from tfp_flows.density.baselines import fit_gaussian
from tfp_flows.density.data import Data, checked_data
from tfp_flows.density.regressions import fit_regressions
from tfp_flows.sklearn import FlowDensity

RNG = np.random.default_rng(0)
SHIFT = np.array([1.0, 0.5])
ROWS = RNG.normal(size=(3_000, 2))
WEIGHTS = np.exp(ROWS @ SHIFT)  # of rows of Normal(0, 1), to be read as Normal(SHIFT, 1)
COUNTS = RNG.integers(0, 4, size=400)


def test_equal_weights_are_none_and_a_row_without_weight_is_absent():
    assert checked_data(ROWS, None, np.full(len(ROWS), 3.0)).weight is None
    weight = np.where(np.arange(len(ROWS)) < 40, 1.0 + (ROWS[:, 0] > 0.0), 0.0)
    data = checked_data(ROWS, ROWS, weight)
    np.testing.assert_array_equal(data.x, ROWS[:40])
    np.testing.assert_array_equal(data.context, ROWS[:40])
    np.testing.assert_array_equal(data.weight, weight[:40] / 2.0)


@pytest.mark.parametrize("factor", [1e-310, 1e-300, 1e300, 1e306])
def test_weights_may_be_of_any_size(factor):
    data = checked_data(ROWS, None, WEIGHTS * factor)
    close(data.weight, WEIGHTS / WEIGHTS.max(), 1e-7)


def test_a_regression_of_nine_rows_is_chosen():
    fitted = fit_regressions(Data(ROWS[:9], ROWS[9:18]), "float64", seed=0)
    assert np.isfinite(fitted.log_prob(ROWS[:9], context=ROWS[9:18])).all()


def test_rows_by_their_weights_are_as_many_as_the_effective_number():
    data = Data(ROWS, ROWS, WEIGHTS)
    count = WEIGHTS.sum() ** 2 / np.sum(WEIGHTS**2)
    assert data.num_rows == pytest.approx(count, abs=1.0)
    drawn = data.resampled()
    assert len(drawn.x) == data.num_rows
    assert drawn.weight is None
    np.testing.assert_array_equal(drawn.context, drawn.x)
    close(drawn.x.mean(axis=0), SHIFT, 4.0 / np.sqrt(count))
    once = data.resampled(each_once=True).x
    assert len(once) < len(drawn.x)
    distance, _ = NearestNeighbors(n_neighbors=2).fit(once).kneighbors(once)
    assert distance[:, 1].min() > 0.0


@pytest.mark.parametrize("fit", [fit_gaussian, lambda *a: fit_regressions(*a, seed=0)])
def test_a_row_of_weight_two_is_two_rows_of_a_regression(fit):
    x, context = ROWS[:400], ROWS[400:800, :1] + ROWS[:400]
    weighted = fit(Data(x, context, COUNTS.astype(float)), "float64")
    repeated = Data(*(np.repeat(part, COUNTS, axis=0) for part in (x, context)))
    twice = fit(repeated, "float64")
    first, second = (part.log_prob(x, context=context) for part in (weighted, twice))
    close(np.average(first, weights=COUNTS), np.average(second, weights=COUNTS), 0.02)


@pytest.mark.parametrize("parts", ["splines", "flow"])
def test_weighted_rows_are_fitted_as_rows_of_another_density(parts):
    small = {"hidden_units": (16,), "num_bins": 4}
    given = {"splines": {**small, "num_members": 1}, "flows": {}}
    if parts == "flow":
        given = {"splines": {}, "flow": {**small, "num_steps": 1, "dropout": 0.0}}
    with trained_for(7, **given) as fit_some:
        density = fit_some(ROWS, sample_weight=WEIGHTS)
    drawn = density.sample(4_000, seed=0).numpy()
    close(drawn.mean(axis=0), SHIFT, 0.15)
    close(drawn.std(axis=0), 1.0, 0.15)
    test = SHIFT + np.random.default_rng(1).normal(size=(2_000, 2))
    ahead = -0.5 * np.sum((test - SHIFT) ** 2, axis=1) - np.log(2.0 * np.pi)
    assert np.mean(ahead - density.log_prob(test).numpy()) < 0.1
    report = density.report
    assert report.log_likelihood == pytest.approx(
        -2.84, abs=4 * report.log_likelihood_error
    )
    assert report.verdict == "no better than a Gaussian"
    assert 700 < report.num_rows < 2_400  # the effective number


def test_rare_rows_of_large_weight_are_the_density(op_by_op):
    near = RNG.normal(size=(2_000, 2))
    x = np.concatenate([near[:200] + 8.0, near[200:]])
    weight = np.where(np.arange(2_000) < 200, 1.0, 1e-6)
    small = {"splines": {}, "flow": {"hidden_units": (8,), "num_steps": 1}}
    with trained_for(3, steps={"steps_per_epoch": 5}, **small) as fit_some:
        density = fit_some(x, sample_weight=weight)
    assert np.mean(density.log_prob(x[:200])) > -3.4


test_weights_of_other_forms_are_refused = all_refused(
    [
        (lambda: fit_density(ROWS, sample_weight=WEIGHTS[1:]), "shape [3000] | (2999,)"),
        (lambda: fit_density(ROWS, sample_weight=-WEIGHTS), "without negative | [0, 1,"),
        (lambda: fit_density(ROWS, sample_weight=0.0 * WEIGHTS), "sum above 0 | 0.0"),
        (
            lambda: FlowDensity().fit(ROWS, sample_weight=np.arange(3_000) < 5),
            "at least 20 rows | got 5",
        ),
        (
            lambda: fit_density(ROWS, sample_weight=np.geomspace(1.0, 1e300, 3_000)),
            "at least 20 rows, by the effective number of their weights | got 8.72",
        ),
    ]
)
