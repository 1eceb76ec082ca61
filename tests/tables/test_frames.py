"""Frames come back as they came: index, order and labels of columns, dtypes, resolution."""

import datetime
import json
import types

import dateutil.tz
import numpy as np
import pandas
import pytest
import tensorflow as tf
from small_tables import fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables.cells import cells_of
from tfp_flows.tables.frames import Form, Frame

pytestmark = pytest.mark.usefixtures("all_op_by_op")

_COUNT = 60
_DAYS = np.datetime64("2024-03-01", "ns") + np.arange(90) * np.timedelta64(1, "D")


def frame():
    """Columns of many dtypes, with missing cells, under an index of two levels."""
    rng = np.random.default_rng(0)

    def holes(values):
        return np.where(rng.random(_COUNT) < 0.2, None, values)

    days = pandas.Series(rng.choice(_DAYS, _COUNT))
    minutes = pandas.to_timedelta(rng.integers(0, 1440, _COUNT), unit="min")
    whole = rng.integers(0, 40, _COUNT)
    rows = pandas.DataFrame(
        {
            "count": pandas.array(holes(whole), dtype="Int64"),
            "byte": whole.astype("uint8"),
            "single": rng.normal(size=_COUNT).astype("float32"),
            "double": pandas.array(holes(rng.normal(size=_COUNT)), dtype="Float64"),
            # Midnights of Berlin, on both sides of a change of clocks, are none of UTC.
            "zoned": days.dt.tz_localize("Europe/Berlin").where(rng.random(_COUNT) > 0.2),
            "day": days.astype("datetime64[s]"),
            "minute": days + minutes,
            "date": pandas.Series(list(days.dt.date), dtype=object),
            "kind": pandas.Categorical(rng.choice(["u", "v"], _COUNT), ["-", "v", "u"]),
            "route": pandas.Categorical(rng.choice([3, 7], _COUNT), [7, 5, 3]),
            "band": pandas.cut(rng.normal(size=_COUNT), [-9.0, -0.5, 0.5, 9.0]),
            "span": pandas.cut(days, 2).where(rng.random(_COUNT) > 0.2),
            "month": days.dt.to_period("M").astype("category"),
            "start": pandas.Categorical(rng.choice(_DAYS[:2], _COUNT), _DAYS[:3]),
            "flag": pandas.array(holes(rng.random(_COUNT) < 0.5), dtype="boolean"),
            "text": pandas.array(holes(rng.choice(["x", "y"], _COUNT)), dtype="string"),
            "object": pandas.Series(holes(rng.choice(["p", "q"], _COUNT)), dtype=object),
            7: np.round(10.0 * rng.normal(size=_COUNT)),
            "name": [f"row {i}" for i in range(_COUNT)],
        }
    )
    rows.index = pandas.MultiIndex.from_arrays(
        [rng.integers(0, 2, _COUNT), rng.permutation(_COUNT) // 3], names=["a", "b"]
    )
    return rows


ROWS = frame()


@pytest.fixture(scope="module")
def table(all_op_by_op):
    columns = tff.describe_columns(ROWS)
    columns.drop("name")
    return fitted(columns, ROWS)


def test_completed_rows_differ_in_missing_cells_only(table):
    rows = ROWS[ROWS.columns[::-1]].sample(frac=1.0, random_state=1)
    before = rows.copy()
    completed = table.impute(rows, seed=1, num_candidates=32)
    assert not completed.isna().any().any()
    assert np.isfinite(table.log_prob(completed)).all()
    pandas.testing.assert_frame_equal(
        completed.where(rows.notna()), rows.where(rows.notna())
    )
    assert completed.index.equals(rows.index)
    assert (completed.dtypes == rows.dtypes).all()
    assert list(completed.columns) == list(rows.columns)
    pandas.testing.assert_frame_equal(rows, before)
    zoned = completed["zoned"].dt.tz_localize(None)
    assert (zoned.dt.normalize() == zoned).all()


def test_samples_have_the_dtypes_and_the_resolution_also_from_a_file(table, tmp_path):
    for each in saved_and_loaded(table, tmp_path / "table.keras"):
        drawn = each.sample(50, seed=1)
        pandas.testing.assert_series_equal(drawn.dtypes, ROWS.dtypes.drop("name"))
        assert np.isfinite(each.log_prob(drawn)).all()
        for name in ("zoned", "day"):
            days = drawn[name].dropna().dt.tz_localize(None)
            assert (days.dt.normalize() == days).all(), name
        assert (drawn["minute"].dt.second == 0).all()
        assert drawn["minute"].dt.minute.nunique() > 5
        assert {type(day) for day in drawn["date"]} == {datetime.date}


def test_rows_given_a_context_have_its_index_and_dtypes():
    columns = tff.describe_columns(ROWS).select(["kind", "zoned", "single"])
    table = fitted(columns, ROWS, context=["kind", "zoned"])
    given = ROWS[["zoned", "kind"]].iloc[5:12]
    drawn = table.sample(seed=1, context=given)
    for name in given:
        pandas.testing.assert_series_equal(drawn[name], given[name])
    assert list(drawn.columns) == ["kind", "zoned", "single"]
    assert drawn["single"].dtype == np.float32


def test_arrays_and_dictionaries_keep_order_and_dtypes():
    rng = np.random.default_rng(0)
    a = rng.normal(size=_COUNT).astype("float32")
    a[:5] = np.nan
    day = rng.choice(_DAYS, _COUNT).astype("datetime64[D]")
    rows = {"note": ["n"] * _COUNT, "day": day, "a": a}
    columns = tff.describe_columns(rows)
    columns.drop("note")
    table = fitted(columns, rows)
    completed, drawn = table.impute(rows, seed=0), table.sample(9, seed=0)
    assert list(completed) == list(rows)
    assert completed["note"] is rows["note"]
    for answer in (completed, drawn):
        assert [answer[n].dtype for n in ("day", "a")] == [day.dtype, a.dtype]
    np.testing.assert_array_equal(completed["a"][5:], a[5:])
    for rows in (
        np.rec.fromarrays([day, a]).view([("day", day.dtype), ("a", a.dtype)], np.ndarray),
        np.stack([a, np.nan_to_num(a)], axis=1),
    ):
        table = fitted(tff.describe_columns(rows), rows)
        completed, drawn = table.impute(rows, seed=0), table.sample(9, seed=0)
        assert (completed.dtype, completed.shape) == (rows.dtype, rows.shape)
        assert (type(drawn), drawn.dtype) == (np.ndarray, rows.dtype)
        assert (completed[5:] == rows[5:]).all()
        assert table.log_prob(drawn).shape == (9,)


def test_labels_of_several_levels_stay_so():
    rows = pandas.DataFrame({("size", "x"): [0.5, 1.5], ("size", "y"): [2.5, 0.5]})
    for names in ([None, None], ["what", 7]):
        rows.columns.names = names
        form = Frame(rows).form
        for each in (form, Form.from_plain(json.loads(json.dumps(form.to_plain())))):
            written = each.written({str(label): np.zeros(3) for label in rows})
            pandas.testing.assert_index_equal(written.columns, rows.columns)


def test_labels_that_are_dates_and_tensors_come_from_a_file(tmp_path):
    x = np.random.default_rng(0).normal(size=(_COUNT, 2))
    dated = pandas.DataFrame(x, columns=pandas.date_range("2024-03-01", periods=2))
    tensors = {"a": tf.constant(x[:, 0], tf.float32), "n": tf.range(_COUNT) % 13}
    for rows, names in (
        (dated, ["2024-03-01 00:00:00", "2024-03-02 00:00:00"]),
        (tensors, ["a", "n"]),
    ):
        table = fitted(tff.describe_columns(rows), rows)
        _, again = saved_and_loaded(table, tmp_path / "table.keras")
        assert list(again.sample(3, seed=0)) == names
        assert list(table.sample(3, seed=0)) == list(rows)
    drawn = again.sample(3, seed=0)
    assert [drawn[name].dtype for name in names] == [np.float32, np.int32]


def test_zones_without_a_name_that_pandas_knows_come_from_a_file_as_utc(tmp_path):
    zone = dateutil.tz.gettz("Europe/Berlin")
    days = pandas.date_range("2024-01-01", periods=60, freq="37min", tz=zone)
    rows = pandas.DataFrame({"day": days, "x": np.arange(60.0) ** 1.5})
    table = fitted(tff.describe_columns(rows), rows)
    both = table, loaded = saved_and_loaded(table, tmp_path / "table.keras")
    drawn, again = (each.sample(20, seed=0)["day"] for each in both)
    assert (str(again.dt.tz), (again == drawn).all()) == ("UTC", True)
    np.testing.assert_array_equal(loaded.log_prob(rows), table.log_prob(rows))


def test_frames_of_other_libraries_are_refused_since_arrays_lose_their_names():
    class Other:
        columns, dtypes, to_pandas = ["a"], ["f8"], None

        def __array__(self, dtype=None, copy=None):
            return np.ones([60, 1], dtype)

    with pytest.raises(
        ValueError, match=r"`frame` of pandas; got Other of .*to_pandas\(\)"
    ):
        tff.describe_columns(Other())


def test_columns_of_other_libraries_may_have_categories():
    class Column(list):
        """As a Polars series, whose categories are no index of pandas."""

        dtype = types.SimpleNamespace(categories=["p", "q"])

    cells = ["p", None, "q"] * 20
    columns = tff.describe_columns({"a": np.arange(60.0), "b": Column(cells)})
    assert (columns["b"].values, columns["b"].num_missing) == (["p", "q"], 20)


def test_days_of_arrow_may_be_missing():
    arrow = pytest.importorskip("pyarrow")
    days = pandas.Series(_DAYS[:60]).dt.date.where(np.arange(60) % 7 > 0, None)
    days = pandas.array(days, dtype=pandas.ArrowDtype(arrow.date32()))
    column = tff.describe_columns(pandas.DataFrame({"day": days}))["day"]
    assert (column.kind, column.step, column.num_missing) == ("date", 1.0, 9)


def test_dates_of_arrow_come_back():
    arrow = pytest.importorskip("pyarrow")
    days, zone = pandas.Series(_DAYS[:40]), "Europe/Berlin"
    zoned = days.dt.tz_localize(zone)  # on both sides of a change of clocks
    rows = {
        "day": (days.dt.date, arrow.date32()),
        "zoned": (zoned, arrow.timestamp("us", tz=zone)),
        "minute": (days + pandas.Timedelta("7min"), arrow.timestamp("ms")),
    }
    rows = pandas.DataFrame(
        {n: pandas.array(c, dtype=pandas.ArrowDtype(d)) for n, (c, d) in rows.items()}
    )
    read = Frame(rows)
    near = {
        name: cells_of(name, column).values + np.timedelta64(17, "s")
        for name, column in read.columns.items()
    }
    pandas.testing.assert_frame_equal(read.form.written(near), rows)
    pandas.testing.assert_frame_equal(
        read.replaced(near, dict.fromkeys(near, near["day"] > _DAYS[3])), rows
    )


def test_an_index_of_zoned_dates_comes_back_as_an_array():
    days = pandas.DatetimeIndex(_DAYS).tz_localize("Europe/Berlin")
    for column in (days, days.array):
        read = Frame({"day": column})
        near = {
            "day": cells_of("day", read.columns["day"]).values + np.timedelta64(17, "s")
        }
        where = {"day": _DAYS > _DAYS[3]}
        for answer in (read.form.written(near), read.replaced(near, where)):
            pandas.testing.assert_index_equal(
                pandas.Index(answer["day"]), days, exact=False
            )


def test_cells_that_no_array_holds_are_refused_or_missing():
    far = np.array(["2024-01-01", "9999-12-31"], "datetime64[D]")
    zone = datetime.timezone(datetime.timedelta(hours=5))
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=zone)
    for cells, words in (
        (far, "dates from 1677-09-22 to 2262-04-11 in column 'a'"),
        (pandas.Series(far.astype("datetime64[s]")), "dates from 1677-09-22"),
        (np.array(list(far.tolist()), object), "dates from 1677-09-22"),
        (np.array([noon, noon], object), "without a time zone in column 'a'"),
        (np.array([datetime.time(1), datetime.time(2)], object), "texts in column 'a'"),
        (pandas.to_timedelta([1, 2], "h"), r"Divide times by a unit"),
        (np.array([None, datetime.timedelta(1)], object), "Divide times by a unit"),
        ([*np.array([1, 2], "m8[s]"), np.timedelta64(1, "m")], "Divide times by a unit"),
        (np.array([None, np.complex64(1j)], object), "numbers, booleans, dates or texts"),
        (pandas.period_range("2024-01", periods=3, freq="M"), "astype.'category'"),
        (pandas.interval_range(0, 3), "astype.'category'"),
        (pandas.Series([np.zeros(2), np.ones(2)]), r"in column 'a'; got array"),
        (np.array([10**400, 1], object), "numbers within 1.8e"),
        ([1, "b", 2], "one type in column 'a'"),
    ):
        with pytest.raises(ValueError, match=words):
            tff.describe_columns({"a": cells})
    texts = ["x", np.nan, "y"] * 20
    masked = np.ma.masked_less(np.arange(60.0) - 5.0, 0.0)
    columns = tff.describe_columns({"text": texts, "masked": masked})
    assert [c.num_missing for c in columns] == [20, 5]
    assert columns["text"].values == ["x", "y"]


def test_small_floats_stay_finite_and_inside_of_open_ends():
    rng = np.random.default_rng(0)
    rows = {
        "wide": np.exp(6.0 + 2.0 * rng.normal(size=200)).clip(1.0, 6e4).astype("float16"),
        "share": (1.0 - 1e-7 * rng.gamma(2.0, size=200))
        .astype("float32")
        .clip(0.5, 1 - 1e-7),
    }
    table = fitted(tff.describe_columns(rows, as_recorded=False), rows)
    drawn = table.sample(2_000, seed=0)
    assert all(np.isfinite(column).all() for column in drawn.values())
    assert (drawn["share"].dtype, drawn["share"].max() < 1.0) == (np.float32, True)


def test_dates_without_a_zone_are_in_utc_beside_others():
    zoned = pandas.date_range("2024-03-30", periods=60, freq="37min", tz="Europe/Berlin")
    rows = pandas.DataFrame({"time": zoned, "x": np.arange(60.0) ** 1.5})
    table = tff.TableDensity(tff.describe_columns(rows, as_recorded=False))
    naive = rows.assign(time=zoned.tz_convert("UTC").tz_localize(None))
    np.testing.assert_array_equal(table.encode(naive)[0], table.encode(rows)[0])


def test_a_constant_date_is_kept():
    rows = {"day": np.full(60, np.datetime64("2024-01-01")), "x": np.arange(60.0) ** 1.5}
    table = fitted(tff.describe_columns(rows), rows)
    assert (table.sample(3, seed=0)["day"] == rows["day"][0]).all()


def test_rows_to_be_completed_that_cannot_occur_are_refused():
    a = np.exp(np.random.default_rng(0).normal(size=_COUNT))
    rows = {"a": a, "b": np.where(np.arange(_COUNT) < 3, np.nan, a - 1.0)}
    table = fitted(tff.describe_columns(rows), rows)
    rows["a"][2] = -4.0
    with pytest.raises(ValueError, match=r"can occur; got -4.0 in the positive column 'a'"):
        table.impute(rows)
