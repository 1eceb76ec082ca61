"""Checks that conditioner and transformer of a step fit each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_flows.core.arguments import check_callable, require
from tfp_flows.transformers.transformer import Transformer, check_transformer


def check_conditioner(
    conditioner: Callable,
    seen_shape: Sequence[int],
    changing_shape: Sequence[int],
    transformer: Transformer,
    dtype: tf.DType | None,
) -> None:
    """Refuses a conditioner whose shapes do not fit, since they might still broadcast.

    It sees `seen_shape`, a part of the event, and returns parameters of the entries of
    `changing_shape`. One without `input_shape` and `output_shape` passes.
    """
    check_transformer(transformer)
    words = "a callable of (x, context) such as a `Conditioner`"
    check_callable("conditioner", conditioner, words)
    module = _keras_module(conditioner)
    words = "a `conditioner` of (x, context), such as a Keras 3 layer in a `Conditioner`"
    hint = "build the network with `import keras`"
    if module == "keras":
        hint = "wrap it in `Conditioner`, with the shape of what it sees"
    require(not module, words, f"{conditioner!r}, a layer of {module}: {hint}")
    if not hasattr(conditioner, "output_shape"):
        _check_first_call(conditioner, seen_shape, dtype)
    *leading, size = changing_shape
    parameters_shape = (*leading, transformer.num_parameters * size)
    for name, expected in (("input_shape", seen_shape), ("output_shape", parameters_shape)):
        expected = tuple(expected)
        shape = tuple(getattr(conditioner, name, expected))
        words = f"a `conditioner` of `{name}` {expected}, to change entries of shape"
        words = f"{words} {tuple(changing_shape)} by `{type(transformer).__name__}`"
        require(tf.TensorShape(shape).is_compatible_with(expected), words, shape)


def _check_first_call(conditioner, seen_shape, dtype):
    """Calls it once; refuses other values than tensors of `dtype`.

    It warns if the conditioner uses variables that it does not list.
    """
    seen = tf.zeros([1, *seen_shape], dtype or tf.float32)
    size = getattr(conditioner, "context_size", 0)
    try:
        with tf.GradientTape() as tape:
            outputs = conditioner(seen, tf.zeros([1, size], seen.dtype) if size else None)
    except Exception:  # the step's first call raises it again
        return
    fits = tf.is_tensor(outputs) and dtype in (None, outputs.dtype)
    words = f"a `conditioner` that returns a tensor of {seen.dtype.name}"
    got = f"one of {outputs.dtype.name}" if tf.is_tensor(outputs) else f"{type(outputs)}"
    require(fits, words, got)
    is_module = isinstance(conditioner, tf.Module)
    listed = {v.ref() for v in conditioner.variables} if is_module else set()
    others = [v.name for v in tape.watched_variables() if v.ref() not in listed]
    if others and not tf.distribute.has_strategy():
        warnings.warn(
            f"The conditioner {conditioner!r} uses {len(others)} trainable variables that "
            f"are not its own ({others[0]}): a flow does not list them, so that `fit` does "
            "not train them and `save` leaves them out. Take a Keras layer in a "
            "`Conditioner`, or a `tf.Module` with the variables as attributes.",
            stacklevel=5,
        )


def _keras_module(value):
    """Returns the Keras package of a layer: "keras" or an older one; None for others."""
    # By name, since bijectors do not import Keras.
    modules = [f"{cls.__module__}." for cls in type(value).__mro__]
    known = ("keras", "tf_keras", "tensorflow.python.keras")
    packages = (name for name in known if any(m.startswith(f"{name}.") for m in modules))
    return next(packages, None)
