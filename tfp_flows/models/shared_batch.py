"""A batch that the replicas of a `tf.distribute` strategy share, as one of them sees it."""

import tensorflow as tf

__all__ = ["SharedBatch"]


class SharedBatch:
    """The rows of all replicas, of which this one holds some, in their order.

    Without other replicas it is the replica's own rows.

    Args:
      count: number of rows of this replica; all replicas must call.

    Attributes:
      share: `(start, total)`, which of all rows this replica's are; None if all.
    """

    def __init__(self, count):
        self.share = None
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return
        index = context.replica_id_in_sync_group
        own = tf.one_hot(index, context.num_replicas_in_sync, dtype=tf.int32) * count
        counts = context.all_reduce("SUM", own)
        self.share = tf.cumsum(counts, exclusive=True)[index], tf.reduce_sum(counts)

    def mean(self, values, sample_weight=None):
        """Returns the means over all rows, `[J]`, of values of own rows, `[n, J]`.

        Args:
          values: `[n, J]`.
          sample_weight: `[n]`, what the own rows count; None if one each.
        """
        if sample_weight is not None:
            weight = sample_weight[:, tf.newaxis]
            total = self.mean(weight * values)
            return tf.math.divide_no_nan(total, self.mean(weight))
        if self.share is None:
            return tf.reduce_mean(values, axis=0)
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("SUM", tf.reduce_sum(values, axis=0))
        return total / tf.cast(self.share[1], total.dtype)
