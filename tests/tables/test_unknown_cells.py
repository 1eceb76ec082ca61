"""Cells outside of a table's supports: refused by name, or marked or clipped on demand."""

import warnings

import numpy as np
import pytest
from small_tables import column, fitted

from tfp_flows.tables.column_codec import ColumnCodec

pytestmark = pytest.mark.usefixtures("all_op_by_op")


COLUMNS = [
    column("age", "positive"),
    column("share", "bounded", low=0.0, high=1.0),
    column("income", "positive", spikes=[0.0]),
    column("count", "integer", low=0.0, high=9.0),
    column("grade", "ordered", values=[1.0, 2.5, 7.0]),
    column("city", "categorical", values=["A", "B"]),
    column("fixed", "constant", values=[3]),
    column("y", "categorical", values=["no", "yes"]),
]
CONTEXT = [c.name for c in COLUMNS[:-1]]
# Column, cell outside of its support, and an interval with the nearest number inside.
OUTSIDE = [
    ("age", -1.0, (0.0, 1.0)),
    ("age", 0.0, (0.0, 1.0)),
    ("share", 1.5, (0.9, 1.0)),
    ("share", 0.0, (0.0, 0.1)),
    ("income", -5.0, (-1e-9, 1e-9)),
    ("count", 10.0, (8.9, 9.1)),
    ("count", 2.6, (2.9, 3.1)),
    ("grade", 3.0, None),
    ("city", "C", None),
    ("fixed", 4, None),
    ("age", np.nan, None),
]


def frame(count=64):
    rng = np.random.default_rng(0)
    return {
        "age": np.exp(rng.normal(size=count)),
        "share": rng.uniform(0.01, 0.99, count),
        "income": np.exp(rng.normal(size=count)) * (rng.random(count) < 0.7),
        "count": rng.integers(0, 10, count).astype(float),
        "grade": rng.choice([1.0, 2.5, 7.0], count),
        "city": rng.choice(["A", "B"], count),
        "fixed": np.full(count, 3),
        "y": rng.choice(["no", "yes"], count),
    }


def changed(name, cell):
    """Five rows, the third of which has another cell."""
    rows = {key: column[:5].astype(object) for key, column in frame().items()}
    rows[name][2] = cell
    return rows


@pytest.fixture(scope="module")
def table(all_op_by_op):
    return fitted(COLUMNS, frame(), context=CONTEXT, missing="refuse")


@pytest.mark.parametrize(("name", "cell", "nearest"), OUTSIDE)
def test_a_context_that_training_rows_cannot_have_is_refused_marked_or_clipped(
    table, name, cell, nearest
):
    rows = changed(name, cell)
    named = rf"{name!r}.*(row 2|: 1\}})"  # missing cells are counted by column
    for method in (table.log_prob, table.predict, table.encode, table.impute):
        with pytest.raises(ValueError, match=named) as caught:
            method(rows)
        assert cell != cell or repr(cell) in str(caught.value)
    with pytest.raises(ValueError, match=named):
        table.sample(seed=0, context=rows)
    with pytest.warns(UserWarning, match=rf"^1 of 5 rows.*\{{{name!r}: 1\}}"):
        log_prob = table.log_prob(rows, mark_unknown=True)
    known = [0, 1, 3, 4]
    expected = table.log_prob({key: column[known] for key, column in rows.items()})
    np.testing.assert_allclose(log_prob[known], expected, atol=1e-6)
    assert np.isnan(log_prob[2])
    unknown = table.unknown_cells(rows)
    assert [key for key, n in unknown.items() if n.any()] == [name]
    assert unknown[name].tolist() == [False, False, True, False, False]
    if nearest is None:
        return
    with pytest.warns(UserWarning, match=rf"moved.*\{{{name!r}: 1\}}"):
        clipped = table.clip_context(rows)
    low, high = nearest
    assert low < clipped[name][2] < high
    assert np.isfinite(table.log_prob({**rows, **clipped})).all()
    rows[name][2] = clipped[name][2]
    assert all((clipped[key] == rows[key]).all() for key in CONTEXT)


def test_nothing_is_said_of_rows_that_are_known(table):
    rows = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        marked = table.log_prob(rows, mark_unknown=True)
        table.clip_context(rows)
    np.testing.assert_array_equal(marked, table.log_prob(rows))


def test_unknown_categories_of_modelled_columns_are_marked(table):
    rows = changed("y", "maybe")
    with pytest.raises(ValueError, match=r"\['no', 'yes'\] in column 'y'; got 'maybe' in"):
        table.log_prob(rows)
    with pytest.warns(UserWarning, match=r"\{'y': 1\}"):
        marked = table.log_prob(rows, mark_unknown=True)
    assert np.isnan(marked).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("kind", "values", "cells", "expected"),
    [
        ("boolean", [False, True], ["True", "False"], "a number"),
        ("ordered", [1.0, 2.5, 7.0], ["1.0", "2.5"], "a number"),
        ("constant", ["x"], [1, 2], "a text"),
        ("ordered", [np.datetime64("2024-01-01", "ns")], [1, 2], "a date"),
    ],
)
def test_cells_of_another_type_are_refused(kind, values, cells, expected):
    codec = ColumnCodec(column("a", kind, values=values), has_missing=False)
    with pytest.raises(ValueError, match=f"Expected {expected} in each .* column 'a'; got"):
        codec.encode(np.array(cells, object))
    assert codec.encode(np.array([None, None])).is_missing.all()
