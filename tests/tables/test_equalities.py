"""Columns that are equal in some rows: found, exact in densities and draws, left out."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from refusals import all_refused
from small_tables import TINY, column, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import Difference, Equality, TableColumns
from tfp_flows.tables.numbers.atoms import Atoms, AtomsOfRows, NumbersWithAtoms
from tfp_flows.tables.numbers.number_conditionals import NumberConditionals
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 400
RNG = np.random.default_rng(0)
BILL = np.round(np.exp(5.0 + RNG.normal(size=COUNT)))
OTHER = np.round(np.exp(4.0 + RNG.normal(size=COUNT)))
IS_FULL = RNG.random(COUNT) < 0.3
SIZE = RNG.normal(size=COUNT)
ROWS = {
    "bill": BILL,
    "paid": np.where(IS_FULL, BILL, OTHER),
    "size": SIZE,
    "again": np.where(IS_FULL, SIZE, RNG.normal(size=COUNT)),
}
PAIRS = [Equality(["b", "a"]), Equality(["c", "a"]), Equality(["c", "b"])]


def test_equalities_are_found():
    columns = tff.describe_columns(ROWS)
    labels = [equality.label for equality in columns.equalities]
    assert labels == ["paid = bill", "again = size"]
    assert f"in {100.0 * IS_FULL.mean():.1f} % of the rows" in str(columns)
    assert tff.describe_columns(ROWS, as_recorded=False).equalities == []
    again = TableColumns.from_plain(columns.to_plain())
    assert str(again) == str(columns)
    assert columns.select(["bill", "size"]).equalities == []
    columns.drop("paid = bill", "size")
    assert columns.equalities == []
    assert columns.names == ["bill", "paid", "again"]


def test_chance_is_no_equality():
    height = np.round(170.0 + 8.0 * RNG.normal(size=COUNT))
    rows = {
        "twin": np.round(height + RNG.normal(size=COUNT)),
        "height": height,
        "other": np.round(170.0 + 8.0 * RNG.normal(size=COUNT)),
        "price": 100.0 * RNG.poisson(12.0, COUNT) + 1.0 * (RNG.random(COUNT) < 0.1),
        "offer": 100.0 * RNG.poisson(12.0, COUNT) + 1.0 * (RNG.random(COUNT) < 0.1),
    }
    assert tff.describe_columns(rows).equalities == []


def counts():
    """Rows of three counts, of which some are equal."""
    a, b, c = 1 + RNG.poisson(3.0, [3, COUNT])
    b = np.where(RNG.random(COUNT) < 0.4, a, b)
    c = np.where(RNG.random(COUNT) < 0.4, b, np.where(RNG.random(COUNT) < 0.3, a, c))
    return {"a": a, "b": b, "c": np.maximum(c, 2)}


def table_of_counts(**options):
    """A table with spikes of its own in each column, and random weights."""
    columns = [
        column("a", "integer", low=0.0, high=20.0, spikes=[2.0, 5.0]),
        column("b", "integer", low=0.0, high=18.0, spikes=[2.0, 7.0]),
        column("c", "integer", low=2.0, high=20.0),
    ]
    columns = TableColumns(columns, equalities=PAIRS)
    table = tff.TableDensity(columns, **{**TINY, "num_members": 2, **options})
    table.fit(counts(), epochs=1, batch_size=512)
    randomize(table.distribution, stddev=0.3)
    return table


@pytest.fixture(scope="module")
def joint():
    """A table, all rows that it can have, and their probabilities."""
    table = table_of_counts()
    rows = np.array(list(itertools.product(range(21), range(19), range(2, 21))))
    frame = dict(zip("abc", rows.T, strict=True))
    return table, frame, np.exp(table.log_prob(frame))


def test_total_probability_is_one(joint):
    _, _, probability = joint
    assert probability.sum() == pytest.approx(1.0, abs=1e-4)


def test_draws_have_their_probabilities(joint):
    table, rows, probability = joint
    count = 20_000
    drawn = table.sample(count, seed=1)
    for first, second in (("b", "a"), ("c", "a"), ("c", "b")):
        for number in (2, 3, 5, 7, 9):
            events = [(r[first] == number) & (r[second] == number) for r in (drawn, rows)]
            expected = probability[events[1]].sum()
            error = 5.0 * np.sqrt(expected / count) + 1e-9
            assert np.mean(events[0]) == pytest.approx(expected, abs=error)
    are_all = (drawn["a"] == drawn["b"]) & (drawn["b"] == drawn["c"])
    expected = probability[(rows["a"] == rows["b"]) & (rows["b"] == rows["c"])].sum()
    assert are_all.mean() == pytest.approx(expected, abs=5.0 * np.sqrt(expected / count))


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"b": 8, "c": 8}, {"a": 8, "c": 8}, {"c": 6}], ids=str)
def test_missing_numbers_have_their_conditional_distribution(joint, given):
    table, rows, probability = joint
    count = 2000
    lost = {name: np.full(count, float(given.get(name, np.nan))) for name in "abc"}
    filled = table.impute(lost, seed=2, num_candidates=64)
    is_given = np.all([rows[name] == number for name, number in given.items()], axis=0)
    for name in set("abc") - set(given):
        numbers = np.arange(21)
        at = [probability[is_given & (rows[name] == n)].sum() for n in numbers]
        found = np.mean(filled[name][:, None] == numbers, axis=0)
        error = 5.0 * np.sqrt(0.25 / count)
        np.testing.assert_allclose(found, at / np.sum(at), atol=error)


def test_a_row_without_its_atom_has_a_density_at_zero():
    y = RNG.normal(size=COUNT)
    rows = {"x": np.where(IS_FULL, y, np.nan), "y": y}
    columns = [column("x", num_missing=1), column("y")]
    columns = TableColumns(columns, equalities=[Equality(["y", "x"])])
    table = fitted(columns, rows, context=["x"])
    given = {"x": np.array([np.nan, 0.0])}
    log_prob = table.predict(given).log_prob(0.0)
    joint = table.log_prob({**given, "y": np.zeros(2)})
    np.testing.assert_allclose(log_prob, joint, atol=1e-5)


@pytest.mark.slow
def test_predictions_are_those_of_the_joint_distribution():
    table = table_of_counts(context=["a", "b"])
    given = {"a": [2, 5, 3, 9], "b": [3, 7, 3, 2]}
    predicted, y = table.predict(given), np.arange(2.0, 21.0)
    # One call for all numbers of all rows.
    rows, at = {n: np.tile(cells, len(y)) for n, cells in given.items()}, np.repeat(y, 4)
    each = table.predict(rows)
    probability = np.exp(each.log_prob(at)).reshape(-1, 4)
    up_to = np.cumsum(probability, axis=0)
    np.testing.assert_allclose(up_to[-1], 1.0, atol=1e-4)
    joint = np.exp(table.log_prob({**rows, "c": at})).reshape(-1, 4)
    np.testing.assert_allclose(probability, joint, atol=1e-6)
    np.testing.assert_allclose(np.reshape(each.cdf(at), [-1, 4]), up_to, atol=1e-4)
    mean = np.sum(probability * y[:, None], axis=0)
    np.testing.assert_allclose(predicted.mean(), mean, rtol=1e-3)
    for level in (0.137, 0.33, 0.5, 0.71, 0.93):
        expected = y[np.argmax(up_to >= level, axis=0)]
        np.testing.assert_array_equal(predicted.quantile(level), expected)


def table_of_reals():
    columns = [column("size"), column("again")]
    columns = TableColumns(columns, equalities=[Equality(["again", "size"])])
    rows = {name: ROWS[name] for name in ("size", "again")}
    table = fitted(columns, rows, num_members=2)
    randomize(table.distribution, stddev=0.1)
    return table


def test_real_numbers_have_a_probability_and_a_density(tmp_path):
    table, again = saved_and_loaded(table_of_reals(), tmp_path / "table.keras")
    y, width = np.linspace(-12.0, 12.0, 241, retstep=True)
    first, second = (each.ravel() for each in np.meshgrid(y, y + 0.3 * width))
    density = np.exp(table.log_prob({"size": first, "again": second}))
    on_diagonal = np.exp(table.log_prob({"size": y, "again": y}))
    share = on_diagonal.sum() * width
    assert density.sum() * width**2 + share == pytest.approx(1.0, abs=5e-3)
    drawn = table.sample(5000, seed=0)
    is_equal = drawn["size"] == drawn["again"]
    assert is_equal.mean() == pytest.approx(share, abs=0.03)
    np.testing.assert_array_equal(again.log_prob(drawn), table.log_prob(drawn))
    # Given the later number, the earlier one is equal to it with a probability.
    near = np.exp(table.log_prob({"size": y, "again": np.full(len(y), 0.25)}))
    here = np.exp(table.log_prob({"size": [0.25], "again": [0.25]}))[0]
    lost = {"size": np.full(1000, np.nan), "again": np.full(1000, 0.25)}
    filled = table.impute(lost, seed=1, num_candidates=64)["size"]
    others = np.sum(np.where(y == 0.25, 0.0, near)) * width
    expected = here / (here + others)
    assert np.mean(filled == 0.25) == pytest.approx(expected, abs=0.08)


@pytest.mark.slow
def test_shares_come_back():
    columns = tff.describe_columns({"bill": BILL, "paid": ROWS["paid"]})
    table = tff.TableDensity(columns, **TINY)
    table.fit({"bill": BILL, "paid": ROWS["paid"]}, epochs=3, batch_size=256)
    drawn = table.sample(2000, seed=0)
    assert np.mean(drawn["bill"] == drawn["paid"]) == pytest.approx(0.3, abs=0.08)
    columns.drop("paid = bill")
    table = tff.TableDensity(columns, **TINY)
    table.fit({"bill": BILL, "paid": ROWS["paid"]}, epochs=3, batch_size=256)
    drawn = table.sample(2000, seed=0)
    assert np.mean(drawn["bill"] == drawn["paid"]) < 0.05


def table_with(equality, differences=(), **steps):
    columns = [
        column(name, low=0.0, kind="positive", step=steps.get(name)) for name in "ab"
    ]
    tff.TableDensity(TableColumns(columns, differences, [equality]))


BAD_CALLS = [
    (lambda: table_with(Equality(["a", "c"])), "`equalities` | of the columns | ['c']"),
    (lambda: Equality(["a", "a"]), "`names` of two columns of an equality | ['a', 'a']"),
    (
        lambda: table_with(PAIRS[0], a=0.5, b=1.0),
        "allow the equality 'b = a' | columns.drop('b = a')",
    ),
    (
        lambda: table_with(
            PAIRS[0], [Difference("b", ["a"], column("b - a", "positive", low=0.0))]
        ),
        "without differences and functions",
    ),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_the_draws_that_are_moved_are_a_random_half():
    maps = NumberMaps([NumberSpec("line")])
    conditionals = NumberConditionals(maps, 4, [0.9])
    parameters = tf.random.stateless_normal(
        [20_000, 3, conditionals.num_parameters, 1], [0, 1]
    )
    number = NumbersWithAtoms(conditionals, parameters, Atoms([], maps), None)
    y = number.draw(tf.constant([1, 2])).numpy()
    atoms = AtomsOfRows(np.full([20_000, 1, 1], 99.0), np.ones([20_000, 1, 1], bool))
    moved, _ = number.moved(tf.constant(y), atoms, tf.constant([1, 2]))
    is_moved = moved.numpy() == 99.0
    assert is_moved.mean() == pytest.approx(0.5, abs=0.02)
    assert np.mean(np.abs(y[~is_moved]) > 1.5) == pytest.approx(
        np.mean(np.abs(y) > 1.5), rel=0.1
    )
