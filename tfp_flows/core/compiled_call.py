"""Compiled evaluation of a bijector's methods from eager code."""

import functools
import math

import tensorflow as tf

__all__ = ["CompiledCall", "is_compiled_by_xla"]


def is_compiled_by_xla():
    """Whether what is being traced is part of a `tf.function` with `jit_compile`."""
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        # TensorFlow has no public way to ask.
        context = graph._get_control_flow_context()
        if context is not None and context.IsXLAContext():
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


class CompiledCall:
    """Runs `method(x, context, training)` of one object as a compiled function.

    Eager evaluation of a flow costs about a hundred times its arithmetic, so what
    eager code calls is compiled once per kind of call. All batch axes are merged
    into one of unknown length first: no batch shape causes a second trace.

    Args:
      method: function of `(x, context, training)` that returns tensors whose leading
        axis is the batch's.
    """

    def __init__(self, method):
        self._method = method
        self._functions = {}

    def __call__(self, x, context, training, event_ndims):
        """Calls the method on `x`, `[*batch, *event]`, and `context`, `[*batch, C]`."""
        batch_ndims = x.shape.rank - event_ndims
        batch_shape = x.shape[:batch_ndims].as_list()
        rows = math.prod(batch_shape)
        if not rows:
            return self._of_no_rows(x, context, training, batch_shape)
        tensors = [tf.reshape(x, [rows, *x.shape[batch_ndims:]])]
        if context is not None:
            tensors.append(tf.reshape(context, [rows, context.shape[-1]]))
        outputs = self._function(tensors, training)(*tensors)
        return tf.nest.map_structure(
            lambda t: tf.reshape(t, [*batch_shape, *t.shape[1:]]), outputs
        )

    def _of_no_rows(self, x, context, training, batch_shape):
        # TensorFlow's convolutions give no rows the wrong number of channels.
        one = [
            None if t is None else tf.zeros([1, *t.shape[len(batch_shape) :]], t.dtype)
            for t in (x, context)
        ]
        outputs = self(*one, training, x.shape.rank - len(batch_shape))
        return tf.nest.map_structure(
            lambda t: tf.zeros([*batch_shape, *t.shape[1:]], t.dtype), outputs
        )

    def _function(self, tensors, training):
        signature = [
            tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in tensors
        ]
        key = (training, *signature)
        if key not in self._functions:
            fixed = {"training": training}
            if len(signature) == 1:
                fixed["context"] = None
            # A partial, not a local function: TensorFlow would take the traces of all
            # objects for retraces of that one, and warn.
            self._functions[key] = tf.function(
                functools.partial(self._method, **fixed),
                input_signature=signature,
                autograph=False,
            )
        return self._functions[key]
