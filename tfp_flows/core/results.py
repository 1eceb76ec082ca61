"""Results of maps and densities: checks of shapes, sums over events, and supports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.core.arguments import refuse, require
from tfp_flows.core.event_shapes import OPPOSITE


def check_result(bijector: Any, direction: str, value: Any, result: Any) -> Any:
    """Returns `result`, if the static shapes of its value and log-det fit the input."""
    name = f"{type(bijector).__name__}._{direction}_and_log_det"
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        refuse(f"`{name}` to return a value and its log_det", result)
    after, log_det = result
    if tf.nest.is_nested(value) or tf.nest.is_nested(after):
        return result
    batch = value.shape[: value.shape.rank - bijector._event_ndims(direction)]
    words = f"`{name}` to return a log_det of shape {batch}, one a row"
    # One log-det for all rows would broadcast later.
    is_shared = log_det.shape.rank == 1 and log_det.shape[0] == 1 != batch[0]
    fits = log_det.shape.is_compatible_with(batch) and not is_shared
    require(fits, words, f"a log_det of shape {log_det.shape}")
    event = bijector._event_shapes[OPPOSITE[direction]]
    if event is None:
        event = [None] * bijector._event_ndims(OPPOSITE[direction])
    expected = batch.concatenate(event)
    fits = after.shape.is_compatible_with(expected)
    require(fits, f"`{name}` to return a value of shape {expected}", after.shape)
    return result


def sum_event(log_det: tf.Tensor, event_ndims: Any, min_event_ndims: Any) -> tf.Tensor:
    """Sums log-dets over the axes by which `event_ndims` exceeds `min_event_ndims`."""
    if event_ndims is None:
        return log_det
    # The parts of a structure have the same axes before their events.
    event_ndims = tf.nest.flatten(event_ndims)[0]
    min_event_ndims = tf.nest.flatten(min_event_ndims)[0]
    static = tf.get_static_value(event_ndims)
    require(static is not None, "`event_ndims` that is known in the graph", event_ndims)
    extra, rank = int(static) - min_event_ndims, log_det.shape.rank
    words = f"`event_ndims` of at least {min_event_ndims} and at most the axes of the input"
    require(0 <= extra <= rank, words, event_ndims)
    return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det


def minus_infinity_outside(
    log_density: tf.Tensor, inside: tf.Tensor, value: tf.Tensor, axes: Sequence[int]
) -> tf.Tensor:
    """Returns log-densities, `[...]`, where all entries, `[..., *event]`, are inside.

    Elsewhere it is minus infinity, or NaN if an entry is NaN. `axes` are those of the
    event, negative; none for densities of single entries.
    """
    is_nan = tf.reduce_any(tf.math.is_nan(value), axis=axes)
    inside = tf.reduce_all(inside, axis=axes)
    # The logarithm of 1 inside, 0 outside and -1 for NaN. Constants that are not finite
    # would be refused by `tf.debugging.enable_check_numerics`, even if no row takes them.
    dtype = log_density.dtype
    elsewhere = tf.math.log(tf.cast(inside, dtype) - tf.cast(is_nan, dtype))
    return tf.where(inside, log_density, elsewhere)
