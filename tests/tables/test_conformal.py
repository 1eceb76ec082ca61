"""Conformal intervals: their coverage however bad the fit is, and their refusals."""

import functools
import pickle

import numpy as np
import pytest
from refusals import all_refused
from small_tables import TINY, column, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables.prediction.conformal import conformal_distance
from tfp_flows.tables.training import held_out

pytestmark = pytest.mark.usefixtures("all_op_by_op")

ROWS, SHARE, NEW = 80, 0.25, 600
NAMES = ["a", "b", "c", "d"]
X = {"x": np.array([-1.0, 0.0, 1.0])}
# Entries of each kind's column, and the ends of its support.
KINDS = {
    "real": ({}, [-np.inf, np.inf]),
    "positive": ({"spikes": [0.0, 2.0]}, [0.0, np.inf]),
    "integer": ({"low": 0.0}, [0.0, np.inf]),
    "ordered": ({"values": NAMES}, ["a", "d"]),
    "date": ({}, np.array(["1677-09-22", "2262-04-11"], "datetime64[ns]")),
}


def draw(kind, count, spread, seed):
    """Rows of few contexts, whose y varies more for larger x, and with `spread`."""
    rng = np.random.default_rng(seed)
    x = rng.choice(X["x"], count)
    real = x + spread * np.exp(x) * rng.normal(size=count)
    spikes = rng.choice([0.0, 2.0, np.nan], count, p=[0.1, 0.2, 0.7])
    y = {
        "real": real,
        "positive": np.where(np.isnan(spikes), np.exp(real), spikes),
        "integer": rng.poisson(4.0 * spread * np.exp(0.5 * x)),
        "ordered": np.array(NAMES)[np.clip(np.round(real + 1.5), 0, 3).astype(int)],
        "date": np.datetime64("2020-01-01", "ns") + (real * 1e15).astype("timedelta64[ns]"),
    }
    return {"x": x, "y": y[kind]}


def fit(kind, frame, **options):
    columns = [column("x"), column("y", kind, **KINDS.get(kind, ({},))[0])]
    table = tff.TableDensity(tff.tables.TableColumns(columns), context="x", **TINY)
    table.fit(frame, epochs=1, batch_size=64, **options)
    return table


@functools.cache
def fitted(kind):
    """A table that was fitted for an epoch, with `SHARE` of the rows for calibration."""
    return fit(kind, draw(kind, ROWS, 1.0, seed=0), calibration_split=SHARE)


@pytest.mark.slow_ids("real", "positive")
@pytest.mark.parametrize("kind", ["real", "positive", "integer"])
def test_intervals_of_a_wrong_model_cover_new_rows_at_their_level(kind):
    rows = draw(kind, NEW, 3.0, seed=1)  # the fit has seen a third of the spread
    prediction = fitted(kind).predict({"x": rows["x"]})
    scores = prediction.distance_from_median(rows["y"])
    level, count, splits = 0.8, 24, 500
    covered, distances = np.zeros(splits), np.zeros(splits)
    rng = np.random.default_rng(2)
    for split in range(splits):
        drawn = rng.permutation(scores)
        distances[split] = conformal_distance(drawn[:count], level)
        covered[split] = np.mean(drawn[count:] <= distances[split])
    error = 4.0 * np.sqrt(level * (1.0 - level) / (count + 1) / splits)
    ties = max(np.unique(scores, return_counts=True)[1]) / NEW
    assert level - error < covered.mean() < level + 1.0 / (count + 1) + ties + error
    assert np.mean(is_inside(prediction.interval(level), rows["y"])) < level - 0.1
    # An interval holds the numbers up to a score, and no others.
    for distance in np.quantile(distances, [0.0, 0.5, 1.0]):
        inside = is_inside(prediction.interval_within(distance), rows["y"])
        assert inside[scores <= distance].all()
        assert not inside[scores > distance + 1e-3].any()


def is_inside(ends, y):
    return (ends[:, 0] <= y) & (y <= ends[:, 1])


@pytest.mark.slow_ids("positive", "integer", "date")
@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_are_those_of_kept_rows_and_stay_with_the_table(kind, tmp_path):
    rows, table = draw(kind, ROWS, 1.0, seed=0), fitted(kind)
    is_kept = held_out(ROWS, 1, SHARE, seed=0)[:, 0]
    prediction = table.predict({"x": rows["x"][is_kept]})
    scores = prediction.distance_from_median(rows["y"][is_kept])
    expected = table.predict(X).interval_within(conformal_distance(scores, 0.8))
    _, loaded = saved_and_loaded(pickle.loads(pickle.dumps(table)), tmp_path / "t.keras")
    ends = loaded.predict_interval(X, 0.8, conformal=True)
    np.testing.assert_array_equal(ends, expected)
    # Few rows allow no interval but the support.
    ends = loaded.predict_interval(X, 0.99, conformal=True)
    np.testing.assert_array_equal(ends, np.stack([KINDS[kind][1]] * 3))


def test_no_network_and_no_map_sees_the_kept_rows():
    rows = draw("real", ROWS, 1.0, seed=0)
    other = {**rows, "y": rows["y"] + 1e3 * held_out(ROWS, 1, SHARE, seed=0)[:, 0]}
    again = fit("real", other, calibration_split=SHARE)
    expected = fitted("real").log_prob(rows)
    np.testing.assert_array_equal(again.log_prob(rows), expected)
    plain = again.predict_interval(X, 0.8)
    np.testing.assert_array_equal(plain, again.predict(X).interval(0.8))
    ends = again.predict_interval(X, 0.8, conformal=True)
    np.testing.assert_array_equal(ends, np.stack([KINDS["real"][1]] * 3))


def two_columns():
    columns = tff.tables.TableColumns([column("x"), column("y")])
    tff.TableDensity(columns, **TINY).fit(draw("real", 9, 1.0, 0), calibration_split=0.5)


def fit_circle(**options):
    columns = [column("x"), column("y", "periodic", low=0.0, high=9.0)]
    table = tff.TableDensity(tff.tables.TableColumns(columns), context="x", **TINY)
    table.fit({"x": X["x"], "y": [1.0, 2.0, 3.0]}, epochs=1, **options)
    return table.predict(X)


test_refused = all_refused(
    [
        (lambda: fit("real", {}, calibration_split=1.0), "`calibration_split` | got 1.0"),
        (lambda: fit("real", {}, calibration_split=-0.1), "`calibration_split` | got -0.1"),
        (two_columns, "one modelled column | `calibration_split` | 'x': 'real', 'y'"),
        (lambda: fit_circle(calibration_split=0.5), "on a line | 'y': 'periodic'"),
        (lambda: fit_circle().interval_within(0.1), "on a line | periodic 'y'"),
        (lambda: fit_circle().distance_from_median(1.0), "on a line | periodic 'y'"),
        (
            lambda: fit("real", draw("real", 9, 1.0, 0)).predict_interval(
                X, conformal=True
            ),
            "`calibration_split` | `conformal`",
        ),
        (lambda: conformal_distance([0.1], 1.0), "`level` between 0 and 1 | got 1.0"),
    ]
)


def test_a_regressor_has_them():
    regressor_class = pytest.importorskip("tfp_flows.sklearn").FlowRegressor
    options = {"epochs": 1, "num_members": 1, "hidden_units": (8,), "random_state": 0}
    rows = draw("real", ROWS, 1.0, seed=0)
    x = rows["x"][:, None] + np.linspace(0.0, 0.1, ROWS)[:, None]
    regressor = regressor_class(calibration_split=SHARE, **options).fit(x, rows["y"])
    ends = regressor.predict_interval(x[:5], 0.8, conformal=True)
    expected = regressor.table_.predict_interval({"x0": x[:5, 0]}, 0.8, conformal=True)
    np.testing.assert_array_equal(ends, expected)
    assert (ends[:, 0] < ends[:, 1]).all()
