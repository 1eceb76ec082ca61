"""Functions that XLA compiles where it can, in time, and TensorFlow where it cannot."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.core.compiled_call import graph_function

__all__ = ["Compiled"]

_CANNOT = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


class Compiled:
    """A function compiled by XLA; by TensorFlow alone where XLA cannot.

    What TensorFlow alone raises at some values, such as of the inverse of a singular
    matrix, XLA returns as NaN: it then takes over.

    Args:
      function: of tensors.
      by_xla: whether to try XLA, which takes longer than it saves where little is computed.

    Attributes:
      plain: the `tf.function` without XLA.
      is_by_xla: whether XLA runs the next call.
    """

    def __init__(self, function: Callable, by_xla: bool = True) -> None:
        self.plain = graph_function(function)
        self._xla = graph_function(function, jit_compile=True)
        self.is_by_xla = by_xla

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function."""
        if self.is_by_xla:
            try:
                return self._xla(*arguments)
            except _CANNOT:
                self.is_by_xla = False
                return self.plain(*arguments)
        try:
            return self.plain(*arguments)
        except tf.errors.InvalidArgumentError as raised:
            try:
                result = self._xla(*arguments)
            except _CANNOT:
                raise raised from None
        self.is_by_xla = True
        return result

    def prepare(
        self, seconds: float, *arguments: Any, seconds_of_call: float = math.inf
    ) -> None:
        """Compiles by two calls; without XLA, if that or the second call takes longer.

        The time of XLA doubles with each line of some densities, such as the steps of an
        ODE solver that are written one after the other, and so may that of what it made.
        It cannot be interrupted: it is left alone then, and may end, and assign to the
        function's variables, at any later time.

        Args:
          seconds: wall time that XLA may take for both calls.
          *arguments: of each call.
          seconds_of_call: wall time that the second call may take.
        """
        errors: list[Exception] = []
        times: list[float] = []

        def compile_by_xla():
            try:
                for _ in range(2):
                    start = time.monotonic()
                    # Waits for the values: a call may return before they are there.
                    tf.nest.map_structure(lambda t: t.numpy(), self._xla(*arguments))
                    times.append(time.monotonic() - start)
            except Exception as error:
                errors.append(error)

        if self.is_by_xla:
            thread = threading.Thread(target=compile_by_xla, daemon=True)
            thread.start()
            thread.join(seconds)
            is_in_time = not thread.is_alive() and not errors
            self.is_by_xla = is_in_time and times[1] <= seconds_of_call
        if errors:
            # Raises what XLA raised, if that is an error of the function itself.
            self.plain(*arguments)
