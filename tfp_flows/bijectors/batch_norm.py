"""Batch normalisation as a bijector, exact in evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.bijectors.positionwise import Positionwise
from tfp_flows.core.arguments import (
    check_array,
    check_each,
    check_flag,
    check_integer,
    check_number,
    check_size,
    require,
)
from tfp_flows.core.statistics import mean_and_scale


class BatchNorm(Positionwise):
    """Normalises each entry of the last axis by the statistics of the data.

    ```none
    inverse:  x = (y - mean) / sqrt(variance + epsilon) * exp(log_gamma) + beta
    log_det:  sum(log_gamma - 0.5 * log(variance + epsilon)) * (number of positions)
    forward:  y = (x - beta) * exp(-log_gamma) * sqrt(variance + epsilon) + mean
    ```

    With `training=True` the inverse uses the statistics of the batch, its gradient flows
    through them, and the running statistics move. With a `tf.distribute.Strategy`, the
    batch has the rows of all replicas. Otherwise, and in `forward` always, the stored
    statistics are used: evaluation is exactly invertible, and each row's density is
    independent of the rows beside it.

    The stored statistics are running averages; after `initialize`, statistics of the whole
    training set. The MAF authors evaluate with statistics of the training set; the callback
    `FullDataBatchStatistics` sets them before each validation.

    Args:
      event_size: number of variables or channels, D.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      mask: boolean array of the event's shape; True passes unchanged, as in the coupling
        before it. Statistics count zeros at these entries, as in RealNVP's code.
      scale_and_shift: whether there are `log_gamma` and `beta`; RealNVP has none.
      momentum: weight of the old running statistics in a training step.
      use_running_averages: whether training normalises by the running statistics after
        their update by the batch, through which the gradient flows: less noise for small
        batches (RealNVP, appendix E). Call `initialize` first.
      epsilon: added to the variance.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `mask` has another number of axes or channels.

    >>> import numpy as np
    >>> import tfp_flows
    >>> norm = tfp_flows.BatchNorm(2)
    >>> norm.initialize(np.float32([[0.0, 10.0], [2.0, 50.0]]))
    >>> norm.inverse([[0.0, 10.0]]).numpy().round(3)
    array([[-1., -1.]], dtype=float32)

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.7 and appendix E.
      https://arxiv.org/abs/1605.08803
      Papamakarios, Pavlakou, Murray (2017), MAF, section 3.3 and the authors' code.
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        event_size: int,
        *,
        event_ndims: int = 1,
        mask: npt.ArrayLike | None = None,
        scale_and_shift: bool = True,
        momentum: float = 0.9,
        use_running_averages: bool = False,
        epsilon: float = 1e-5,
        dtype: tf.DType | str = tf.float32,
        name: str = "batch_norm",
    ) -> None:
        check_size("event_size", event_size)
        check_integer("event_ndims", event_ndims, minimum=0)
        check_each(
            check_flag,
            scale_and_shift=scale_and_shift,
            use_running_averages=use_running_averages,
        )
        check_number("momentum", momentum, "from 0 to 1", lambda share: 0 <= share <= 1)
        check_number("epsilon", epsilon, "from 0 on", lambda added: 0 <= added < np.inf)
        super().__init__(
            event_size,
            event_ndims=event_ndims,
            event_shape=_event_shape(event_size, event_ndims, mask),
            dtype=dtype,
            name=name,
        )
        self._mask = None if mask is None else np.asarray(mask)
        self._momentum = momentum
        self._use_running_averages = use_running_averages
        self._epsilon = epsilon
        zeros, ones = tf.zeros(event_size, self.dtype), tf.ones(event_size, self.dtype)
        self._beta, self._log_gamma = zeros, zeros
        if scale_and_shift:
            self._beta = tf.Variable(zeros, name="beta")
            self._log_gamma = tf.Variable(zeros, name="log_gamma")
        self._mean = _statistic(zeros, name="mean")
        self._variance = _statistic(ones, name="variance")

    @property
    def has_batch_statistics(self) -> bool:
        """Whether training normalises by the rows of a batch: True."""
        return True

    def _initialize(self, data, context, weight):
        # May be called again, with the whole training set, for exact statistics.
        changing = self._where_it_changes(data)
        mean, scale = mean_and_scale(changing, self.dtype, weight=weight)
        self._mean.assign(mean)
        self._variance.assign(scale**2)

    def _forward_and_log_det(self, x, context, training):
        mean, variance = self._mean, self._variance + self._epsilon
        y = (x - self._beta) * tf.exp(-self._log_gamma) * tf.sqrt(variance) + mean
        return self._pass(x, y), -self._log_det(x, variance)

    def _inverse_and_log_det(self, y, context, training):
        mean, variance = self._mean, self._variance
        if training:
            mean, variance = self._statistics_of(y)
        variance = variance + self._epsilon
        x = (y - mean) * tf.math.rsqrt(variance) * tf.exp(self._log_gamma) + self._beta
        return self._pass(y, x), self._log_det(y, variance)

    def _statistics_of(self, y):
        """Returns mean and variance of this batch, or the updated running averages."""
        batch = self._batch_moments(self._where_it_changes(y))
        running = [
            self._momentum * old + (1.0 - self._momentum) * new
            for old, new in zip((self._mean, self._variance), batch, strict=True)
        ]
        for statistic, value in zip((self._mean, self._variance), running, strict=True):
            statistic.assign(tf.stop_gradient(value))
        return running if self._use_running_averages else batch

    def _batch_moments(self, y):
        axes = list(range(y.shape.rank - 1))
        context = tf.distribute.get_replica_context()
        count = tf.cast(tf.size(y) // y.shape[-1], self.dtype)
        if context is None or context.num_replicas_in_sync == 1:
            mean, variance = tf.nn.moments(y, axes)
        else:
            # One sum over replicas for both moments. It is around the running mean, shared
            # by all replicas, so that the difference of squares below keeps its digits.
            centre = tf.stop_gradient(tf.identity(self._mean))
            total = tf.reduce_sum(y - centre, axes)
            squares = tf.reduce_sum((y - centre) ** 2, axes)
            count, total, squares = context.all_reduce("SUM", [count, total, squares])
            shift = total / count
            mean, variance = centre + shift, squares / count - shift**2
        # A batch without rows has no moments, and leaves the running averages as they are.
        has_rows = count > 0.0
        mean = tf.where(has_rows, mean, self._mean)
        return mean, tf.where(has_rows, variance, self._variance)

    def _log_det(self, value, variance):
        log_slope = self._log_gamma - 0.5 * tf.math.log(variance)
        if self._mask is None:
            return self._sum_over_positions(tf.reduce_sum(log_slope), value)
        log_det = tf.reduce_sum(tf.where(self._mask, tf.zeros_like(log_slope), log_slope))
        return tf.fill(tf.shape(value)[:1], log_det)

    def _where_it_changes(self, value):
        if self._mask is None:
            return value
        return tf.where(self._mask, tf.zeros_like(value), value)

    def _pass(self, unchanged, changed):
        return changed if self._mask is None else tf.where(self._mask, unchanged, changed)


def _event_shape(event_size, event_ndims, mask):
    event_shape = [None] * (event_ndims - 1) + [event_size]
    if mask is None:
        return event_shape
    require(check_array("mask", mask).dtype == bool, "a boolean `mask`", repr(mask))
    fits = tf.TensorShape(event_shape).is_compatible_with(np.shape(mask))
    require(fits, f"`mask` of shape {event_shape}", np.shape(mask))
    return np.shape(mask)


def _statistic(value, name):
    # Each replica assigns the same value to its own copy, so reading needs one copy only.
    return tf.Variable(
        value,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
