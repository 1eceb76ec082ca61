"""Functions that XLA compiles where it can, in time, and TensorFlow where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["Compiled"]

_CANNOT = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


class Compiled:
    """A function compiled by XLA; by TensorFlow alone where XLA cannot.

    Args:
      function: of tensors.
      by_xla: whether to try XLA, which takes longer than it saves where little is computed.
    """

    def __init__(self, function: Callable, by_xla: bool = True) -> None:
        self._plain = tf.function(function, autograph=False)
        self._xla = tf.function(function, jit_compile=True, autograph=False)
        self.is_by_xla = by_xla

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function."""
        if not self.is_by_xla:
            return self._plain(*arguments)
        try:
            return self._xla(*arguments)
        except _CANNOT:
            self.is_by_xla = False
            return self._plain(*arguments)

    def prepare(self, seconds: float, *arguments: Any) -> None:
        """Compiles by a call that must change nothing; without XLA, if that takes longer.

        Its time doubles with each line of some densities, such as the steps of an ODE
        solver that are written one after the other, and it cannot be interrupted: it is
        left alone then.

        Args:
          seconds: wall time that XLA may take.
          *arguments: of the call.
        """
        errors: list[Exception] = []

        def compile_by_xla():
            try:
                self._xla(*arguments)
            except Exception as error:
                errors.append(error)

        if self.is_by_xla:
            thread = threading.Thread(target=compile_by_xla, daemon=True)
            thread.start()
            thread.join(seconds)
            self.is_by_xla = not thread.is_alive() and not errors
        if not self.is_by_xla:
            # Raises what XLA raised, if that is an error of the function itself.
            self._plain(*arguments)
