"""Base classes of layers, and of networks of variables and a context."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike


class ConfiguredLayer(keras.layers.Layer):
    """A Keras layer that is saved by its constructor's arguments."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments, which are attributes of the same names."""
        names = [name for name in _argument_names(type(self)) if hasattr(self, name)]
        arguments = {name: _plain(getattr(self, name)) for name in names}
        return arguments | super().get_config()


class ContextNetwork(ConfiguredLayer):
    """A Keras layer of `(x, context)`; the context is None if there is none.

    A `Conditioner` calls any other layer with the two joined on the last axis. This one is
    built with the joined shape, `[N, ..., C + context_size]`, and also takes joined inputs.
    """

    def call(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, ..., C]` and a context `[N, context_size]` to `[N, ..., units]`."""
        raise NotImplementedError


def _argument_names(layer_class):
    """Names of the constructor's arguments, with the keywords of its base classes."""
    names, kind = [], inspect.Parameter
    kinds: tuple = (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)
    bases = layer_class.__mro__
    for base in bases[: bases.index(ConfiguredLayer)]:
        if "__init__" in vars(base):
            _, *parameters = inspect.signature(base.__init__).parameters.values()
            names += [p.name for p in parameters if p.kind in kinds]
            kinds = (kind.KEYWORD_ONLY,)
    return names


def _plain(value):
    """Returns the form of an argument that Keras can save."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, keras.layers.Layer):
        return keras.saving.serialize_keras_object(value)
    return keras.activations.serialize(value) if callable(value) else value


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
