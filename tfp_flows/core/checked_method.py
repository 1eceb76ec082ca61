"""The check of what a subclass's two methods return, made where they are traced."""

import functools
import inspect

import tensorflow as tf

from tfp_flows.core.stock_call_memory import OPPOSITE

__all__ = ["checked_method"]


def checked_method(bijector, direction):
    """Returns the method of `bijector` for `direction`, which says how it breaks the rules.

    Only static shapes are looked at, so that what is traced does not change.

    Args:
      bijector: a `FlowBijector`.
      direction: "forward" or "inverse".
    """
    return functools.partial(
        _call, getattr(bijector, f"_{direction}_and_log_det"), bijector, direction
    )


def _call(method, bijector, direction, value, context, training):
    name = f"{type(bijector).__name__}._{direction}_and_log_det"
    _check_signature(method, name)
    outputs = method(value, context, training)
    if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
        raise ValueError(
            f"Expected `{name}` to return a value and its log_det; got {outputs!r}."
        )
    _check_shapes(bijector, direction, name, value, *outputs)
    return outputs


def _check_signature(method, name):
    try:
        inspect.signature(method).bind(None, None, None)
    except TypeError as error:
        raise ValueError(
            f"Expected `{name.split('.')[1]}(self, {'x' if '_forward' in name else 'y'}, "
            f"context, training)` of `{name.split('.')[0]}`; got "
            f"{inspect.signature(method)}: {error}."
        ) from error


def _check_shapes(bijector, direction, name, value, result, log_det):
    if tf.nest.is_nested(value) or tf.nest.is_nested(result):
        return
    event_ndims = bijector._event_ndims(direction)
    event_ndims_after = bijector._event_ndims(OPPOSITE[direction])
    shape, after, of_log_det = (tf.TensorShape(t.shape) for t in (value, result, log_det))
    batch = shape[: shape.rank - event_ndims]
    if not of_log_det.is_compatible_with(batch):
        raise ValueError(
            f"Expected `{name}` to return a log_det of shape {batch}, one a row; got a "
            f"log_det of shape {of_log_det}."
        )
    event = bijector._known_event_shape(OPPOSITE[direction])
    expected = batch.concatenate([None] * event_ndims_after if event is None else event)
    if not after.is_compatible_with(expected):
        raise ValueError(
            f"Expected `{name}` to return a value of shape {expected}; got {after}."
        )
