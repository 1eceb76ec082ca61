"""Functions that XLA compiles where it can, and TensorFlow where it cannot."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["compiled"]


def compiled(function: Callable, by_xla: bool = True) -> Callable:
    """Returns `function` compiled by XLA; by TensorFlow alone where XLA cannot.

    Args:
      function: of tensors.
      by_xla: whether to try XLA, which takes longer than it saves where little is computed.
    """
    plain = tf.function(function, autograph=False)
    chosen = [tf.function(function, jit_compile=True, autograph=False) if by_xla else plain]

    def call(*arguments):
        try:
            return chosen[0](*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            if chosen[0] is plain:
                raise
            chosen[0] = plain
            return plain(*arguments)

    return call
