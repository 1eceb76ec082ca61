"""Drawn rows that could have been recorded: supports, base rates and dtypes."""

import numpy as np
import pandas
import pytest
import tensorflow as tf
from scipy import special
from small_tables import fitted

import tfp_flows as tff
from tfp_flows.tables import table_density
from tfp_flows.tables.numbers.integer_frequencies import with_frequencies
from tfp_flows.tables.numbers.number_conditionals import NumberConditionals
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec

COUNT = 400


def frames():
    rng = np.random.default_rng(0)
    day = rng.integers(0, 730, COUNT)
    least = (12.0 - 9.0 * np.cos(day * 2.0 * np.pi / 365.0) + rng.normal(size=COUNT)).round(
        1
    )
    weather = pandas.DataFrame(
        {
            "date": (np.datetime64("2024-01-01") + day).astype("datetime64[us]"),
            "month": np.int32((day % 365) // 30.5 + 1),
            "least": least.astype(np.float32),
            "most": (least + rng.gamma(3.0, 1.5, COUNT)).round(1),
            "rain": np.where(
                rng.random(COUNT) < 0.6, 0.0, rng.gamma(1.0, 4.0, COUNT)
            ).round(1),
            "wet": rng.random(COUNT) < 0.3,
        }
    )
    hours = np.where(rng.random(COUNT) < 0.5, 40, 5 * rng.integers(1, 17, COUNT))
    gain = np.where(rng.random(COUNT) < 0.9, 0, rng.choice([594, 7688, 99999], COUNT))
    people = pandas.DataFrame(
        {
            "hours": pandas.array(hours, dtype="Int64"),
            "gain": gain,
            "score": np.minimum(rng.normal(70.0, 25.0, COUNT).round(), 100.0).clip(0.0),
            "owner": pandas.array(rng.random(COUNT) < 0.5, dtype="boolean"),
            "name": pandas.array(rng.choice(["a", "b"], COUNT), dtype="string"),
            "size": pandas.Categorical(
                rng.choice(["s", "l"], COUNT), ["s", "m", "l"], ordered=True
            ),
            "kind": pandas.Categorical(rng.choice(["x", "y"], COUNT), ["y", "z", "x"]),
            "wage": 100 * rng.poisson(30.0, COUNT).astype(np.uint16),
        }
    )
    people.loc[:19, ["hours", "owner", "name"]] = None
    return {"weather": weather, "people": people}


FRAMES = frames()


@pytest.mark.slow_ids("people")
@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.usefixtures("op_by_op")
def test_no_drawn_cell_is_impossible(name):
    frame = FRAMES[name]
    columns = tff.describe_columns(frame)
    table = fitted(columns, frame)
    drawn = table.sample(3000, seed=1)
    assert np.isfinite(table.log_prob(drawn)).all()
    assert np.isfinite(table.log_prob(frame)).all()
    assert (drawn.dtypes == frame.dtypes).all()
    for column in columns:
        cells = drawn[column.name].dropna()
        if column.high is not None:
            assert cells.between(column.low, column.high).all()
        if column.step is not None and column.kind != "date":
            steps = cells.to_numpy(float) / column.step
            np.testing.assert_allclose(steps, steps.round(), rtol=1e-6)
    if name == "weather":
        assert (drawn["month"].between(1, 12)).all()
        assert (drawn["least"] <= drawn["most"].astype(np.float32)).all()


def test_ends_are_found_where_they_are_no_tails():
    columns = tff.describe_columns(FRAMES["weather"])
    assert (columns["month"].low, columns["month"].high) == (1.0, 12.0)
    people = tff.describe_columns(FRAMES["people"])
    assert people["score"].high == 100.0
    counts = np.random.default_rng(1).poisson(20.0, 2000)
    (column,) = tff.describe_columns({"counts": counts})
    assert (column.low, column.high) == (0.0, None)


def test_integers_near_the_ends_of_their_dtype_end_there():
    rng = np.random.default_rng(1)
    frame = {
        "pixel": rng.poisson(200.0, 500).clip(0, 255).astype("uint8"),
        "balance": np.round(40.0 * rng.normal(size=500)).clip(-120, 120).astype("int8"),
        "few": rng.poisson(3.0, 500).astype("uint8"),
        "nullable": pandas.array(rng.poisson(200.0, 500).clip(0, 255), dtype="UInt8"),
    }
    frame["nullable"][:9] = None
    ends = [(c.low, c.high) for c in tff.describe_columns(frame)]
    assert ends == [(0.0, 255.0), (-128.0, 127.0), (0.0, None), (0.0, 255.0)]
    frame = {name: frame[name] for name in ("pixel", "balance")}
    drawn = fitted(tff.describe_columns(frame), frame).sample(2000, seed=0)
    assert [drawn[name].dtype for name in frame] == [np.uint8, np.int8]


def test_a_spike_at_the_last_number_is_an_end():
    rng = np.random.default_rng(2)
    numbers = rng.exponential(size=2000)
    frame = {"capped": np.minimum(numbers, 1.7), "censored": np.maximum(numbers, 0.2)}
    columns = tff.describe_columns(frame | {"free": numbers})
    assert (columns["capped"].low, columns["capped"].high) == (0.0, 1.7)
    assert (columns["censored"].low, columns["censored"].high) == (0.2, None)
    assert (columns["free"].low, columns["free"].high) == (0.0, None)
    assert "ends at 1.7" in columns["capped"].reason
    (column,) = tff.describe_columns({"a": frame["capped"]}, as_recorded=False)
    assert column.high is None


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 2])
def test_a_rare_category_has_its_base_rate(place):
    rng = np.random.default_rng(place)
    share = np.array([0.495, 0.495, 0.495])
    share[place] = 0.01
    counts = (300 * share).astype(int)
    text = rng.permutation(np.repeat(["a", "b", "c"], counts))
    grade = rng.permutation(np.repeat([1, 2, 3], counts))
    frame = {"text": text, "grade": grade, "x": rng.normal(size=len(text)) + (text == "b")}
    columns = tff.describe_columns(frame)
    columns.change("grade", kind="ordered", values=[1, 2, 3])
    table = fitted(columns, frame, epochs=8, num_members=2)
    drawn = table.sample(20_000, seed=1)
    rates = [np.mean(drawn["text"] == "abc"[place]), np.mean(drawn["grade"] == place + 1)]
    # Three standard errors of a share of 1 % of 297 rows are 0.017.
    assert all(0.005 < rate < 0.02 for rate in rates)


def test_a_map_of_integers_has_their_frequencies():
    rng = np.random.default_rng(0)
    numbers = rng.normal(40.0, 12.0, 2000).round()
    numbers = np.where(rng.random(2000) < 0.5, 5.0 * np.round(numbers / 5.0), numbers)
    spec = NumberSpec("line", mean=40.5, scale=12.0, is_integer=True)
    maps = NumberMaps([with_frequencies(spec, numbers)])
    every = np.arange(-20.0, 110.0)
    low, high = (
        maps.edge(tf.constant(e[:, None])).numpy()[:, 0] for e in (every, every + 1)
    )
    mass = special.ndtr(high) - special.ndtr(low)
    assert mass.sum() == pytest.approx(1.0, abs=1e-4)
    assert mass.min() > 0.0
    frequencies = np.mean(numbers[:, None] == every, axis=0)
    assert np.abs(mass - frequencies).max() < 0.01
    middle = maps.forward(maps.middle(tf.constant(every[:, None])))
    np.testing.assert_array_equal(np.floor(maps.backward(middle.u))[:, 0], every)
    # An end where many rows are.
    spec = NumberSpec("logit", 0.0, 61.0, scale=2.0, is_integer=True)
    capped = with_frequencies(spec, numbers.clip(0.0, 60.0))
    assert np.isfinite(capped.levels).all()
    assert np.diff(capped.levels).min() > 0.0
    # The middle of the last bin, which networks see, is its median.
    last = NumberMaps([capped]).forward(tf.constant([[60.5]], tf.float64)).u.numpy()
    share = np.mean(numbers >= 60.0)
    assert last.item() == pytest.approx(special.ndtri(1.0 - 0.5 * share), abs=0.1)
    far = NumberMaps([capped]).backward(tf.constant([[-99.0], [99.0]], tf.float64))
    np.testing.assert_array_equal(np.floor(far)[:, 0], [0.0, 60.0])
    # Numbers of one row each keep the smooth map.
    smooth = rng.normal(0.0, 3e6, 500).round()
    spec = NumberSpec("line", mean=0.0, scale=3e6, is_integer=True)
    assert with_frequencies(spec, smooth) == spec


def test_a_common_integer_stands_out_among_thousands_of_others():
    rng = np.random.default_rng(0)
    numbers = rng.exponential(20_000.0, 5_000).round()
    numbers[:100] = 390.0
    spec = NumberSpec("line", mean=numbers.mean(), scale=numbers.std(), is_integer=True)
    maps = NumberMaps([with_frequencies(spec, numbers)])
    ends = tf.constant([[390.0], [391.0]], tf.float64)
    low, high = special.ndtr(maps.edge(ends).numpy()[:, 0])
    # The smooth distribution has 0.0005 there.
    assert high - low == pytest.approx(0.02, rel=0.03)


@pytest.mark.parametrize(("form", "largest"), [("line", 30.0), ("log", 8.0), (None, 1e5)])
def test_no_network_draws_numbers_at_any_distance(form, largest):
    maps = NumberMaps([NumberSpec(form or "line")])
    bounds = {"tail_bounds": table_density._TAIL_BOUNDS, "are_tails_first": True}
    conditionals = NumberConditionals(maps, 4, **({} if form is None else bounds))
    parameters = np.zeros([1, conditionals.num_parameters, 1])
    parameters[:, 2] = 1e6  # the weight of the tails
    z = tf.constant([[5.0]], tf.float64)
    u = maps.forward(conditionals.quantile_of_member(z, tf.constant(parameters))).u
    assert (float(u) < largest) == (form is not None)
    assert float(u) > 5.0


def test_missing_numbers_can_be_any_that_was_recorded():
    rng = np.random.default_rng(0)
    rows = {"n": rng.integers(-3, 4, COUNT), "x": rng.normal(size=COUNT)}
    columns = [tff.tables.Column("n", "integer"), tff.tables.Column("x", "real")]
    table = fitted(columns, rows)
    lost = {"n": np.full(COUNT, np.nan), "x": rows["x"]}
    filled = table.impute(lost, seed=0, num_candidates=4)["n"]
    assert set(range(-3, 4)) <= set(filled)
