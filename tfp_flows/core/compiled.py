"""Compiled functions: traced once, and compiled by XLA within a limit of time."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

# Errors of XLA that `XLAIfPossible` handles.
_XLA_ERRORS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)
# Processor seconds that XLA may take, and seconds between two checks of the clock.
_MOST_PROCESSOR_SECONDS, _SECONDS_OF_WAIT = 120.0, 0.05
# Largest number of timed calls of a function; the fastest counts.
_TIMED_CALLS = 5


def is_compiled_by_xla() -> bool:
    """Whether the code being traced is part of a `tf.function` with `jit_compile`."""
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        # TensorFlow has no public function for this.
        context = graph._get_control_flow_context()
        if context is not None and context.IsXLAContext():
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def graph_function(method: Callable, **options: Any) -> Any:
    """Returns a `tf.function` of a function that each object has of its own: a method."""
    # A new partial for each object: otherwise TensorFlow counts the traces of all objects
    # as retraces of one function, and warns.
    return tf.function(functools.partial(method), autograph=False, **options)


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Drops TensorFlow's warnings that calls of one function often trace it anew.

    Keras makes functions for each model, and TensorFlow takes those of all models for one.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def traced_once(function: Callable, key: tuple, tensors: Any, *, inline: bool) -> Any:
    """Calls `function(*key, *tensors)`; in a graph, one trace serves all equal keys.

    Tracing takes most of the time of a first call, and a flow does the same arithmetic in
    many steps. Under XLA nothing is shared: it may fail on loops of a called function, and
    would compile the gradient of a call anew whenever weights have changed.

    The key determines the trace besides dtypes and shapes; the function has no variables.
    With `inline`, TensorFlow copies the operations to each call before it runs them.
    Otherwise it optimises them once, and each call waits until its inputs are ready.
    """
    if tf.executing_eagerly() or is_compiled_by_xla():
        return function(*key, *tensors)
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in tf.nest.flatten(tensors)]
    whole_key = function, key, specs
    traced = _outermost_graph().get_collection_ref(__name__)  # lives as long as the graph
    call = next((f for known, f in traced if known == whole_key), None)
    if call is None:
        attributes = {} if inline else {"_noinline": True}
        method = functools.partial(function, *key)
        call = graph_function(method, experimental_attributes=attributes)
        traced.append((whole_key, call))
    return call(*tensors)


def _outermost_graph():
    """Returns the graph of the function that is being traced, outside of its loops."""
    graph = tf.compat.v1.get_default_graph()
    while hasattr(getattr(graph, "outer_graph", None), "outer_graph"):
        graph = graph.outer_graph
    return graph


class CompiledCall:
    """Runs `method(x, context, training)` of one object as a compiled function.

    Eager evaluation of a flow costs about a hundred times its arithmetic, so calls from
    eager code are compiled once per kind of call, for any number of rows. Under
    `tf.config.run_functions_eagerly`, they run op by op.

    Args:
      method: function of `(x, context, training)` that returns tensors `[N, ...]`.
      check: function of `x` and the method's result, called while tracing.
    """

    def __init__(self, method: Callable, check: Callable = lambda *_: None) -> None:
        self._method = method
        self._check = check
        self._functions: dict = {}

    def __call__(self, x: Any, context: tf.Tensor | None, training: bool) -> Any:
        """Calls the method on `x`, `[N, *event]`, or a structure, and on the context."""
        if tf.nest.flatten(x)[0].shape[0] == 0:
            return self._from_no_rows(x, context)
        if tf.config.functions_run_eagerly():
            outputs = self._method(x, context=context, training=training)
            self._check(x, outputs)
            return outputs
        arguments = [x] if context is None else [x, context]
        signature = tf.nest.map_structure(
            lambda t: tf.TensorSpec([None, *t.shape[1:]], t.dtype), arguments
        )
        key = (training, *tf.nest.flatten(signature))
        if key not in self._functions:
            fixed = {"training": training} | ({"context": None} if context is None else {})
            method = functools.partial(self._method, **fixed)
            function = graph_function(method, input_signature=signature)
            outputs = function.get_concrete_function().structured_outputs
            self._check(signature[0], outputs)
            self._functions[key] = function
        return self._functions[key](*arguments)

    def _from_no_rows(self, x, context):
        # TensorFlow's convolutions return a wrong number of channels for no rows. The row
        # that stands for them must not change the state of training.
        row = tf.nest.map_structure(lambda t: tf.zeros([1, *t.shape[1:]], t.dtype), x)
        if context is not None:
            context = tf.zeros([1, *context.shape[1:]], context.dtype)
        return tf.nest.map_structure(lambda t: t[:0], self(row, context, False))


class XLAIfPossible:
    """A function compiled by XLA, or by TensorFlow alone if XLA cannot compile it.

    TensorFlow alone raises errors at some values, for example in the inverse of a singular
    matrix. XLA returns NaN there, so it takes over after such an error.

    Without XLA, TensorFlow's `AddN`, which sums gradients, begins with the term that is
    ready first: threads between operations may change the rounding of sums.

    Args:
      function: function of tensors.
      by_xla: whether to try XLA first; for little arithmetic, compiling takes too long.

    Attributes:
      plain: the `tf.function` without XLA.
      jit_compiled: whether XLA runs the next call.
      is_stopped: whether XLA was dropped because compiling or its result was too slow.
    """

    def __init__(self, function: Callable, by_xla: bool = True) -> None:
        self.plain = graph_function(function)
        self._xla = graph_function(function, jit_compile=True)
        self.jit_compiled = by_xla
        self.is_stopped = False

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function."""
        if self.jit_compiled:
            try:
                return self._xla(*arguments)
            except _XLA_ERRORS:
                self.jit_compiled = False
                return self.plain(*arguments)
        try:
            return self.plain(*arguments)
        except tf.errors.InvalidArgumentError as raised:
            try:
                result = self._xla(*arguments)
            except _XLA_ERRORS:
                raise raised from None
        self.jit_compiled = True
        return result

    def prepare(
        self, seconds: float, *arguments: Any, seconds_of_call: float = math.inf
    ) -> None:
        """Compiles by calls; drops XLA if it compiles too long or its result is slow.

        For some densities, such as unrolled steps of an ODE solver, the time of XLA doubles
        with each line of code, and so may the time of its result. A compilation cannot be
        interrupted. It continues in the background, and may assign to the function's
        variables at any later time. XLA may also take at most 120 processor seconds of this
        process, which do not depend on other programs.

        Args:
          seconds: wall time that XLA may take for all calls.
          *arguments: arguments of each call.
          seconds_of_call: wall time of the fastest call after the first.
        """
        errors: list[Exception] = []
        times: list[float] = []

        def compile_by_xla():
            try:
                for _ in range(1 + _TIMED_CALLS):
                    start = time.monotonic()
                    # `numpy` waits for the values; the call may return before them.
                    tf.nest.map_structure(lambda t: t.numpy(), self._xla(*arguments))
                    times.append(time.monotonic() - start)
                    if len(times) > 1 and times[-1] <= seconds_of_call:
                        break
            except Exception as error:
                errors.append(error)

        if self.jit_compiled:
            thread = threading.Thread(target=compile_by_xla, daemon=True)
            thread.start()
            _wait(thread, seconds)
            is_fast = not thread.is_alive() and min(times[1:], default=0) <= seconds_of_call
            self.jit_compiled = is_fast and not errors
            self.is_stopped = not is_fast
        if errors:
            # Raises the error again if it is one of the function itself.
            self.plain(*arguments)


def _wait(thread, seconds):
    """Waits for a thread until a limit of wall time or of processor time."""
    end = time.monotonic() + seconds
    processor_end = time.process_time() + _MOST_PROCESSOR_SECONDS
    while thread.is_alive() and time.process_time() < processor_end:
        seconds_left = end - time.monotonic()
        if seconds_left <= 0.0:
            break
        thread.join(min(seconds_left, _SECONDS_OF_WAIT))
