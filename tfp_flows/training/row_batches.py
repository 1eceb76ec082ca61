"""Batches of arrays in memory, and the orders in which passes over them take the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.rows import take_rows


def given_order(num_rows: int) -> tf.data.Dataset:
    """Returns a dataset of one element, the indices `0, ..., num_rows - 1`."""
    return tf.data.Dataset.from_tensors(tf.range(num_rows))


def new_orders(num_rows: int) -> tf.data.Dataset:
    """Returns a dataset of one element, the indices in another random order each pass.

    Keras's own datasets of arrays repeat one order in all epochs after
    `keras.utils.set_random_seed`, since each pass restarts its random numbers.
    """
    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True).batch(2).take(1)
    return seeds.map(
        lambda seed: tf.random.experimental.stateless_shuffle(tf.range(num_rows), seed)
    )


def epoch_orders(num_rows: int, seed: int | None, first: int, last: int) -> tf.data.Dataset:
    """Returns the order of rows in each epoch from `first` to before `last`, `[num_rows]`.

    An order depends on the seed and its epoch only. One dataset holds all epochs: a new
    iterator for each epoch would take longer than the steps of a small table.
    """
    seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)

    def order(epoch):
        seed_of_epoch = tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])
        return tf.random.experimental.stateless_shuffle(tf.range(num_rows), seed_of_epoch)

    return tf.data.Dataset.range(first, last).map(order)


def row_batches(arrays: Any, orders: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Returns a dataset of batches of arrays in memory, `[N, ...]`, or None, in any nest.

    `orders` is a dataset of indices of the rows, `[N]`, an element for each pass over them.
    """
    with tf.device("CPU"):
        arrays = tf.nest.map_structure(
            lambda array: None if array is None else tf.constant(array), arrays
        )
    num_rows = len(tf.nest.flatten(arrays)[0])
    num_whole = num_rows // batch_size

    def batches_of(order):
        # Sliced in one op: batching row by row takes longer than gathering the rows.
        whole = tf.reshape(order[: num_whole * batch_size], [num_whole, batch_size])
        batches = tf.data.Dataset.from_tensor_slices(whole)
        if num_rows % batch_size:
            last = tf.data.Dataset.from_tensors(order[num_whole * batch_size :])
            batches = batches.concatenate(last)
        return batches

    count = -(-num_rows // batch_size) * len(orders)
    batches = orders.flat_map(batches_of).map(lambda rows: take_rows(arrays, rows))
    batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return without_autotune(batches.prefetch(tf.data.AUTOTUNE).with_options(options))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset with its autotuner off, unless its options ask for it.

    In TensorFlow 2.20 and 2.21 the end of an iterator sometimes waits for the autotuner,
    which wakes after 10, 20, 40 ms and so on. An epoch can then take twice its time.
    Without the autotuner, parallel calls and prefetching take TensorFlow's defaults.
    """
    if dataset.options().autotune.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
