"""Functions of columns: found, computed in draws and completions, and switched off."""

import numpy as np
import pandas as pd
import pytest
from refusals import all_refused
from small_tables import check_equal, column, fitted, labels_of, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import Difference, Equality, Function, TableColumns

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 300
RNG = np.random.default_rng(0)
AGE = RNG.integers(18, 65, COUNT)
WAGE = np.where(RNG.random(COUNT) < 0.1, np.nan, RNG.gamma(3.0, 4.0, COUNT).round(2) + 0.5)
SIZE = RNG.gamma(3.0, 2.0, COUNT)
ROWS = {
    "squared": AGE**2,
    "age": AGE,
    "wage": WAGE,
    "lwage": np.log(WAGE).round(6),
    "single": np.log(WAGE).astype(np.float32),
    "size": SIZE,
    "again": SIZE,
    "other": RNG.normal(size=COUNT),
}
LABELS = [
    "squared = age^2",
    "lwage = log(wage)",
    "single = log(wage)",
    "again = size",
]


def test_functions_are_found_shown_and_switched_off():
    columns = tff.describe_columns(ROWS)
    assert [function.label for function in columns.functions] == LABELS
    assert "single = log(wage)  function " in str(columns)
    assert str(TableColumns.from_plain(columns.to_plain())) == str(columns)
    assert tff.describe_columns(ROWS, as_recorded=False).functions == []
    assert columns.select(["wage", "age"]).functions == []
    columns.drop("again = size", "wage")
    assert [function.label for function in columns.functions] == LABELS[:1]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("y = 1.8 * x + 32", lambda x: (1.8 * x + 32.0).round(1)),
        ("y = 0.17 * x", lambda x: (0.17 * x).round(2)),
        ("y = -1 * x + 24", lambda x: 24.0 - x),
        ("y = 0.01 * x^2", lambda x: x**2 / 100.0),
        ("y = x^3", lambda x: x**3),
        ("y = sqrt(x)", lambda x: [float(f"{v:.7g}") for v in np.sqrt(x)]),
        ("y = 1 / x", lambda x: 1.0 / x),
        ("y = log(1 + x)", np.log1p),
        ("y = log10(x)", lambda x: np.log10(x).round(4)),
        ("y = log2(x)", lambda x: np.log2(x).astype(np.float32)),
        ("y = exp(x)", np.exp),
    ],
)
def test_each_formula_has_its_inverse(label, values):
    x = RNG.gamma(3.0, 2.0, COUNT).round(1) + 0.1
    rows = {"y": np.asarray(values(x)), "x": x}
    (function,) = tff.describe_columns(rows).functions
    assert function.label == label
    y = np.asarray(rows["y"], np.float64)
    assert function.holds(x, y).all()
    np.testing.assert_allclose(function(x), y, rtol=1e-6, atol=0.011)
    assert function.holds(function.inverse(y).round(1), y).all()


def test_close_or_stepwise_numbers_are_no_function():
    x = RNG.gamma(3.0, 2.0, COUNT)
    assert labels_of({"x": x, "y": x * (1.0 + 1e-4 * RNG.normal(size=COUNT))}) == []
    assert labels_of({"x": x, "y": np.floor(2.0 * x)}) == []
    assert labels_of({"x": x, "y": np.where(x < 5.0, x, x + 1e-3)}) == []
    whole = np.arange(COUNT) + 7
    for x in (whole, whole // 4):  # some less by one: within a rounding error of x - 0.5
        assert labels_of({"x": x, "y": x - (whole % 50 == 0)}) == []
    few = np.arange(COUNT) % 5
    assert labels_of({"x": few, "y": few**2}) == ["y = lookup(x)"]
    signs = RNG.normal(size=COUNT)
    assert labels_of({"x": signs, "y": signs**2}) == []


def test_equal_columns_need_many_rows_or_numbers():
    few, rare = [1, 2, 1], np.where(np.arange(100) < 3, np.arange(100), 0)
    assert labels_of({"x": few, "y": few}) == []
    assert labels_of({"x": rare, "y": rare}) == []
    assert labels_of({"x": np.arange(COUNT) % 3, "y": np.arange(COUNT) % 3}) == ["y = x"]


def test_many_columns_are_compared():
    others = {f"x{i}": RNG.normal(size=COUNT) for i in range(60)}
    assert labels_of({**others, "y": np.exp(others["x7"])}) == ["y = exp(x7)"]


def test_small_differences_of_large_numbers_are_no_rounding():
    start = 1_600_000_000 + RNG.integers(0, 10**7, COUNT)
    end = start + RNG.integers(0, 900, COUNT)
    columns = tff.describe_columns({"start": start, "end": end})
    assert columns.functions == []
    assert [difference.names for difference in columns.differences] == [["end", "start"]]
    day = (2.4e6 + 1e3 * RNG.random(COUNT)).round(3)
    assert labels_of({"x": day, "y": (day + 0.5 * RNG.random(COUNT)).round(3)}) == []
    metre = (5e5 + 1e5 * RNG.random(COUNT)).round(2)
    assert labels_of({"x": metre, "y": (metre + RNG.normal(size=COUNT)).round(2)}) == []
    squared = Function("y", "x", "square", rounding="decimals")
    y = np.array([4e6, 4e6 + 1.0])
    np.testing.assert_array_equal(squared.holds(np.full(2, 2e3), y), [True, False])


def test_sums_keep_their_digits_beside_a_rounded_logarithm():
    first, second = RNG.gamma(2.0, 3.0, [2, COUNT])
    sums = {"sum": first + second, "first": first, "second": second}
    columns = tff.describe_columns({**sums, "log": np.log(first + second).round(6)})
    assert [function.label for function in columns.functions] == ["log = log(sum)"]
    assert [each.names for each in columns.differences] == [["sum", "first", "second"]]


def test_a_label_that_is_a_column_names_no_function():
    x = RNG.gamma(3.0, 2.0, COUNT)
    assert labels_of({"x": x, "y": np.log(x), "y = log(x)": SIZE}) == []


@pytest.mark.filterwarnings("error")
def test_numbers_may_be_zero_tiny_or_huge():
    x = np.where(RNG.random(COUNT) < 0.6, 0.0, RNG.gamma(3.0, 2.0, COUNT))
    assert labels_of({"x": x, "y": np.log1p(x)}) == ["y = log(1 + x)"]
    for size in (1e-310, 1e-200, 1e200):
        assert labels_of({"x": x * size, "y": x * size * 2.0}) == ["y = 2 * x"]


def test_numbers_of_float32_may_have_the_digits_of_text():
    x = RNG.gamma(3.0, 2.0, COUNT).round(2) + 0.01
    y = np.array([float(f"{value:.14g}") for value in np.log(x).astype(np.float32)])
    (function,) = tff.describe_columns({"x": x, "y": y}).functions
    assert function.rounding == "float32"
    np.testing.assert_array_equal(np.float32(function(x)), np.float32(y))


def test_errors_of_source_and_column_add_up():
    x = RNG.gamma(3.0, 400.0, 100_000)
    function = Function("y", "x", "linear", 1.8, 32.0, "decimals", 3)
    assert function.holds(x.astype(np.float32).astype(np.float64), function(x)).all()


def test_a_source_has_no_draws_without_a_value():
    x = RNG.poisson(13.0, COUNT) + 1
    columns = tff.describe_columns({"x": x, "y": np.log(x)})
    assert columns["x"].low == 1.0
    x = np.where(RNG.random(COUNT) < 0.1, 0, x)
    values = np.where(x > 0, np.log(np.maximum(x, 1)), np.nan)
    columns = tff.describe_columns({"x": x, "y": values})
    assert columns["x"].low == 0.0
    assert len(columns.functions) == 1


def test_a_source_ends_where_the_column_on_its_line_ends():
    awake = RNG.normal(14.0, 2.0, COUNT).round(1)
    columns = tff.describe_columns({"awake": awake, "asleep": (24.0 - awake).round(1)})
    (function,) = columns.functions
    source = columns[function.source]
    assert (source.kind, source.low, source.high) == ("bounded", 0.0, 24.0)
    n = RNG.poisson(60.0, COUNT)
    columns = tff.describe_columns({"n": n, "rest": 200 - n})
    assert (columns["n"].kind, columns["n"].low, columns["n"].high) == ("integer", 0, 200)
    n = np.arange(COUNT) + 1000
    columns = tff.describe_columns({"n": n, "hours": 1.5 * (n - 1000)})
    assert (columns["hours"].low, columns["n"].low) == (0.0, 1000)  # a row is at the end


@pytest.fixture(scope="module")
def table():
    return fitted(tff.describe_columns(ROWS), ROWS)


def test_draws_keep_functions_digits_and_dtypes(table, tmp_path):
    _, table = saved_and_loaded(table, tmp_path / "table.keras")
    drawn = table.sample(200, seed=0)
    for function in table.columns.functions:
        source, values = (np.asarray(drawn[n], float) for n in reversed(function.names))
        np.testing.assert_array_equal(np.isnan(values), np.isnan(source))
        is_there = ~np.isnan(source)
        expected = function(source)[is_there]
        np.testing.assert_array_equal(
            values[is_there].astype(np.float32), np.float32(expected)
        )
    assert drawn["squared"].dtype == AGE.dtype
    assert drawn["single"].dtype == np.float32
    np.testing.assert_array_equal(drawn["lwage"].round(6), drawn["lwage"])


def test_a_row_has_the_density_of_its_sources_unless_it_contradicts(table):
    others = {name: ROWS[name] for name in ("age", "wage", "size", "other")}
    alone = fitted(tff.describe_columns(others), others)
    alone._distribution = table.distribution
    np.testing.assert_array_equal(table.log_prob(ROWS), alone.log_prob(others))
    wrong = {name: np.array(cells) for name, cells in ROWS.items()}
    wrong["squared"][0] += 1
    wrong["lwage"][1] = np.nan if np.isfinite(WAGE[1]) else 1.0
    wrong["wage"][2] = np.nan if np.isfinite(WAGE[2]) else 1.0
    is_possible = np.isfinite(table.log_prob(wrong))
    np.testing.assert_array_equal(is_possible, np.arange(COUNT) > 2)
    broken = tff.tables.violated_rules(wrong, table.columns)
    assert [broken[label].sum() for label in LABELS] == [1, 2, 1, 0]


def test_completed_rows_keep_functions_both_ways(table):
    rows = pd.DataFrame(ROWS)[np.isfinite(WAGE)].head(6).astype({"age": float})
    rows["squared"] = rows["squared"].astype(float)
    absent = rows.copy()
    follow = ["wage", "lwage", "age"]  # from their functions, the wage from the second one
    absent.loc[absent.index[0], follow] = np.nan
    absent.loc[absent.index[1], ["lwage", "single", "again"]] = np.nan  # are computed
    absent.loc[absent.index[2], ["wage", "lwage", "single"]] = np.nan  # are drawn
    completed = table.impute(absent, seed=0, num_candidates=16)
    check_equal(completed.drop(index=rows.index[2]), rows.drop(index=rows.index[2]))
    assert np.isfinite(table.log_prob(completed)).all()
    absent.loc[absent.index[3], ["age", "squared"]] = [np.nan, 7.0]  # of no integer
    with pytest.raises(ValueError, match="computed column 'squared'|can occur"):
        table.impute(absent, seed=0, num_candidates=4)


def test_a_column_of_the_context_has_no_function():
    table = fitted(tff.describe_columns(ROWS), ROWS, context=["squared", "wage"])
    context = {"squared": AGE[:50] ** 2, "wage": WAGE[:50]}
    drawn = table.sample(context=context, seed=0)
    known = ~np.isnan(WAGE[:50])
    np.testing.assert_array_equal(drawn["lwage"][known], ROWS["lwage"][:50][known])
    alone = fitted(
        tff.describe_columns(ROWS).select(["wage", "lwage"]), ROWS, context="wage"
    )
    assert np.isfinite(alone.log_prob(ROWS)[~np.isnan(WAGE)]).all()


def wrong_table(*links, functions):
    columns = [column(name) for name in "abc"]
    differences = [link for link in links if isinstance(link, Difference)]
    equalities = [link for link in links if isinstance(link, Equality)]
    tff.TableDensity(TableColumns(columns, differences, equalities, functions))


test_bad_call_is_refused_in_words = all_refused(
    [
        (lambda: Function("a", "b", "sine"), "`formula` of the function 'a' | 'sine'"),
        (lambda: Function("a", "b", scale=0.0), "a finite `scale` other than 0 | 0.0"),
        (lambda: Function("a", "b", rounding="up"), "`rounding` | 'decimals' | 'up'"),
        (lambda: Function("a", "a"), "another `source` | 'a'"),
        (
            lambda: wrong_table(functions=[Function("a", "d")]),
            "`functions` of the columns | 'd'",
        ),
        (
            lambda: wrong_table(functions=[Function("a", "b"), Function("b", "c")]),
            "the column 'b' in no rule but | columns.drop('b = c')",
        ),
        (
            lambda: wrong_table(Equality(["a", "c"]), functions=[Function("a", "b")]),
            "the column 'a' in no rule but 'a = b' | Equality",
        ),
    ]
)
