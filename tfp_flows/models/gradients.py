"""The gradient of a loss by all weights, none of which may be missing."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["complete_gradient"]


def complete_gradient(
    tape: tf.GradientTape, loss: tf.Tensor, weights: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """Returns the gradient of a loss by each of the weights.

    Args:
      tape: that has recorded the loss.
      loss: a scalar.
      weights: variables.

    Raises:
      ValueError: if the loss does not depend on one of them.
    """
    gradients = tape.gradient(loss, weights)
    missing = [w.name for g, w in zip(gradients, weights, strict=True) if g is None]
    if missing:
        raise ValueError(
            "Expected a loss that depends on every trainable variable; got no gradient "
            f"for {missing}."
        )
    return gradients
