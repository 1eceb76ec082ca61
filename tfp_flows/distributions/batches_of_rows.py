"""Calls of what takes rows, `[N, D]`, with other batches: of several axes, or of none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["by_rows", "in_parts", "never_empty"]


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


def in_parts(method: Callable, size: int, *tensors: tf.Tensor) -> tf.Tensor:
    """Returns `method(*tensors)` by so many rows at a time, which bounds its memory.

    Args:
      method: function of rows, `[n, ...]`, to one tensor, `[n, ...]`, of the dtype of the
        first.
      size: rows at a time.
      *tensors: with equally many rows, at least one.
    """
    num_rows = tf.shape(tensors[0])[0]
    size = tf.minimum(size, num_rows)
    num_parts = -(-num_rows // size)
    # The last row fills up.
    parts = tf.reshape(tf.minimum(tf.range(num_parts * size), num_rows - 1), [-1, size])
    results = tf.map_fn(
        lambda part: method(*(tf.gather(t, part) for t in tensors)),
        parts,
        fn_output_signature=tensors[0].dtype,
        parallel_iterations=1,
    )
    shape = tf.concat([[num_parts * size], tf.shape(results)[2:]], axis=0)
    return tf.reshape(results, shape)[:num_rows]
