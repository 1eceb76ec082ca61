"""Columns whose sum is a constant: found, kept in draws, with exact densities."""

import itertools

import numpy as np
import pytest
from derivatives import op_by_op
from small_tables import check_equal, column, fitted, saved_and_loaded

import tfp_flows as tff

COUNTS = ("a", "b", "c")


def shares(count, size=3, seed=0):
    """Random parts of 1, `[N, K]`, and a category on which they depend."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["x", "y"], count)
    amounts = rng.gamma(np.where(kind == "x", 2.0, 6.0)[:, None] / np.arange(1.0, size + 1))
    return amounts / amounts.sum(axis=1, keepdims=True), kind


def rounded(parts, total):
    """Parts of 1, `[N, K]`, as integers that add up to `total`."""
    ends = np.round(total * np.cumsum(parts, axis=1))
    return np.diff(ends, axis=1, prepend=0.0)


def frame_of(parts, **others):
    return dict(zip("abcdefgh", parts.T, strict=False)) | others


def with_zeros(parts, share=0.3, seed=1):
    zero = np.random.default_rng(seed).random(parts.shape) < share
    zero[zero.all(axis=1), 0] = False
    parts = np.where(zero, 0.0, parts)
    return parts / parts.sum(axis=1, keepdims=True)


def found(frame):
    return [rule.label for rule in tff.describe_columns(frame).compositions]


@pytest.fixture(scope="module")
def small():
    """Three counts with the sum 4, of which cells are missing, and a fitted table."""
    parts, kind = shares(200)
    parts = rounded(parts, 4)
    parts[np.random.default_rng(2).random(parts.shape) < 0.15] = np.nan
    rows = frame_of(parts, kind=kind)
    return rows, fitted(tff.describe_columns(rows), rows, epochs=3)


@pytest.fixture(scope="module")
def smooth():
    """Three parts of 1, some of which are 0, and a fitted table."""
    parts, _ = shares(400)
    rows = frame_of(with_zeros(parts))
    return rows, fitted(tff.describe_columns(rows), rows, epochs=3)


@pytest.mark.parametrize(
    ("parts", "label"),
    [
        (lambda s: s, "a + b + c + d = 1"),
        (lambda s: s.astype(np.float32), "a + b + c + d = 1"),
        (lambda s: with_zeros(s), "a + b + c + d = 1"),
        (lambda s: rounded(s, 100).astype(int), "a + b + c + d = 100"),
        (lambda s: rounded(s, 1000) / 10.0, "a + b + c + d = 100"),
    ],
)
def test_is_found(parts, label):
    made, kind = shares(200, 4)
    other = np.random.default_rng(3).normal(size=200)
    (rule,) = tff.describe_columns(
        frame_of(parts(made), kind=kind, other=other)
    ).compositions
    assert sorted(rule.names) == ["a", "b", "c", "d"]
    assert sorted(rule.label) == sorted(label)


def test_two_compositions_beside_functions_and_sums_are_found():
    first, second = shares(200, 3)[0], shares(200, 4, seed=1)[0]
    rows = frame_of(np.concatenate([rounded(first, 100), rounded(second, 50)], axis=1))
    rows |= {"ab": rows["a"] + rows["b"], "share": rows["e"] / 100.0}
    columns = tff.describe_columns(rows)
    names = [set(rule.names) for rule in columns.compositions]
    assert len(names) == 2
    assert {"d", "e", "f", "g"} in names
    assert not columns.differences


def test_is_not_found_if_it_holds_up_to_rounding_or_parts_are_negative():
    parts, _ = shares(300, 4)
    assert found(frame_of(np.round(100.0 * parts, 1))) == []
    numbers = np.random.default_rng(0).normal(size=[300, 3])
    assert found(frame_of(numbers - numbers.mean(axis=1, keepdims=True))) == []
    assert found(frame_of(parts[:15])) == []


def test_probabilities_of_counts_add_up_to_one(small):
    _, table = small
    cells = [[0.0, 1.0, 2.0, 3.0, 4.0, np.nan]] * 3
    every = list(itertools.product(*cells, ["x", "y"]))
    rows = {
        n: np.array(c)
        for n, c in zip((*COUNTS, "kind"), zip(*every, strict=True), strict=True)
    }
    log_prob = table.log_prob(rows)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-5)
    amount = np.sum([rows[n] for n in COUNTS], axis=0)
    known = np.nansum([rows[n] for n in COUNTS], axis=0)
    can_occur = np.where(np.isnan(amount), known <= 4.0, amount == 4.0)
    np.testing.assert_array_equal(np.isfinite(log_prob), can_occur)


def test_densities_of_parts_with_zeros_add_up_to_one(smooth):
    _, table = smooth
    assert set(table.columns.compositions[0].names) == set(COUNTS)

    def density(a, b, c):
        rows = dict(zip(COUNTS, np.broadcast_arrays(a, b, c), strict=True))
        return np.exp(table.log_prob(rows))

    # Logits of shares of the room are integrated by the trapezoidal rule.
    t = np.linspace(-14.0, 14.0, 281)
    share, slope = 1.0 / (1.0 + np.exp(-t)), (t[1] - t[0]) / (2.0 + 2.0 * np.cosh(t))
    corners = [density(*row) for row in np.eye(3)[:, :, None]]
    edges = [
        density(share, 1.0 - share, 0.0),
        density(share, 0.0, 1.0 - share),
        density(np.zeros_like(share), share, 1.0 - share),
    ]
    first, second = (x.ravel() for x in np.meshgrid(share, share))
    room = 1.0 - first
    weight = np.outer(slope, slope).ravel() * room
    inside = density(first, room * second, room * (1.0 - second))
    sums = [np.sum(corners), np.sum(slope * edges), np.sum(weight * inside)]
    np.testing.assert_allclose(np.sum(sums), 1.0, atol=2e-3)


@pytest.mark.parametrize("which", ["small", "smooth"])
def test_draws_keep_the_sum(which, request):
    rows, table = request.getfixturevalue(which)
    total = table.columns.compositions[0].total
    drawn = table.sample(2000, seed=0)
    parts = np.stack([drawn[n] for n in COUNTS], axis=1)
    is_complete = ~np.isnan(parts).any(axis=1)
    np.testing.assert_allclose(parts[is_complete].sum(axis=1), total, rtol=1e-15)
    assert np.nanmin(parts) >= 0.0
    assert np.nansum(parts[~is_complete], axis=1).max(initial=0.0) <= total
    assert np.isfinite(table.log_prob(drawn)).all()
    zeros = [np.mean(np.stack([r[n] for n in COUNTS]) == 0.0) for r in (rows, drawn)]
    assert zeros[1] == pytest.approx(zeros[0], abs=0.12)


@pytest.mark.parametrize("which", ["small", "smooth"])
def test_rows_are_decoded_and_saved(which, request, tmp_path):
    rows, table = request.getfixturevalue(which)
    table, loaded = saved_and_loaded(table, tmp_path / "table.keras")
    log_prob = table.log_prob(rows)
    np.testing.assert_array_equal(log_prob, loaded.log_prob(rows))
    check_equal(table.sample(20, seed=1), loaded.sample(20, seed=1))
    decoded = table._codecs.rows.decode(table.encode(rows)[0])
    for name in COUNTS:
        np.testing.assert_allclose(decoded[name], rows[name], atol=1e-15)


def test_rows_that_break_it_cannot_occur(smooth):
    rows, table = smooth
    wrong = {**rows, "c": rows["c"] + 1e-3}
    assert np.isneginf(table.log_prob(wrong)).all()
    broken = tff.tables.violated_rules(wrong, table.columns)
    assert set(broken) == {
        "b + c + a = 1",
        *(f"{n}: bounded, 0 to 1, spikes 0, 1" for n in "bc"),
    }
    assert broken["b + c + a = 1"].all()
    assert sum(is_broken.any() for is_broken in broken.values()) == 1
    with pytest.raises(ValueError, match=r"constant column 'b \+ c \+ a' \(1\)"):
        fitted(table.columns, wrong)


def test_missing_counts_are_drawn_from_their_distribution(small):
    _, table = small
    count, pairs = 1000, (["a", "c"], ["a", "b"], ["b", "c"])
    cells = {
        n: np.repeat([np.nan if n in pair else 1.0 for pair in pairs], count)
        for n in COUNTS
    }
    with op_by_op():
        rows = table.impute(
            cells | {"kind": np.full(3 * count, "x")}, seed=0, num_candidates=64
        )
    np.testing.assert_array_equal(np.sum([rows[n] for n in COUNTS], axis=0), 4.0)
    amount = np.arange(4.0)
    for place, missing in enumerate(pairs):
        (known,) = set(COUNTS) - set(missing)
        every = {missing[0]: amount, missing[1]: 3.0 - amount, known: np.ones(4)}
        prob = np.exp(table.log_prob(every | {"kind": np.array(["x"] * 4)}))
        found = rows[missing[0]][place * count :][:count]
        drawn = np.mean(found[:, None] == amount, axis=0)
        np.testing.assert_allclose(drawn, prob / prob.sum(), atol=0.06)


def test_one_missing_part_follows_and_several_leave_the_sum(smooth):
    rows, table = smooth
    holes = {n: np.array(rows[n]) for n in COUNTS}
    number = np.arange(len(holes["a"]))
    for place, name in enumerate(COUNTS):
        holes[name][(number % 4 == place) | (number % 8 == 7)] = np.nan
    holes["a"][number % 8 == 3] = holes["b"][number % 8 == 3] = np.nan
    with op_by_op():
        filled = table.impute(holes, seed=0, num_candidates=64)
    total = np.sum([filled[n] for n in COUNTS], axis=0)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    for place, name in enumerate(COUNTS):
        where = number % 4 == place
        np.testing.assert_allclose(filled[name][where], rows[name][where], atol=1e-12)
    with pytest.raises(ValueError, match="can occur"):
        table.impute({"a": [0.7], "b": [0.6], "c": [np.nan]}, seed=0)


def test_parts_of_a_table_without_categories_are_completed():
    parts, _ = shares(200)
    rows = frame_of(rounded(parts, 4))
    table = fitted(tff.describe_columns(rows), rows, epochs=1)
    holes = {"a": [1.0, 4.0, np.nan], "b": [np.nan, np.nan, 3.0], "c": [np.nan] * 3}
    filled = table.impute(holes, seed=0, num_candidates=16)
    parts = np.stack([filled[n] for n in COUNTS])
    np.testing.assert_array_equal(parts.sum(axis=0), 4.0)
    np.testing.assert_array_equal(parts[:, 1], [4.0, 0.0, 0.0])


@pytest.mark.parametrize(
    "parts",
    [with_zeros(shares(100, 4)[0]), rounded(shares(100, 4)[0], 1000) / 10.0],
)
def test_parts_in_float32_are_completed(parts):
    rows = frame_of(parts.astype(np.float32))
    table = fitted(tff.describe_columns(rows), rows)
    hole = np.random.default_rng(0).integers(0, 4, 100)
    holes = {n: np.where(hole == i, np.nan, rows[n]) for i, n in enumerate("abcd")}
    holes["a"], holes["c"] = (np.where(hole == 3, np.nan, holes[n]) for n in "ac")
    holes = {n: cells.astype(np.float32) for n, cells in holes.items()}
    with op_by_op():
        filled = table.impute(holes, seed=0, num_candidates=64)
    single = hole != 3
    for name in "abcd":
        np.testing.assert_allclose(filled[name][single], rows[name][single], atol=1e-4)
        is_zero = single & (rows[name] == 0.0)
        np.testing.assert_array_equal(filled[name][is_zero], 0.0)
    total = np.sum([filled[n] for n in "abcd"], axis=0)
    np.testing.assert_allclose(total, parts.sum(axis=1), rtol=1e-6)
    assert np.isfinite(table.log_prob(filled)).all()


def test_a_tiny_part_is_no_zero_where_parts_are_never_zero():
    parts, _ = shares(200)
    rows = frame_of(parts)
    table = fitted(tff.describe_columns(rows), rows)
    first, second, third = table.columns.compositions[0].names
    tiny = {first: [0.5], second: [0.5 - 1e-13], third: [1e-13]}
    assert np.isfinite(table.log_prob(tiny)).all()
    assert np.isneginf(table.log_prob({**tiny, second: [0.5], third: [0.0]})).all()


def test_a_part_given_the_others_may_be_the_total(smooth):
    rows, table = smooth
    assert (rows["a"] == 1.0).any()
    given = fitted(table.columns, rows, context=["b", "c"])
    assert np.isfinite(given.log_prob(rows)).all()


def test_it_is_dropped_with_a_column_in_the_context_or_by_its_label(small):
    rows, table = small
    kept = tff.TableDensity(table.columns, context=["a"], missing="indicator")
    assert not kept._codecs.rows.compositions
    columns = tff.describe_columns(rows)
    columns.drop(columns.compositions[0].label)
    assert not columns.compositions
    assert columns["a"].high == 4.0


def test_columns_that_do_not_allow_it_are_refused():
    def parts(**entries):
        entries = {"low": 0.0, "high": 10.0, **entries}
        return [column(n, "integer", **entries) for n in COUNTS]

    rule = tff.tables.Composition(list(COUNTS), 10.0)
    for columns in (parts(high=9.0), parts(spikes=[2.0])):
        table = tff.tables.TableColumns(columns, compositions=[rule])
        with pytest.raises(ValueError, match=r"allow the composition .b \+ c \+ a = 10"):
            tff.TableDensity(table)
    other = tff.tables.Equality(["a", "b"])
    table = tff.tables.TableColumns(parts(), equalities=[other], compositions=[rule])
    with pytest.raises(ValueError, match="without other"):
        tff.TableDensity(table)
    with pytest.raises(ValueError, match="three or more columns"):
        tff.tables.Composition(["a", "b"], 1.0)
    with pytest.raises(ValueError, match="`total` above 0"):
        tff.tables.Composition(list(COUNTS), 0.0)
