"""The protocol that every bijector of this package follows."""

from __future__ import annotations

import abc
import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_dtype
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_name
from tfp_flows.core.compiled import CompiledCall
from tfp_flows.core.data_dependent_state import DataDependentState
from tfp_flows.core.event_shapes import OPPOSITE
from tfp_flows.core.event_shapes import shapes_by_direction
from tfp_flows.core.inputs import align_batch_axes
from tfp_flows.core.inputs import check_context
from tfp_flows.core.inputs import check_value
from tfp_flows.core.inputs import nan_where_context_is
from tfp_flows.core.serialization import Configured
from tfp_flows.core.stock_call_memory import StockCallMemory
from tfp_flows.core.stock_contract import StockContract

__all__ = ["FlowBijector"]


class FlowBijector(Configured, DataDependentState, StockContract):
    """A TFP bijector that computes value and log-determinant together.

    A subclass implements `_forward_and_log_det` and `_inverse_and_log_det`. All else
    follows: the public pair below, TFP's `forward`, `inverse` and the two log-dets,
    checks of shapes and context, and compiled evaluation from eager code.

    ```none
    forward_and_log_det(x) = f(x),      log |det df/dx (x)|        latent -> data
    inverse_and_log_det(y) = f^-1(y),   log |det df^-1/dy (y)|     data -> latent
    ```

    Nothing is cached across calls, so results always use the current weights.

    Both methods return the value and the log-det of their own direction, one a row, for
    any batch axes. `get_config` returns `parameters`: with `dict(locals())` in the first
    line of a constructor, the bijector can be copied and saved:

    >>> import keras
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class Stretch(tfp_flows.FlowBijector):
    ...     def __init__(self, event_size, *, dtype=tf.float32, name="stretch"):
    ...         parameters = dict(locals())
    ...         options = {"dtype": dtype, "parameters": parameters, "name": name}
    ...         super().__init__(event_ndims=1, event_shape=[event_size], **options)
    ...         self._log_scale = tf.Variable(tf.zeros(event_size, self.dtype))
    ...
    ...     def _forward_and_log_det(self, x, context, training):
    ...         return x * tf.exp(self._log_scale), self._log_det(x)
    ...
    ...     def _inverse_and_log_det(self, y, context, training):
    ...         return y * tf.exp(-self._log_scale), -self._log_det(y)
    ...
    ...     def _log_det(self, value):
    ...         return tf.fill(tf.shape(value)[:-1], tf.reduce_sum(self._log_scale))
    >>> flow = tfp_flows.FlowChain([Stretch(2), tfp_flows.RealNVP(2, num_steps=2)])
    >>> base = tfp_flows.standard_normal(2)
    >>> model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))
    >>> model.save("stretched.keras")

    Files may name `Stretch` since it is registered with Keras; where it is not, name its
    module: `tfp_flows.load(path, custom_modules=[module])`.

    >>> loaded = tfp_flows.load("stretched.keras")
    >>> loaded.distribution.bijector.bijectors[0].name
    'stretch'

    Args:
      event_ndims: number of axes of one event at the latent end (`forward`'s input).
      data_event_ndims: the same at the data end; that of `data_event_shape`, or
        `event_ndims`, by default.
      event_shape: shape of one event, where it is fixed: inputs are checked against it.
      data_event_shape: the same at the data end; `event_shape` by default.
      context_size: width of the conditioning tensor; 0 if there is none.
      is_constant_jacobian: whether the log-det does not depend on the input.
      dtype: of inputs, weights and log-dets; None accepts any.
      parameters: the constructor's arguments, which `get_config` returns.
      name: name of the bijector.

    Raises:
      ValueError: from every method, if its input has another event shape or unknown rank,
        or `context` is missing, unwanted, or of another width.
    """

    def __init__(
        self,
        *,
        event_ndims: int,
        data_event_ndims: int | None = None,
        event_shape: Sequence[int | None] | None = None,
        data_event_shape: Sequence[int | None] | None = None,
        context_size: int = 0,
        is_constant_jacobian: bool = False,
        dtype: tf.DType | str = tf.float32,
        parameters: dict | None = None,
        name: str | None = None,
    ) -> None:
        if not tf.nest.is_nested(event_ndims):  # a stock bijector may map structures
            check_integer("event_ndims", event_ndims, minimum=0)
        check_integer("context_size", context_size or 0, minimum=0)
        check_name("name", name)
        if data_event_ndims is None:
            data_event_ndims = len(data_event_shape) if data_event_shape else event_ndims
        super().__init__(
            forward_min_event_ndims=event_ndims,
            inverse_min_event_ndims=data_event_ndims,
            is_constant_jacobian=is_constant_jacobian,
            dtype=None if dtype is None else check_dtype("dtype", dtype),
            parameters=parameters,
            name=name,
        )
        self._changes_shape = data_event_shape is not None
        self._event_shapes = shapes_by_direction(event_ndims, event_shape, data_event_shape)
        self._context_size = int(context_size or 0)
        check_signatures(self)
        self._set_transient_state()

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self._context_size

    @property
    def has_batch_statistics(self) -> bool:
        """Whether training normalises by the rows of a batch, here or in a part."""
        return False

    @property
    def is_monotone(self) -> bool:
        """Whether, with one variable, the map is monotone on the whole line."""
        return getattr(getattr(self, "_transformer", None), "is_monotone", True)

    @property
    def standardizes_context(self) -> bool:
        """Whether contexts are standardised here, by statistics that `initialize` sets."""
        return False

    @property
    def sequential_directions(self) -> frozenset[str]:
        """Directions, "forward" or "inverse", that map one variable after another."""
        return frozenset()

    def forward_and_log_det(
        self, x: TensorLike, *, context: TensorLike | None = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Generates: latent to data, the direction of `sample`.

        Args:
          x: `[..., *event]`.
          context: `[..., context_size]`; its batch axes broadcast against those of `x`.
          training: whether statistics come from this batch (BatchNorm).

        Returns:
          `y`, `[..., *event]`, and `log |det dy/dx|`, `[...]`.
        """
        return self._apply("forward", x, context, training)

    def inverse_and_log_det(
        self, y: TensorLike, *, context: TensorLike | None = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Normalises: data to latent, the direction of `log_prob`.

        Args:
          y: `[..., *event]`.
          context: `[..., context_size]`; its batch axes broadcast against those of `y`.
          training: whether statistics come from this batch (BatchNorm).

        Returns:
          `x`, `[..., *event]`, and `log |det dx/dy|`, `[...]`.

        Raises:
          ValueError: with `training`, if there is state that `initialize` has not set.
        """
        return self._apply("inverse", y, context, training)

    def copy(self, **overrides: object) -> FlowBijector:
        """Returns a bijector with the same weights, or a new one where `overrides`.

        Args:
          **overrides: constructor arguments to replace; any of them means new weights.
        """
        return type(self)(**{**self.get_config(), **overrides}) if overrides else self

    @abc.abstractmethod
    def _forward_and_log_det(self, x, context, training):
        """Maps `x`, `[N, *event]`, given `context`, `[N, context_size]` or None."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y, context, training):
        """Maps `y`, `[N, *event]`, given `context`, `[N, context_size]` or None."""

    def _apply(self, direction, value, context, training):
        """Checks the arguments of a public method, merges their batch axes, and maps."""
        unset = () if direction == "forward" else self._unset_parts_of_now()
        if unset and training:
            self._refuse_to_train(unset)
        event_ndims = self._event_ndims(direction)
        value = check_value(value, *self._input_of(direction), self.dtype)
        context = check_context(context, self.context_size, self.dtype, self.name)
        value, context = align_batch_axes(value, context, event_ndims)
        value, context, batch_shape = merge_batch_axes(value, context, event_ndims)
        value = nan_where_context_is(value, context, event_ndims)
        if tf.executing_eagerly():
            result = self._compiled[direction](value, context, training)
        else:
            result = self._method(direction)(value, context, training)
            check_result(self, direction, value, result)
        value, log_det = restore_batch_axes(result, batch_shape)
        if unset and not tf.nest.is_nested(value):
            value = self._warn_if_trained(value)
        return value, log_det

    def _method(self, direction):
        """The method of a subclass, which takes rows whose shapes have been checked."""
        if direction == "forward":
            return self._forward_and_log_det
        return self._inverse_and_log_det

    # Copies and pickles keep the weights and drop the state of this one object.

    def _set_transient_state(self):
        compiled = {
            direction: CompiledCall(
                self._method(direction), functools.partial(check_result, self, direction)
            )
            for direction in ("forward", "inverse")
        }
        # Set without tracking by `tf.Module`, since they hold no weights.
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "_memory", StockCallMemory())
        object.__setattr__(self, "_is_set", False)
        object.__setattr__(self, "_has_warned", False)

    def __getstate__(self) -> dict:
        transient = ("_compiled", "_memory", "_is_set", "_has_warned")
        return {k: v for k, v in self.__dict__.items() if k not in transient}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._set_transient_state()


def merge_batch_axes(value: Any, context: tf.Tensor | None, event_ndims: Any) -> tuple:
    """Makes one axis of all batch axes.

    Args:
      value: `[*batch, *event]`, or a structure of such.
      context: `[*batch, C]`, or None.
      event_ndims: number of event axes, in the structure of `value`.

    Returns:
      `value`, `[N, *event]`; `context`, `[N, C]`; and the batch shape to restore, which is
      None where there is one batch axis already.
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
      value: input of its method, `[*batch, *event]`.
      result: result of the method.

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
