"""A table with a column of every kind: rows in, rows out, saved, imputed, refused."""

import copy
import pickle

import numpy as np
import pytest

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

TINY = {"num_members": 2, "num_bins": 4, "hidden_units": (8,), "seed": 0}
_COUNT = 120


def frame(seed=0):
    """Rows with missing cells in two columns."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01", "ns")
    kind = rng.choice(["a", "b", "c"], _COUNT).astype(object)
    kind[:9] = None
    score = rng.normal(size=_COUNT)
    score[5:15] = np.nan
    return {
        "kind": kind,
        "flag": rng.random(_COUNT) < 0.5,
        "income": np.where(rng.random(_COUNT) < 0.3, 0.0, np.exp(rng.normal(size=_COUNT))),
        "hour": rng.uniform(0.0, 24.0, _COUNT),
        "share": rng.random(_COUNT),
        "count": rng.poisson(20.0, _COUNT),
        "grade": rng.integers(3, 9, _COUNT),
        "day": start + rng.integers(0, 10**15, _COUNT).astype("timedelta64[ns]"),
        "unit": np.full(_COUNT, 7),
        "score": score,
    }


def columns(rows):
    described = tff.describe_columns(rows)
    described.change("hour", kind="periodic", low=0, high=24)
    return described


@pytest.fixture(scope="module")
def fitted():
    rows = frame()
    table = tff.TableDensity(columns(rows), missing="indicator", **TINY)
    history = table.fit(rows, epochs=3, learning_rate=0.01)
    assert history.history["loss"][-1] < history.history["loss"][0]
    return table, rows


def test_samples_have_the_forms_and_the_supports_of_the_columns(fitted):
    table, rows = fitted
    drawn = table.sample(300, seed=1)
    assert list(drawn) == list(rows)
    for name, column in drawn.items():
        assert column.shape == (300,)
        expected = "O" if name == "kind" else rows[name].dtype.kind
        assert column.dtype.kind == expected, name
    assert set(drawn["kind"]) == {"a", "b", "c", None}
    assert (drawn["unit"] == 7).all()
    assert 0.0 < np.mean(drawn["income"] == 0.0) < 0.7
    assert (drawn["income"] >= 0.0).all()
    assert ((drawn["hour"] >= 0.0) & (drawn["hour"] < 24.0)).all()
    assert set(drawn["grade"]) <= set(range(3, 9))
    assert 0 < np.isnan(drawn["score"]).sum() < 150
    # Each can occur, by its own density.
    assert np.isfinite(table.log_prob(drawn)).all()
    again = table.sample(300, seed=1)
    for name, column in drawn.items():
        np.testing.assert_array_equal(again[name].astype(str), column.astype(str))


def _missing(column):
    return np.array([value is None or value != value for value in column], bool)


def test_files_and_copies_hold_the_table(fitted, tmp_path):
    table, rows = fitted
    table.save(tmp_path / "table.keras")
    loaded = tff.TableDensity.load(tmp_path / "table.keras")
    np.testing.assert_array_equal(loaded.log_prob(rows), table.log_prob(rows))
    assert str(loaded.columns) == str(table.columns)
    drawn, same = (t.sample(20, seed=3) for t in (table, loaded))
    for name in drawn:
        np.testing.assert_array_equal(drawn[name].astype(str), same[name].astype(str))
    for twin in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        np.testing.assert_array_equal(twin.log_prob(rows), table.log_prob(rows))
    made = tff.CategoricalMADE([2], hidden_units=(4,))
    tff.DensityEstimator(made).save(tmp_path / "made.keras")
    with pytest.raises(ValueError, match="file of a `TableDensity`.*made.keras"):
        tff.TableDensity.load(tmp_path / "made.keras")


def test_missing_cells_are_imputed_and_others_kept(fitted):
    table, rows = fitted
    completed = table.impute(rows, seed=1)
    assert not any(_missing(column).any() for column in completed.values())
    for name, column in rows.items():
        there = ~_missing(column)
        np.testing.assert_allclose(
            completed[name][there].astype(float) if name == "hour" else 0.0,
            column[there].astype(float) if name == "hour" else 0.0,
        )
        if name not in ("hour", "day"):
            assert (completed[name][there] == column[there]).all(), name
    assert set(completed["kind"][:9]) <= {"a", "b", "c"}


def test_what_is_absent_does_not_matter(fitted):
    table, rows = fitted
    x, context = table.encode(rows)
    other = np.array(x)
    cell = table._rows.cells_of_column("score")
    absent = other[:, cell[0]] == 1.0
    assert absent.sum() == 10
    other[absent, cell[1]] = 1e6
    np.testing.assert_array_equal(
        table.distribution.log_prob(other), table.distribution.log_prob(x)
    )
    assert context.shape == (_COUNT, 0)


def test_missing_cells_are_refused_with_column_and_count():
    rows = frame()
    table = tff.TableDensity(columns(rows), **TINY)
    with pytest.raises(ValueError, match=r"\{'kind': 9, 'score': 10\}.*'indicator'"):
        table.fit(rows)


def test_unknown_categories_columns_and_types_are_refused_by_name(fitted):
    table, rows = fitted
    other = {**rows, "kind": np.where(np.arange(_COUNT) == 17, "d", rows["kind"])}
    with pytest.raises(
        ValueError, match=r"\['a', 'b', 'c'\] in column 'kind'; got 'd' in row 17"
    ):
        table.log_prob(other)
    with pytest.raises(ValueError, match=r"lacks \['income'\]"):
        table.log_prob({name: c for name, c in rows.items() if name != "income"})
    with pytest.raises(
        ValueError, match="number in each cell of the integer column 'count'"
    ):
        table.log_prob({**rows, "count": rows["kind"]})


def test_a_structured_array_and_a_matrix_come_back_as_such():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 2))
    structured = np.rec.fromarrays(matrix.T, names="a,b")
    for rows in (matrix, structured):
        table = tff.TableDensity(tff.describe_columns(rows), **TINY)
        table.fit(rows, epochs=1)
        drawn = table.sample(3, seed=0)
        assert drawn.dtype == rows.dtype
        assert drawn.shape == (3, 2) if rows is matrix else drawn.dtype.names == ("a", "b")
        assert table.log_prob(drawn).shape == (3,)


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    rows = pandas.DataFrame(frame())
    rows["flag"] = rows["flag"].astype("boolean")
    rows["count"] = rows["count"].astype("Int64")
    table = tff.TableDensity(columns(rows), missing="indicator", **TINY)
    table.fit(rows, epochs=1)
    drawn = table.sample(10, seed=0)
    assert list(drawn.columns) == list(rows.columns)
    assert len(table.log_prob(drawn)) == 10
    assert not table.impute(rows, seed=1).isna().any().any()


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1])
def test_rare_categories_and_missing_cells_are_drawn_at_their_rates(rate):
    rng = np.random.default_rng(1)
    is_rare = np.arange(400) < 400 * rate
    kinds = rng.choice(["a", "b"], 400)
    rows = {
        "kind": rng.permutation(np.where(is_rare, "rare", kinds)),
        "size": rng.permutation(np.where(is_rare, np.nan, rng.normal(size=400))),
    }
    table = tff.TableDensity(
        tff.describe_columns(rows), missing="indicator", num_members=2, seed=0
    )
    table.fit(rows, epochs=3)  # early stopping may come as soon
    drawn = table.sample(10_000, seed=1)
    found = np.mean(drawn["kind"] == "rare"), np.mean(np.isnan(drawn["size"]))
    deviation = np.sqrt(rate * (1.0 - rate) / 400)
    np.testing.assert_allclose(found, rate, atol=2.0 * deviation + 0.005)
