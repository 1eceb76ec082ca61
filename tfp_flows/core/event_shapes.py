"""Shapes of events at the ends of a bijector, and along a chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.arguments import require

OPPOSITE = {"forward": "inverse", "inverse": "forward"}
_UNKNOWN = tf.TensorShape(None)


def shapes_by_direction(event_ndims: Any, event_shape: Any, data_event_shape: Any) -> dict:
    """Returns the event shapes that "forward" and "inverse" take, by these names.

    An event at the latent end has `event_ndims` axes and `event_shape`, which may be None
    for any; an event at the data end has `data_event_shape`, or None for the same.
    """
    if event_shape is not None:
        count, shape = len(event_shape), list(event_shape)
        words = f"`event_ndims` of {count}, the axes of an event of shape {shape}"
        require(count == event_ndims, words, event_ndims)
    at_data = event_shape if data_event_shape is None else data_event_shape
    shapes = {"forward": event_shape, "inverse": at_data}
    return {k: None if s is None else tf.TensorShape(s) for k, s in shapes.items()}


def with_event_shape(shape: Any, event_ndims: int, event_shape: tf.TensorShape) -> Any:
    """Returns a shape, or its tensor, with another `event_shape` in its last axes."""
    if not isinstance(shape, tf.TensorShape):
        return tf.concat([shape[:-event_ndims], event_shape.as_list()], axis=0)
    if shape.rank is None:
        return shape
    return shape[: max(shape.rank - event_ndims, 0)].concatenate(event_shape)


def event_shape_after(bijector: tfp.bijectors.Bijector, direction: str, shape: Any) -> Any:
    """Returns the shape to which any bijector maps an event shape in a direction.

    A shape is a `tf.TensorShape`, or an integer tensor; or a structure of these.
    """
    is_static = isinstance(tf.nest.flatten(shape)[0], tf.TensorShape)
    suffix = "" if is_static else "_tensor"
    return getattr(bijector, f"{direction}_event_shape{suffix}")(shape)


def end_shapes(steps: Sequence[tfp.bijectors.Bijector]) -> tuple:
    """Returns the event shapes at the latent and at the data end of steps, data side first.

    They have at least the number of event axes of that end, or are None if the rank is
    unknown. Steps whose known shapes do not fit raise `ValueError`.
    """
    latent = _shape_after(steps, "inverse")
    data = _shape_after(steps[::-1], "forward")
    return (
        _with_axes(latent, steps[-1].forward_min_event_ndims),
        _with_axes(data, steps[0].inverse_min_event_ndims),
    )


def _shape_after(steps, direction):
    """Returns the shape of events after `steps`, a list in the order of application."""
    shape, source = _UNKNOWN, None
    for step in steps:
        step_shape = step._event_shapes[direction]
        if step_shape is not None:
            known, wanted = _with_equal_ranks(shape, step_shape)
            if not known.is_compatible_with(wanted):
                raise _misfit(source, shape, step, f"takes {step_shape}")
            shape = known.merge_with(wanted)
        shape = _shape_after_step(step, direction, shape, source)
        # The error of a later misfit does not name a step that takes any shape.
        source = source if step_shape is None and source else step
    return shape


def _shape_after_step(step, direction, shape, source):
    event_ndims = [step.forward_min_event_ndims, step.inverse_min_event_ndims]
    if shape.rank is None or any(map(tf.nest.is_nested, event_ndims)):
        return _UNKNOWN
    shape = _with_axes(shape, step._event_ndims(direction))
    try:
        return event_shape_after(step, direction, shape)
    except (ValueError, TypeError) as error:
        # Stock bijectors may count on sizes that are not known.
        if source is None or not shape.is_fully_defined():
            return _UNKNOWN
        raise _misfit(source, shape, step, f"refuses it ({error})") from error


def _misfit(source, shape, step, reason):
    return ValueError(
        "Expected `bijectors` whose event shapes fit where they meet; got "
        f"`{source.name}`, which gives {shape}, beside `{step.name}`, which {reason}."
    )


def _with_equal_ranks(a, b):
    """Returns two shapes of equal rank, with unknown axes added in front of the shorter."""
    if None in (a.rank, b.rank):
        return a, b
    rank = max(a.rank, b.rank)
    return _with_axes(a, rank), _with_axes(b, rank)


def _with_axes(shape, event_ndims):
    """Returns the shape with at least `event_ndims` axes; None if its rank is unknown."""
    if shape.rank is None or tf.nest.is_nested(event_ndims):
        return None
    return tf.TensorShape([None] * max(event_ndims - shape.rank, 0)).concatenate(shape)
