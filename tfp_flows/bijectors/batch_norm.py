"""Batch normalisation as a bijector, exact in evaluation."""

import tensorflow as tf

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.statistics import mean_and_scale

__all__ = ["BatchNorm"]


class BatchNorm(FlowBijector):
    """Normalises each entry of the last axis by the statistics of the data.

    ```none
    inverse:  x = (y - mean) / sqrt(variance + epsilon) * exp(log_gamma) + beta
    log_det:  sum(log_gamma - 0.5 * log(variance + epsilon)) * (number of positions)
    forward:  y = (x - beta) * exp(-log_gamma) * sqrt(variance + epsilon) + mean
    ```

    With `training=True` the inverse uses the statistics of the batch, its gradient flows
    through them, and the running statistics move. The batch is that of all replicas of a
    `tf.distribute.Strategy`, however its rows fall to them. Otherwise, and in `forward`
    always, the stored statistics are used: evaluation is exactly invertible, and each
    row's density is independent of the rows beside it.

    The stored statistics are running averages, or those of a whole training set after
    `initialize`. The MAF authors evaluate with the latter; the callback
    `FullDataBatchStatistics` sets them before each validation.

    Args:
      num_channels: length of the last axis (the event size of vectors).
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      momentum: share of the old running statistics that a training step keeps.
      epsilon: added to the variance.
      dtype: of inputs and weights.
      name: name of the bijector.

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.7.
      https://arxiv.org/abs/1605.08803
      Papamakarios, Pavlakou, Murray (2017), MAF, section 3.3 and the authors' code.
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        num_channels,
        *,
        event_ndims=1,
        momentum=0.9,
        epsilon=1e-5,
        dtype=tf.float32,
        name="batch_norm",
    ):
        parameters = dict(locals())
        super().__init__(
            event_ndims=event_ndims,
            event_shape=[None] * (event_ndims - 1) + [num_channels],
            is_constant_jacobian=True,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        self._momentum = momentum
        self._epsilon = epsilon
        zeros, ones = tf.zeros(num_channels, self.dtype), tf.ones(num_channels, self.dtype)
        self._beta = tf.Variable(zeros, name="beta")
        self._log_gamma = tf.Variable(zeros, name="log_gamma")
        self._mean = _statistic(zeros, name="mean")
        self._variance = _statistic(ones, name="variance")

    def initialize(self, data, *, context=None):
        """Replaces the running statistics by those of `data`; may be called again.

        Args:
          data: `[N, *event]`; the whole training set, for exact statistics.
          context: ignored.
        """
        mean, scale = mean_and_scale(data, self.dtype)
        self._mean.assign(mean)
        self._variance.assign(scale**2)

    def _forward_and_log_det(self, x, context, training):
        mean, variance = self._mean, self._variance + self._epsilon
        y = (x - self._beta) * tf.exp(-self._log_gamma) * tf.sqrt(variance) + mean
        return y, -self._log_det(x, variance)

    def _inverse_and_log_det(self, y, context, training):
        if training:
            mean, variance = self._batch_moments(y)
            self._move_towards(mean, variance)
        else:
            mean, variance = self._mean, self._variance
        variance = variance + self._epsilon
        x = (y - mean) * tf.math.rsqrt(variance) * tf.exp(self._log_gamma) + self._beta
        return x, self._log_det(y, variance)

    def _log_det(self, value, variance):
        batch_ndims = value.shape.rank - self.forward_min_event_ndims
        shape = tf.shape(value)
        positions = tf.cast(tf.reduce_prod(shape[batch_ndims:-1]), self.dtype)
        per_position = tf.reduce_sum(self._log_gamma - 0.5 * tf.math.log(variance))
        return tf.fill(shape[:batch_ndims], positions * per_position)

    def _batch_moments(self, y):
        axes = list(range(y.shape.rank - 1))
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return tf.nn.moments(y, axes)
        # One sum over the replicas for both moments; around the running mean, which is
        # theirs alike, so that the difference below keeps its digits.
        centre = tf.stop_gradient(tf.identity(self._mean))
        count = tf.cast(tf.size(y) // y.shape[-1], self.dtype)
        total = tf.reduce_sum(y - centre, axes)
        squares = tf.reduce_sum((y - centre) ** 2, axes)
        count, total, squares = context.all_reduce("SUM", [count, total, squares])
        shift = total / count
        return centre + shift, squares / count - shift**2

    def _move_towards(self, mean, variance):
        for statistic, value in ((self._mean, mean), (self._variance, variance)):
            statistic.assign(
                self._momentum * statistic
                + (1.0 - self._momentum) * tf.stop_gradient(value)
            )


def _statistic(value, name):
    # Each replica moves its own copy to the same value, so that reading needs but one.
    return tf.Variable(
        value,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
