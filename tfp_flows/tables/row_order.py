"""The order of rows in training: another one each epoch, known from seed and epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.row_batches import row_batches

__all__ = ["RowOrder"]


class RowOrder(keras.callbacks.Callback):
    """Batches of rows in an order that does not depend on the epochs before.

    Args:
      seed: integer that determines it; random if None.
    """

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
        self._seed = tf.Variable([seed, 0], trainable=False, dtype=tf.int32)

    def batches(self, data: Any, num_rows: int, batch_size: int) -> tf.data.Dataset:
        """Returns a dataset of batches of arrays `[num_rows, ...]`, in any nest."""

        def order(_):
            rows = tf.range(num_rows)
            return tf.random.experimental.stateless_shuffle(rows, self._seed.read_value())

        return row_batches(data, tf.data.Dataset.range(1).map(order), batch_size)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the epoch's order."""
        self._seed.assign([int(self._seed[0]), epoch])
