"""Calls of what takes rows, `[N, D]`, with other batches: of several axes, or of none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.core.compiled_call import is_compiled_by_xla

__all__ = ["by_rows", "distinct_rows", "in_parts", "never_empty"]


def never_empty(*tensors: Any) -> tuple:
    """Gives tensors without rows one of zeros: the loop over the variables needs some.

    Args:
      *tensors: with equally many rows; None where there is none.

    Returns:
      The tensors, and a function that takes that row from what is computed of them.
    """
    num_rows = tf.shape(tensors[0])[0]
    if tensors[0].shape[0]:
        return *tensors, lambda outputs: outputs
    missing = tf.cast(tf.equal(num_rows, 0), tf.int32)
    padded = [
        None if t is None else tf.pad(t, [[0, missing]] + [[0, 0]] * (t.shape.rank - 1))
        for t in tensors
    ]
    return *padded, lambda outputs: tuple(output[:num_rows] for output in outputs)


def by_rows(
    method: Callable, x: tf.Tensor, context: tf.Tensor | None, *arguments: Any
) -> tf.Tensor:
    """Returns `method(rows, contexts, *arguments)`, `[N]`, with the batch axes of `x`.

    Args:
      method: of a `MaskEnsemble`.
      x: `[..., D]`.
      context: `[..., C]`, with the batch axes of `x`; None where there is none.
      *arguments: further ones of the method.
    """
    if context is not None:
        context = tf.reshape(context, [-1, context.shape[-1]])
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.reshape(method(rows, context, *arguments), tf.shape(x)[:-1])


def distinct_rows(*tensors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds rows that are equal in all tensors; XLA, which cannot, takes all as different.

    Args:
      *tensors: `[N, columns]`, the first of which is of floating-point numbers.

    Returns:
      The index of one row of each kind, `[K]`, and the kind of each row, `[N]`.
    """
    index = tf.range(tf.shape(tensors[0])[0])
    if is_compiled_by_xla():
        return index, index
    keys = tf.concat([tf.cast(t, tensors[0].dtype) for t in tensors], axis=1)
    _, kind = tf.raw_ops.UniqueV2(x=keys, axis=[0])
    return tf.math.unsorted_segment_min(index, kind, tf.reduce_max(kind) + 1), kind


def in_parts(method: Callable, size: int, *tensors: tf.Tensor) -> tf.Tensor:
    """Calls a method on some rows after others, which bounds its memory.

    Args:
      method: function of the index of a part and its rows of the tensors, `[n, ...]`, to
        one tensor, `[n, ...]`, of the dtype of the first.
      size: most rows of a part.
      *tensors: with equally many rows, at least one.

    Returns:
      What the method returns, of all rows.
    """
    num_rows = tf.shape(tensors[0])[0]
    num_parts = -(-num_rows // size)
    index = tf.range(num_parts)
    # The last row fills up.
    rows = tf.range(num_parts * -(-num_rows // num_parts))
    rows = tf.reshape(tf.minimum(rows, num_rows - 1), [num_parts, -1])
    results = tf.map_fn(
        lambda part: method(part[0], *(tf.gather(t, part[1]) for t in tensors)),
        (index, rows),
        fn_output_signature=tensors[0].dtype,
        parallel_iterations=1,
    )
    shape = tf.concat([[tf.size(rows)], tf.shape(results)[2:]], axis=0)
    return tf.reshape(results, shape)[:num_rows]
