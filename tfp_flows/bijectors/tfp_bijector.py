"""Any TFP bijector under the protocol of this package."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance, check_integer, require
from tfp_flows.core.event_shapes import event_shape_after
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import refusal


class TFPBijector(FlowBijector):
    """Wraps a stock bijector; its log-det is summed over the whole event.

    Args:
      bijector: a `tfp.bijectors.Bijector`.
      event_ndims: axes of one event at the latent end; by default the least number that
        the bijector allows, or the axes of its parameters if it is elementwise.
      name: name of the bijector; by default that of the wrapped one.

    Raises:
      ValueError: if `bijector` has more than one inverse, or parameters with batch axes; if
        `event_ndims` is below the least number that it allows.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> positive = tfp_flows.bijectors.TFPBijector(tfp.bijectors.Exp(), event_ndims=1)
    >>> positive.forward_and_log_det([[0.0, 0.0]])[1].numpy()
    array([0.], dtype=float32)
    """

    def __init__(
        self,
        bijector: tfp.bijectors.Bijector,
        event_ndims: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        words = "a `tfp.bijectors.Bijector`"
        check_instance("bijector", bijector, tfp.bijectors.Bijector, words)
        words = "a `bijector` with one inverse"
        require(bijector._is_injective, words, f"`{bijector.name}`, which is not injective")
        least = bijector.forward_min_event_ndims
        if event_ndims is None:
            event_ndims = event_ndims_of([bijector], least)
        elif not tf.nest.is_nested(least):
            check_integer("event_ndims", event_ndims, minimum=int(least))
        _check_has_no_batch(bijector, event_ndims)
        super().__init__(
            event_ndims=event_ndims,
            data_event_ndims=bijector.forward_event_ndims(event_ndims),
            is_constant_jacobian=bijector.is_constant_jacobian,
            dtype=_one_dtype(bijector.dtype),
            name=name or bijector.name,
        )
        self._bijector = bijector

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The forward direction of TFP's `MaskedAutoregressiveFlow`; else none."""
        is_loop = isinstance(self._bijector, tfp.bijectors.MaskedAutoregressiveFlow)
        return frozenset({"forward"} if is_loop else ())

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows for which the inverse is not finite."""
        data = np.asarray(data)
        if tf.nest.is_nested(self.forward_min_event_ndims) or data.dtype.kind != "f":
            return
        x = np.asarray(self._bijector.inverse(tf.convert_to_tensor(data, self.dtype)))
        lost = np.isfinite(data) & ~np.isfinite(x) if x.shape == data.shape else False
        if np.any(lost):
            where = f"the range of `{self._bijector.name}`"
            raise ValueError(refusal(argument, where, data, tuple(np.argwhere(lost)[0])))

    def _run(self, direction, value, context, training):
        # A new tensor object, since TFP's cache would recognise the old one.
        value = tf.nest.map_structure(tf.identity, value)
        mapped = getattr(self._bijector, direction)(value)
        log_det = getattr(self._bijector, f"{direction}_log_det_jacobian")(
            value, event_ndims=self._event_ndims(direction)
        )
        first = tf.nest.flatten(value)[0]  # the parts of a structure have the same rows
        log_det = tf.broadcast_to(tf.cast(log_det, first.dtype), tf.shape(first)[:1])
        if direction == "inverse" and not tf.nest.is_nested(mapped):
            return _impossible_outside(value, mapped, log_det)
        return mapped, log_det

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")

    def _event_shape_after(self, direction, shape):
        return event_shape_after(self._bijector, direction, shape)


def _impossible_outside(y, x, log_det):
    """Gives density 0 to rows whose inverse is NaN, or infinite for finite rows."""
    is_outside = _any(tf.math.is_nan, x) | tf.math.is_nan(log_det)
    if not tf.nest.is_nested(y):
        is_outside &= ~_any(tf.math.is_nan, y)
        is_finite = ~_any(lambda value: ~tf.math.is_finite(value), y)
        is_outside |= _any(tf.math.is_inf, x) & is_finite
    rows = tf.reshape(is_outside, tf.concat([[-1], tf.ones(x.shape.rank - 1, tf.int32)], 0))
    x = tf.where(rows, tf.zeros([], x.dtype), x)
    # Minus infinity outside. `tf.debugging.enable_check_numerics` refuses a constant that
    # is not finite, even if no row takes it.
    impossible = tf.math.log(tf.cast(~is_outside, log_det.dtype))
    return x, tf.where(is_outside, impossible, log_det)


def _any(holds, x):
    return tf.reduce_any(holds(x), axis=list(range(1, x.shape.rank)))


def event_ndims_of(bijectors: Sequence[tfp.bijectors.Bijector], least: Any) -> Any:
    """Returns the number of event axes of a chain that needs at least `least`.

    An elementwise chain needs none, but axes of its parameters, as in `Scale([1., 2.])`,
    are event axes.
    """
    if tf.nest.is_nested(least) or least:
        return least
    return max(map(_num_parameter_axes, bijectors), default=0)


def _num_parameter_axes(bijector):
    if isinstance(bijector, tfp.bijectors.Invert.__mro__[1]):
        return _num_parameter_axes(bijector.bijector)
    try:
        return len(bijector.experimental_batch_shape())
    except NotImplementedError:  # a user's class that does not describe its parameters
        pass
    number = tf.TensorSpec([], _one_dtype(bijector.dtype) or tf.float32)
    try:
        forward = tf.function(lambda x: bijector.forward(x), autograph=False)
        return forward.get_concrete_function(number).output_shapes.rank or 0
    except (ValueError, TypeError):
        return 0


def _one_dtype(dtype):
    """Returns the dtype if all parts that have one share it; else None."""
    dtypes = set(tf.nest.flatten(dtype)) - {None}
    return dtypes.pop() if len(dtypes) == 1 else None


def _check_has_no_batch(bijector, event_ndims):
    """Refuses parameters with batch axes, since the axes would broadcast against rows."""
    try:
        batch = bijector.experimental_batch_shape(x_event_ndims=event_ndims)
    except NotImplementedError:
        return
    words = f"`{bijector.name}` without batch axes in its parameters"
    hint = " Give batch axes to the base, or use `tfd.TransformedDistribution`."
    is_plain = batch.rank is None or batch.num_elements() == 1 or batch.rank == 0
    require(is_plain, words, f"batch shape {batch}", hint)
