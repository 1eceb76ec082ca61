"""The batch that replicas divide among them, with its sums and means."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class GlobalBatch:
    """The batch that replicas divide among them, as one of them sees it.

    Without other replicas it is the replica's own rows.

    Args:
      count: number of rows of this replica, a scalar; may be 0. All replicas must call.

    Attributes:
      num_replicas: number of replicas that train in step.
      count: number of rows of all replicas.
      share: `(start, count)`, the place of this replica's rows among all; None if it has
        all of them.
    """

    def __init__(self, count: tf.Tensor) -> None:
        self.count, self.share = count, None
        context = tf.distribute.get_replica_context()
        self.num_replicas = 1 if context is None else context.num_replicas_in_sync
        if self.num_replicas > 1:
            index = context.replica_id_in_sync_group
            here = tf.one_hot(index, self.num_replicas, dtype=tf.int32)
            counts = self.sum(here * count)
            self.count = tf.reduce_sum(counts)
            self.share = tf.cumsum(counts, exclusive=True)[index], self.count

    def sum(self, values: Any) -> Any:
        """Returns the sums over the replicas of tensors in any structure."""
        if self.num_replicas == 1:
            return values
        return tf.distribute.get_replica_context().all_reduce("SUM", values)

    def summand(self, values: tf.Tensor) -> tf.Tensor:
        """Returns what this replica's rows, `[n, ...]`, add to the mean over all rows."""
        if self.num_replicas == 1:
            return tf.reduce_mean(values, axis=0)
        return tf.reduce_sum(values, axis=0) / tf.cast(self.count, values.dtype)

    def mean(self, values: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the mean, `[J]`, of all rows `[n, J]` with weights `[n]`, if any."""
        if weight is None:
            return self.sum(self.summand(values))
        weight = weight[:, tf.newaxis]
        total, weights = self.sum([self.summand(weight * values), self.summand(weight)])
        return tf.math.divide_no_nan(total, weights)
