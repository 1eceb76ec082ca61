"""Lookups of columns: found, kept in draws and completions, and switched off."""

import numpy as np
import pandas as pd
import pytest
from refusals import all_refused
from small_tables import check_equal, fitted, labels_of, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import Function, Lookup, TableColumns

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 400
RNG = np.random.default_rng(0)
STATES = np.array(["Iowa", "Ohio", "Texas", "Utah", "Maine"], object)
STATE = RNG.integers(0, 5, COUNT)
ROWS = {
    "code": np.array(["IA", "OH", "TX", "UT", "ME"], object)[STATE],
    "region": np.array(["Middle", "Middle", "South", "West", "East"], object)[STATE],
    "state": STATES[STATE],
    "is_coast": np.array([False, False, True, False, True])[STATE],
    "area": np.array([56, 41, 268, 82, np.nan])[STATE],
    "size": RNG.normal(size=COUNT) + STATE,
    "kind": RNG.choice(["a", "b"], COUNT).astype(object),
}
LABELS = [f"{name} = lookup(code)" for name in ("region", "state", "is_coast", "area")]


def test_lookups_are_found_shown_and_switched_off():
    columns = tff.describe_columns(ROWS)
    assert [function.label for function in columns.functions] == LABELS
    assert "one value for each of the 5 of code in all rows" in str(columns)
    assert str(TableColumns.from_plain(columns.to_plain())) == str(columns)
    assert tff.describe_columns(ROWS, as_recorded=False).functions == []
    columns.drop("state = lookup(code)", "region")
    assert [function.label for function in columns.functions] == LABELS[2:]


def test_what_chance_may_have_made_is_no_lookup():
    kind, other = np.arange(COUNT) % 4, RNG.integers(0, 2, COUNT)
    assert labels_of({"kind": kind, "other": other}) == []
    assert labels_of({"kind": kind[:20], "is_last": kind[:20] == 3}) == []
    rare = np.where(np.arange(COUNT) < 2, 4, kind)  # two rows of a value say little
    assert labels_of({"kind": rare, "is_rare": rare == 4}) == []
    assert labels_of({"kind": kind, "is_last": kind == 3}) == ["is_last = lookup(kind)"]
    kind = np.where(kind == 3, np.nan, kind)
    assert labels_of({"kind": kind, "is_absent": np.isnan(kind)}) == []


def test_a_column_that_names_another_anew_is_a_lookup():
    sex = np.repeat(np.array(["f", "m"], object), [20, 40])
    assert labels_of({"sex": sex, "male": sex == "m"}) == ["male = lookup(sex)"]
    assert labels_of({"sex": sex, "copy": sex}) == []  # two columns may be alike so far
    sex = np.repeat(np.array(["f", "m"], object), [5, 90])  # 5 rows say little
    assert labels_of({"sex": sex, "male": sex == "m"}) == []


def test_a_formula_comes_first_unless_its_source_is_looked_up():
    person = np.arange(COUNT) % 30
    age = RNG.integers(20, 60, 30)[person]
    rows = {"person": np.char.add("p", person.astype(str)).astype(object), "age": age}
    rows["squared"] = age**2
    labels = ["age = lookup(person)", "squared = lookup(person)"]
    assert labels_of(rows) == labels
    del rows["person"]
    assert labels_of(rows) == ["squared = age^2"]


@pytest.fixture(scope="module")
def table():
    return fitted(tff.describe_columns(ROWS), ROWS)


def test_draws_keep_lookups_and_dtypes(table, tmp_path):
    _, table = saved_and_loaded(table, tmp_path / "table.keras")
    drawn = table.sample(200, seed=0)
    known = pd.DataFrame(ROWS).drop(columns=["size", "kind"]).drop_duplicates()
    rows = pd.DataFrame(drawn).drop(columns=["size", "kind"]).drop_duplicates()
    assert len(rows.merge(known)) == len(rows)
    assert drawn["is_coast"].dtype == bool
    assert drawn["area"].dtype == np.float64


def test_a_row_that_contradicts_a_lookup_cannot_occur(table):
    wrong = {name: np.array(cells) for name, cells in ROWS.items()}
    wrong["region"][0] = "East" if ROWS["region"][0] != "East" else "West"
    wrong["is_coast"][1] = not ROWS["is_coast"][1]
    wrong["area"][2] = 3.0
    np.testing.assert_array_equal(np.isfinite(table.log_prob(wrong)), np.arange(COUNT) > 2)
    broken = tff.tables.violated_rules(wrong, table.columns)
    assert [broken[label].sum() for label in LABELS] == [1, 0, 1, 1]


def test_completed_rows_keep_lookups_both_ways(table):
    rows = pd.DataFrame(ROWS).drop_duplicates("code")
    absent = rows.copy().astype({"is_coast": object})
    absent.loc[:, ["state", "region"]] = None  # are looked up
    absent.iloc[2, absent.columns.get_loc("code")] = None  # follows from the area
    completed = table.impute(absent, seed=0, num_candidates=32)
    check_equal(completed, rows)
    absent = rows.assign(code=None, area=rows["area"].to_numpy()[::-1])
    with pytest.raises(ValueError, match="missing cells can occur; got .* in row 0"):
        table.impute(absent, seed=0, num_candidates=2)
    # One of several sources is drawn, with the right probability.
    many = pd.DataFrame(ROWS)[
        ["code", "state", "region", "is_coast", "area", "size", "kind"]
    ]
    many = many[many["region"] == "Middle"]
    absent = many.assign(code=None, state=None, area=np.nan, size=np.nan)
    completed = table.impute(absent, seed=0, num_candidates=32)
    assert set(completed["code"]) == {"IA", "OH"}
    assert np.isfinite(table.log_prob(completed)).all()
    prob = np.mean([np.mean(table.sample(4000, seed=s)["code"] == "IA") for s in (1, 2)])
    other = np.mean([np.mean(table.sample(4000, seed=s)["code"] == "OH") for s in (1, 2)])
    expected, count = prob / (prob + other), len(completed)
    error = np.sqrt(expected * (1.0 - expected) / count)
    assert abs(np.mean(completed["code"] == "IA") - expected) < 5.0 * error


def test_a_source_of_the_context_is_looked_up():
    columns = tff.describe_columns(ROWS)
    table = fitted(columns, ROWS, context=["code", "region"])
    context = {"code": ROWS["code"][:50], "region": ROWS["region"][:50]}
    drawn = table.sample(context=context, seed=0)
    np.testing.assert_array_equal(drawn["state"], ROWS["state"][:50])


def test_a_context_of_other_numbers_has_no_lookup():
    county = np.arange(COUNT) % 12
    rows = {"income": RNG.random(12)[county], "rank": county % 3, "size": ROWS["size"]}
    columns = tff.describe_columns(rows)
    assert [function.label for function in columns.functions] == ["rank = lookup(income)"]
    table = fitted(columns, rows, context=["income"])
    between = {"income": np.sort(np.unique(rows["income"]))[:-1] + 1e-9}
    assert np.isfinite(table.sample(context=between, seed=0)["rank"]).all()


def test_a_source_with_values_that_no_row_has_is_no_source():
    levels = [*STATES, "Alaska"]
    state = pd.Categorical(ROWS["state"], categories=levels, ordered=True)
    rows = pd.DataFrame({"state": state, "region": ROWS["region"]})
    assert labels_of(rows) == []


def changed_source():
    columns = tff.describe_columns({"n": STATE, "kind": ROWS["region"], "x": ROWS["size"]})
    columns.change("n", kind="integer")
    tff.TableDensity(columns)


test_bad_call_is_refused_in_words = all_refused(
    [
        (lambda: Lookup("a", "a", []), "another `source` | 'a'"),
        (
            changed_source,
            "allow the lookup 'kind = lookup(n)': a value for each | integer | drop",
        ),
        (
            lambda: Lookup("a", "b", [[1, 2], [1, 3]]),
            "each value of the source once | [1, 1]",
        ),
        (
            lambda: TableColumns([], functions=[Lookup("a", "b", [])]),
            "`functions` of the columns [] | ['a', 'b'] in 'a = lookup(b)'",
        ),
        (
            lambda: tff.TableDensity(
                TableColumns(
                    list(
                        tff.describe_columns({n: ROWS[n] for n in ("code", "area", "size")})
                    ),
                    functions=[
                        Lookup("area", "code", [["IA", 56.0]]),
                        Function("size", "area"),
                    ],
                )
            ),
            "the column 'area' in no rule but 'area = lookup(code)'",
        ),
    ]
)
