"""What back-propagation through a bijector finds when it starts from the result."""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["PulledBack", "pull_back", "record"]


class PulledBack(NamedTuple):
    """The input that a result came from, and the gradients there.

    Attributes:
      value: the input, `[..., *event]`.
      by_value: gradient by it.
      by_context: gradient by the context; None where there is none.
      by_weights: list of gradients by the weights; None for those that play no part.
    """

    value: tf.Tensor
    by_value: tf.Tensor
    by_context: tf.Tensor | None
    by_weights: list


def pull_back(apply, undo, result, context, upstream, weights):
    """Back-propagates through a map from its result, by way of the map that undoes it.

    Args:
      apply: function of `(value, context, training)` that returns a result and a log-det.
      undo: likewise, from the result to the value.
      result: what `apply` has returned, `[..., *event]`.
      context: what it was given; None where there is none.
      upstream: gradients by the result and by the log-det.
      weights: list of variables or tensors that it reads.

    Returns:
      A `PulledBack`.
    """
    value, _ = undo(result, context, False)
    _, back_propagate = record(
        lambda value, context: apply(value, context, False), value, context, weights
    )
    return PulledBack(value, *back_propagate(upstream))


def record(call, value, context, weights):
    """Returns `call(value, context)`, and the function that back-propagates through it.

    Args:
      call: function of `(value, context)`.
      value: its first argument.
      context: its second; None where there is none.
      weights: list of variables or tensors that it reads.

    Returns:
      What it returns, and a function from the gradients by that to those by value, by
      context and by the weights.
    """
    sources = [value, *([] if context is None else [context]), *weights]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = call(value, context)

    def back_propagate(upstream):
        by_value, *others = tape.gradient(outputs, sources, output_gradients=upstream)
        by_context = None if context is None else others.pop(0)
        return by_value, by_context, others

    return outputs, back_propagate
