"""Kinds that are proposed, with their reasons, and overridden."""

import numpy as np
import pytest

import tfp_flows as tff

COUNT = 400
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=COUNT)
COLUMNS = {
    "real": NORMAL,
    "positive": np.exp(NORMAL),
    "bounded": RNG.uniform(size=COUNT),
    "heavy-tailed": RNG.standard_cauchy(COUNT),
    "integer": RNG.poisson(50.0, COUNT),
    "ordered": RNG.integers(3, 9, COUNT),
    "boolean": RNG.random(COUNT) < 0.5,
    "categorical": RNG.choice(["a", "b"], COUNT),
    "text": np.array([f"name {i}" for i in range(COUNT)]),
    "date": np.datetime64("2024-01-01", "s") + RNG.integers(0, 10**7, COUNT),
    "identifier": RNG.permutation(COUNT) + 1,
    "constant": np.ones(COUNT),
    "missing": np.full(COUNT, np.nan),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_each_kind_is_found(kind):
    (column,) = tff.describe_columns({"a": COLUMNS[kind]})
    assert (column.kind, bool(column.reason)) == (kind, True)


def test_zeros_and_ones_are_a_boolean_and_a_period_is_never_guessed():
    kinds = {"flag": RNG.integers(0, 2, COUNT), "hour": RNG.uniform(0.0, 24.0, COUNT)}
    assert [c.kind for c in tff.describe_columns(kinds)] == ["boolean", "positive"]


def test_rows_are_named_by_their_numbers_and_by_huge_integers():
    columns = tff.describe_columns(
        {
            "from 0": np.arange(COUNT),
            "huge": 2**53 + RNG.integers(0, 2**60, COUNT),
            "year": np.arange(COUNT) + 1600,
            "with a gap": np.arange(COUNT) + (np.arange(COUNT) > 7),
        }
    )
    kinds = ["identifier", "identifier", "integer", "integer"]
    assert [c.kind for c in columns] == kinds
    assert columns["from 0"].reason == f"each integer from 0 to {COUNT - 1} once"
    assert tff.describe_columns({"a": np.arange(19.0)})["a"].kind == "integer"


def test_texts_that_are_numbers_or_dates_are_no_categories():
    percent = np.array([f"{i % 30}.5 %" for i in range(COUNT)])
    days = np.array([f"{i % 28 + 1}/12/2024" for i in range(COUNT)])
    iso = np.array([f"2024-12-{i % 28 + 1:02d}" for i in range(COUNT)])
    columns = tff.describe_columns(
        {"a": percent, "b": days, "c": np.char.add("no. ", percent), "d": iso}
    )
    assert [c.kind for c in columns] == ["text", "text", "categorical", "text"]
    assert columns["a"].reason == "numbers with signs"
    assert columns["d"].reason == "dates as text, which pandas.to_datetime reads"


def test_counts_whose_largest_is_rare_have_no_upper_end():
    rare = np.where(np.arange(COUNT) == 5, 9, RNG.integers(0, 7, COUNT))
    columns = tff.describe_columns({"visits": rare, "grade": RNG.integers(1, 6, COUNT)})
    assert [c.kind for c in columns] == ["integer", "ordered"]
    assert columns["visits"].reason == "counts: 9, the largest, in 1 rows only"


def test_values_that_many_rows_share_are_spikes():
    columns = tff.describe_columns(
        {
            "income": np.where(RNG.random(COUNT) < 0.3, 0.0, np.exp(NORMAL)),
            "capped": np.minimum(NORMAL, 0.8),
            "one zero": np.where(np.arange(COUNT) == 3, 0.0, np.exp(NORMAL)),
            "rounded": np.round(NORMAL, 1),
        }
    )
    assert [c.spikes for c in columns] == [[0.0], [0.8], [0.0], []]
    assert "0 in 0.2 % of the rows" in columns["one zero"].reason


def test_it_prints_as_a_table_and_counts_missing_cells():
    some = np.where(np.arange(COUNT) < 7, np.nan, NORMAL)
    lines = str(tff.describe_columns({"a": some, "b": COLUMNS["ordered"]})).splitlines()
    assert lines[0].split() == ["column", "kind", "details", "missing", "reason"]
    assert lines[1].split()[:3] == ["a", "real", "7"]
    assert "3, 4, 5, ..., 8" in lines[2]


def test_overrides_are_checked():
    columns = tff.describe_columns({"a": np.exp(NORMAL), "b": COLUMNS["ordered"]})
    columns.change("a", kind="periodic", low=0.0, high=24.0)
    assert (columns["a"].high, columns["a"].reason) == (24.0, "as given")
    columns.change("b", kind="categorical")
    assert columns["b"].values == [3, 4, 5, 6, 7, 8]
    bad = {
        "`kind` of column 'a'.*'round'": {"kind": "round"},
        "`low` and `high` of the bounded column 'a'": {"kind": "bounded", "low": 1.0},
        "finite `low` < `high`": {"kind": "bounded", "low": 1.0, "high": 0.0},
        "integers `low` and `high`": {"kind": "integer", "low": 0.5},
        "finite `spikes`": {"spikes": [np.nan]},
        "no `spikes` of the categorical": {"kind": "categorical", "spikes": [1.0]},
        "entries .*got .'colour'": {"colour": "red"},
    }
    for message, entries in bad.items():
        with pytest.raises(ValueError, match=message):
            columns.change("a", **entries)
    with pytest.raises(ValueError, match=r"column of \['a', 'b'\]; got 'c'"):
        columns.change("c", kind="real")
    columns.drop("a")
    assert columns.names == ["b"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": [1.0, np.inf, 2.0]}, "finite numbers in column 'a'; got inf in row 1"),
        ({"a": np.array([1, "b"], object)}, "one type in column 'a'; got 1 in row 0, 'b'"),
        ({"a": [1.0], "b": [1.0, 2.0]}, r"one length; got \{'a': 1, 'b': 2\}"),
        ({}, "columns; got none"),
        (np.zeros(3), r"data frame.*got ndarray of shape \(3,\)"),
        ({"a": np.zeros((2, 2))}, r"one axis; got 'a' of shape \(2, 2\)"),
    ],
)
def test_what_cannot_be_read_is_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        tff.describe_columns(frame)


def test_kinds_without_a_distribution_are_refused_by_a_table():
    columns = tff.describe_columns({"a": NORMAL, "b": COLUMNS["text"]})
    with pytest.raises(ValueError, match="distribution.*'b': 'text: 400 different texts"):
        tff.TableDensity(columns)
