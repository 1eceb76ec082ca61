"""Several steps of `fit` in one XLA program: a loop over a block of batches.

Keras compiles one step and starts that program `steps_per_execution` times, each time with
all variables: for a small flow, a good part of its time. Here the batches are gathered
first, and one program loops over them, with the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.core.compiled_call import graph_function

__all__ = ["in_blocks"]

# At most, in a block: what starting a program costs does not show beside large batches.
_BYTES = 2**27


def in_blocks(model: Any, step: Callable, fallback: Callable) -> Callable:
    """Returns a function of an iterator, as Keras's models train and evaluate with.

    A call takes `model.steps_per_execution` batches in their order, or what is left of
    them, and returns the metrics by name. Batches of one shape that follow each other are a
    block; one without others of its shape is a step of its own.

    Args:
      model: a compiled `KerasModel` on one device.
      step: its `train_step` or `test_step`.
      fallback: Keras's own function, for batches of anything but dense tensors.
    """

    def loop(block, count):
        def body(k):
            step(_map(lambda batches: batches[k], block))
            return k + 1

        tf.while_loop(lambda k: k < count, body, [tf.constant(0)])
        return model._step_logs()

    by_xla = {"jit_compile": True, "reduce_retracing": True}
    one_step, steps = graph_function(step, **by_xla), graph_function(loop, **by_xla)
    gather = graph_function(_gather, reduce_retracing=True)

    def run(iterator):
        if not _is_dense(iterator):
            return fallback(iterator)
        left, batch = model.steps_per_execution, _next(iterator)
        if batch is None:
            raise StopIteration
        while batch is not None:
            size = min(model.steps_per_execution, _BYTES // max(_num_bytes(batch), 1))
            size = max(size, 1)
            limit = tf.constant(min(size, left))
            block, count, other = gather(iterator, batch, limit, size=size)
            logs = steps(block, count) if count > 1 else one_step(batch)
            left -= int(count)
            batch = _dense(other.get_value()) if other.has_value() else None
            if batch is None and left:
                batch = _next(iterator)
        return logs

    return run


def _gather(iterator, batch, limit, *, size):
    """Batches of the shape of `batch`, with it at most `limit`, in a block for `size`.

    Returns:
      The block; how many are in it; and an `Optional` of the batch that ended it, which is
      empty where the limit or the end of the data did.
    """
    parts = _parts(batch)
    arrays = [tf.TensorArray(x.dtype, size, element_shape=x.shape) for x in parts]
    arrays = [array.write(0, x) for array, x in zip(arrays, parts, strict=True)]
    none = tf.experimental.Optional.empty(iterator.element_spec)

    def following(count):
        return tf.cond(count < limit, iterator.get_next_as_optional, lambda: none)

    def has_the_shape(other):
        pairs = zip(parts, _parts(_dense(other.get_value())), strict=True)
        return tf.reduce_all([tf.reduce_all(tf.shape(a) == tf.shape(b)) for a, b in pairs])

    def goes_on(count, other, arrays):
        del count, arrays
        return tf.cond(other.has_value(), lambda: has_the_shape(other), lambda: False)

    def add(count, other, arrays):
        values = _parts(_dense(other.get_value()))
        arrays = [array.write(count, x) for array, x in zip(arrays, values, strict=True)]
        return count + 1, following(count + 1), arrays

    start = (tf.constant(1), following(1), arrays)
    count, other, arrays = tf.while_loop(goes_on, add, start)
    stacked = iter(arrays)
    return _map(lambda _: next(stacked).stack(), batch), count, other


def _is_dense(iterator):
    kinds = (tf.TensorSpec, tf.OptionalSpec)
    return isinstance(iterator, tf.data.Iterator) and all(
        isinstance(spec, kinds) for spec in tf.nest.flatten(iterator.element_spec)
    )


def _next(iterator):
    batch = next(iterator, None)
    return None if batch is None else _dense(batch)


def _dense(batch):
    """Without the `Optional`s by which Keras tells that there are no weights."""
    is_none = (tf.experimental.Optional, type(None))
    return tf.nest.map_structure(lambda x: None if isinstance(x, is_none) else x, batch)


def _parts(batch):
    return [part for part in tf.nest.flatten(batch) if part is not None]


def _map(function, batch):
    """`function` of each tensor of a batch, in its structure."""
    return tf.nest.map_structure(lambda x: None if x is None else function(x), batch)


def _num_bytes(batch):
    return sum(part.dtype.size * part.shape.num_elements() for part in _parts(batch))
