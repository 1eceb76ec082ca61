"""Compiled evaluation of a bijector's methods from eager code."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["CompiledCall", "graph_function", "is_compiled_by_xla"]


def is_compiled_by_xla() -> bool:
    """Whether what is being traced is part of a `tf.function` with `jit_compile`."""
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        # TensorFlow has no public way to ask.
        context = graph._get_control_flow_context()
        if context is not None and context.IsXLAContext():
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def graph_function(method: Callable, **options: Any) -> Any:
    """Returns a `tf.function` of a method, or a local function, of one object of many.

    Args:
      method: what is traced.
      **options: of `tf.function`.
    """
    # A partial: TensorFlow would take the traces of all objects for retraces of one
    # function, and warn.
    return tf.function(functools.partial(method), autograph=False, **options)


class CompiledCall:
    """Runs `method(x, context, training)` of one object as a compiled function.

    Eager evaluation of a flow costs about a hundred times its arithmetic, so what eager
    code calls is compiled once per kind of call, for any number of rows; unless functions
    run op by op, as `tf.config.run_functions_eagerly` asks for.

    Args:
      method: function of `(x, context, training)` that returns tensors `[N, ...]`.
      check: function of `x` and what the method has returned for it, called while tracing.
    """

    def __init__(self, method: Callable, check: Callable | None = None) -> None:
        self._method = method
        self._check = check
        self._functions: dict = {}

    def __call__(self, x: Any, context: tf.Tensor | None, training: bool) -> Any:
        """Calls the method on `x`, `[N, *event]`, or a structure, and on the context."""
        if tf.nest.flatten(x)[0].shape[0] == 0:
            return self._of_no_rows(x, context, training)
        if tf.config.functions_run_eagerly():
            return self._op_by_op(x, context, training)
        arguments = [x] if context is None else [x, context]
        signature = tf.nest.map_structure(
            lambda t: tf.TensorSpec([None, *t.shape[1:]], t.dtype), arguments
        )
        key = (training, *tf.nest.flatten(signature))
        if key not in self._functions:
            function = self._compile(signature, training)
            if self._check is not None:
                outputs = function.get_concrete_function().structured_outputs
                self._check(signature[0], outputs)
            self._functions[key] = function
        return self._functions[key](*arguments)

    def _op_by_op(self, x, context, training):
        outputs = self._method(x, context=context, training=training)
        if self._check is not None:
            self._check(x, outputs)
        return outputs

    def _of_no_rows(self, x, context, training):
        # TensorFlow's convolutions give no rows the wrong number of channels.
        one = tf.nest.map_structure(lambda t: tf.zeros([1, *t.shape[1:]], t.dtype), x)
        if context is not None:
            context = tf.zeros([1, *context.shape[1:]], context.dtype)
        return tf.nest.map_structure(lambda t: t[:0], self(one, context, training))

    def _compile(self, signature, training):
        fixed = {"training": training}
        if len(signature) == 1:
            fixed["context"] = None
        method = functools.partial(self._method, **fixed)
        return graph_function(method, input_signature=signature)
