"""Base classes of layers, and of networks of variables and a context."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import require


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

    def __call__(self, x: Any, context: Any = None, **options: Any) -> Any:
        """Calls the layer; the first call builds it for x and context together.

        Raises:
          ValueError: if x and context together have another width than at the first call.
        """
        inputs = [_as_floats(x, self.compute_dtype)]
        if context is not None:
            inputs.append(_as_floats(context, self.compute_dtype))
        widths = [tf.TensorShape(getattr(a, "shape", None))[-1:] for a in inputs]
        if all(width.is_fully_defined() for width in widths):
            width = sum(w.num_elements() for w in widths)
            if len(inputs) > 1 and not self.built:  # Keras would build it for x alone
                self.build((*x.shape[:-1], width))
            expected = self.get_build_config()["input_shape"][-1] if self.built else width
            got = " and ".join(str(tuple(a.shape)) for a in inputs)
            words = f"inputs of shape [..., {expected}], variables and context"
            require(width == expected, f"{words}, of `{self.name}`", got)
        return super().__call__(*inputs, **options)

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


def _as_floats(value, dtype):
    """Returns integers and booleans, which Keras does not cast, as floats."""
    kind = getattr(value, "dtype", None)
    if kind is None or keras.backend.is_float_dtype(kind):
        return value
    return keras.ops.cast(value, dtype)


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


def split_context(
    x: tf.Tensor, context: tf.Tensor | None, event_size: int, context_size: int
) -> Sequence:
    """Returns vectors, `[N, event_size]`, and their context, also if x joins both."""
    if context is None and context_size:
        return tf.split(x, [event_size, context_size], axis=-1)
    return x, context


def check_width(input_shape: Sequence, event_size: int, context_size: int) -> None:
    """Refuses to build a network for another width than that of vectors and context."""
    width = event_size + context_size
    words = f"inputs of shape [..., {width}], variables and context"
    require(input_shape[-1] == width, words, tuple(input_shape))
