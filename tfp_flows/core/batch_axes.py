"""Batch axes of a call: as one axis inside the bijectors, as given outside."""

import math
from typing import Any

import tensorflow as tf

__all__ = ["merge_batch_axes", "restore_batch_axes"]


def merge_batch_axes(value: Any, context: tf.Tensor | None, event_ndims: Any) -> tuple:
    """Makes one axis of all batch axes.

    Args:
      value: `[*batch, *event]`, or a structure of such.
      context: `[*batch, C]`, or None.
      event_ndims: number of event axes, in the structure of `value`.

    Returns:
      `value`, `[N, *event]`; `context`, `[N, C]`; and the batch shape to restore, which is
      None where there is one batch axis already.
    """
    parts, ndims = tf.nest.flatten(value), tf.nest.flatten(event_ndims)
    batch_ndims = parts[0].shape.rank - ndims[0]
    if batch_ndims == 1:
        return value, context, None
    batch_shape, rows = parts[0].shape[:batch_ndims], -1
    if batch_shape.is_fully_defined():
        batch_shape = batch_shape.as_list()
        rows = math.prod(batch_shape)
    else:
        batch_shape = tf.shape(parts[0])[:batch_ndims]
    parts = [_reshape(part, batch_ndims, [rows]) for part in parts]
    value = tf.nest.pack_sequence_as(value, parts)
    context = None if context is None else _reshape(context, batch_ndims, [rows])
    return value, context, batch_shape


def restore_batch_axes(result: Any, batch_shape: Any) -> Any:
    """Undoes `merge_batch_axes` for `result`, tensors `[N, ...]`."""
    if batch_shape is None:
        return result
    return tf.nest.map_structure(lambda part: _reshape(part, 1, batch_shape), result)


def _reshape(part, num_axes, batch_shape):
    """Replaces the first `num_axes` axes of `part` by those of `batch_shape`."""
    rest = part.shape[num_axes:]
    rest = rest.as_list() if rest.is_fully_defined() else tf.shape(part)[num_axes:]
    if isinstance(batch_shape, list) and isinstance(rest, list):
        return tf.reshape(part, [*batch_shape, *rest])
    return tf.reshape(part, tf.concat([batch_shape, rest], axis=0))
