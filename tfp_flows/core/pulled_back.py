"""What back-propagation through a bijector finds."""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["PulledBack", "pull_back"]


class PulledBack(NamedTuple):
    """Gradients by what a bijector was given.

    Attributes:
      by_value: gradient by its input, `[..., *event]`.
      by_context: gradient by the context; None where there is none.
      by_weights: list of gradients by the weights; None for those that play no part.
    """

    by_value: tf.Tensor
    by_context: tf.Tensor | None
    by_weights: list


def pull_back(apply, value, context, upstream, weights):
    """Applies a map once more, and back-propagates through it.

    Args:
      apply: function of `(value, context)` that returns a result and a log-det.
      value: what it was given, `[..., *event]`.
      context: likewise; None where there is none.
      upstream: gradients by the result and by the log-det.
      weights: list of variables or tensors that it reads.

    Returns:
      A `PulledBack`.
    """
    sources = [value, *([] if context is None else [context]), *weights]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = apply(value, context)
    by_value, *others = tape.gradient(outputs, sources, output_gradients=upstream)
    by_context = None if context is None else others.pop(0)
    return PulledBack(by_value, by_context, others)
