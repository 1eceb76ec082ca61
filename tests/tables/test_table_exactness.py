"""Total probabilities of two columns of each pair of kinds, and what is outside of them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff

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
FAST = [
    ("positive", "missing"),
    ("periodic", "heavy-tailed"),
    ("integer", "categorical"),
    ("ordered", "spikes"),
]
assert set(FAST) <= set(PAIRS)
_NODES = 200


def column(name, kind):
    from_kind = "integer" if kind.startswith("integer") else _OF.get(kind, kind)
    return tff.tables.Column(name, from_kind, "as given", **KINDS[kind])


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
    codec = table._rows.codec(name)
    if "values" in KINDS[kind]:
        return codec.column.values, np.ones(len(KINDS[kind]["values"]))
    if kind.startswith("integer"):
        low, high = KINDS[kind].get("low", -150.0), KINDS[kind].get("high", 400.0)
        integers = np.arange(low, high + 1.0)
        return integers, np.ones(len(integers))
    maps = table.distribution.cells.maps
    cell = table._rows.cells_of_column(name)[-1] - table.distribution.cells.num_codes
    maps = maps.from_columns([cell])
    if kind == "periodic":
        u, width = np.linspace(-np.pi, np.pi, _NODES + 1)[:-1], 2.0 * np.pi / _NODES
    else:  # densest in the middle, and far out in the tails
        v, width = np.linspace(-4.5, 4.5, _NODES, retstep=True)
        u = np.sinh(v)
        width = width * np.cosh(v)
    y = maps.backward(tf.constant(u[:, None])).numpy()
    weights = width * np.exp(-maps.forward(tf.constant(y)).log_slope.numpy()[:, 0])
    y, weights = list(y[:, 0]), list(weights)
    y += KINDS[kind].get("spikes", [])
    y += [np.nan] if kind == "missing" else []
    return y, np.array(weights + [1.0] * (len(y) - len(weights)))


def fitted(*kinds):
    """A table of two columns of these kinds, with random weights."""
    names = ["first", "second"]
    from_names = dict(zip(names, kinds, strict=True))
    columns = tff.tables.TableColumns([column(n, k) for n, k in from_names.items()])
    table = tff.TableDensity(
        columns, missing="indicator", num_members=2, hidden_units=(8, 8), num_bins=4, seed=0
    )
    frame = {
        n: rows_of(k, seed=i) for i, (n, k) in enumerate(zip(names, kinds, strict=True))
    }
    table.fit(frame, epochs=1, batch_size=64)
    randomize(table.distribution, stddev=0.1)
    return table


@pytest.mark.parametrize(
    "kinds",
    [p if p in FAST else pytest.param(p, marks=pytest.mark.slow) for p in PAIRS],
    ids=" and ".join,
)
@pytest.mark.usefixtures("op_by_op")
def test_total_probability_is_one(kinds):
    table = fitted(*kinds)
    (first, from_first), (second, from_second) = (
        points(table, name, kind)
        for name, kind in zip(["first", "second"], kinds, strict=True)
    )
    i, j = np.meshgrid(np.arange(len(first)), np.arange(len(second)), indexing="ij")
    frame = {
        "first": np.array(first, object)[i.ravel()],
        "second": np.array(second, object)[j.ravel()],
    }
    density = np.exp(table.log_prob(frame))
    assert np.sum(
        density * from_first[i.ravel()] * from_second[j.ravel()]
    ) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kinds", [("ordered", "categorical")], ids=" and ".join)
@pytest.mark.usefixtures("op_by_op")
def test_samples_have_the_probabilities_of_pairs_of_categories(kinds):
    table, count = fitted(*kinds), 20_000
    randomize(table.distribution, stddev=0.5)
    values = [KINDS[kind]["values"] for kind in kinds]
    pairs = list(itertools.product(*values))
    first, second = (np.array(v, object) for v in zip(*pairs, strict=True))
    expected = count * np.exp(table.log_prob({"first": first, "second": second}))
    drawn = table.sample(count, seed=1)
    found = list(zip(drawn["first"].tolist(), drawn["second"].tolist(), strict=True))
    counts = np.array([found.count(pair) for pair in pairs])
    assert counts.sum() == count
    freedom = len(pairs) - 1
    statistic = np.sum((counts - expected) ** 2 / expected)
    assert statistic < freedom + 4.0 * np.sqrt(2.0 * freedom)
    wrong = np.roll(expected, 1)
    assert np.sum((counts - wrong) ** 2 / wrong) > freedom + 20.0 * np.sqrt(2.0 * freedom)


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
    columns = tff.tables.TableColumns([column(kind, kind) for kind in OUTSIDE])
    table = tff.TableDensity(columns, num_members=1, hidden_units=(8,), seed=0)
    rows = {kind: rows_of(kind) for kind in OUTSIDE}
    table.fit(rows, epochs=1)
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
