"""Base classes of maps of the last axis that are the same at every position."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from tfp_flows.core.arguments import check_integer, check_size
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.statistics import mean_and_scale


class Positionwise(FlowBijector):
    """A bijector on the entries of the last axis, with a constant Jacobian.

    Args:
      event_size: length of the last axis.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      **options: other arguments of `FlowBijector`.
    """

    def __init__(self, event_size: int, *, event_ndims: int = 1, **options: Any) -> None:
        check_size("event_size", event_size)
        check_integer("event_ndims", event_ndims, minimum=0)
        any_position = [None] * (event_ndims - 1) + [event_size]
        super().__init__(
            event_ndims=event_ndims,
            is_constant_jacobian=True,
            **{"event_shape": any_position, **options},
        )

    def _sum_over_positions(self, log_det, value):
        """Returns log-dets of the rows of `value`, from the log-det of one position."""
        # Static sizes cost no operations.
        rows = tf.shape(value)[0] if value.shape[0] is None else value.shape[0]
        count = value.shape[1:-1].num_elements()
        if count is None:
            count = tf.cast(tf.reduce_prod(tf.shape(value)[1:-1]), log_det.dtype)
        return tf.fill([rows], log_det if count == 1 else count * log_det)


class MeasuredOnce(Positionwise):
    """A positionwise bijector whose state `initialize` sets from the training rows, once.

    A subclass has `_set(mean, scale)` and may replace `_measure` and `_inverted`.
    """

    def __init__(self, event_size: int, **options: Any) -> None:
        super().__init__(event_size, **options)
        self._initialized = tf.Variable(False, trainable=False, name="initialized")
        self._is_without_rows = False

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has set the state from data."""
        return bool(self._initialized.numpy())

    def without_rows(self) -> MeasuredOnce:
        """Allows training from the identity without rows, as in a posterior."""
        self._is_without_rows = True
        return self

    def _unset_parts(self):
        return [] if self._is_without_rows else super()._unset_parts()

    def _initialize(self, data, context, weight):
        if not self.is_initialized:
            self._set(*self._measure(data, weight))
            self._initialized.assign(True)

    def _initialize_inverted(self, data, context, weight):
        if not self.is_initialized:
            self._set(*self._inverted(*self._measure(data, weight)))
            self._initialized.assign(True)

    @abc.abstractmethod
    def _set(self, mean, scale):
        """Assigns the result of `_measure` or `_inverted`."""

    def _measure(self, data, weight):
        """Returns the statistics of `data`."""
        return mean_and_scale(data, self.dtype, weight=weight)

    def _inverted(self, mean, scale):
        """Returns the statistics with which the inverted map standardises the data."""
        return -mean / scale, 1.0 / scale


def multiply_rows(value: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Multiplies the last axis of `value`, `[..., D]`, by `matrix`, `[D, D]`."""
    # For images too: a 1x1 convolution takes two to four times as long with its gradient.
    rows = tf.reshape(value, [-1, value.shape[-1]])
    return tf.reshape(tf.linalg.matmul(rows, matrix, transpose_b=True), tf.shape(value))
