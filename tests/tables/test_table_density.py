"""A table with a column of every kind: rows in, rows out, saved, imputed, refused."""

import copy
import pickle

import numpy as np
import pytest
from small_tables import TINY, check_equal, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import networks

pytestmark = pytest.mark.usefixtures("all_op_by_op")

_COUNT = 120


def frame():
    """Rows with missing cells in two columns."""
    rng = np.random.default_rng(0)
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


ROWS = frame()


@pytest.fixture(scope="module")
def table(all_op_by_op):
    columns = tff.describe_columns(ROWS)
    columns.change("hour", kind="periodic", low=0, high=24)
    return fitted(columns, ROWS)


def test_samples_have_the_forms_and_the_supports_of_the_columns(table):
    drawn = table.sample(300, seed=1)
    assert list(drawn) == list(ROWS)
    for name, column in drawn.items():
        assert column.shape == (300,)
        expected = "O" if name == "kind" else ROWS[name].dtype.kind
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


def test_a_context_of_constant_columns_has_a_draw_for_each_row():
    rows = {"unit": np.full(40, 7.0), "score": ROWS["score"][20:60]}
    table = fitted(tff.describe_columns(rows), rows, context=["unit"])
    drawn = table.sample(context={"unit": np.full(3, 7.0)}, seed=0)
    assert np.isfinite(drawn["score"]).all()
    assert drawn["score"].shape == drawn["unit"].shape == (3,)


def test_files_and_copies_hold_the_table(table, tmp_path):
    _, loaded = saved_and_loaded(table, tmp_path / "table.keras")
    assert str(loaded.columns) == str(table.columns)
    expected = table.log_prob(ROWS)
    for twin in (loaded, copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        np.testing.assert_array_equal(twin.log_prob(ROWS), expected)
    check_equal(loaded.sample(20, seed=3), table.sample(20, seed=3))
    made = tff.CategoricalMADE([2], hidden_units=(4,))
    tff.DensityEstimator(made).save(tmp_path / "made.keras")
    with pytest.raises(ValueError, match="file of a `TableDensity`.*made.keras"):
        tff.TableDensity.load(tmp_path / "made.keras")


def test_what_is_absent_does_not_matter(table):
    x, context = table.encode(ROWS)
    other = np.array(x)
    cell = table._codecs.rows.entries_of_column("score")
    absent = other[:, cell[0]] == 1.0
    assert absent.sum() == 10
    other[absent, cell[1]] = 1e6
    expected = table.distribution.log_prob(x)
    np.testing.assert_array_equal(table.distribution.log_prob(other), expected)
    assert context.shape == (_COUNT, 0)


def test_an_array_of_some_columns_is_not_taken_for_rows_and_contexts():
    rows = np.random.default_rng(0).normal(size=(_COUNT, 2))
    table = fitted(tff.describe_columns(rows), rows, context=["x1"])
    methods = (table.log_prob, table.encode, table.unknown_cells, table.impute, table.fit)
    for method in methods:
        with pytest.raises(ValueError, match=r"`frame` .* lacks \['x1'\]"):
            method(rows[:, :1])


def test_cells_and_columns_that_do_not_fit_are_refused_by_name(table):
    strict = tff.TableDensity(tff.describe_columns(ROWS), **TINY)
    with pytest.raises(ValueError, match=r"\{'kind': 9, 'score': 10\}.*'indicator'"):
        strict.fit(ROWS)
    with pytest.raises(ValueError, match=r"lacks \['income'\]"):
        table.log_prob({name: c for name, c in ROWS.items() if name != "income"})
    with pytest.raises(ValueError, match="no `context` for a table without one; got dict"):
        table.sample(3, context=ROWS)
    with pytest.raises(ValueError, match="`frame` with rows; got none"):
        strict.fit({name: c[:0] for name, c in ROWS.items()})
    with pytest.raises(
        ValueError, match=r"`exclude` with the columns .*lacks \['income'\]"
    ):
        table.sample(3, exclude={name: c for name, c in ROWS.items() if name != "income"})
    absent = np.where(np.arange(_COUNT) == 1, np.nan, ROWS["income"])
    with pytest.raises(
        ValueError, match=r"where the fit had some; got some in .*income': 1"
    ):
        table.log_prob({**ROWS, "income": absent})
    message = "number in each cell of the integer column 'count'"
    with pytest.raises(ValueError, match=message):
        table.log_prob({**ROWS, "count": ROWS["kind"]})


@pytest.mark.slow_ids("0.1")
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_rare_categories_and_missing_cells_are_drawn_at_their_rates(rate):
    rng = np.random.default_rng(1)
    is_rare = np.arange(400) < 400 * rate
    rows = {
        "kind": rng.permutation(np.where(is_rare, "rare", rng.choice(["a", "b"], 400))),
        "size": rng.permutation(np.where(is_rare, np.nan, rng.normal(size=400))),
    }
    table = fitted(tff.describe_columns(rows), rows, epochs=2, hidden_units=(32,))
    drawn = table.sample(10_000, seed=1)
    found = np.mean(drawn["kind"] == "rare"), np.mean(np.isnan(drawn["size"]))
    deviation = np.sqrt(rate * (1.0 - rate) / 400)
    np.testing.assert_allclose(found, rate, atol=2.0 * deviation + 0.005)


def test_wide_tables_have_fewer_networks_unless_their_number_is_given():
    counts = [
        tff.tables.NetworkSizes().for_table(400, columns).num_members
        for columns in (1, 82, 150, 300)
    ]
    assert counts == [8, 8, 2, 1]
    assert tff.tables.NetworkSizes(num_members=8).for_table(400, 300).num_members == 8


def test_codes_of_many_rows_have_wider_networks(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "_LEAST_WIDE_ROWS", 60)
    monkeypatch.setattr(networks, "_LEAST_WIDE_VALUES", 4)
    rng = np.random.default_rng(0)
    rows = {name: rng.choice(["a", "b"], 60) for name in "ab"}
    columns = tff.describe_columns(rows)
    options = {"num_members": 1, "seed": 0, "columns": columns}
    wide = tff.TableDensity(**options)
    given = tff.TableDensity(**options, hidden_units=(64, 64))
    for table in (wide, given):
        table.fit(rows, epochs=1)
    (wide_made,), (given_made,) = (t.distribution.networks[0] for t in (wide, given))
    count = [
        sum(v.shape.num_elements() for v in m.variables) for m in (wide_made, given_made)
    ]
    assert count[0] > 8 * count[1]
    _, loaded = saved_and_loaded(wide, tmp_path / "table.keras")
    np.testing.assert_array_equal(loaded.log_prob(rows), wide.log_prob(rows))


def test_codes_of_few_values_share_narrow_networks():
    assert networks.choose_code_units((64, 64), 10**6, (7,) * 7) == (64, 64)
    assert networks.choose_code_units((64, 64), 10**6, (60,)) == (64, 64)
    assert networks.choose_code_units((64, 64), 9_999, (25, 25)) == (64, 64)
    assert networks.choose_code_units((64, 64), 10_000, (25, 25)) == (256, 256)
