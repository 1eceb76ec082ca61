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
    shape = tf.shape(value)
    positions = value.shape[batch_ndims:-1].num_elements()
    if positions is None:
        positions = tf.reduce_prod(shape[batch_ndims:-1])
    return tf.fill(shape[:batch_ndims], tf.cast(positions, log_det.dtype) * log_det)
