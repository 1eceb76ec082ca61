"""Several training steps as one XLA program, which saves the start of each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.core.compiled import graph_function

# Largest block of batches that one XLA program trains on, in bytes. For larger blocks, the
# cost of starting a program is negligible.
_BLOCK_BYTES = 2**27


def in_blocks(model: Any, step: Callable, fallback: Callable) -> Callable:
    """Returns a function of an iterator, as Keras's models train and evaluate with.

    A call takes `model.steps_per_execution` batches in their order, or what is left of
    them, and returns the metrics by name. Batches of one shape that follow each other are a
    block; one without others of its shape is a step of its own. Keras's own function,
    `fallback`, takes batches of anything but dense tensors.
    """

    def loop(block, count):
        def body(k):
            step(tf.nest.map_structure(lambda batches: batches[k], block))
            return [k + 1]

        tf.while_loop(lambda k: k < count, body, [tf.constant(0)])
        return model._step_logs()

    by_xla = {"jit_compile": True, "reduce_retracing": True}
    one_step, steps = graph_function(step, **by_xla), graph_function(loop, **by_xla)
    gather = graph_function(_gather, reduce_retracing=True)

    def run(iterator):
        if not _is_dense(iterator):
            return fallback(iterator)
        num_left, batch = model.steps_per_execution, next(iterator, None)
        if batch is None:
            raise StopIteration
        while batch is not None:
            batch = _without_none(batch)
            parts = tf.nest.flatten(batch)
            num_bytes = sum(x.dtype.size * x.shape.num_elements() for x in parts)
            size = min(model.steps_per_execution, _BLOCK_BYTES // max(num_bytes, 1))
            size = max(size, 1)
            block, count, following = gather(
                iterator, batch, tf.constant(min(size, num_left)), size=size
            )
            logs = steps(block, count) if count > 1 else one_step(batch)
            num_left -= int(count)
            batch = following.get_value() if following.has_value() else None
            if batch is None and num_left:
                batch = next(iterator, None)
        return logs

    return run


def _gather(iterator, batch, limit, *, size):
    """Gathers `batch` and the following batches of its shape, at most `limit` in all.

    Returns the block, with room for `size` batches; the number of batches in it; and an
    `Optional` of the next batch, if its shape differs; empty otherwise.
    """
    parts = tf.nest.flatten(batch)
    arrays = [tf.TensorArray(x.dtype, size, element_shape=x.shape) for x in parts]
    arrays = [array.write(0, x) for array, x in zip(arrays, parts, strict=True)]
    none = tf.experimental.Optional.empty(iterator.element_spec)

    def next_after(count):
        return tf.cond(count < limit, iterator.get_next_as_optional, lambda: none)

    def has_the_shape(next_batch):
        pairs = zip(parts, _parts_of(next_batch), strict=True)
        return tf.reduce_all([tf.reduce_all(tf.shape(a) == tf.shape(b)) for a, b in pairs])

    def goes_on(count, next_batch, arrays):
        del count, arrays
        return tf.cond(
            next_batch.has_value(), lambda: has_the_shape(next_batch), lambda: False
        )

    def add(count, next_batch, arrays):
        pairs = zip(arrays, _parts_of(next_batch), strict=True)
        return count + 1, next_after(count + 1), [a.write(count, x) for a, x in pairs]

    start = (tf.constant(1), next_after(1), arrays)
    count, next_batch, arrays = tf.while_loop(goes_on, add, start)
    stacked = [array.stack() for array in arrays]
    return tf.nest.pack_sequence_as(batch, stacked), count, next_batch


def _is_dense(iterator):
    kinds = (tf.TensorSpec, tf.OptionalSpec)
    return isinstance(iterator, tf.data.Iterator) and all(
        isinstance(spec, kinds) for spec in tf.nest.flatten(iterator.element_spec)
    )


def _without_none(batch):
    """Drops the `Optional`s at the end, with which Keras marks absent weights."""
    is_none = (tf.experimental.Optional, type(None))
    return tuple(part for part in batch if not isinstance(part, is_none))


def _parts_of(batch):
    return tf.nest.flatten(_without_none(batch.get_value()))
