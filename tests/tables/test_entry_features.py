"""What networks see of numbers: thresholds and common numbers, where rows are many."""

import numpy as np
import pytest
import tensorflow as tf
from small_tables import saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables.networks import EntryFeatures, choose_common
from tfp_flows.tables.numbers.number_maps import NumberSpec


def test_many_rows_show_many_thresholds_also_from_a_file(tmp_path):
    u = np.random.default_rng(0).normal(size=5_500)
    frame = {"u": u, "is_odd": np.floor(6.0 * u) % 2 == 1}
    train = {name: column[:5_000] for name, column in frame.items()}
    test = {name: column[5_000:] for name, column in frame.items()}
    columns = tff.describe_columns(train)
    table = tff.TableDensity(columns, context="u", num_members=2, seed=0)
    table.fit(train, epochs=15)
    log_probs = [t.log_prob(test) for t in saved_and_loaded(table, tmp_path / "t.keras")]
    np.testing.assert_array_equal(*log_probs)
    assert log_probs[0].mean() > -0.4  # about -0.5 without features between fine knots


def test_many_rows_show_which_common_number_it_is():
    amount = np.random.default_rng(0).integers(1, 400, 6_000)
    common = [3, 17, 71, 72, 95, 140, 210, 211, 260, 301, 333, 350, 377, 390]
    amount[::3] = np.resize(common, 2_000)
    frame = {"amount": amount, "paid": np.isin(amount, common[::2])}
    train, test = (
        {k: v[rows] for k, v in frame.items()}
        for rows in (slice(1_000, None), slice(1_000))
    )
    table = tff.TableDensity(
        tff.describe_columns(train), context="amount", num_members=1, seed=0
    )
    table.fit(train, epochs=12)
    known = [set(s.common) for s in table.distribution.context_features.maps.specs]
    assert known[0] >= set(common)
    assert table.log_prob(test).mean() > -0.2


def test_features_of_common_numbers_stand_beside_those_of_their_number():
    numbers = [
        NumberSpec("line", code=0, common=(2.0, 5.0)),
        NumberSpec("circle", high=24.0),
        NumberSpec("line", mean=1.0, common=(7.0,)),
    ]
    features = EntryFeatures([2], numbers, knots=(-1.0, 1.0))
    x = tf.constant([[0.0, 5.0, 6.0, 7.0], [1.0, 2.0, 12.0, 1.0]], tf.float64)
    found = features(x, tf.float32)
    assert features.column_of_each.tolist() == [-1, -1, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert found.shape == (2, features.size)
    assert found[0, 2:].numpy()[[2, 3, 8]].tolist() == pytest.approx([0.0, 0.3, 0.3])
    assert found[1, 2:].numpy()[[2, 3, 8]].tolist() == [
        0.0,
        0.0,
        0.0,
    ]  # the first is absent
    alone = features.from_columns([2])
    y = x[:, 3:]
    present = tf.ones_like(y, tf.bool)
    block = alone.from_numbers(y, alone.maps.forward(y).u, present, tf.float32)
    np.testing.assert_array_equal(block, found[:, -3:])


def test_few_rows_and_many_networks_show_fewer_common_numbers():
    specs = [NumberSpec("line", common=tuple(range(60)))] * 10
    kept = [
        len(choose_common(specs, 4, 64, num_rows, num_columns)[0].common)
        for num_rows, num_columns in [(4_999, 1), (5_000, 1), (5_000, 30), (5_000, 900)]
    ]
    assert kept == [0, 60, 19, 0]
