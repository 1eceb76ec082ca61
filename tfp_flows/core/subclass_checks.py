"""Checks of the two methods that a subclass of `FlowBijector` defines."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING
from typing import Any

import tensorflow as tf

if TYPE_CHECKING:
    from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["OPPOSITE", "check_result", "check_signatures"]

OPPOSITE = {"forward": "inverse", "inverse": "forward"}


def check_signatures(bijector: FlowBijector) -> None:
    """Refuses a bijector whose methods do not take `(x, context, training)`."""
    for direction, argument in (("forward", "x"), ("inverse", "y")):
        signature = inspect.signature(bijector._method(direction))
        try:
            signature.bind(None, None, None)
        except TypeError as error:
            raise ValueError(
                f"Expected `_{direction}_and_log_det(self, {argument}, context, training)` "
                f"of `{type(bijector).__name__}`; got {signature}: {error}."
            ) from error


def check_result(bijector: FlowBijector, direction: str, value: Any, result: Any) -> Any:
    """Returns `result`, a value and a log-det, if their static shapes fit `value`.

    Args:
      bijector: a `FlowBijector`.
      direction: "forward" or "inverse".
      value: what its method was given, `[*batch, *event]`.
      result: what the method has returned.

    Raises:
      ValueError: if the log-det is not one a row, or the value has another shape.
    """
    name = f"{type(bijector).__name__}._{direction}_and_log_det"
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise ValueError(
            f"Expected `{name}` to return a value and its log_det; got {result!r}."
        )
    after, log_det = result
    if tf.nest.is_nested(value) or tf.nest.is_nested(after):
        return result
    batch = value.shape[: value.shape.rank - bijector._event_ndims(direction)]
    if not log_det.shape.is_compatible_with(batch):
        raise ValueError(
            f"Expected `{name}` to return a log_det of shape {batch}, one a row; got a "
            f"log_det of shape {log_det.shape}."
        )
    event = bijector._event_shapes[OPPOSITE[direction]]
    if event is None:
        event = [None] * bijector._event_ndims(OPPOSITE[direction])
    expected = batch.concatenate(event)
    if not after.shape.is_compatible_with(expected):
        raise ValueError(
            f"Expected `{name}` to return a value of shape {expected}; got {after.shape}."
        )
    return result
