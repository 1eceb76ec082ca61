"""Ordered values: pandas's ordered categories, and texts with a given order."""

import numpy as np
import pandas
import pytest
from small_tables import fitted, saved_and_loaded

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

SIZES = ["low", "mid", "high", "huge"]  # not in alphabetical order; "huge" never occurs
_COUNT = 60
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=_COUNT)
    place = np.clip(np.round(x + 1.0), 0, 2).astype(int)
    size = pandas.Categorical(np.array(SIZES)[place], SIZES, ordered=True)
    grade = pandas.Categorical(rng.choice([1, 2, 3], _COUNT), [3, 1, 2], ordered=True)
    route = pandas.Categorical(rng.choice([4, 8], _COUNT))
    rows = pandas.DataFrame({"x": x, "size": size, "grade": grade, "route": route})
    rows.loc[3, "size"] = None
    return rows


ROWS = frame()


def table_of(names, **options):
    return fitted(tff.describe_columns(ROWS).select(names), ROWS, **options)


def test_the_order_of_a_pandas_dtype_is_proposed():
    columns = tff.describe_columns(ROWS)
    assert [c.kind for c in columns] == ["real", "ordered", "ordered", "categorical"]
    assert columns["size"].reason == "the order of its pandas dtype"
    assert [columns[name].values for name in ("size", "grade")] == [SIZES, [3, 1, 2]]
    (same,) = tff.describe_columns({"size": ROWS["size"]})
    assert (same.kind, same.values) == ("ordered", SIZES)
    assert tff.tables.TableColumns.from_plain(columns.to_plain())["size"].values == SIZES


def test_texts_have_no_order_unless_it_is_given():
    columns = tff.describe_columns({"size": SIZES * 5})
    with pytest.raises(ValueError, match=r"`values` of the ordered column 'size'.*order"):
        columns.change("size", kind="ordered")
    columns.change("size", kind="ordered", values=SIZES)
    assert columns["size"].values == SIZES
    (band,) = tff.describe_columns({"a": pandas.cut([1.0, 2.0, 5.0], 2)})
    assert (band.kind, len(band.values)) == ("ordered", 2)
    intervals = pandas.DataFrame({"a": pandas.interval_range(0, 3)})
    with pytest.raises(ValueError, match="texts in column 'a'; got Interval"):
        tff.describe_columns(intervals)


@pytest.mark.slow
def test_samples_and_files_keep_levels_and_order(tmp_path):
    table = table_of(list(ROWS), num_members=2)
    for each in saved_and_loaded(table, tmp_path / "table.keras"):
        drawn = each.sample(30, seed=1)
        assert (drawn.dtypes == ROWS.dtypes).all()
        assert np.isfinite(each.log_prob(drawn)).all()
    completed = table.impute(ROWS, seed=2)["size"]
    assert completed.dtype == ROWS["size"].dtype
    assert (completed == ROWS["size"])[ROWS["size"].notna()].all()
    assert not completed.isna().any()
    # Plain texts are the same values.
    texts = ROWS.astype({"size": object})
    np.testing.assert_array_equal(table.log_prob(texts), table.log_prob(ROWS))


@pytest.mark.slow
def test_levels_are_predicted_in_their_order():
    table = table_of(["x", "grade", "size"], context=["x", "grade"], num_members=2)
    given = ROWS[["x", "grade"]].head(4)
    drawn = table.sample(seed=3, context=given)
    assert (drawn.dtypes == ROWS.dtypes[["x", "grade", "size"]]).all()
    assert (drawn["grade"] == given["grade"]).all()

    prediction = table.predict({"x": [-1.0, 0.5, 2.0], "grade": [1, 2, 3]})
    probabilities = prediction.probabilities()
    up_to = np.cumsum(probabilities, axis=1)
    y, place = np.array(["mid", "low", "high"]), np.array([1, 0, 2])
    np.testing.assert_allclose(prediction.cdf(y), up_to[range(3), place], **CLOSE)
    scores = np.sum((up_to - (np.arange(4) >= place[:, None])) ** 2, axis=1)
    np.testing.assert_allclose(prediction.crps(y), scores, **CLOSE)
    levels = np.array([0.05, 0.6, 0.95])
    least = np.argmax(up_to[:, None] >= levels[:, None], axis=2)
    np.testing.assert_array_equal(prediction.quantile(levels), np.array(SIZES)[least])
    ends = np.array(SIZES)[least[:, [0, 2]]]
    np.testing.assert_array_equal(prediction.interval(0.9), ends)
    assert list(prediction.mode()) == list(np.array(SIZES)[probabilities.argmax(axis=1)])
    log_prob = prediction.log_prob(pandas.Categorical(y, SIZES, ordered=True))
    np.testing.assert_allclose(np.exp(log_prob), probabilities[range(3), place], **CLOSE)
    for method in (prediction.mean, prediction.stddev):
        with pytest.raises(ValueError, match="numbers for.*'size' are texts"):
            method()
