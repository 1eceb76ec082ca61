"""Total probabilities of two columns of each pair of kinds, and what is outside of them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from slow_cases import with_slow
from small_tables import column, fitted

from tfp_flows.tables import distribution

KINDS = {
    "real": {},
    "positive": {"low": 1.0},
    "bounded": {"low": -1.0, "high": 4.0},
    "periodic": {"low": 0.0, "high": 24.0},
    "heavy-tailed": {},
    "integer": {"low": 0.0},
    "integers of both signs": {},
    "integers between": {"low": -2.0, "high": 5.0},
    "ordered": {"values": [1.0, 2.5, 7.0]},
    "categorical": {"values": ["a", "b", "c"]},
    "boolean": {"values": [False, True]},
    "spikes": {"low": 0.0, "spikes": [0.0, 2.0]},
    "missing": {"num_missing": 3},
}
_OF = {"spikes": "positive", "missing": "real"}
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))
FAST = {
    *(("positive", "missing"), ("periodic", "heavy-tailed")),
    *(("integer", "categorical"), ("ordered", "spikes")),
}
assert set(PAIRS) >= FAST
_NODES, NAMES = 200, ("first", "second")


def column_of(name, kind):
    from_kind = "integer" if kind.startswith("integer") else _OF.get(kind, kind)
    return column(name, from_kind, reason="as given", **KINDS[kind])


def rows_of(kind, count=64, seed=0):
    """Training cells of a kind."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=count)
    cells = {
        "positive": 1.0 + np.exp(normal),
        "bounded": rng.uniform(-1.0, 4.0, count),
        "periodic": rng.uniform(0.0, 24.0, count),
        "heavy-tailed": 3.0 * normal**3,
        "integer": rng.poisson(3.0, count),
        "integers of both signs": rng.integers(-5, 9, count),
        "integers between": rng.integers(-2, 6, count),
        "spikes": np.exp(normal) * (rng.random(count) < 0.6),
        "missing": np.where(rng.random(count) < 0.3, np.nan, normal),
    }
    if "values" in KINDS[kind]:
        return rng.choice(np.array(KINDS[kind]["values"]), count)
    return np.asarray(cells.get(kind, normal))


def points(table, name, kind):
    """Cells of a kind, and the weights with which a sum over them is an integral."""
    if "values" in KINDS[kind]:
        values = table._codecs.rows.codecs[name].column.values
        return values, np.ones(len(values))
    if kind.startswith("integer"):
        low, high = KINDS[kind].get("low", -150.0), KINDS[kind].get("high", 400.0)
        integers = np.arange(low, high + 1.0)
        return integers, np.ones(len(integers))
    features = table.distribution.features
    number = table._codecs.rows.entries_of_column(name)[-1] - features.num_codes
    maps = features.maps.from_columns([number])
    if kind == "periodic":
        u, width = np.linspace(-np.pi, np.pi, _NODES + 1)[:-1], 2.0 * np.pi / _NODES
    else:  # densest in the middle, and far out in the tails
        v, width = np.linspace(-4.5, 4.5, _NODES, retstep=True)
        u = np.sinh(v)
        width = width * np.cosh(v)
    y = maps.backward(tf.constant(u[:, None]))
    weights = width * np.exp(-maps.forward(y).log_slope.numpy()[:, 0])
    more = [*KINDS[kind].get("spikes", []), *([np.nan] if kind == "missing" else [])]
    return np.append(y[:, 0], more), np.append(weights, np.ones(len(more)))


def all_pairs(first, second):
    """All pairs of values of two columns, as a frame."""
    i, j = np.meshgrid(np.arange(len(first)), np.arange(len(second)), indexing="ij")
    columns = (np.array(first, object)[i.ravel()], np.array(second, object)[j.ravel()])
    return dict(zip(NAMES, columns, strict=True))


def table_of(*kinds):
    """A table of two columns of these kinds, with random weights."""
    pairs = list(zip(NAMES, kinds, strict=True))
    frame = {name: rows_of(kind, seed=i) for i, (name, kind) in enumerate(pairs)}
    columns = [column_of(*pair) for pair in pairs]
    table = fitted(columns, frame, num_members=2, hidden_units=(8, 8))
    randomize(table.distribution, stddev=0.1)
    return table


@pytest.mark.parametrize("kinds", with_slow(PAIRS, set(PAIRS) - FAST), ids=" and ".join)
@pytest.mark.usefixtures("op_by_op")
def test_total_probability_is_one(kinds):
    table = table_of(*kinds)
    (first, of_first), (second, of_second) = (
        points(table, *pair) for pair in zip(NAMES, kinds, strict=True)
    )
    density = np.exp(table.log_prob(all_pairs(first, second)))
    total = np.sum(density * np.outer(of_first, of_second).ravel())
    assert total == pytest.approx(1.0, abs=1e-3)


OUTSIDE = {
    "positive": [1.0, 0.0, -3.0],
    "bounded": [-1.0, 4.0, 9.0],
    "periodic": [24.1, -0.1],
    "integer": [-1.0, 2.5],
    "integers between": [-3.0, 6.0, 0.5],
    "ordered": [2.0, 0.0],
    "spikes": [-1.0],
}


@pytest.mark.usefixtures("op_by_op")
def test_what_cannot_occur_has_probability_zero():
    rows = {kind: rows_of(kind) for kind in OUTSIDE}
    table = fitted([column_of(kind, kind) for kind in OUTSIDE], rows)
    assert np.isfinite(table.log_prob(rows)).all()
    places = [(kind, cell) for kind, cells in OUTSIDE.items() for cell in cells]
    outside = {
        name: np.array([cell if kind == name else column[0] for kind, cell in places])
        for name, column in rows.items()
    }
    np.testing.assert_array_equal(table.log_prob(outside), -np.inf)
    for name in ("positive", "integer"):
        bad = np.where(np.arange(64) == 1, OUTSIDE[name][-1], rows[name])
        with pytest.raises(ValueError, match=r"rows that can occur.*in row 1 \(1 of"):
            table.fit({**rows, name: bad}, epochs=1)


@pytest.mark.usefixtures("op_by_op")
def test_rows_in_parts_have_the_densities_of_one_call(monkeypatch):
    frame = {kind: rows_of(kind) for kind in ("real", "missing")}
    table = fitted([column_of(kind, kind) for kind in frame], frame)
    whole = table.log_prob(frame)
    monkeypatch.setattr(distribution, "_MOST_PARAMETERS", 500)
    np.testing.assert_allclose(table.log_prob(frame), whole, rtol=1e-5)
