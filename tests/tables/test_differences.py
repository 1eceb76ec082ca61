"""Orders and sums of columns: found, kept in draws and densities, and switched off."""

import itertools

import numpy as np
import pandas as pd
import pytest
from random_weights import randomize
from refusals import all_refused
from small_tables import TINY, column, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import Difference, TableColumns
from tfp_flows.tables.rules import differences

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 300
RNG = np.random.default_rng(0)
LOW = RNG.poisson(6.0, COUNT)
HIGH = LOW + RNG.poisson(1.5, COUNT)
START = RNG.gamma(3.0, 2.0, COUNT).round(1)
ROWS = {
    "high": HIGH,
    "low": LOW,
    "start": START,
    "end": (START + RNG.gamma(2.0, 1.0, COUNT)).round(1),
    "total": LOW + HIGH,
    "other": RNG.normal(size=COUNT),
}


def test_orders_and_sums_are_found():
    columns = tff.describe_columns(ROWS)
    found = {d.column.name: d.column.kind for d in columns.differences}
    assert found == {
        "total - high - low": "constant",
        "high - low": "integer",
        "end - start": "positive",
    }
    assert columns["end - start"].step == 0.1
    assert "start <= end in all rows" in str(columns)
    assert tff.describe_columns(ROWS, as_recorded=False).differences == []
    columns.drop("high - low", "total")
    assert [d.name for d in columns.differences] == ["end"]
    again = TableColumns.from_plain(columns.to_plain())
    assert str(again) == str(columns)
    assert columns.select(["start", "low"]).differences == []


def labels(rows):
    """Labels of the differences that are found in rows."""
    return {difference.label for difference in tff.describe_columns(rows).differences}


def test_sums_of_three_and_four_columns_are_found_and_kept():
    a, b, c, d = RNG.poisson(9.0, [4, COUNT]) * [[1], [1], [3], [1]]
    rows = {"all": a + b + c + d, "a": a, "b": b, "c": c, "d": d, "some": a + c + d}
    columns = tff.describe_columns(rows)
    labels = [e.column.name for e in columns.differences if e.column.kind == "constant"]
    assert sorted(labels) == ["all - b - some", "some - a - c - d"]
    drawn = fitted(columns, rows).sample(500, seed=0)
    assert (drawn["some"] == drawn["a"] + drawn["c"] + drawn["d"]).all()
    assert (drawn["all"] == drawn["b"] + drawn["some"]).all()
    rows = {"all": a + b + c + d, "a": a, "b": b, "c": c, "d": d}
    assert [e.label for e in tff.describe_columns(rows).differences] == [
        "all - a - b - c - d"
    ]


def test_sums_of_many_columns_are_found_beside_shorter_ones():
    parts = RNG.poisson(9.0, [8, COUNT])
    rows = {f"part{i}": part for i, part in enumerate(parts)}
    rows["all"], rows["some"] = parts[:7].sum(axis=0), parts[:2].sum(axis=0)
    found = [e.names for e in tff.describe_columns(rows).differences]
    assert found == [["some", *list(rows)[:2]], ["all", *list(rows)[:7]]]


def test_a_column_with_an_end_of_its_own_has_room_for_its_part():
    part = RNG.integers(0, 15, COUNT)
    whole = np.maximum(part + RNG.poisson(0.7, COUNT), 1)
    more = whole + RNG.integers(0, 3, COUNT)
    columns = tff.describe_columns({"part": part, "whole": whole})
    assert [e.label for e in columns.differences] == ["whole - part"]
    assert columns["whole"].low == 0.0
    columns = tff.describe_columns({"more": more, "whole": whole, "part": part})
    assert [columns[name].low for name in columns.names] == [0.0, 0.0, 0.0]


def test_sums_of_columns_that_are_mostly_zero_are_found_in_time(monkeypatch):
    candidates = []  # sums that are compared in all rows
    without_rounding = differences._without_rounding

    def counted(*terms):
        candidates.append(terms)
        return without_rounding(*terms)

    monkeypatch.setattr(differences, "_without_rounding", counted)
    rng = np.random.default_rng(0)
    parts = (rng.random([12, 20_000]) < 0.004) * rng.integers(1, 30, [12, 20_000])
    parts[:, 100::312] = 0  # in rows at equal distances
    parts[:, :9_000] = 0
    rows = {f"part{i}": part for i, part in enumerate(parts)}
    rows |= {"two": parts[:2].sum(axis=0), "three": parts[2:5].sum(axis=0)}
    columns = tff.describe_columns(rows)
    found = {d.name: len(d.minus) for d in columns.differences}
    assert found == {"two": 2, "three": 3}
    assert len(candidates) < 40


def test_orders_of_dates_are_kept(tmp_path):
    days = RNG.integers(0, 900, COUNT)
    ordered = np.datetime64("2021-01-01") + days
    arrived = ordered + RNG.poisson(2.0, COUNT)
    noise = RNG.normal(size=COUNT)
    rows = {"ordered": ordered, "arrived": arrived, "x": noise}
    columns = tff.describe_columns(rows)
    (order,) = columns.differences
    assert (order.label, order.column.step) == ("arrived - ordered", 1.0)
    table, again = saved_and_loaded(fitted(columns, rows), tmp_path / "table.keras")
    drawn = again.sample(500, seed=0)
    assert (drawn["ordered"] <= drawn["arrived"]).all()
    assert drawn["arrived"].dtype == arrived.dtype
    density = table.log_prob(rows)
    assert np.isfinite(density).all()
    early = {**rows, "arrived": ordered - 1}
    assert (table.log_prob(early) == -np.inf).all()
    lost = {**rows, "ordered": np.where(days < 99, np.datetime64("NaT"), ordered)}
    lost["arrived"] = np.where(days > 800, np.datetime64("NaT"), arrived)
    filled = table.impute(lost, seed=0, num_candidates=64)
    assert (filled["ordered"] <= filled["arrived"]).all()
    np.testing.assert_array_equal(filled["arrived"][days < 99], arrived[days < 99])


def test_an_order_of_days_and_points_in_time_is_kept():
    day = np.datetime64("2024-01-01") + RNG.integers(0, 365, COUNT).astype("m8[D]")
    after = RNG.integers(0, 3 * 86_400, COUNT).astype("m8[s]")
    rows = {"day": day, "time": day.astype("M8[s]") + after}
    table = fitted(tff.describe_columns(rows), rows)
    drawn = table.sample(500, seed=0)
    assert (drawn["day"] <= drawn["time"]).all()
    assert np.isfinite(table.log_prob(drawn)).all()
    gaps = {"day": day.astype("M8[s]"), "time": rows["time"].copy()}
    gaps["day"][::2] = "NaT"
    gaps["time"][1::2] = "NaT"
    completed = table.impute(gaps, seed=0)
    assert (completed["day"] <= completed["time"]).all()
    assert (completed["day"] == completed["day"].astype("M8[D]")).all()


def test_an_order_of_days_of_a_zone_is_kept():
    """Midnights in Berlin are no multiples of a day, but their differences are."""
    first = RNG.integers(0, 80, COUNT)
    days = {"first": first, "last": first + RNG.integers(0, 3, COUNT)}
    start = np.datetime64("2024-01-01")
    rows = pd.DataFrame(
        {
            n: pd.DatetimeIndex(start + d).tz_localize("Europe/Berlin")
            for n, d in days.items()
        }
    )
    columns = tff.describe_columns(rows)
    assert [d.label for d in columns.differences] == ["last - first"]
    drawn = fitted(columns, rows).sample(500, seed=0)
    assert (drawn["first"] <= drawn["last"]).all()


def test_dates_are_predicted_from_the_date_before_them():
    hours = RNG.gamma(2.0, 30.0, COUNT)
    began = np.datetime64("2021-01-01T00:00:00") + RNG.integers(0, 10**7, COUNT)
    ended = began + (3600 * hours).astype("timedelta64[s]")
    rows = {"began": began, "ended": ended}
    columns = tff.describe_columns(rows)
    assert columns.differences[0].label == "ended - began"
    table = tff.TableDensity(columns, context=["began"], **TINY)
    table.fit(rows, epochs=1)
    predicted = table.predict(rows)
    ends = predicted.interval(0.5)
    assert ends.dtype.kind == "M"
    assert (ends[:, 0] >= began).all()
    np.testing.assert_allclose(predicted.cdf(ends[:, 1]), 0.75, atol=1e-3)
    np.testing.assert_allclose(predicted.log_prob(ended), table.log_prob(rows), atol=1e-4)


def test_sums_of_rounded_numbers_are_kept_and_close_numbers_are_no_sum():
    tax = RNG.gamma(3.0, 2.0, COUNT)
    gross = tax + RNG.gamma(9.0, 2.0, COUNT)
    rows = {"gross": gross, "tax": tax, "net": gross - tax}
    columns = tff.describe_columns(rows)
    assert [d.column.kind for d in columns.differences][:1] == ["constant"]
    table = fitted(columns, rows)
    assert np.isfinite(table.log_prob(rows)).all()
    start = 1.7e12 + np.arange(COUNT) * 37_000.0
    columns = tff.describe_columns({"start": start, "end": start + HIGH * 100.0})
    assert [d.column.kind for d in columns.differences] != ["constant"]


def test_parts_that_are_finer_than_their_sum_are_no_sum():
    """Draws of the parts would have other sums than the multiples of 25 that occur."""
    loan = 25.0 * RNG.integers(40, 1600, COUNT)
    paid = loan * RNG.random(COUNT)
    rows = {"loan": loan, "balance": loan - paid, "paid": paid}
    columns = tff.describe_columns(rows)
    assert (columns["loan"].step, columns.differences) == (25.0, [])
    table = fitted(columns, rows)
    assert np.isfinite(table.log_prob(table.sample(100, seed=0))).all()
    cents = {name: cells.round(2) for name, cells in rows.items()}
    assert tff.describe_columns(cents).differences == []


def test_a_column_may_have_the_name_of_a_difference():
    rows = {"high": HIGH, "low": LOW, "high - low": RNG.normal(size=COUNT)}
    assert tff.describe_columns(rows).differences == []


def test_chance_is_no_order():
    a, b = RNG.normal(size=(2, COUNT))
    rows = {"a": a, "far": b + 100.0, "b": np.where(b < a, b, b + 3.0)}
    assert tff.describe_columns(rows).differences == []


@pytest.fixture(scope="module")
def table():
    return fitted(tff.describe_columns(ROWS), ROWS, num_members=2)


def test_draws_and_densities_keep_them(table):
    drawn = table.sample(3000, seed=1)
    assert (drawn["low"] <= drawn["high"]).all()
    assert (drawn["start"] <= drawn["end"]).all()
    assert (drawn["low"] + drawn["high"] == drawn["total"]).all()
    assert np.isfinite(table.log_prob(drawn)).all()
    wrong = {name: cells.astype(float) for name, cells in ROWS.items()}
    changes = [("high", -20.0), ("total", 1.0), ("end", -30.0), ("end", 0.05)]
    for row, (name, step) in enumerate(changes):
        wrong[name][row] += step
    is_possible = np.isfinite(table.log_prob(wrong))
    np.testing.assert_array_equal(is_possible, np.arange(COUNT) >= len(changes))


def test_files_keep_them(table, tmp_path):
    table, again = saved_and_loaded(table, tmp_path / "table.keras")
    np.testing.assert_array_equal(again.log_prob(ROWS), table.log_prob(ROWS))


def test_missing_parts_follow_from_what_is_observed(table):
    rows = {name: cells[:40].astype(float) for name, cells in ROWS.items()}
    for i, lost in enumerate((["low"], ["high"], ["low", "high"], ["total"], ["start"])):
        for name in lost:
            rows[name][8 * i : 8 * i + 8] = np.nan
    filled = table.impute(rows, seed=0, num_candidates=256)
    for name, cells in rows.items():
        is_there = ~np.isnan(cells)
        np.testing.assert_array_equal(filled[name][is_there], cells[is_there])
    assert np.isfinite(table.log_prob(filled)).all()


@pytest.mark.parametrize(
    ("name", "rule", "cell"),
    [("high", "high - low", -2), ("total", "total - high - low", 4)],
)
def test_a_rule_that_no_missing_part_can_fulfil_is_not_found(name, rule, cell):
    first = np.arange(COUNT) == 0
    rows = {name: ROWS[name] for name in ["high", "low", "total", "other"]}
    rows |= {"low": np.where(first, np.nan, LOW), "high": np.where(first, 8, HIGH)}
    rows["total"] = np.where(first, 13, rows["total"])
    assert labels(rows) == {"high - low", "total - high - low"}
    rows[name] = np.where(first, cell, rows[name])
    assert rule not in labels(rows)
    columns = tff.describe_columns(rows)
    filled = fitted(columns, rows).impute(rows, seed=0, num_candidates=8)
    assert not np.isnan(filled["low"]).any()


@pytest.mark.slow
def test_a_missing_part_of_an_order_and_a_sum_follows_from_them():
    a, b = np.cumsum(np.exp(RNG.normal(size=(2, COUNT))), axis=0)
    rows = {"a": a, "b": b, "sum": a + b}
    columns = tff.describe_columns(rows)
    assert [d.column.name for d in columns.differences] == ["sum - a - b", "b - a"]
    table = fitted(columns, rows)
    lost = {name: cells[:20] for name, cells in rows.items()}
    lost["a"] = np.where(np.arange(20) < 9, np.nan, a[:20])
    filled = table.impute(lost, seed=0, num_candidates=4)
    np.testing.assert_allclose(filled["a"], a[:20], rtol=1e-10)
    lost["sum"] = lost["sum"] - 2.0 * b[:20] * (np.arange(20) == 5)
    with pytest.raises(ValueError, match="can occur; got .* in row 5"):
        table.impute(lost, seed=0, num_candidates=4)


def test_a_missing_part_of_a_sum_follows_from_it_despite_orders():
    low, *others = RNG.integers(0, 10_000, [3, 20])
    high, higher = low + others  # drawn before the lowest
    columns = [column(n, "integer", low=0.0) for n in ("high", "higher", "low", "total")]
    rest = [column(n, "integer", low=0.0) for n in ("high - low", "higher - low")]
    orders = [Difference(c.name.split()[0], ["low"], c) for c in rest]
    zero = column("total - all", "constant", values=[0.0])
    orders.append(Difference("total", ["high", "higher", "low"], zero))
    rows = {"high": high, "higher": higher, "low": low, "total": low + high + higher}
    table = fitted(TableColumns(columns, orders), rows)
    lost = rows | {"low": np.full(20, np.nan)}
    filled = table.impute(lost, seed=0, num_candidates=2)
    np.testing.assert_array_equal(filled["low"], low)


def table_of_counts(stddev, **options):
    """A table of two counts in order, with random weights."""
    columns = [column("a", "integer", low=0.0), column("b", "integer", low=0.0)]
    rest = column("b - a", "integer", low=0.0, spikes=[0.0])
    columns = TableColumns(columns, [Difference("b", ["a"], rest)])
    table = fitted(columns, {"a": LOW, "b": HIGH}, **options)
    randomize(table.distribution, stddev=stddev)
    return table


@pytest.mark.slow
def test_a_missing_part_has_its_conditional_distribution():
    table = table_of_counts(stddev=0.3)
    a = np.arange(9.0)
    joint = np.exp(table.log_prob({"a": a, "b": np.full(9, 8.0)}))
    count = 600
    lost = {"a": np.full(count, np.nan), "b": np.full(count, 8.0)}
    drawn = table.impute(lost, seed=1, num_candidates=400)["a"]
    found = np.mean(drawn[:, None] == a, axis=0)
    error = 5.0 * np.sqrt(0.25 / count)
    np.testing.assert_allclose(found, joint / joint.sum(), atol=error)


def test_total_probability_is_one():
    table = table_of_counts(stddev=0.1, num_members=2)
    pairs = np.array(list(itertools.product(range(70), repeat=2)))
    log_prob = table.log_prob({"a": pairs[:, 0], "b": pairs[:, 1]})
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-3)
    assert (np.isfinite(log_prob) == (pairs[:, 0] <= pairs[:, 1])).all()


def test_predictions_never_fall_below_the_given_column():
    columns = tff.describe_columns({"low": LOW, "high": HIGH})
    table = tff.TableDensity(columns, context=["low"], **TINY)
    table.fit({"low": LOW, "high": HIGH}, epochs=1, batch_size=512, calibration_split=0.3)
    given = {"low": [2, 6, 30]}
    predicted = table.predict(given)
    np.testing.assert_array_equal(predicted.cdf([1, 5, 29]), 0.0)
    ends = [predicted.interval(0.9), table.predict_interval(given, 0.9, conformal=True)]
    assert all((each >= np.array(given["low"])[:, None]).all() for each in ends)
    y = np.arange(0, 120)
    each = table.predict({"low": np.tile(given["low"], len(y))})
    probability = np.exp(each.log_prob(np.repeat(y, 3))).reshape(-1, 3)
    np.testing.assert_allclose(probability.sum(axis=0), 1.0, atol=1e-4)
    mean = np.sum(probability * y[:, None], axis=0)
    np.testing.assert_allclose(predicted.mean(), mean, rtol=1e-4)
    joint = table.log_prob({"low": [2, 6, 30], "high": [4, 6, 33]})
    np.testing.assert_allclose(predicted.log_prob([4, 6, 33]), joint, atol=1e-5)
    drawn = table.sample(seed=1, context={"low": LOW})
    assert (drawn["high"] >= LOW).all()


def with_end():
    columns = tff.describe_columns({"low": LOW, "high": HIGH})
    columns.change("high", high=40)
    tff.TableDensity(columns)


BAD_CALLS = [
    (with_end, "allow the difference 'high - low' | columns.drop('high - low')"),
    (
        lambda: TableColumns([column("a")], [Difference("a", ["b"], column("a - b"))]),
        "`differences` | of the columns ['a'] | ['b'] in 'a - b'",
    ),
    (
        lambda: two_columns(("a", "b"), ("b", "a")),
        "`differences` of columns that do not need each other | a - b - a",
    ),
    (lambda: two_columns(("a", "b"), ("a", "c")), "`differences`, one for each column"),
    (lambda: column_with(step=0.0), "`step` above 0 of column 'a'"),
    (lambda: column_with(kind="integer", step=0.5), "an integer `step`"),
    (
        lambda: column_with(kind="periodic", low=0, high=1, step=0.3),
        "`step` of the periodic column | that divides `high` - `low` | 0.3, 0 and 1",
    ),
]


def two_columns(*pairs):
    differences = [
        Difference(name, [part], column(f"{name} - {part}")) for name, part in pairs
    ]
    TableColumns([column(name) for name in "abc"], differences)


def column_with(kind="real", **entries):
    TableColumns([column("a", kind, **entries)])


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_squares_of_large_numbers_do_not_overflow(rng):
    small = rng.random(400)
    rows = {"a": 1e300 * small, "b": 1e300 * (small + rng.exponential(0.2, 400))}
    with np.errstate(over="raise"):
        columns = tff.describe_columns(rows)
    assert [difference.label for difference in columns.differences] == ["b - a"]


def check_sums(rows, **sums):
    """Draws and completions of rows keep sums: a name, and a function of the rows."""
    columns = tff.describe_columns(rows)
    assert {d.name for d in columns.differences} == set(sums)
    table = fitted(columns, rows)
    assert np.isfinite(table.log_prob(rows)).all()
    drawn = table.sample(1000, seed=0)
    is_lost = np.random.default_rng(0).random([60, rows.shape[1]]) < 0.4
    lost = rows[:60].astype(object).mask(is_lost)
    completed = table.impute(lost, seed=0, num_candidates=256)
    assert completed.notna().all(axis=None)
    for name, total in sums.items():
        for each in (drawn, completed):
            assert (each[name] == total(each)).all()
    assert list(drawn.dtypes) == list(rows.dtypes)


def test_sums_of_columns_with_few_values_are_kept():
    adults, kids = RNG.choice([1, 2, 3], COUNT), RNG.choice([0, 0, 1, 2, 5], COUNT)
    rows = pd.DataFrame({"guests": adults + kids, "adults": adults, "kids": kids})
    flags = RNG.random([3, COUNT]) < 0.4
    rows = rows.assign(count=flags.sum(axis=0), first=flags[0], second=flags[1] + 0)
    rows["third"] = flags[2]
    columns = tff.describe_columns(rows)
    assert [columns[n].kind for n in ("adults", "kids")] == ["ordered", "ordered"]
    assert columns["guests"].kind == columns["count"].kind == "integer"
    check_sums(
        rows,
        guests=lambda r: r["adults"] + r["kids"],
        count=lambda r: r[["first", "second", "third"]].astype(int).sum(axis=1),
    )
    either = {"a": flags[0] & ~flags[1], "b": flags[1], "either": flags[0] | flags[1]}
    assert tff.describe_columns(either).differences == []  # 1 + 1 is no boolean
    rare = {"a": adults, "b": np.arange(COUNT) < 2, "c": adults + (np.arange(COUNT) < 2)}
    assert "c" not in [d.name for d in tff.describe_columns(rare).differences]


def test_a_date_that_is_days_after_another_is_kept():
    start = np.datetime64("2022-01-01") + RNG.integers(0, 300, COUNT)
    nights = RNG.choice([1, 2, 3, 7, 14], COUNT)
    rows = pd.DataFrame({"end": start + nights, "nights": nights, "start": start})
    check_sums(
        rows,
        end=lambda r: (
            pd.to_datetime(r["start"]) + pd.to_timedelta(r["nights"].astype(int), "D")
        ),
    )
    hours = RNG.random(COUNT)
    rows = pd.DataFrame({"start": start.astype("M8[s]"), "days": hours})
    rows["end"] = rows["start"] + pd.to_timedelta(hours + 1e-3, "D")
    labels = [d.label for d in tff.describe_columns(rows).differences]
    assert "end - start - days" not in labels
