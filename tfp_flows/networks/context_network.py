"""Base class of networks of variables and a context."""

from __future__ import annotations

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["ContextNetwork", "join_context"]


class ContextNetwork(keras.layers.Layer):
    """A Keras layer of `(x, context)`; the context is None if there is none.

    A `Conditioner` calls any other layer with the two joined on the last axis. This one is
    built with the joined shape, `[N, ..., C + context_size]`, and may be called so too.
    """

    def call(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, ..., C]` and a context `[N, context_size]` to `[N, ..., units]`."""
        raise NotImplementedError


def join_context(x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
    """Appends `context`, `[N, context_size]`, to the last axis of `x`, `[N, ..., C]`.

    It is the same at all pixels of an image. None appends nothing.
    """
    if context is None:
        return x
    if spatial := x.shape[1:-1]:
        size = context.shape[-1]
        context = tf.reshape(context, [-1] + [1] * len(spatial) + [size])
        shape = tf.concat([tf.shape(context)[:1], spatial, [size]], axis=0)
        context = tf.broadcast_to(context, shape)
    return tf.concat([x, context], axis=-1)
