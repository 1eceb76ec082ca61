"""Batch axes of a value and its context, brought to one shape."""

import tensorflow as tf

__all__ = ["align_batch_axes"]


def align_batch_axes(value, context, event_ndims):
    """Broadcasts the batch axes of `value` and `context` against each other.

    Args:
      value: `[*batch, *event]`.
      context: `[*context_batch, C]`.
      event_ndims: number of event axes of `value`.

    Returns:
      Both, with equal batch axes.

    Raises:
      ValueError: if the shapes are known and do not broadcast.
    """
    batch = value.shape[: value.shape.rank - event_ndims]
    context_batch = context.shape[:-1]
    if _surely_equal(batch, context_batch):
        return value, context
    try:
        tf.broadcast_static_shape(batch, context_batch)
    except ValueError as error:
        raise ValueError(
            f"Expected `context` with batch axes that broadcast against {batch}; got "
            f"shape {context.shape}."
        ) from error
    shape = tf.broadcast_dynamic_shape(
        tf.shape(value)[: batch.rank], tf.shape(context)[:-1]
    )
    event = value.shape[batch.rank :].as_list()
    value = tf.broadcast_to(value, tf.concat([shape, event], axis=0))
    context = tf.broadcast_to(context, tf.concat([shape, context.shape[-1:]], axis=0))
    return value, context


def _surely_equal(batch, context_batch):
    if batch.is_fully_defined():
        return batch == context_batch
    # One batch axis each, of a length unknown while tracing: what `fit` and every compiled
    # call have. Were the lengths to differ, joining the context would fail by itself.
    return batch.rank == context_batch.rank == 1 and context_batch[0] is None
