"""Values in an order of their own: of pandas's ordered categories, and of texts."""

import numpy as np
import pytest

import tfp_flows as tff
from tfp_flows.tables.codec import RowCodec
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.prediction import OrderedValues

pytestmark = pytest.mark.usefixtures("all_op_by_op")

pandas = pytest.importorskip("pandas")

TINY = {"num_members": 2, "num_bins": 4, "hidden_units": (8,), "seed": 0}
SIZES = ["low", "mid", "high", "huge"]  # the alphabet has another order; one never occurs
_COUNT = 60


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


def fitted(context, name):
    rows = frame()
    modelled = [*context, name] if name else rows.columns
    columns = tff.describe_columns(rows).select(modelled)
    table = tff.TableDensity(columns, context=context, missing="indicator", **TINY)
    table.fit(rows, epochs=1, batch_size=_COUNT)
    return table


@pytest.fixture(scope="module")
def sizes():
    """The distribution of sizes given the others."""
    return fitted(["x", "grade"], "size")


def test_the_order_of_a_pandas_dtype_is_proposed():
    columns = tff.describe_columns(frame())
    assert [c.kind for c in columns] == ["real", "ordered", "ordered", "categorical"]
    assert columns["size"].reason == "the order of its pandas dtype"
    assert [columns[name].values for name in ("size", "grade")] == [SIZES, [3, 1, 2]]
    same = tff.describe_columns({"size": frame()["size"], "x": frame()["x"]})
    assert (same["size"].kind, same["size"].values) == ("ordered", SIZES)
    assert tff.tables.TableColumns.from_plain(columns.to_plain())["size"].values == SIZES


def test_cells_are_places_and_come_back_as_they_were():
    rows = frame()
    columns = tff.describe_columns(rows)
    codec = RowCodec(columns, "indicator", "frame")
    x, possible = codec.encode(Frame(rows))
    assert possible.all()
    place = codec.cells_of_column("size")[1]
    is_there = rows["size"].notna()
    assert (x[is_there, place] == rows["size"].cat.codes[is_there]).all()
    back = Frame(rows).form.written(codec.decode(x))
    pandas.testing.assert_frame_equal(back, rows)
    with pytest.raises(ValueError, match=r"\['low'.*in column 'size'; got 'big' in row 0"):
        codec.encode(Frame(rows.assign(size="big")))


def test_places_in_an_order():
    texts, numbers = OrderedValues("a", SIZES), OrderedValues("a", [3, 1, 2])
    rising = OrderedValues("a", [1.0, 2.5, 7.0])
    assert texts.places(np.array(["mid", "huge"])).tolist() == [1.0, 3.0]
    assert numbers.places(np.array([1.0, 5.0])).tolist() == [1.0, -1.0]
    assert numbers.places_up_to(np.array([2, 3])).tolist() == [2.0, 0.0]
    found = rising.places_up_to(np.array([0.0, 2.5, 6.9, np.nan]))
    np.testing.assert_array_equal(found, [-1.0, 1.0, 1.0, np.nan])
    assert texts.at(np.array([2.0, 0.0])).tolist() == ["high", "low"]
    for values, y in ((texts, np.array(["big"])), (numbers, np.array([1.5]))):
        with pytest.raises(
            ValueError, match=r"`y` of the values \[.*of 'a'; got .* in row 0"
        ):
            values.places_up_to(y)


@pytest.mark.slow
def test_samples_and_files_keep_levels_and_order(sizes, tmp_path):
    rows, table = frame(), fitted([], None)
    table.save(tmp_path / "table.keras")
    for each in (table, tff.TableDensity.load(tmp_path / "table.keras")):
        drawn = each.sample(30, seed=1)
        assert (drawn.dtypes == rows.dtypes).all()
        assert np.isfinite(each.log_prob(drawn)).all()
    completed = table.impute(rows, seed=2)
    assert completed["size"].dtype == rows["size"].dtype
    assert (completed["size"] == rows["size"])[rows["size"].notna()].all()
    assert not completed["size"].isna().any()
    given = rows[["x", "grade"]].head(4)
    drawn = sizes.sample(seed=3, context=given)
    assert (drawn.dtypes == rows.dtypes[["x", "grade", "size"]]).all()
    assert (drawn["grade"] == given["grade"]).all()
    # Texts in another order, or without one, are the same values.
    texts = rows.astype({"size": object})
    np.testing.assert_array_equal(table.log_prob(texts), table.log_prob(rows))


@pytest.mark.slow
def test_levels_are_predicted_in_their_order(sizes):
    prediction = sizes.predict({"x": [-1.0, 0.5, 2.0], "grade": [1, 2, 3]})
    probabilities = prediction.probabilities()
    up_to = np.cumsum(probabilities, axis=1)
    y = np.array(["mid", "low", "high"])
    place = np.array([1, 0, 2])
    np.testing.assert_allclose(prediction.cdf(y), up_to[np.arange(3), place], atol=1e-5)
    scores = np.sum((up_to - (np.arange(4) >= place[:, None])) ** 2, axis=1)
    np.testing.assert_allclose(prediction.crps(y), scores, atol=1e-5)
    levels = np.array([0.05, 0.6, 0.95])
    least = np.argmax(up_to[:, None] >= levels[:, None], axis=2)
    np.testing.assert_array_equal(prediction.quantile(levels), np.array(SIZES)[least])
    ends = np.array(SIZES)[least[:, [0, 2]]]
    np.testing.assert_array_equal(prediction.interval(0.9), ends)
    assert list(prediction.mode()) == list(np.array(SIZES)[probabilities.argmax(axis=1)])
    log_prob = prediction.log_prob(pandas.Categorical(y, SIZES, ordered=True))
    np.testing.assert_allclose(np.exp(log_prob), probabilities[np.arange(3), place], 1e-5)
    for method in (prediction.mean, prediction.stddev):
        with pytest.raises(ValueError, match="numbers for.*'size' are texts"):
            method()
    with pytest.raises(ValueError, match=r"`y` of the values \['low'.*got 'big' in row 0"):
        prediction.cdf("big")


@pytest.mark.slow
def test_numbers_in_an_order_of_their_own():
    prediction = fitted(["x", "size"], "grade").predict(frame().head(3))
    probabilities = prediction.probabilities()  # of 3, 1 and 2
    np.testing.assert_allclose(prediction.cdf(1), probabilities[:, :2].sum(axis=1), 1e-5)
    np.testing.assert_allclose(prediction.mean(), probabilities @ [3.0, 1.0, 2.0], 1e-5)
    assert (prediction.log_prob(5) == -np.inf).all()
    with pytest.raises(ValueError, match=r"values \[3, 1, 2\] of 'grade'; got 1.5"):
        prediction.cdf(1.5)


def test_texts_have_no_order_unless_it_is_given():
    columns = tff.describe_columns({"size": SIZES * 5})
    with pytest.raises(ValueError, match=r"`values` of the ordered column 'size'.*order"):
        columns.change("size", kind="ordered")
    columns.change("size", kind="ordered", values=SIZES)
    assert columns["size"].values == SIZES
    intervals = pandas.DataFrame({"a": pandas.cut([1.0, 2.0, 5.0], 2)})
    with pytest.raises(ValueError, match="texts in column 'a'; got Interval"):
        tff.describe_columns(intervals)
