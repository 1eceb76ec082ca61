"""What the training steps of the models share."""

import tensorflow as tf

__all__ = ["num_replicas", "refuse_missing"]


def num_replicas():
    """Returns how many replicas of a strategy train in step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def refuse_missing(gradients, weights):
    """Raises `ValueError` where the loss does not depend on a weight."""
    missing = [w.name for g, w in zip(gradients, weights, strict=True) if g is None]
    if missing:
        raise ValueError(
            "Expected a loss that depends on every trainable variable; got no gradient "
            f"for {missing}."
        )
