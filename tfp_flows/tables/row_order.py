"""The order of rows in training: another one each epoch, known from seed and epoch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["epoch_orders"]


def epoch_orders(num_rows: int, seed: int | None, first: int, last: int) -> tf.data.Dataset:
    """Returns the orders of rows, `[num_rows]`, of the epochs `first, ..., last - 1`.

    The order of an epoch does not depend on the epochs before. One dataset holds all
    epochs, since a new iterator for each would take longer than a small table's steps.

    Args:
      num_rows: number of rows.
      seed: integer that determines the orders; random if None.
      first: the first epoch, from 0.
      last: the epoch after the last.
    """
    seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)

    def order(epoch):
        both = tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])
        return tf.random.experimental.stateless_shuffle(tf.range(num_rows), both)

    return tf.data.Dataset.range(first, last).map(order)
