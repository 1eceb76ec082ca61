"""Periodic columns: their ends are one point, and predictions go around the circle."""

import numpy as np
import pytest
from random_weights import randomize
from small_tables import column, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables.column_codec import ColumnCodec

pytestmark = pytest.mark.usefixtures("all_op_by_op")
CIRCLES = [(-180.0, 180.0), (1.0, 13.0)]


def table_of(low, high, *, context, spikes=()):
    """A table of a periodic column and a real one, with random weights."""
    rng = np.random.default_rng(0)
    angle = low + (high - low) * rng.beta(0.5, 0.5, 64)  # most at the two ends
    angle[:8] = spikes[0] if spikes else low
    periodic = column("angle", "periodic", low=low, high=high, spikes=list(spikes))
    rows = {"angle": angle, "x": rng.normal(size=64)}
    table = fitted([periodic, column("x")], rows, context=context, num_members=2)
    randomize(table.distribution, stddev=0.3)
    return table


@pytest.mark.parametrize(("low", "high"), CIRCLES)
def test_both_ends_are_one_context_and_next_to_their_neighbours(low, high):
    table = table_of(low, high, context="angle")
    near = 1e-7 * (high - low)
    angles = [low, high, low + near, high - near, np.float32(high), np.float32(low)]
    given = {"angle": np.array(angles), "x": np.full(6, 0.3)}
    log_prob = table.log_prob(given)
    np.testing.assert_allclose(log_prob, log_prob[0], atol=1e-4)
    mean = table.predict(given).mean()
    np.testing.assert_allclose(mean, mean[0], atol=1e-4)
    for beyond in (low - 0.1, high + 0.1):
        with pytest.raises(ValueError, match=r"periodic column 'angle'.*in row 1"):
            table.predict({"angle": [low, beyond]})
    with pytest.warns(UserWarning, match=r"\{'angle': 1\}"):
        moved = table.clip_context({"angle": np.array([low + 1.0, high + 1.0])})
    np.testing.assert_allclose(moved["angle"], low + 1.0)


@pytest.mark.parametrize(("low", "high"), CIRCLES)
def test_the_end_is_the_start_in_a_density(low, high):
    table = table_of(low, high, context="x")
    rows = {"angle": np.array([low, high, high + 0.1]), "x": np.zeros(3)}
    log_prob = table.log_prob(rows)
    assert log_prob[0] == log_prob[1]
    assert log_prob[2] == -np.inf
    predicted = table.predict(rows)
    np.testing.assert_allclose(predicted.log_prob(rows["angle"]), log_prob, atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "has_spike"),
    [(-180.0, 180.0, False), pytest.param(1.0, 13.0, True, marks=pytest.mark.slow)],
)
def test_predictions_are_those_of_the_density_on_the_circle(low, high, has_spike):
    width = high - low
    spike = low + 0.25 * width
    table = table_of(low, high, context="x", spikes=[spike] if has_spike else ())
    given = {"x": np.array([-1.0, 0.5])}
    predicted = table.predict(given)
    # Against sums over a fine grid of the density itself.
    grid = low + width * (np.arange(1000) + 0.5) / 1000
    repeated = {"x": np.repeat(given["x"], 1000), "angle": np.tile(grid, 2)}
    mass = np.exp(table.log_prob(repeated)).reshape(2, -1) * width / 1000
    points, mass = np.append(grid, spike), np.pad(mass, [[0, 0], [0, 1]])
    if has_spike:
        mass[:, -1] = np.exp(table.log_prob({**given, "angle": np.full(2, spike)}))
    np.testing.assert_allclose(mass.sum(axis=1), 1.0, atol=1e-3)
    center = (mass * np.exp(2j * np.pi * (points - low) / width)).sum(axis=1)
    mean = np.mod(np.angle(center), 2 * np.pi) * width / (2 * np.pi)
    np.testing.assert_allclose(predicted.mean() - low, mean, atol=2e-3 * width)
    stddev = np.sqrt(-2.0 * np.log(np.abs(center))) * width / (2 * np.pi)
    np.testing.assert_allclose(predicted.stddev(), stddev, rtol=5e-3)
    # Counted from opposite of the mean.
    offset = np.mod(points - low - mean[:, None] + 0.5 * width, width)
    quantiles = predicted.quantile([0.05, 0.5, 0.95])
    for level, y in zip([0.05, 0.5, 0.95], quantiles.T, strict=True):
        at = np.mod(y - low - mean + 0.5 * width, width)[:, None]
        below = np.sum(mass * (offset < at - 2e-3 * width), axis=1)
        up_to = np.sum(mass * (offset <= at + 2e-3 * width), axis=1)
        assert (below < level + 1e-3).all()
        assert (up_to > level - 1e-3).all()
    if not has_spike:
        found = predicted.cdf(quantiles[:, 2])
        np.testing.assert_allclose(found, 0.95, atol=1e-4)
    assert ((quantiles >= low) & (quantiles < high)).all()
    # The score by its definition, as a double sum.
    y = np.array([low + 0.1 * width, high])
    apart, to_y = (np.mod(points - p[:, None], width) for p in (points, y))
    apart, to_y = (np.minimum(d, width - d) for d in (apart, to_y))
    score = (mass * to_y).sum(axis=1) - 0.5 * np.sum(mass @ apart * mass, axis=1)
    np.testing.assert_allclose(predicted.crps(y), score, atol=2e-3 * width)
    with pytest.raises(ValueError, match="`y` of the periodic column 'angle'"):
        predicted.cdf(high + 1.0)


MONTHS = {
    "month": np.random.default_rng(1).choice([1, 2, 3, 11, 12], 200).astype(np.int32),
    "x": np.random.default_rng(2).normal(size=200),
}


def table_of_months(context="x"):
    columns = tff.describe_columns(MONTHS)
    columns.change("month", kind="periodic", low=1, high=13)
    assert columns["month"].step == 1.0
    table = fitted(columns, MONTHS, context=context, num_members=1)
    randomize(table.distribution, stddev=0.3)
    return table


def test_months_have_probabilities_and_are_drawn_as_recorded(tmp_path):
    table, again = saved_and_loaded(table_of_months(), tmp_path / "table.keras")
    month, given = np.arange(1.0, 13.0), {"x": np.array([-1.0, 0.5])}
    rows = {"x": np.repeat(given["x"], 12), "month": np.tile(month, 2)}
    log_prob = again.log_prob(rows).reshape(2, 12)
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(table.log_prob(rows).reshape(2, 12), log_prob)
    others = {"x": np.zeros(3), "month": [1.5, 0.0, 14.0]}
    assert (table.log_prob(others) == -np.inf).all()
    drawn = again.sample(context={"x": np.full(3_000, 0.5)}, seed=0)["month"]
    assert drawn.dtype == np.int32
    rates = np.bincount(drawn, minlength=13)[1:] / 3_000
    np.testing.assert_allclose(rates, np.exp(log_prob[1]), atol=0.04)


def test_predicted_months_are_those_of_the_probabilities():
    table, month = table_of_months(), np.arange(1.0, 13.0)
    given = {"x": np.array([-1.0, 0.5])}
    predicted = table.predict(given)
    probs = np.exp([predicted.log_prob(np.full(2, m)) for m in month]).T
    np.testing.assert_array_equal(predicted.mode(), month[probs.argmax(axis=1)])
    center = probs @ np.exp(2j * np.pi * (month - 1.0) / 12.0)
    mean = np.mod(np.angle(center), 2.0 * np.pi) * 6.0 / np.pi
    np.testing.assert_allclose(predicted.mean() - 1.0, mean, atol=1e-4)
    # Counted from opposite of the mean.
    offset = np.mod(month - 1.0 - mean[:, None] + 6.0, 12.0)
    levels = (0.05, 0.5, 0.95)
    for level, y in zip(levels, predicted.quantile(levels).T, strict=True):
        at = offset[range(2), (y - 1.0).astype(int)][:, None]
        assert (np.sum(probs * (offset < at), axis=1) < level).all()
        up_to = np.sum(probs * (offset <= at), axis=1)
        assert (up_to > level - 1e-6).all()
        np.testing.assert_allclose(predicted.cdf(y), up_to, atol=1e-6)


def test_months_are_a_context_with_numbers_between_them():
    table = table_of_months(context="month")
    rows = {"x": np.full(4, 0.3), "month": [1.0, 13.0, 12.9999, 1.5]}
    log_prob = table.log_prob(rows)
    assert log_prob[0] == log_prob[1]
    assert log_prob[2] == pytest.approx(log_prob[0], abs=1e-3)
    with pytest.warns(UserWarning, match=r"\{'month': 1\}"):
        moved = table.clip_context({"month": np.array([2, 15])})
    np.testing.assert_array_equal(moved["month"], [2, 3])


def test_a_step_that_does_not_divide_the_circle_is_left_out():
    columns = tff.describe_columns({"day": np.arange(400) % 365, "x": np.arange(400.0)})
    columns.change("day", kind="periodic", low=0, high=365.25)
    assert columns["day"].step is None
    columns.change("day", kind="periodic", low=0, high=365)
    assert columns["day"].step is None  # as it was
    columns.change("day", step=1.0)
    assert columns["day"].details == "0 to 365, step 1"


def test_a_spike_at_the_end_is_one_at_the_start():
    rng = np.random.default_rng(0)
    angle = np.where(rng.random(200) < 0.5, 360, rng.integers(1, 361, 200))
    rows = {"angle": angle, "x": rng.normal(size=200)}
    columns = tff.describe_columns(rows)
    assert columns["angle"].spikes == [360.0]
    columns.change("angle", kind="periodic", low=0, high=360)
    assert columns["angle"].spikes == [0]
    table = fitted(columns, rows, context="x")
    every = {"angle": np.arange(1, 361), "x": np.zeros(360)}
    log_prob = table.log_prob(every)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-6)
    assert log_prob[-1] > np.log(0.3)
    # Files of earlier versions may have spikes at both ends.
    codec = ColumnCodec(
        column("a", "periodic", low=0.0, high=9.0, spikes=[0.0, 9.0]), False
    )
    assert codec.encode(np.array([0.0, 9.0, 3.0])).code.tolist() == [1, 2, 0]


def test_a_context_turns_around_a_circle_with_a_spike():
    rng = np.random.default_rng(0)
    angle = np.where(rng.random(200) < 0.5, 0, rng.integers(0, 36, 200))
    columns = [
        column("angle", "periodic", low=0, high=36, spikes=[0.0], step=1.0),
        column("x"),
    ]
    table = fitted(columns, {"angle": angle, "x": angle + 0.0}, context="angle")
    turned = [37, -3, 36, 72, 0.25, 36.25, 35.75]
    with pytest.warns(UserWarning, match=r"\{'angle': 4\}"):
        moved = table.clip_context({"angle": np.array(turned)})
    np.testing.assert_array_equal(moved["angle"] % 36, np.mod(turned, 36))
    assert np.isfinite(table.log_prob(moved | {"x": np.zeros(7)})).all()


def test_seconds_of_a_day_are_predicted_by_arcs():
    rng = np.random.default_rng(0)
    rows = {"second": rng.integers(30_000, 60_000, 200), "x": rng.normal(size=200)}
    columns = tff.describe_columns(rows)
    columns.change("second", kind="periodic", low=0, high=86_400)
    assert columns["second"].step == 1.0
    table = fitted(columns, rows, context="x")
    predicted = table.predict({"x": np.zeros(2)})
    second = np.arange(86_400)
    log_prob = table.log_prob({"x": np.zeros(86_400), "second": second})
    probs, turns = np.exp(log_prob), np.exp(2j * np.pi * second / 86_400)
    np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-5)
    mean = np.mod(np.angle(probs @ turns), 2.0 * np.pi) * 43_200 / np.pi
    np.testing.assert_allclose(predicted.mean(), mean, atol=60.0)
    assert (predicted.mode() % 1.0 == 0.0).all()
    apart = np.abs(second - 50_000)
    near = probs @ np.minimum(apart, 86_400 - apart)
    assert (predicted.crps([50_000, 50_000]) < near).all()


@pytest.mark.parametrize("kind", ["boolean", "categorical", "ordered"])
def test_values_that_are_numbers_give_the_step(kind):
    columns = tff.tables.TableColumns([column("a", kind, values=[1, 0])])
    columns.change("a", kind="periodic", low=0, high=2)
    assert columns["a"].step == 1.0
