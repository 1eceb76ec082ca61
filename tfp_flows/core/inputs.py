"""Arguments of public methods of bijectors and distributions: checks, and batch axes."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_unmasked, require


def check_value(
    value: Any,
    argument: str,
    event_ndims: Any,
    event_shape: tf.TensorShape | None,
    dtype: tf.DType | None,
) -> Any:
    """Returns `value` as a tensor whose last `event_ndims` axes fit `event_shape`.

    It may be a structure, as `event_ndims` is then. An `event_shape` of None allows any; a
    `dtype` of None keeps that of the value.
    """
    if tf.nest.is_nested(event_ndims):
        return tf.nest.map_structure(
            lambda ndims, part: check_value(part, argument, ndims, None, dtype),
            event_ndims,
            _in_structure(event_ndims, value, argument),
        )
    value = as_tensor(value, argument, dtype)
    has_rank = value.shape.rank is not None and value.shape.rank >= event_ndims
    words = f"`{argument}` of a known rank of at least {event_ndims}"
    require(has_rank, words, f"shape {value.shape}")
    check_event_shape(value.shape, argument, event_ndims, event_shape)
    batch = value.shape[: value.shape.rank - event_ndims]
    if event_shape is None or value.shape[batch.rank :].is_fully_defined():
        return value
    # Sizes that a graph does not know yet are checked when it runs.
    return tf.ensure_shape(value, batch.concatenate(event_shape))


def refuse_positional_context(name: Any) -> None:
    """Refuses a context given by position, where TFP's methods take a `name`."""
    is_name = name is None or isinstance(name, str)
    got = f"a {type(name).__name__}"
    hint = " A context is given by keyword: `context=...`."
    require(is_name, "a string `name` as second argument", got, hint)


def check_keywords(method: str, takes: Callable, keywords: Mapping) -> None:
    """Refuses keyword arguments of a public `method` that `takes` lacks.

    Args:
      method: name of the method of TFP that passes its keyword arguments on.
      takes: the method that they go to; one with `**kwargs` takes all.
      keywords: the arguments by name.

    Raises:
      TypeError: if one is unknown, as Python does; its error would name a private method.
    """
    if not keywords:
        return
    known = inspect.signature(takes).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in known):
        return
    names = [p.name for p in known if p.default is not p.empty]
    if unknown := sorted(set(keywords) - set(names)):
        raise TypeError(
            f"Expected keyword arguments of `{method}` among {', '.join(names)}; got "
            f"{', '.join(unknown)}."
        )


def as_tensor(value: Any, argument: str, dtype: tf.DType | None) -> tf.Tensor:
    """Returns `value` as a tensor of `dtype`; None keeps the dtype of `value`."""
    check_unmasked(argument, value)
    # Conversion would drop the imaginary part.
    is_complex = getattr(getattr(value, "dtype", None), "kind", "") == "c"
    require(not is_complex, f"`{argument}` of real numbers", "complex ones")
    got = "a symbolic KerasTensor of Keras"
    hint = " `DensityEstimator` makes a Keras model of a distribution."
    is_symbol = isinstance(value, keras.KerasTensor)
    require(not is_symbol, f"`{argument}` of numbers", got, hint)
    try:
        tensor = tf.convert_to_tensor(value, dtype=dtype, name=argument)
    except (TypeError, ValueError) as error:
        kind = "numbers" if dtype is None else f"{dtype.name} numbers"
        if tf.is_tensor(value):  # TensorFlow's error prints all of its numbers
            form = "" if isinstance(value, tf.Tensor) else f"a {type(value).__name__} of "
            got = f"{form}{value.dtype.name} of shape {value.shape}."
        else:
            got = f"{repr(value)[:80]}: {error}"
        raise ValueError(f"Expected `{argument}` of {kind}; got {got}") from error
    require(
        isinstance(tensor, tf.Tensor),
        f"`{argument}` of numbers",
        f"a symbolic {type(value).__name__} of TF-Keras",
        " Call the flow in a `Layer` of your own, which also tracks its weights.",
    )
    return tensor


def _in_structure(event_ndims, value, argument):
    try:
        tf.nest.assert_same_structure(event_ndims, value, check_types=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected `{argument}` in the structure of event axes {event_ndims}; got "
            f"{type(value).__name__}."
        ) from error
    return tf.nest.pack_sequence_as(event_ndims, tf.nest.flatten(value))


def check_event_shape(
    shape: tf.TensorShape,
    argument: str,
    event_ndims: int,
    event_shape: tf.TensorShape | None,
) -> None:
    """Refuses a known shape whose last axes do not fit `event_shape`, if it is given."""
    if event_shape is None or shape.rank is None:
        return
    event = shape[max(shape.rank - event_ndims, 0) :]
    if not event.is_compatible_with(event_shape):
        raise ValueError(
            f"Expected `{argument}` of shape [..., {', '.join(map(str, event_shape))}]; "
            f"got {shape}."
        )


def check_context(
    context: TensorLike | None, context_size: int, dtype: tf.DType | None, owner: str
) -> tf.Tensor | None:
    """Returns `context` as a tensor of shape `[..., context_size]`, or None for width 0."""
    if not context_size:
        words = f"no `context`, since `{owner}` is unconditional"
        kind = f"a {type(context).__name__}"
        shape = getattr(context, "shape", None)
        require(context is None, words, kind if shape is None else f"shape {shape}")
        return None
    words = f"`context` of shape [..., {context_size}]"
    require(context is not None, f"{words} for conditional `{owner}`", None)
    context = as_tensor(context, "context", dtype)
    fits = context.shape.rank and context.shape[-1] in (None, context_size)
    require(fits, words, context.shape)
    if context.shape[-1] is None:  # checked when the graph runs
        batch = context.shape[:-1]
        context = tf.ensure_shape(context, batch.concatenate(context_size))
    return context


def nan_where_context_is_not_finite(
    value: Any, context: tf.Tensor | None, event_ndims: Any
) -> Any:
    """Returns `value` with NaN in the rows whose context has NaN or an infinity.

    A network may hide them: the ReLU of TensorFlow's fused kernels maps NaN to zero, and
    standardised contexts are clipped to finite numbers. The value, `[*batch, *event]`, may
    be a structure, as `event_ndims` is then; its batch axes and those of the context
    broadcast.
    """
    if context is None:
        return value
    is_nan = tf.reduce_any(~tf.math.is_finite(context), axis=-1)

    def nan_or(ndims, part):
        # NaN is the root of -1. `tf.debugging.enable_check_numerics` refuses a constant
        # that is not finite, even if no row takes it.
        nan = tf.sqrt(-tf.cast(is_nan, part.dtype))
        if is_nan.shape.rank == 1:
            shape = [-1] + [1] * ndims
        else:
            shape = tf.concat([tf.shape(is_nan), tf.ones([ndims], tf.int32)], axis=0)
        return tf.where(tf.reshape(is_nan, shape), tf.reshape(nan, shape), part)

    return tf.nest.map_structure(nan_or, event_ndims, value)


def align_batch_axes(value: Any, context: tf.Tensor | None, event_ndims: Any) -> tuple:
    """Broadcasts the batch axes of `value` and `context` against each other.

    The value, `[*batch, *event]`, may be a structure, as `event_ndims` is then. Without a
    context nothing changes. Known shapes that do not broadcast raise `ValueError`.
    """
    if context is None:
        return value, None
    first, ndims = tf.nest.flatten(value)[0], tf.nest.flatten(event_ndims)[0]
    batch = first.shape[: first.shape.rank - ndims]
    context_batch = context.shape[:-1]
    if batch.is_fully_defined() and batch == context_batch:
        return value, context
    try:
        known = tf.broadcast_static_shape(batch, context_batch)
    except ValueError as error:
        raise ValueError(
            f"Expected `context` with batch axes that broadcast against {batch}; got "
            f"shape {context.shape}."
        ) from error
    shape = tf.broadcast_dynamic_shape(
        tf.shape(first)[: batch.rank], tf.shape(context)[:-1]
    )

    def broadcast(part, rank):
        event = tf.shape(part)[rank:]
        rows = tf.broadcast_to(part, tf.concat([shape, event], axis=0))
        # Without the static shape, later operations take a quarter longer.
        rows.set_shape(known.concatenate(part.shape[rank:]))
        return rows

    value = tf.nest.map_structure(lambda part: broadcast(part, batch.rank), value)
    return value, broadcast(context, context_batch.rank)


def merge_batch_axes(value: Any, context: tf.Tensor | None, event_ndims: Any) -> tuple:
    """Makes one axis of all batch axes of a value and its context, which may be None.

    The value may be a structure, as `event_ndims` is then. The last result is the batch
    shape to restore; None where there is one batch axis already.
    """
    parts, ndims = tf.nest.flatten(value), tf.nest.flatten(event_ndims)
    batch_ndims = parts[0].shape.rank - ndims[0]
    if batch_ndims == 1:
        return value, context, None
    batch_shape, rows = parts[0].shape[:batch_ndims], -1
    if batch_shape.is_fully_defined():
        batch_shape = batch_shape.as_list()
        rows = math.prod(batch_shape)
    else:
        batch_shape = tf.shape(parts[0])[:batch_ndims]
    parts = [_reshape(part, batch_ndims, [rows]) for part in parts]
    value = tf.nest.pack_sequence_as(value, parts)
    context = None if context is None else _reshape(context, batch_ndims, [rows])
    return value, context, batch_shape


def restore_batch_axes(result: Any, batch_shape: Any) -> Any:
    """Undoes `merge_batch_axes` for `result`, tensors `[N, ...]`."""
    if batch_shape is None:
        return result
    return tf.nest.map_structure(lambda part: _reshape(part, 1, batch_shape), result)


def _reshape(part, num_axes, batch_shape):
    """Replaces the first `num_axes` axes of `part` by those of `batch_shape`."""
    rest = part.shape[num_axes:]
    rest = rest.as_list() if rest.is_fully_defined() else tf.shape(part)[num_axes:]
    if isinstance(batch_shape, list) and isinstance(rest, list):
        return tf.reshape(part, [*batch_shape, *rest])
    return tf.reshape(part, tf.concat([batch_shape, rest], axis=0))
