"""Batches of arrays in memory: which rows come, in which order, and by what options."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows
from tfp_flows.training.data import given_order
from tfp_flows.training.data import new_orders
from tfp_flows.training.data import row_batches
from tfp_flows.training.data import without_autotune


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


def test_epochs_of_a_seeded_fit_differ_in_order():
    keras.utils.set_random_seed(0)
    flow = tfp_flows.RealNVP(2, num_steps=1, hidden_units=4, standardize=False, seed=0)
    base = tfp_flows.standard_normal(2)
    model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))
    model.compile(keras.optimizers.SGD(0.0))
    losses = []

    class FirstLoss(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                losses.append(logs["loss"])

    rows = np.random.default_rng(0).normal(size=(64, 2))
    model.fit(rows, batch_size=4, epochs=4, verbose=0, callbacks=[FirstLoss()])
    assert len(set(losses)) == 4  # of other rows, since no weight changes


def test_autotune_is_off_unless_it_is_asked_for():
    dataset = tf.data.Dataset.range(3)
    assert without_autotune(dataset).options().autotune.enabled is False
    options = tf.data.Options()
    options.autotune.enabled = True
    assert without_autotune(dataset.with_options(options)).options().autotune.enabled
    assert list(without_autotune(dataset).as_numpy_iterator()) == [0, 1, 2]


def test_a_pydataset_is_shuffled_where_it_is_asked_for():
    taken = []

    class Batches(keras.utils.PyDataset):
        num_batches = 16

        def __getitem__(self, index):
            taken.append(index)
            return np.full((4, 2), index, "float32")

    flow = tfp_flows.RealNVP(2, num_steps=1, hidden_units=4, standardize=False, seed=0)
    base = tfp_flows.standard_normal(2)
    model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))
    model.compile("adam")
    model.initialize(np.random.default_rng(0).normal(size=(8, 2)))
    for shuffle in (False, True):
        taken.clear()
        model.fit(Batches(), epochs=1, shuffle=shuffle, verbose=0)
        epoch = taken[-16:]
        assert sorted(epoch) == list(range(16))
        assert (epoch == list(range(16))) != shuffle
