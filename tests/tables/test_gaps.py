"""Rules of columns with missing cells: found and kept where all their cells are known."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from random_weights import randomize
from small_tables import TINY, column, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import Difference, Lookup, TableColumns

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 600
RNG = np.random.default_rng(0)
START = np.datetime64("2022-01-01") + RNG.integers(0, 900, COUNT).astype("m8[D]")
CITY = RNG.integers(0, 6, COUNT)
COUNTRIES = dict(zip("ABCDEF", "xxyzzy", strict=True))
A, B = RNG.poisson([[5], [3]], [2, COUNT]).astype(float)
LOW = RNG.normal(size=COUNT)
WHOLE = pd.DataFrame(
    {
        "end": START + RNG.poisson(3.0, COUNT).astype("m8[D]"),
        "start": START,
        "country": np.array(list("xxyzzy"), object)[CITY],
        "city": np.array(list("ABCDEF"), object)[CITY],
        "total": A + B,
        "a": A,
        "b": B,
        "high": LOW + RNG.exponential(size=COUNT) * (RNG.random(COUNT) < 0.7),
        "low": LOW,
        "inch": np.zeros(COUNT),
        "cm": np.arange(COUNT) + 0.5,
    }
)
WHOLE["inch"] = 0.4 * WHOLE["cm"]
ROWS = WHOLE.mask(RNG.random(WHOLE.shape) < 0.05)
LABELS = [
    "end - start",
    "high - low",
    "total - a - b",
    "cm = 2.5 * inch",
    "country = lookup(city)",
]


def labels_of_all(columns):
    return [rule.label for rule in [*columns.differences, *columns.functions]]


def check_rules(rows):
    """All rules hold in the rows where their cells are known."""
    looked_up = rows["city"].map(COUNTRIES)
    is_known = looked_up.notna() & rows["country"].notna()
    assert (looked_up == rows["country"])[is_known].all()
    assert not (rows["end"] < rows["start"]).any()
    assert not (rows["high"] < rows["low"]).any()
    assert (rows["total"] - rows["a"] - rows["b"]).dropna().eq(0.0).all()
    np.testing.assert_allclose((rows["inch"] - 0.4 * rows["cm"]).dropna(), 0.0, atol=1e-9)


@pytest.fixture(scope="module")
def table():
    return fitted(tff.describe_columns(ROWS), ROWS)


def test_rules_are_found_where_their_cells_are_known():
    columns = tff.describe_columns(ROWS)
    assert sorted(labels_of_all(columns)) == sorted(LABELS)
    assert sorted(labels_of_all(tff.describe_columns(WHOLE))) == sorted(LABELS)
    assert str(TableColumns.from_plain(columns.to_plain())) == str(columns)
    count = ROWS[["city", "country"]].notna().all(axis=1).sum()
    assert f"6 of city in all {count} rows where both are known" in str(columns)
    few = WHOLE[["total", "a", "b"]].copy()
    few.loc[11:, ["total", "a"]] = np.nan
    assert tff.describe_columns(few).differences == []


def test_draws_keep_rules_and_have_as_many_missing_cells(table, tmp_path):
    _, table = saved_and_loaded(table, tmp_path / "table.keras")
    drawn = table.sample(4000, seed=0)
    check_rules(drawn)
    share = ROWS.isna().mean()
    error = np.sqrt(share * (1.0 - share) * (1.0 / COUNT + 1.0 / 4000))
    assert ((drawn.isna().mean() - share).abs() < 5.0 * error).all()
    assert drawn.isna().any(axis=None)
    assert list(drawn.dtypes) == list(ROWS.dtypes)
    assert np.isfinite(table.log_prob(drawn)).all()


def test_rows_have_densities_unless_they_break_a_rule(table):
    assert np.isfinite(table.log_prob(ROWS)).all()
    wrong = WHOLE[:6].copy()
    wrong.loc[0, "end"] = wrong.loc[0, "start"] - pd.Timedelta(days=1)
    wrong.loc[1, "country"] = "y" if wrong.loc[1, "country"] != "y" else "x"
    wrong.loc[2, "total"] += 1.0
    wrong.loc[3, "inch"] += 1.0
    wrong.loc[4, "high"] = wrong.loc[4, "low"] - 1.0
    is_possible = np.isfinite(table.log_prob(wrong))
    np.testing.assert_array_equal(is_possible, np.arange(6) == 5)
    unknown = wrong.assign(start=pd.NaT, city=None, a=np.nan, cm=np.nan, low=np.nan)
    assert np.isfinite(table.log_prob(unknown)).all()
    negative = unknown.assign(total=-1.0)
    assert (table.log_prob(negative) == -np.inf).all()
    broken = tff.tables.violated_rules(negative, table.columns)
    assert [rule for rule, where in broken.items() if where.any()] == [
        "total - a - b: constant, 0"
    ]


def test_completed_rows_keep_rules_and_what_is_known(table):
    rows = ROWS[:150]
    completed = table.impute(rows, seed=0, num_candidates=64)
    assert completed.notna().all(axis=None)
    check_rules(completed)
    assert completed.where(rows.notna()).equals(rows)


def test_rules_are_kept_by_a_table_that_refuses_missing_cells():
    known = ROWS.dropna()
    table = fitted(tff.describe_columns(ROWS), known, missing="refuse")
    drawn = table.sample(500, seed=0)
    assert drawn.notna().all(axis=None)
    check_rules(drawn)
    counts = re.escape(str(ROWS.isna().sum().to_dict()))  # of the cells themselves
    with pytest.raises(ValueError, match=f"without missing cells; got some in {counts}"):
        table.log_prob(ROWS)


def test_a_source_of_the_context_may_be_missing():
    columns = tff.describe_columns(ROWS)
    table = fitted(columns, ROWS, context=["city", "start", "a"])
    drawn = table.sample(context=ROWS, seed=0)
    check_rules(drawn)
    assert drawn["end"][ROWS["start"].isna()].notna().any()
    assert np.isfinite(table.log_prob(drawn)).all()
    completed = table.impute(ROWS[:100], seed=0, num_candidates=16)
    check_rules(completed)
    given = [*ROWS.columns[1:]]
    table = fitted(columns, ROWS, context=given)  # `end` is modelled itself
    assert len(table.predict(ROWS[given]).mean()) == COUNT


def chain(*missing):
    """Three counts, `a <= b <= c`, and a lookup of a city, with random weights."""
    columns = [column(n, "integer", low=0.0, num_missing=9) for n in "cab"]
    rest = [column(n, "integer", low=0.0, spikes=[0.0]) for n in ("b - a", "c - b")]
    differences = [Difference("b", ["a"], rest[0]), Difference("c", ["b"], rest[1])]
    names = {"city": ["A", "B", "C"], "country": ["x", "y"]}
    columns += [
        column(n, "categorical", values=values, num_missing=9)
        for n, values in names.items()
    ]
    pairs = [["A", "x"], ["B", "y"], ["C", None]]
    lookup = Lookup("country", "city", pairs, has_gaps=True)
    columns = TableColumns(columns, differences, functions=[lookup])
    a = RNG.poisson(1.0, COUNT).astype(float)
    rows = {"a": a, "b": a + (a > 1), "c": a + 1.0}
    rows = pd.DataFrame(rows).mask(RNG.random([COUNT, 3]) < 0.3)
    rows["city"] = np.array(["A", "B", None], object)[np.arange(COUNT) % 3]
    rows["country"] = np.array(["x", "y", "x", None], object)[np.arange(COUNT) % 12 // 3]
    rows["country"] = rows["city"].map({"A": "x", "B": "y"}).fillna(rows["country"])
    table = fitted(columns.select([n for n in columns.names if n not in missing]), rows)
    randomize(table.distribution, stddev=0.1)
    return table


def test_total_probability_is_one_and_draws_have_it():
    table = chain("city", "country")
    counts = [np.nan, *range(26)]
    grid = pd.DataFrame(itertools.product(counts, repeat=3), columns=list("cab"))
    probs = np.exp(table.log_prob(grid))
    assert probs.sum() == pytest.approx(1.0, abs=1e-3)
    drawn = table.sample(20_000, seed=0)
    patterns = [grid.notna(), drawn.notna()]
    patterns = [p["a"] * 4 + p["b"] * 2 + p["c"] for p in patterns]
    for pattern in range(8):
        expected = probs[patterns[0] == pattern].sum()
        error = 5.0 * np.sqrt(expected * (1.0 - expected) / 20_000) + 1e-3
        assert abs(np.mean(patterns[1] == pattern) - expected) < error
    alone = drawn["b"][drawn["a"].isna()].dropna()
    values = np.arange(8.0)
    found = np.mean(alone.to_numpy()[:, None] == values, axis=0)
    where = grid["a"].isna() & grid["b"].notna()
    share = probs[where] / probs[where].sum()
    expected = [share[grid["b"][where].to_numpy() == v].sum() for v in values]
    np.testing.assert_allclose(found, expected, atol=5.0 * np.sqrt(0.25 / len(alone)))


def test_total_probability_of_lookups_is_one_and_draws_have_it():
    table = chain("a", "b", "c")
    cells = [["A", "B", "C", None], ["x", "y", None]]
    grid = pd.DataFrame(itertools.product(*cells), columns=["city", "country"])
    probs = np.exp(table.log_prob(grid))
    assert probs.sum() == pytest.approx(1.0, abs=1e-5)
    assert (probs > 0.0).tolist() == [c not in (1, 3) for c in range(12)]
    drawn = table.sample(20_000, seed=0)
    both = drawn["city"].fillna("-") + drawn["country"].fillna("-")
    found = [
        np.mean(both == c) for c in grid["city"].fillna("-") + grid["country"].fillna("-")
    ]
    np.testing.assert_allclose(found, probs, atol=5.0 * np.sqrt(0.25 / 20_000))


def test_a_completion_has_its_conditional_distribution():
    table = chain("city", "country", "c")
    a = np.arange(9.0)
    joint = np.exp(table.log_prob({"a": a, "b": np.full(9, 3.0)}))
    lost = {"a": np.full(600, np.nan), "b": np.full(600, 3.0)}
    drawn = table.impute(lost, seed=1, num_candidates=200)["a"]
    found = np.mean(drawn[:, None] == a, axis=0)
    np.testing.assert_allclose(found, joint / joint.sum(), atol=5.0 * np.sqrt(0.25 / 600))


def test_columns_that_are_missing_together_stay_so():
    is_gone = RNG.random(COUNT) < 0.1
    rows = WHOLE[["city", "country", "cm", "inch"]].mask(
        is_gone[:, None] & np.ones(4, bool)
    )
    columns = tff.describe_columns(rows)
    assert not any(rule.has_gaps for rule in columns.functions)
    drawn = fitted(columns, rows, **TINY).sample(500, seed=0)
    assert (drawn["city"].isna() == drawn["country"].isna()).all()
    assert (drawn["inch"].isna() == drawn["cm"].isna()).all()
