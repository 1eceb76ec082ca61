"""Grids of recorded numbers: places without gaps, steps that are found, exact masses."""

import numpy as np
import pytest
from small_tables import column, fitted

import tfp_flows as tff
from tfp_flows.tables.grids import Grid, find_step

pytestmark = pytest.mark.usefixtures("all_op_by_op")

DOUBLE, SINGLE = 2.0**-52, 2.0**-23
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("step", "spikes"),
    [(0.1, [0.2, 0.5, -0.3]), (100.0, [0.0]), (1.0 / 60.0, []), (2e-12, [])],
)
def test_places_are_consecutive_and_go_back_to_the_recorded_floats(step, spikes):
    grid = Grid(step, spikes)
    y = np.array([m * step for m in range(-50, 120)])  # with rounding errors
    y = y[~np.isclose(y[:, None], np.array([*spikes, np.inf])).any(axis=1)]
    places = grid.places(y)
    np.testing.assert_array_equal(np.diff(places), 1.0)
    np.testing.assert_allclose(grid.at(places), y, rtol=1e-12, atol=1e-12)
    if step == 0.1:
        np.testing.assert_array_equal(grid.at(places), y.round(1))
    np.testing.assert_array_equal(grid.places_up_to(y + 0.4 * step)[:-1], places[:-1])
    np.testing.assert_array_equal(grid.places_below(y), places - 1.0)
    assert (grid.places(y + 0.4 * step) % 1.0 != 0.0).all()


def test_an_end_that_is_a_spike_is_left_out():
    assert Grid(1.0, [0.0, 5.0]).ends(0.0, 5.0) == (0.0, 3.0)  # 1, 2, 3, 4
    assert Grid(0.1).ends(None, 0.25) == (None, 2.0)


@pytest.mark.parametrize(
    ("numbers", "resolution", "step"),
    [
        (RNG.normal(size=200).round(1), DOUBLE, 0.1),
        (RNG.normal(size=200).round(1).astype(np.float32), SINGLE, 0.1),
        (RNG.integers(-20, 90, 200) / 4.0, DOUBLE, 0.25),
        (RNG.integers(0, 300, 200) * 100.0, DOUBLE, 100.0),
        (RNG.integers(0, 300, 200) / 3.0, DOUBLE, 1.0 / 3.0),
        (np.append(np.arange(20), 911) * 1.15078, DOUBLE, 1.15078),  # one far number
        (np.append(np.arange(20), [20.2, 21.4]), DOUBLE, 0.1),  # 0.2 may be chance
        (np.append(np.arange(20), 20 + np.arange(9) / 5), DOUBLE, 0.2),
        (RNG.normal(size=200), DOUBLE, None),
        (RNG.integers(0, 2**50, 200) / 1024.0, DOUBLE, None),
        (0.3 + RNG.integers(-9, 9, 200) * 2.0**-54, DOUBLE, None),
    ],
)
def test_the_step_is_found(numbers, resolution, step):
    found = find_step(np.unique(numbers).astype(float), resolution)
    assert found == (None if step is None else pytest.approx(step))


def test_integers_that_no_float_holds_are_refused():
    rows = {"a": 2.0**53 + 4.0 * RNG.integers(0, 40, 80)}
    with pytest.raises(ValueError, match=r"integers below 2\^53 in column 'a'.*'real'"):
        fitted([column("a", "integer")], rows)


def test_tenths_that_were_float32_in_a_file_are_tenths():
    tenths = np.arange(1, 60) / 10.0
    printed = np.array([float(f"{np.float32(y):.8g}") for y in tenths])
    assert printed[2] == 0.30000001
    assert find_step(printed, 2.0**-48) == 0.1
    np.testing.assert_array_equal(Grid(0.1).places(printed), np.arange(1.0, 60.0))
    assert find_step(np.sort(RNG.normal(size=12)), 2.0**-48) is None


@pytest.mark.parametrize("step", [1 / 12, 1 / 30, 1 / 300])
def test_quotients_of_seven_digits_are_on_the_grid_that_is_found(step):
    places = np.arange(130, 999)
    printed = np.array([float(f"{place * step:.7g}") for place in places])
    assert find_step(printed, 2.0**-48) == pytest.approx(step)
    np.testing.assert_array_equal(Grid(step).places(printed), places)


def test_numbers_of_a_step_have_probabilities_whose_sum_is_one():
    price = RNG.choice([2.5, 2.75, 3.0, 4.25, 7.0], 80) + RNG.integers(0, 8, 80) / 4.0
    rows = {"price": np.where(RNG.random(80) < 0.3, 0.0, price)}
    spiky = column("price", "positive", low=0.0, step=0.25, spikes=[0.0, 3.5])
    table = fitted([spiky], rows)
    probability = np.exp(table.log_prob({"price": np.arange(0.0, 200.0, 0.25)}))
    assert probability.sum() == pytest.approx(1.0, abs=1e-4)
    off_grid = {"price": [0.1, -0.25, 3.6]}
    np.testing.assert_array_equal(table.log_prob(off_grid), -np.inf)
    drawn = table.sample(4000, seed=1)["price"]
    assert (drawn % 0.25 == 0.0).all()
    share = probability[[0, 14]]
    found = [np.mean(drawn == 0.0), np.mean(drawn == 3.5)]
    assert np.abs(found - share).max() < 5.0 * np.sqrt(0.25 / 4000)
    # `predict` agrees, in units of the column.
    predicted = table.predict({"price": rows["price"][:1]})
    y = [0.0, 0.25, 3.25, 3.5, 5.1]
    cdf = [predicted.cdf(value).item() for value in y]
    up_to = [probability[: int(value / 0.25) + 1].sum() for value in y]
    np.testing.assert_allclose(cdf, up_to, atol=1e-5)
    assert predicted.quantile(0.9).item() % 0.25 == 0.0


def test_the_step_of_a_column_can_be_switched_off():
    rows = {"a": RNG.normal(size=60).round(1)}
    columns = tff.describe_columns(rows)
    assert (columns["a"].kind, columns["a"].step) == ("real", 0.1)
    columns.change("a", step=None)
    table = fitted(columns, rows)
    assert np.isfinite(table.log_prob({"a": [0.05]})).all()
    (free,) = tff.describe_columns(rows, as_recorded=False)
    assert free.step is None


def test_a_context_need_not_be_on_the_grid():
    rows = {"a": RNG.normal(size=60).round(1), "b": RNG.normal(size=60)}
    table = fitted(tff.describe_columns(rows), rows, context=["a"])
    at, near = (table.log_prob({"a": [a], "b": [0.0]}) for a in (0.1, 0.1001))
    np.testing.assert_allclose(at, near, atol=0.05)
