"""The protocol that every bijector of this package follows."""

from __future__ import annotations

import abc
import dataclasses
import functools
import inspect
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core import describe
from tfp_flows.core.arguments import (
    check_dtype,
    check_flag,
    check_integer,
    check_name,
    check_size,
    require,
)
from tfp_flows.core.compiled import CompiledCall
from tfp_flows.core.event_shapes import OPPOSITE, shapes_by_direction, with_event_shape
from tfp_flows.core.freezing import FrozenByNetworks
from tfp_flows.core.inputs import (
    align_batch_axes,
    as_tensor,
    check_context,
    check_event_shape,
    check_keywords,
    check_value,
    merge_batch_axes,
    nan_where_context_is_not_finite,
    refuse_positional_context,
    restore_batch_axes,
)
from tfp_flows.core.results import check_result, sum_event
from tfp_flows.core.rows import (
    check_rows,
    initialize_part,
    parts_of_rows,
    refuse_rows_outside,
    rows_of_positive_weight,
)
from tfp_flows.core.serialization import Configured
from tfp_flows.core.stock_call_memory import StockCallMemory

__all__ = ["FlowBijector"]


class FlowBijector(Configured, FrozenByNetworks, tfp.bijectors.Bijector):
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
    any batch axes. The constructor's arguments are kept as `parameters`, so that the
    bijector can be copied and saved:

    >>> import keras
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class Stretch(tfp_flows.FlowBijector):
    ...     def __init__(self, event_size, *, dtype=tf.float32, name="stretch"):
    ...         options = {"dtype": dtype, "name": name}
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
      data_event_ndims: number of axes of one event at the data end; by default the length
        of `data_event_shape`, or `event_ndims`.
      event_shape: shape of one event, where it is fixed: inputs are checked against it.
      data_event_shape: shape of one event at the data end; `event_shape` by default.
      context_size: width of the conditioning tensor; 0 if there is none. A `FlowChain`
        standardises contexts, unless it has `standardize_context=False`.
      is_constant_jacobian: whether the log-det does not depend on the input.
      dtype: dtype of inputs, weights and log-dets; None accepts any.
      parameters: what `get_config` returns; the arguments of the object's class by default.
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
        check_size("context_size", context_size or 0, minimum=0)
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
        _check_signatures(self)
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
        return True

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
        """Returns this bijector; with `overrides`, a new one with new weights.

        Args:
          **overrides: constructor arguments to replace.
        """
        return type(self)(**{**self.get_config(), **overrides}) if overrides else self

    @abc.abstractmethod
    def _forward_and_log_det(self, x, context, training):
        """Maps `x`, `[N, *event]`, given `context`, `[N, context_size]` or None."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y, context, training):
        """Maps `y`, `[N, *event]`, given `context`, `[N, context_size]` or None."""

    def _apply(self, direction, value, context=None, training=False):
        """Checks the arguments of a public method, merges their batch axes, and maps."""
        check_flag("training", training or False)
        training = bool(training)
        unset = "" if direction == "forward" else self._names_of_unset_parts()
        if unset and training:
            self._refuse_to_train(unset)
        event_ndims = self._event_ndims(direction)
        value = check_value(value, *self._input_of(direction), self.dtype)
        context = check_context(context, self.context_size, self.dtype, self.name)
        value, context = align_batch_axes(value, context, event_ndims)
        value, context, batch_shape = merge_batch_axes(value, context, event_ndims)
        value = nan_where_context_is_not_finite(value, context, event_ndims)
        if tf.executing_eagerly():
            result = self._transient.compiled[direction](value, context, training)
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

    # State that `initialize` sets from data.

    @property
    def has_data_dependent_state(self) -> bool:
        """Whether `initialize` sets anything, here or in a part."""
        cls, base = type(self), FlowBijector
        methods = cls.initialize, cls._initialize
        return methods != (base.initialize, base._initialize)

    @property
    def reads_rows(self) -> bool:
        """Whether the state that `initialize` sets depends on the values of the rows."""
        return True

    @property
    def is_initialized(self) -> bool:
        """Whether all data-dependent state is set; True where there is none."""
        return True

    def _unset_parts(self):
        """Names of the parts whose state depends on the rows and is not set yet."""
        return [self.name] if self.reads_rows and not self.is_initialized else []

    def _refuse_to_train(self, names):
        raise ValueError(
            f"Expected `{self.name}` to be initialized before it is trained; got {names} "
            "without means and scales of the training rows. Call `initialize(rows)` of the "
            "flow, or of its distribution, once before the first step is traced."
        )

    def _warn_if_trained(self, x):
        """Returns `x`, and warns of unset state if a gradient is taken through it.

        A training loop takes the gradient of a density; an evaluation does not.
        """

        @tf.custom_gradient
        def same(value):
            def gradient(upstream):
                names = "" if self._transient.has_warned else self._names_of_unset_parts()
                if names:
                    self._transient.has_warned = True
                    warnings.warn(
                        f"A gradient is taken of the density of `{self.name}`, where means "
                        f"and scales of the training rows are not set in {names}. Before "
                        "training on rows, call `initialize(rows)` once: from where it is, "
                        "training may take very long or end far off.",
                        stacklevel=2,
                    )
                return upstream

            return tf.identity(value), gradient

        return same(x)

    def _recheck_state(self) -> None:
        """Makes the next call check again whether data-dependent state is set."""
        self._transient.is_set = False

    def _names_of_unset_parts(self):
        """Returns the current `_unset_parts` in words, also while a function is traced."""
        if self._transient.is_set:
            return ""
        with tf.init_scope():
            parts = self._unset_parts()
        self._transient.is_set = not parts
        return ", ".join(f"`{name}`" for name in parts)

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets the data-dependent state, if any, from `data`.

        Args:
          data: `[N, *event]`, at the data end of this bijector.
          context: `[N, context_size]`, if the bijector is conditional.
          sample_weight: `[N]`: a row of weight 2 counts twice, one of weight 0 not at all.

        Raises:
          ValueError: if an argument has another shape, or the bijector has no inverse for a
            row.
        """
        self._initialize(*self._check_rows(data, context, sample_weight))

    def _initialize(self, data, context, weight):
        """Sets state from rows that were checked; `weight` is None if all are equal."""

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows for which the bijector has no inverse.

        Args:
          data: `[N, *event]`, at the data end of this bijector.
          argument: name of `data` in errors.

        Raises:
          ValueError: if there are such rows; it names the first, its column, and the range.
        """
        support = self._support()
        if support is not None:
            refuse_rows_outside(*support, np.asarray(data), self.dtype, argument)

    def _support(self) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Returns bounds of the data end, and a tolerance for rounding; or None."""
        return None

    def _check_rows(self, data, context=None, sample_weight=None):
        """Checks arguments of `initialize`, and returns the rows of positive weight.

        Stock parts may have several tensors.
        """
        is_one = not tf.nest.is_nested(self.inverse_min_event_ndims)
        if is_one:
            shape = tf.TensorShape(self._event_shapes["inverse"])
            data = check_rows(data, context, shape, self.context_size)
        data, context, weight = rows_of_positive_weight(data, context, sample_weight)
        if is_one:
            self.check_support(data)
        return data, context, weight

    def _initialize_inverted(self, data, context, weight):
        """Sets state so that `forward` normalises `data`, `[N, *event]`: for `Invert`."""
        words = "a `bijector` to invert whose data-dependent state can be set at its latent"
        hint = " Build it without that state, or initialize it before it is inverted."
        require(self.is_initialized, f"{words} end", f"`{self.name}`", hint)

    def initialize_and_normalise(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> tf.Tensor:
        """Initialises, and returns the data at the latent end, `[N, *event]`.

        Args:
          data: `[N, *event]`, at the data end of this bijector.
          context: `[N, context_size]`, if the bijector is conditional.
          sample_weight: see `initialize`. Rows of weight 0 are not returned.
        """
        rows = self._check_rows(data, context, sample_weight)
        return self._initialize_and_normalise(*rows)

    def _initialize_and_normalise(self, data, context, weight):
        initialize_part(self, data, context, weight)
        return self._normalised(data, context)

    def _normalised(self, data, context):
        """Returns the data at the latent end, by the state that `initialize` has set."""
        if tf.nest.is_nested(self.inverse_min_event_ndims):
            return self.inverse_and_log_det(data, context=context)[0]
        # A stock step without a dtype passes on tensors of the rows' own.
        data = tf.cast(data, self.dtype) if self.dtype else tf.convert_to_tensor(data)
        context = None if context is None else tf.cast(context, self.dtype or data.dtype)
        # Pieces bound the memory of hidden activations. They are not compiled, since each
        # bijector runs only once or twice.
        rows = max(1, min(2**16, 2**20 // math.prod(data.shape[1:])))
        pieces = parts_of_rows(data, context, size=rows)
        latents = (self._inverse_and_log_det(y, c, False)[0] for y, c in pieces)
        return tf.concat(list(latents), axis=0)

    # What TFP calls on a bijector.

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _keeping_arguments(cls.__init__)  # type: ignore[method-assign]

    def __str__(self) -> str:
        return "\n".join(describe.from_bijector(self, self._event_shapes["inverse"]))

    def __repr__(self) -> str:
        return f"<{describe.headline(self)}>"

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        # Two flows with equal arguments still have different weights.
        return self is other

    def _call_forward(self, x, name, **kwargs):
        return self._stock_apply("forward", x, name, **kwargs)[0]

    def _call_inverse(self, y, name, **kwargs):
        return self._stock_apply("inverse", y, name, **kwargs)[0]

    def _call_forward_log_det_jacobian(self, x, event_ndims, name, **kwargs):
        log_det = self._stock_apply("forward", x, name, **kwargs)[1]
        return sum_event(log_det, event_ndims, self.forward_min_event_ndims)

    def _call_inverse_log_det_jacobian(self, y, event_ndims, name, **kwargs):
        log_det = self._stock_apply("inverse", y, name, **kwargs)[1]
        return sum_event(log_det, event_ndims, self.inverse_min_event_ndims)

    def _name_and_control_scope(self, name=None):
        refuse_positional_context(name)
        return super()._name_and_control_scope(name)

    def _stock_apply(self, direction, value, name, **kwargs):
        check_keywords(name, self._apply, kwargs)
        with self._name_and_control_scope(name):
            memory = self._transient.memory
            recalled = memory.recall(direction, value)
            if recalled is not None:
                return recalled
            argument, event_ndims, _ = self._input_of(direction)
            if not tf.nest.is_nested(event_ndims):
                value = as_tensor(value, argument, self.dtype)
            result, log_det = self._apply(direction, value, **kwargs)
            memory.remember(direction, value, result, log_det)
            return result, log_det

    def _forward_dtype(self, input_dtype, **kwargs):
        return _dtype_in_structure(self.inverse_min_event_ndims, input_dtype)

    def _inverse_dtype(self, output_dtype, **kwargs):
        return _dtype_in_structure(self.forward_min_event_ndims, output_dtype)

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

    def _event_axes(self):
        return list(range(-self.forward_min_event_ndims, 0))

    def _input_of(self, direction: str) -> tuple[str, Any, tf.TensorShape | None]:
        """Returns an input's name in errors, number of event axes, and event shape."""
        name = {"forward": "x", "inverse": "y"}[direction]
        return name, self._event_ndims(direction), self._event_shapes[direction]

    def _check_event_shape(self, direction, shape):
        """Refuses a static `shape` of events that the direction does not take."""
        check_event_shape(shape, *self._input_of(direction))

    def _event_shape_after(self, direction, shape):
        """Returns the shape, static or a tensor, to which `shape` is mapped."""
        if self._changes_shape:
            after = self._event_shapes[OPPOSITE[direction]]
            shape = with_event_shape(shape, self._event_ndims(direction), after)
        return shape if isinstance(shape, tf.TensorShape) else tf.cast(shape, tf.int32)

    # Copies and pickles keep the weights and drop the transient state.

    def _set_transient_state(self):
        compiled = {
            direction: CompiledCall(
                self._method(direction), functools.partial(check_result, self, direction)
            )
            for direction in ("forward", "inverse")
        }
        # Set without tracking by `tf.Module`, since it holds no weights.
        object.__setattr__(self, "_transient", _Transient(compiled))

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k != "_transient"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._set_transient_state()


@dataclasses.dataclass
class _Transient:
    """State of one object, which its copies and pickles do not share.

    Attributes:
      compiled: compiled functions, by direction.
      memory: memory of stock calls.
      is_set: whether all data-dependent state is known to be set.
      has_warned: whether a warning said that data-dependent state is not set.
    """

    compiled: dict
    memory: StockCallMemory = dataclasses.field(default_factory=StockCallMemory)
    is_set: bool = False
    has_warned: bool = False


def _keeping_arguments(init):
    """Returns a constructor that keeps its arguments as the object's `parameters`.

    Only the constructor of the object's own class keeps them, not the constructors that it
    calls, and only if `FlowBijector` was given no `parameters`.
    """
    signature = inspect.signature(init)
    kinds = {parameter.kind: name for name, parameter in signature.parameters.items()}
    others = kinds.get(inspect.Parameter.VAR_KEYWORD, "")

    @functools.wraps(init)
    def keeping(self, *args, **kwargs):
        init(self, *args, **kwargs)
        if type(self).__init__ is keeping and self._parameters is None:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            _, *arguments = bound.arguments.items()  # without `self`
            parameters = dict(arguments)
            parameters |= parameters.pop(others, {})
            self._parameters = self._no_dependency(parameters)

    if not init.__doc__:
        # Otherwise `help` shows TFP's text on bijectors in general.
        keeping.__doc__ = "Takes the arguments that the class describes."
    return keeping


def _check_signatures(bijector):
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


def _dtype_in_structure(event_ndims, dtype):
    """Returns the dtype, which all parts share, in the structure of `event_ndims`."""
    one = tf.nest.flatten(dtype)[0]
    return tf.nest.map_structure(lambda _: one, event_ndims)
