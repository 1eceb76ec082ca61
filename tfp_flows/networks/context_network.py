"""The network that is called with variables and their context."""

from __future__ import annotations

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["ContextNetwork", "join_context"]


class ContextNetwork(keras.layers.Layer):
    """A Keras layer that is called with `(x, context)`, the context None if there is none.

    A `Conditioner` gives any other layer the two joined on the last axis. This one may be
    called so too, and is built with the shape of that, `[N, ..., C + context_size]`.
    """

    def call(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, ..., C]` and a context `[N, context_size]` to `[N, ..., units]`."""
        raise NotImplementedError


def join_context(x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
    """Appends `context`, `[N, context_size]`, to the last axis of `x`, `[N, ..., C]`.

    It is the same at all places of an image. None appends nothing.
    """
    if context is None:
        return x
    if spatial := x.shape[1:-1]:
        size = context.shape[-1]
        context = tf.reshape(context, [-1] + [1] * len(spatial) + [size])
        shape = tf.concat([tf.shape(context)[:1], spatial, [size]], axis=0)
        context = tf.broadcast_to(context, shape)
    return tf.concat([x, context], axis=-1)
