"""Batches of arrays in memory: which rows come, in which order, and by what options."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_estimator import estimator

from tfp_flows.training.row_batches import (
    given_order,
    new_orders,
    row_batches,
    without_autotune,
)


@pytest.mark.parametrize("num_rows", [1, 5, 12, 13])
def test_batches_have_all_rows_in_the_order_given(num_rows):
    arrays = (np.arange(num_rows), {"x": np.arange(2.0 * num_rows).reshape(-1, 2)})
    batches = row_batches(arrays, given_order(num_rows), 4)
    sizes = [len(rows) for rows, _ in batches]
    assert sizes == [4] * (num_rows // 4) + [num_rows % 4] * (num_rows % 4 > 0)
    assert int(batches.cardinality()) == len(sizes)
    np.testing.assert_array_equal(np.concatenate([r for r, _ in batches]), arrays[0])
    rows = np.concatenate([other["x"] for _, other in batches])
    np.testing.assert_array_equal(rows, arrays[1]["x"])


def test_each_pass_has_an_order_of_its_own_which_the_seed_determines():
    def passes():
        keras.utils.set_random_seed(3)
        batches = row_batches(np.arange(20), new_orders(20), 6)
        return [np.concatenate(list(batches.as_numpy_iterator())) for _ in range(3)]

    orders = passes()
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(20))
    assert len({tuple(order) for order in orders}) == 3
    np.testing.assert_array_equal(orders, passes())


def test_autotune_is_off_unless_it_is_asked_for():
    dataset = tf.data.Dataset.range(3)
    assert without_autotune(dataset).options().autotune.enabled is False
    options = tf.data.Options()
    options.autotune.enabled = True
    assert without_autotune(dataset.with_options(options)).options().autotune.enabled
    assert list(without_autotune(dataset).as_numpy_iterator()) == [0, 1, 2]


class Batches(keras.utils.PyDataset):
    num_batches = 8

    def __getitem__(self, index):
        return np.full((4, 2), index, np.float32)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("kind", ["array", "PyDataset"])
def test_epochs_differ_in_order_where_it_is_asked_for(kind):
    rows = np.repeat(np.arange(8.0), 4)[:, None] * np.ones(2)
    model = estimator(standardize=False, optimizer=keras.optimizers.SGD(0.0))
    losses = []

    class LastLoss(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:  # the mean of the first four
                losses.append(logs["loss"])

    options = {"epochs": 2, "verbose": 0, "callbacks": [LastLoss()]}
    for shuffle in (False, True):
        given = {"x": Batches()} if kind == "PyDataset" else {"x": rows, "batch_size": 4}
        model.fit(**given, shuffle=shuffle, **options)
    assert len(set(losses[:2])) == 1  # no weight changes
    assert len(set(losses[1:])) > 2
