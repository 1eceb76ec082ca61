"""Maps of the last axis that are the same at every position of an event."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["Positionwise"]


class Positionwise(FlowBijector):
    """A bijector on the entries of the last axis, with a constant Jacobian.

    Args:
      event_size: length of the last axis.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      **options: what `FlowBijector` takes besides.
    """

    def __init__(self, event_size: int, *, event_ndims: int = 1, **options: Any) -> None:
        check_integer("event_size", event_size)
        check_integer("event_ndims", event_ndims, minimum=0)
        any_position = [None] * (event_ndims - 1) + [event_size]
        super().__init__(
            event_ndims=event_ndims,
            is_constant_jacobian=True,
            **{"event_shape": any_position, **options},
        )

    def _sum_over_positions(self, log_det, value):
        """Returns `log_det`, that of one position, times their number, for each row.

        Args:
          log_det: scalar.
          value: `[N, *event]`.
        """
        # What is known while tracing costs no operations.
        rows = tf.shape(value)[0] if value.shape[0] is None else value.shape[0]
        count = value.shape[1:-1].num_elements()
        if count is None:
            count = tf.cast(tf.reduce_prod(tf.shape(value)[1:-1]), log_det.dtype)
        return tf.fill([rows], log_det if count == 1 else count * log_det)
