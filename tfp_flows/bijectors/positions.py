"""Log-dets of maps that do the same at every position of an event."""

import tensorflow as tf

__all__ = ["sum_over_positions"]


def sum_over_positions(log_det, value, event_ndims):
    """Returns `log_det` times the number of positions of an event, for each event.

    Args:
      log_det: scalar, of the map of one position's entries (those of the last axis).
      value: `[*batch, *event]`.
      event_ndims: number of event axes.

    Returns:
      `[*batch]`.
    """
    batch_ndims = value.shape.rank - event_ndims
    batch_shape, positions = value.shape[:batch_ndims], value.shape[batch_ndims:-1]
    # What is known while tracing costs no operations.
    if not batch_shape.is_fully_defined():
        batch_shape = tf.shape(value)[:batch_ndims]
    count = positions.num_elements()
    if count is None:
        count = tf.cast(tf.reduce_prod(tf.shape(value)[batch_ndims:-1]), log_det.dtype)
    return tf.fill(batch_shape, log_det if count == 1 else count * log_det)
