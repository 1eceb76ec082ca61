"""Predictions of one column: against draws, sums over values, and each other."""

import datetime
import functools

import numpy as np
import pytest
from random_weights import randomize
from small_tables import TINY, column, fitted

import tfp_flows as tff
from tfp_flows.tables.prediction.number_predictions import WeightedPoints

pytestmark = pytest.mark.usefixtures("all_op_by_op")


_DRAWS = 4000
X = np.array([-1.0, 0.0, 0.3, 2.0])
VALUES = {"ordered": [1.0, 2.5, 7.0], "categorical": ["a", "b", "c"]}
KINDS = {
    "real": {},
    "positive": {"spikes": [0.0, 1.5]},
    "bounded": {"low": -1.0, "high": 3.0},
    "integer": {"low": 0.0},
    **{kind: {"values": values} for kind, values in VALUES.items()},
}


@functools.cache
def predicted(kind):
    """A table of random weights, its prediction of four rows, and draws `[4, draws]`."""
    rng = np.random.default_rng(0)
    x, normal = rng.normal(size=64), rng.normal(size=64)
    y = {
        "real": normal,
        "positive": np.where(x > 0.5, 0.0, np.where(x < -0.5, 1.5, np.exp(normal))),
        "bounded": np.tanh(normal),
        "integer": rng.poisson(4.0, 64),
    }.get(kind, rng.choice(VALUES.get(kind, [0.0]), 64))
    columns = [column("x"), column("y", kind, **KINDS[kind])]
    table = fitted(columns, {"x": x, "y": y}, context="x", num_members=2)
    randomize(table.distribution, stddev=0.2)
    if table.distribution.features.num_numbers:
        table.distribution.recalibrate([0.8])
    draws = table.sample(seed=1, context={"x": np.repeat(X, _DRAWS)})["y"]
    return table, table.predict({"x": X}), draws.reshape([len(X), _DRAWS])


@pytest.mark.slow_ids("real", "bounded", "integer", "ordered")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "categorical"])
def test_distribution_functions_and_moments_are_those_of_draws(kind):
    table, prediction, draws = predicted(kind)
    error = 4.0 / np.sqrt(_DRAWS)
    levels = np.array([0.05, 0.3, 0.5, 0.9])
    for level, y in zip(levels, prediction.quantile(levels).T, strict=True):
        up_to = prediction.cdf(y)
        np.testing.assert_allclose(np.mean(draws <= y[:, None], axis=1), up_to, atol=error)
        assert (up_to >= level - 1e-5).all()
        if kind in ("real", "bounded"):
            np.testing.assert_allclose(up_to, level, atol=1e-5)
    np.testing.assert_array_equal(prediction.interval(0.4)[:, 0], prediction.quantile(0.3))
    stddev = draws.std(axis=1)
    tolerance = (error * stddev).max()
    np.testing.assert_allclose(prediction.mean(), draws.mean(axis=1), atol=tolerance)
    np.testing.assert_allclose(prediction.stddev(), stddev, rtol=0.25)
    # Against the same score of the draws.
    y = draws[:, 0].astype(float)
    rank = (2.0 * np.arange(_DRAWS) + 1.0) / _DRAWS - 1.0
    score = np.mean(np.abs(draws - y[:, None]) - np.sort(draws, axis=1) * rank, axis=1)
    np.testing.assert_allclose(prediction.crps(y), score, atol=tolerance)
    log_prob = prediction.log_prob(y)
    np.testing.assert_allclose(log_prob, table.log_prob({"x": X, "y": y}), atol=1e-5)
    if kind != "positive":  # where some are densities, and others probabilities
        assert (prediction.log_prob(prediction.mode()) >= log_prob - 1e-3).all()


@pytest.mark.slow_ids("real")
@pytest.mark.parametrize("kind", ["real", "integer"])
def test_the_distribution_of_rows_of_one_number_has_the_same_functions(kind):
    table, prediction, _ = predicted(kind)
    rows, context = table.distribution, X[:, None]
    levels = np.tile([[0.05], [0.3], [0.9]], len(X))
    y = rows.quantile(levels, context=context)
    assert y.shape == (3, len(X), 1)
    np.testing.assert_allclose(y[..., 0], prediction.quantile(levels[:, 0]).T, rtol=1e-6)
    expected = [prediction.cdf(values) for values in y[..., 0].numpy()]
    np.testing.assert_allclose(rows.cdf(y, context=context), expected, atol=1e-6)


def test_other_rows_have_no_quantiles():
    with pytest.raises(NotImplementedError, match="codes, an angle, or atoms"):
        predicted("categorical")[0].distribution.quantile(0.5, context=X[:, None])


@pytest.mark.slow
def test_moments_of_a_positive_column_do_not_hang_on_the_end_of_its_tail():
    rng = np.random.default_rng(0)
    rows = {"x": rng.normal(size=200), "y": np.exp(2.4 * rng.normal(size=200))}
    options = {"context": "x", "num_members": 2, "epochs": 5}
    table = fitted([column("x"), column("y", "positive")], rows, **options)
    prediction = table.predict({"x": np.array([-1.0, 0.0, 1.0])})
    square = np.exp(2.4**2)
    stddev = np.sqrt(square * (square - 1.0))
    np.testing.assert_allclose(prediction.mean(), np.sqrt(square), rtol=0.8)
    np.testing.assert_allclose(prediction.stddev(), stddev, rtol=0.8)


@pytest.mark.parametrize(("origin", "unit"), [(1e12, 1.0), (0.0, 1e-200), (0.0, 1e200)])
def test_expectations_depend_neither_on_the_origin_nor_on_the_unit(origin, unit):
    values = np.array([[-1.0, 0.0, 3.0]])
    points = WeightedPoints(origin + unit * values, np.array([[0.2, 0.3, 0.4999998]]))
    np.testing.assert_allclose((points.mean() - origin) / unit, 1.3, atol=1e-4)
    np.testing.assert_allclose(points.stddev() / unit, np.sqrt(3.01), atol=1e-4)
    score = points.crps(np.array([origin + unit])) / unit
    np.testing.assert_allclose(score, 1.7 - 0.91, atol=1e-4)


@pytest.mark.parametrize("kind", ["real", "positive", "integer", "ordered"])
def test_no_rows_have_no_predictions(kind):
    none = predicted(kind)[0].predict({"x": X[:0]})
    assert none.interval().shape == (0, 2)
    for found in (none.mean(), none.stddev(), none.mode(), none.crps(X[:0])):
        assert found.shape == (0,)


@pytest.mark.parametrize("kind", ["positive", "ordered"])
def test_missing_cells_have_no_density(kind):
    _, prediction, draws = predicted(kind)
    y = np.array([draws[0, 0], None, draws[2, 0], None], object)
    for method in (prediction.log_prob, prediction.cdf, prediction.distance_from_median):
        np.testing.assert_array_equal(np.isnan(method(y)), [False, True, False, True])


@pytest.mark.parametrize("kind", VALUES)
def test_probabilities_of_values(kind):
    values, (_, prediction, draws) = VALUES[kind], predicted(kind)
    probabilities = prediction.probabilities()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    found = np.stack([np.mean(draws == v, axis=1) for v in values], axis=1)
    np.testing.assert_allclose(found, probabilities, atol=0.04)
    best = np.array(values)[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(prediction.mode(), best)


def test_what_has_no_order_has_no_quantiles_and_several_columns_no_prediction():
    unordered, positive = predicted("categorical")[1], predicted("positive")[1]
    columns = tff.tables.TableColumns([column("x"), column("y")])
    both = tff.TableDensity(columns, **TINY)
    for call, message in (
        (unordered.mean, "column of numbers for.*'y' is categorical"),
        (lambda: unordered.quantile(0.5), "column of numbers for.*'y' is categorical"),
        (positive.probabilities, "column of values.*'y' is positive"),
        (lambda: positive.quantile(1.5), r"`probability`.*in \(0, 1\); got 1.5"),
        (lambda: positive.cdf(np.zeros(3)), r"`y` of shape \[4\].*got \[3\]"),
        (lambda: both.predict({}), r"one modelled column.*\['x', 'y'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_dates_that_nanoseconds_do_not_hold_are_refused():
    x, days = np.arange(20.0), np.datetime64("2024-01-01") + np.arange(20)
    table = fitted([column("x"), column("y", "date")], {"x": x, "y": days}, context="x")
    prediction = table.predict({"x": x[:1]})
    assert prediction.cdf(datetime.date(2262, 4, 11)) == pytest.approx(1.0, abs=1e-3)
    for method in (prediction.cdf, prediction.log_prob, prediction.crps):
        with pytest.raises(ValueError, match="dates from 1677-09-22 .* column 'y'"):
            method(datetime.date(3000, 1, 1))
