"""Functions that XLA compiles where it can, in time, and TensorFlow where it cannot."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context

from tfp_flows.core.compiled_call import graph_function

__all__ = ["Compiled"]

_CANNOT = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)
# Seconds of the processor that XLA may take, and between two looks at them.
_MOST_PROCESSOR_SECONDS, _SECONDS_OF_WAIT = 120.0, 0.05
# The fastest of so many calls is the speed of a function; others were held up.
_TIMED_CALLS = 5


class Compiled:
    """A function compiled by XLA; by TensorFlow alone where XLA cannot.

    What TensorFlow alone raises at some values, such as of the inverse of a singular
    matrix, XLA returns as NaN: it then takes over.

    On CPUs, the same arguments give the same bits, either way: without XLA, operations run
    in one order.

    Args:
      function: of tensors.
      by_xla: whether to try XLA, which takes longer than it saves where little is computed.

    Attributes:
      plain: the `tf.function` without XLA.
      is_by_xla: whether XLA runs the next call.
      is_stopped: whether XLA was left, or what it made was too slow: a clock decided.
    """

    def __init__(self, function: Callable, by_xla: bool = True) -> None:
        def in_one_order(*arguments):
            with _one_operation_at_a_time():  # says how to trace loops
                return function(*arguments)

        self.plain = graph_function(in_one_order)
        self._xla = graph_function(function, jit_compile=True)
        self.is_by_xla = by_xla
        self.is_stopped = False

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function."""
        if self.is_by_xla:
            try:
                return self._xla(*arguments)
            except _CANNOT:
                self.is_by_xla = False
                return self._in_one_order(*arguments)
        try:
            return self._in_one_order(*arguments)
        except tf.errors.InvalidArgumentError as raised:
            try:
                result = self._xla(*arguments)
            except _CANNOT:
                raise raised from None
        self.is_by_xla = True
        return result

    def _in_one_order(self, *arguments):
        try:
            with _one_operation_at_a_time():
                return self.plain(*arguments)
        except tf.errors.FailedPreconditionError:
            # A loop in a `tf.function` of the user's that was traced before.
            return self.plain(*arguments)

    def prepare(
        self, seconds: float, *arguments: Any, seconds_of_call: float = math.inf
    ) -> None:
        """Compiles by some calls; without XLA, if that takes long, or is slow afterwards.

        The time of XLA doubles with each line of some densities, such as the steps of an
        ODE solver that are written one after the other, and so may that of what it made.
        It cannot be interrupted: it is left alone then, and may end, and assign to the
        function's variables, at any later time. XLA may also take 120 seconds of the
        processor: other programs that keep it busy do not count.

        Args:
          seconds: wall time that XLA may take for all calls.
          *arguments: of each call.
          seconds_of_call: wall time of the fastest call after the first.
        """
        errors: list[Exception] = []
        times: list[float] = []

        def compile_by_xla():
            try:
                for _ in range(1 + _TIMED_CALLS):
                    start = time.monotonic()
                    # Waits for the values: a call may return before they are there.
                    tf.nest.map_structure(lambda t: t.numpy(), self._xla(*arguments))
                    times.append(time.monotonic() - start)
                    if len(times) > 1 and times[-1] <= seconds_of_call:
                        break
            except Exception as error:
                errors.append(error)

        if self.is_by_xla:
            thread = threading.Thread(target=compile_by_xla, daemon=True)
            thread.start()
            _wait(thread, seconds)
            is_fast = not thread.is_alive() and min(times[1:], default=0) <= seconds_of_call
            self.is_by_xla = is_fast and not errors
            self.is_stopped = not is_fast
        if errors:
            # Raises what XLA raised, if that is an error of the function itself.
            self._in_one_order(*arguments)


def _wait(thread, seconds):
    """Waits for a thread, for so many seconds, or 120 of the processor."""
    end = time.monotonic() + seconds
    processor_end = time.process_time() + _MOST_PROCESSOR_SECONDS
    while thread.is_alive() and time.process_time() < processor_end:
        left = end - time.monotonic()
        if left <= 0.0:
            break
        thread.join(min(left, _SECONDS_OF_WAIT))


def _one_operation_at_a_time():
    """A scope in which TensorFlow runs the operations of a graph in one order.

    `AddN`, which sums gradients, begins with the first term whose memory is free, so that
    threads which still read a term change the order of the sum, and its rounding. For GPUs,
    TensorFlow needs several threads.
    """
    if tf.config.list_logical_devices("GPU"):
        return contextlib.nullcontext()
    # TensorFlow has no public way to ask for it.
    return context.function_executor_type("SINGLE_THREADED_EXECUTOR")
