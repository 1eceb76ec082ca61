"""Batches of rows as datasets: of arrays in memory, and how TensorFlow runs any."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["given_order", "new_orders", "row_batches", "without_autotune"]


def given_order(num_rows: int) -> tf.data.Dataset:
    """Returns a dataset of one element, the rows `[num_rows]` in the order they have."""
    return tf.data.Dataset.from_tensors(tf.range(num_rows))


def new_orders(num_rows: int) -> tf.data.Dataset:
    """Returns a dataset of one element, another random order of rows in each pass.

    Keras's own datasets of arrays repeat one order in all epochs where a seed is set
    (`keras.utils.set_random_seed`), since each pass starts its random numbers anew.
    """
    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True).batch(2).take(1)
    return seeds.map(
        lambda seed: tf.random.experimental.stateless_shuffle(tf.range(num_rows), seed)
    )


def row_batches(arrays: Any, order: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Returns a dataset of batches of arrays in memory.

    Args:
      arrays: arrays `[N, ...]`, in any nest.
      order: dataset of the indices `[N]` of the rows in their order, an element for each
        pass over the rows.
      batch_size: rows of a batch; the last one may have fewer.
    """
    with tf.device("CPU"):
        arrays = tf.nest.map_structure(tf.constant, arrays)
    num_rows = len(tf.nest.flatten(arrays)[0])
    num_whole = num_rows // batch_size

    def indices(order):
        # Cut at once, not batched row by row, which takes longer than gathering them.
        whole = tf.reshape(order[: num_whole * batch_size], [num_whole, batch_size])
        batches = tf.data.Dataset.from_tensor_slices(whole)
        if num_rows % batch_size:
            rest = tf.data.Dataset.from_tensors(order[num_whole * batch_size :])
            batches = batches.concatenate(rest)
        return batches

    def gather(rows):
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), arrays)

    count = -(-num_rows // batch_size) * len(order)
    batches = order.flat_map(indices).map(gather)
    batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return without_autotune(batches.prefetch(tf.data.AUTOTUNE).with_options(options))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset with its autotuner off, unless its options ask for it.

    The autotuner wakes after 10, 20, 40 ms and so on. In TensorFlow 2.20 and 2.21 the end
    of an iterator sometimes waits for that, so that an epoch takes up to twice its time.
    Calls in parallel and prefetching then take TensorFlow's defaults.
    """
    if dataset.options().autotune.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
