"""Proposed kinds of columns with reasons, changes of kinds, and refused calls."""

import numpy as np
import pandas
import pytest
from refusals import all_refused
from small_tables import column, fitted

import tfp_flows as tff
from tfp_flows.tables.describe_columns import describe_numbers
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.synthesis.row_features import row_features

COUNT = 400
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=COUNT)
NUMBERS = np.arange(COUNT)
PERCENT = np.array([f"{i % 30}.5 %" for i in range(COUNT)])
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


# By name: cells of a column, its kind, and the beginning of the reason.
OTHERS = {
    "flag": (RNG.integers(0, 2, COUNT), "boolean", ""),
    "hour": (RNG.uniform(0.0, 24.0, COUNT), "positive", ""),  # periods are never guessed
    "from 0": (NUMBERS, "identifier", f"each integer from 0 to {COUNT - 1} once"),
    "huge": (2**53 + RNG.integers(0, 2**60, COUNT), "identifier", ""),
    "year": (NUMBERS + 1600, "integer", ""),
    "with a gap": (NUMBERS + (NUMBERS > 7), "integer", ""),
    "percent": (PERCENT, "text", "numbers with signs"),
    "day": (np.array([f"{i % 28 + 1}/12/2024" for i in NUMBERS]), "text", ""),
    "numbered": (np.char.add("no. ", PERCENT), "categorical", ""),
    "iso": (
        np.array([f"2024-12-{i % 28 + 1:02d}" for i in NUMBERS]),
        "text",
        "dates as text, which pandas.to_datetime reads",
    ),
    "iso, with hours": (
        np.array([f"2024-12-{i % 28 + 1:02d}T10:00:00Z" for i in NUMBERS]),
        "text",
        "dates as text, which pandas.to_datetime reads",
    ),
    "claims": (np.where(NUMBERS < 393, 0.0, np.exp(NORMAL)), "positive", ""),
    "claims in cents": (np.where(NUMBERS < 393, 0.0, NUMBERS * 17.03), "positive", ""),
    "claims in euros": (np.where(NUMBERS < 393, 0, NUMBERS**2), "integer", ""),
    "grades in halves": (
        np.repeat([1, 1.5, 2, 2.5, 3, 3.5], [9, 7, 1, 1, 1, 1]),
        "ordered",
        "",
    ),
    "ages of a few": (np.repeat([60, 62, 63, 67, 70], [1, 8, 9, 7, 1]), "integer", ""),
    "tenths of a few": (
        np.repeat([2.6, 2.7, 2.9, 3.0, 3.8], [1, 8, 9, 7, 1]),
        "positive",
        "",
    ),
    "visits": (
        np.where(NUMBERS == 5, 9, RNG.integers(0, 7, COUNT)),
        "integer",
        "counts: 9, the largest, in 1 rows only",
    ),
    "grade": (RNG.integers(1, 6, COUNT), "ordered", ""),
    **{kind: (cells, kind, "") for kind, cells in COLUMNS.items()},
}


@pytest.mark.parametrize("name", OTHERS)
def test_each_kind_is_found(name):
    cells, kind, reason = OTHERS[name]
    (found,) = tff.describe_columns({name: cells})
    assert (found.kind, bool(found.reason)) == (kind, True)
    assert found.reason.startswith(reason)


@pytest.mark.usefixtures("op_by_op")
def test_repeated_numbers_on_no_grid_are_ordered(rng):
    """A number between them may be given, none beyond them."""
    of_county = np.sort(rng.normal(size=30))
    county = rng.integers(30, size=400)
    frame = {"wealth": of_county[county], "y": of_county[county] + rng.normal(size=400)}
    columns = tff.describe_columns(frame)
    assert columns["wealth"].kind == "ordered"
    assert tff.describe_columns(frame, as_recorded=False)["wealth"].kind == "real"
    (features,) = row_features([Frame(frame)], columns)
    assert not features.is_code.any()  # distances between rows know how far apart they are
    given = fitted(columns, frame, context=["wealth"])
    between = 0.5 * (of_county[10:12] + of_county[11:13])
    assert np.isfinite(given.predict({"wealth": between}).mean()).all()
    with pytest.raises(ValueError, match="wealth"):
        given.predict({"wealth": [of_county[-1] + 1.0]})


@pytest.mark.usefixtures("op_by_op")
def test_a_few_numbers_on_no_grid_are_spikes(rng):
    """Logarithms of whole numbers: nearly all draws have one of them."""
    ages = np.log(rng.integers(1, 40, size=1500))
    ages[:20] += rng.uniform(size=20)  # other numbers, which keep a density
    frame = {"age": ages, "score": rng.normal(size=1500)}
    columns = tff.describe_columns(frame)
    assert len(columns["age"].spikes) == 39
    assert columns["score"].spikes == []
    table = fitted(columns, frame)
    drawn = table.sample(500, seed=1)["age"]
    assert np.isin(drawn, ages[20:]).mean() > 0.95
    assert np.isfinite(table.log_prob(frame)).all()


def test_values_that_many_rows_share_are_spikes():
    columns = tff.describe_columns(
        {
            "income": np.where(RNG.random(COUNT) < 0.3, 0.0, np.exp(NORMAL)),
            "capped": np.minimum(NORMAL, 0.8),
            "one zero": np.where(np.arange(COUNT) == 3, 0.0, np.exp(NORMAL)),
            "rounded": np.round(NORMAL, 1),
            "code": np.where(np.arange(COUNT) < 9, -999.0, NORMAL),
        }
    )
    assert [c.spikes for c in columns] == [[0.0], [0.8], [0.0], [], [-999.0]]
    assert "0 in 0.2 % of the rows" in columns["one zero"].reason


def test_a_code_far_from_the_numbers_is_no_end():
    is_coded = RNG.random(COUNT) < 0.3
    columns = tff.describe_columns(
        {
            "price": np.where(is_coded, -999.0, np.exp(3.0 + NORMAL).round(2)),
            "share": np.where(is_coded, -1.0, COLUMNS["bounded"].round(3)),
            "count": np.where(is_coded, 999, RNG.poisson(10.0, COUNT)),
            "days": np.where(is_coded, -1, COLUMNS["integer"]),
            "month": NUMBERS % 12 + 1,
        }
    )
    found = {c.name: (c.low, c.high, c.spikes) for c in columns}
    assert found["price"] == (0.0, None, [-999.0])
    assert found["share"] == (0.0, 1.0, [-1.0])
    assert found["count"] == (0.0, None, [999.0])
    assert found["days"] == (0.0, None, [-1.0])
    assert found["month"] == (1.0, 12.0, [])


def test_densities_map_heavy_tails_whatever_their_sign():
    rows = {name: COLUMNS[name] for name in ("real", "heavy-tailed", "bounded")}
    rows |= {"positive": np.abs(COLUMNS["heavy-tailed"]), "count": COLUMNS["integer"]}
    kinds = {c.name: c.kind for c in describe_numbers(rows)}
    heavy = [name for name, kind in kinds.items() if kind == "heavy-tailed"]
    assert heavy == ["heavy-tailed", "positive"]
    assert {kinds[name] for name in ("real", "bounded", "count")} == {"real"}


def test_few_rows_show_very_heavy_tails():
    rng = np.random.default_rng(0)
    rows = {f"x{j}": column for j, column in enumerate(rng.standard_cauchy((20, 120)))}
    rows |= {f"y{j}": column for j, column in enumerate(rng.normal(size=(20, 120)))}
    kinds = [c.kind for c in describe_numbers(rows)]
    assert kinds[:20].count("heavy-tailed") > 15
    assert kinds[20:] == ["real"] * 20


def test_a_spike_has_a_density_too():
    spiked = np.where(np.arange(len(NORMAL)) < len(NORMAL) // 2, 0.0, NORMAL)
    (given,), (number,) = (
        describe({"x": spiked}) for describe in (tff.describe_columns, describe_numbers)
    )
    assert given.spikes == [0.0]
    assert (number.kind, number.spikes) == ("real", [])


def test_large_numbers_with_a_decimal_point_are_no_identifiers():
    whole = {
        "unsigned": 2**63 + np.arange(30, dtype="uint64"),
        "nullable": pandas.array(2**60 + np.arange(30), dtype="Int64"),
    }
    assert [c.kind for c in tff.describe_columns(whole)] == ["identifier"] * 2
    mass = np.exp(60.0 + NORMAL)
    masses = {"mass": mass, "nullable": pandas.array(mass, dtype="Float64")}
    assert [c.kind for c in tff.describe_columns(masses)] == ["positive"] * 2


def test_a_negative_zero_is_zero():
    columns = tff.describe_columns({"a": np.where(np.arange(40) % 2, -0.0, np.exp(0.1))})
    assert columns["a"].values == [0.0, np.exp(0.1)]
    assert not np.signbit(columns["a"].values[0])


def test_one_name_is_a_text():
    assert tff.describe_columns({"size": NORMAL, "e": NORMAL}, "size").names == ["size"]


def test_it_prints_as_a_table_and_counts_missing_cells():
    some = np.where(np.arange(COUNT) < 7, np.nan, NORMAL)
    lines = str(tff.describe_columns({"a": some, "b": COLUMNS["ordered"]})).splitlines()
    assert lines[0].split() == ["column", "kind", "details", "missing", "reason"]
    assert lines[1].split()[:3] == ["a", "real", "7"]
    assert "3, 4, 5, ..., 8" in lines[2]


def test_names_and_values_with_line_ends_print_on_one_line():
    cells = np.array(["x\ny", "é\r\n"])[np.arange(COUNT) % 2]
    text = str(tff.describe_columns({"a\nb": cells}))
    assert len(text.splitlines()) == 2
    assert all(shown in text for shown in (r"a\nb", r"x\ny, é\r\n"))


def test_values_that_float64_rounds_are_refused():
    huge = 2**60 + np.arange(COUNT) % 3
    columns = tff.describe_columns({"a": huge})
    with pytest.raises(ValueError, match="of 'a' that float64 holds, or texts; got 1152"):
        columns.change("a", kind="categorical", values=[2**60, 2**60 + 1, 2**60 + 2])
    columns.change("a", kind="categorical", values=[2**60, 2**60 + 256])


def test_overrides_are_checked():
    columns = tff.describe_columns({"a": np.exp(NORMAL), "b": COLUMNS["ordered"]})
    columns.change("a", kind="periodic", low=0.0, high=24.0)
    assert (columns["a"].high, columns["a"].reason) == (24.0, "as given")
    columns.change("b", kind="categorical")
    assert columns["b"].values == [3, 4, 5, 6, 7, 8]
    columns.drop("b")
    assert columns.names == ["a"]


BAD_CALLS = [
    (lambda: describe([1.0, np.inf]), "finite numbers in column 'a'; got inf in row 1"),
    (
        lambda: describe(np.array([1, "b"], object)),
        "one type in column 'a'; got 1 in row 0",
    ),
    (lambda: describe(np.zeros((2, 2))), "one axis; got 'a' of shape (2, 2)"),
    (lambda: describe([1.0], b=[1.0, 2.0]), "one length; got {'a': 1, 'b': 2}"),
    (lambda: tff.describe_columns({}), "columns; got none"),
    (lambda: tff.describe_columns(np.zeros(3)), "data frame | got ndarray of shape (3,)"),
    (lambda: tff.describe_columns([("a", 1)]), "of numbers or objects | and dtype <U21"),
    (lambda: tff.describe_columns({"a": [1.0]}, names=["b"]), "['b'] | ['a']"),
    (lambda: describe(NORMAL).change("c", kind="real"), "column of ['a']; got 'c'"),
    (lambda: change(kind="round"), "`kind` of column 'a' | 'round'"),
    (lambda: change(kind="bounded", low=1.0), "`low` and `high` of the bounded column 'a'"),
    (lambda: change(kind="bounded", low=1.0, high=0.0), "finite `low` < `high`"),
    (lambda: change(spikes=[np.nan]), "finite `spikes`"),
    (lambda: change(kind="categorical", spikes=[1.0]), "no `spikes` of the categorical"),
    (lambda: change(colour="red"), "entries | got ['colour'"),
    (lambda: table(columns=None), "`columns` | describe_columns | None"),
    (lambda: table(describe(COLUMNS["text"])), "distribution | 'a': 'text: 400 different"),
    (
        lambda: table(describe(NORMAL), context="a"),
        "beside those of `context` | got ['a'], and",
    ),
    (lambda: table(context=["c"]), "`context` | ['a', 'b'] | ['c']"),
    (lambda: table(missing="drop"), "`missing` | 'indicator' | 'drop'"),
    (lambda: table().log_prob(FRAME), "fitted | call `fit`"),
    (lambda: table().fit({"a": NORMAL}), "lacks ['b']"),
    (lambda: table().fit({"a": NORMAL[:1], "b": NORMAL[:1]}), "`frame` | 1 in all"),
    (lambda: tff.tables.TableColumns([column("a")] * 2), "different names | 'a', 'a'"),
]
FRAME = {"a": NORMAL, "b": NORMAL[::-1]}


def describe(a, **others):
    return tff.describe_columns({"a": a, **others})


def change(**entries):
    describe(np.exp(NORMAL)).change("a", **entries)


def table(columns=FRAME, **options):
    columns = tff.describe_columns(FRAME) if columns is FRAME else columns
    return tff.TableDensity(columns, **options)


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
