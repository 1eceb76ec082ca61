"""Predictions of one column: against draws, sums over values, and each other."""

import numpy as np
import pytest
from random_weights import randomize
from slow_cases import with_slow

import tfp_flows as tff

TINY = {"num_members": 2, "num_bins": 4, "hidden_units": (8,), "seed": 0}
_COUNT, _DRAWS = 4, 4000

KINDS = {
    "real": {},
    "positive": {"spikes": [0.0, 1.5]},
    "bounded": {"low": -1.0, "high": 3.0},
    "integer": {"low": 0.0},
    "ordered": {"values": [1.0, 2.5, 7.0]},
}


def predicted(kind, weight=0.8, **entries):
    """A prediction of four rows, and draws of each, `[4, draws]`.

    Args:
      kind: of the predicted column.
      weight: of the pool's recalibration.
      **entries: of the column.
    """
    rng = np.random.default_rng(0)
    x, normal = rng.normal(size=64), rng.normal(size=64)
    y = {
        "real": normal,
        "positive": np.where(x > 0.5, 0.0, np.where(x < -0.5, 1.5, np.exp(normal))),
        "bounded": np.tanh(normal),
        "integer": rng.poisson(4.0, 64),
        "ordered": rng.choice([1.0, 2.5, 7.0], 64),
        "categorical": rng.choice(["a", "b", "c"], 64),
    }[kind]
    columns = tff.tables.TableColumns(
        [
            tff.tables.Column("x", "real"),
            tff.tables.Column("y", kind, **(KINDS.get(kind, {}) | entries)),
        ]
    )
    table = tff.TableDensity(columns, context="x", **TINY)
    table.fit({"x": x, "y": y}, epochs=1)
    randomize(table.distribution, stddev=0.2)
    if table.distribution.cells.num_numbers:
        table.distribution.recalibrate([weight])
    rows = {"x": np.array([-1.0, 0.0, 0.3, 2.0])}
    many = {"x": np.repeat(rows["x"], _DRAWS)}
    draws = table.sample(seed=1, context=many)["y"].reshape([_COUNT, _DRAWS])
    return table, rows, table.predict(rows), draws


@pytest.mark.parametrize(
    "kind", with_slow(KINDS, {"real", "bounded", "integer", "ordered"})
)
@pytest.mark.usefixtures("op_by_op")
def test_distribution_functions_and_moments_are_those_of_draws(kind):
    table, rows, prediction, draws = predicted(kind)
    error = 4.0 / np.sqrt(_DRAWS)
    levels = np.array([0.05, 0.3, 0.5, 0.9])
    quantiles = prediction.quantile(levels)
    for level, y in zip(levels, quantiles.T, strict=True):
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
    ordered = np.sort(draws, axis=1)
    rank = (2.0 * np.arange(_DRAWS) + 1.0) / _DRAWS - 1.0
    score = np.mean(np.abs(draws - y[:, None]), axis=1) - np.mean(ordered * rank, axis=1)
    np.testing.assert_allclose(prediction.crps(y), score, atol=tolerance)
    expected = table.log_prob({"x": rows["x"], "y": y})
    np.testing.assert_allclose(prediction.log_prob(y), expected, atol=1e-5)
    most = prediction.log_prob(prediction.mode())
    if kind != "positive":  # where some are densities, and others probabilities
        assert (most >= prediction.log_prob(y) - 1e-3).all()


@pytest.mark.usefixtures("op_by_op")
def test_moments_of_a_positive_column_do_not_hang_on_the_end_of_its_tail():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=200), np.exp(2.4 * rng.normal(size=200))
    columns = tff.tables.TableColumns(
        [tff.tables.Column("x", "real"), tff.tables.Column("y", "positive")]
    )
    table = tff.TableDensity(columns, context="x", **TINY)
    table.fit({"x": x, "y": y}, epochs=20)
    prediction = table.predict({"x": np.array([-1.0, 0.0, 1.0])})
    square = np.exp(2.4**2)
    np.testing.assert_allclose(prediction.mean(), np.sqrt(square), rtol=0.8)
    np.testing.assert_allclose(
        prediction.stddev(), np.sqrt(square * (square - 1.0)), rtol=0.8
    )


def test_probabilities_of_values():
    for kind, values in (("categorical", ["a", "b", "c"]), ("ordered", [1.0, 2.5, 7.0])):
        _, _, prediction, draws = predicted(kind, values=values)
        probabilities = prediction.probabilities()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
        found = np.stack([np.mean(draws == v, axis=1) for v in values], axis=1)
        np.testing.assert_allclose(found, probabilities, atol=0.04)
        best = np.array(values)[probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(prediction.mode(), best)


@pytest.mark.usefixtures("op_by_op")
def test_what_has_no_order_has_no_quantiles_and_several_columns_no_prediction():
    _, _, prediction, _ = predicted("categorical", values=["a", "b", "c"])
    for method in (prediction.mean, lambda: prediction.quantile(0.5)):
        with pytest.raises(ValueError, match="column of numbers for.*'y' is categorical"):
            method()
    _, _, prediction, _ = predicted("real")
    with pytest.raises(ValueError, match="column of values.*'y' is real"):
        prediction.probabilities()
    with pytest.raises(ValueError, match=r"`probability`.*in \(0, 1\); got 1.5"):
        prediction.quantile(1.5)
    with pytest.raises(ValueError, match=r"`y` of shape \[4\].*got \[3\]"):
        prediction.cdf(np.zeros(3))
    columns = tff.tables.TableColumns(
        [tff.tables.Column("x", "real"), tff.tables.Column("y", "real")]
    )
    table = tff.TableDensity(columns, **TINY)
    with pytest.raises(ValueError, match=r"one modelled column.*\['x', 'y'\]"):
        table.predict({})
