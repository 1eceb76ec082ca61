"""TFP's contract of a bijector, in terms of value and log-determinant together."""

import abc
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core import describe
from tfp_flows.core.event_shapes import OPPOSITE
from tfp_flows.core.event_shapes import with_event_shape
from tfp_flows.core.inputs import as_tensor
from tfp_flows.core.inputs import check_event_shape

__all__ = ["StockContract"]


class StockContract(tfp.bijectors.Bijector):
    """What TFP calls on a bijector, answered by one method of a subclass.

    `_apply(direction, value, context, training)` returns the value at the other end and
    the log-det of that direction; `_event_shapes` are those that "forward" and "inverse"
    take; `_memory`, a `StockCallMemory`, keeps TFP's pairs of calls from computing twice.
    """

    @abc.abstractmethod
    def _apply(self, direction, value, context, training):
        """Maps `value` in the direction "forward" or "inverse"."""

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls) and not cls.__init__.__doc__:
            # Else `help` shows what TFP says of bijectors in general.
            cls.__init__.__doc__ = "Takes the arguments that the class describes."

    def __str__(self) -> str:
        table = describe.lines(self, describe.data_shape(self))
        return "\n".join([describe.headline(self), *describe.as_table(table)])

    def __repr__(self) -> str:
        return f"<{describe.headline(self)}>"

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        # Two flows with equal arguments still have different weights.
        return self is other

    def _call_forward(self, x, name, context=None, training=False):
        return self._stock_apply("forward", x, name, context, training)[0]

    def _call_inverse(self, y, name, context=None, training=False):
        return self._stock_apply("inverse", y, name, context, training)[0]

    def _call_forward_log_det_jacobian(
        self, x, event_ndims, name, context=None, training=False
    ):
        log_det = self._stock_apply("forward", x, name, context, training)[1]
        return self._sum_event(log_det, event_ndims, self.forward_min_event_ndims)

    def _call_inverse_log_det_jacobian(
        self, y, event_ndims, name, context=None, training=False
    ):
        log_det = self._stock_apply("inverse", y, name, context, training)[1]
        return self._sum_event(log_det, event_ndims, self.inverse_min_event_ndims)

    def _stock_apply(self, direction, value, name, context, training):
        with self._name_and_control_scope(name):
            recalled = self._memory.recall(direction, value)
            if recalled is not None:
                return recalled
            if not tf.nest.is_nested(getattr(self, f"{direction}_min_event_ndims")):
                argument = {"forward": "x", "inverse": "y"}[direction]
                value = as_tensor(value, argument, self.dtype)
            result, log_det = self._apply(direction, value, context, training)
            self._memory.remember(direction, value, result, log_det)
            return result, log_det

    def _forward_dtype(self, input_dtype, **kwargs):
        return _in_structure(self.inverse_min_event_ndims, input_dtype)

    def _inverse_dtype(self, output_dtype, **kwargs):
        return _in_structure(self.forward_min_event_ndims, output_dtype)

    def _forward_event_shape(self, input_shape):
        self._check_event_shape("forward", input_shape)
        return self._event_shape_after("forward", input_shape)

    def _forward_event_shape_tensor(self, input_shape):
        return self._event_shape_after("forward", input_shape)

    def _inverse_event_shape(self, output_shape):
        self._check_event_shape("inverse", output_shape)
        return self._event_shape_after("inverse", output_shape)

    def _inverse_event_shape_tensor(self, output_shape):
        return self._event_shape_after("inverse", output_shape)

    def _event_ndims(self, direction):
        return getattr(self, f"{direction}_min_event_ndims")

    def _input_of(self, direction: str) -> tuple[str, Any, tf.TensorShape | None]:
        """What errors call an input, the number of its event axes, and their shape."""
        name = {"forward": "x", "inverse": "y"}[direction]
        return name, self._event_ndims(direction), self._event_shapes[direction]

    def _check_event_shape(self, direction, shape):
        """Refuses a static `shape` of events that the direction does not take."""
        if self._event_shapes[direction] is not None:
            check_event_shape(shape, *self._input_of(direction))

    def _event_shape_after(self, direction, shape):
        """The shape of events, static or a tensor, that those of `shape` become."""
        if self._changes_shape:
            after = self._event_shapes[OPPOSITE[direction]]
            shape = with_event_shape(shape, self._event_ndims(direction), after)
        return shape if isinstance(shape, tf.TensorShape) else tf.cast(shape, tf.int32)

    def _sum_event(self, log_det, event_ndims, min_event_ndims):
        if event_ndims is None:
            return log_det
        # The parts of a structure have the same axes before their events.
        event_ndims = tf.nest.flatten(event_ndims)[0]
        min_event_ndims = tf.nest.flatten(min_event_ndims)[0]
        extra = int(tf.get_static_value(event_ndims)) - min_event_ndims
        if extra < 0:
            raise ValueError(
                f"Expected `event_ndims` of at least {min_event_ndims}; got {event_ndims}."
            )
        return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det


def _in_structure(event_ndims, dtype):
    """The one dtype of all parts at one end, for each part at the other."""
    one = tf.nest.flatten(dtype)[0]
    return tf.nest.map_structure(lambda _: one, event_ndims)
