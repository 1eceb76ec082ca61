"""State that bijectors set from data, and checks of these data."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.rows import check_rows
from tfp_flows.core.rows import refuse_rows_outside
from tfp_flows.core.rows import rows_that_count

__all__ = ["DataDependentState", "weight_keyword"]


class DataDependentState(tfp.bijectors.Bijector):
    """The part of the protocol for `initialize`; by default there is no state.

    A subclass sets `_is_set` and `_has_warned`, both False at first.
    """

    _is_set: bool
    _has_warned: bool

    @property
    def has_data_dependent_state(self) -> bool:
        """Whether `initialize` sets anything, here or in a part."""
        return type(self).initialize is not DataDependentState.initialize

    @property
    def reads_rows(self) -> bool:
        """Whether it matters which rows `initialize` is given, if it sets anything."""
        return True

    @property
    def is_initialized(self) -> bool:
        """Whether all data-dependent state is set; True where there is none."""
        return True

    def _unset_parts(self):
        """Names of the parts whose state depends on the rows and is not set yet."""
        return [self.name] if self._needs_rows() and not self.is_initialized else []

    def _needs_rows(self):
        """Whether training without `initialize` is a mistake, as of a flow for data."""
        return self.reads_rows

    def _refuse_to_train(self, parts):
        names = ", ".join(f"`{name}`" for name in parts)
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
                parts = [] if self._has_warned else self._unset_parts_of_now()
                if parts:
                    object.__setattr__(self, "_has_warned", True)
                    names = ", ".join(f"`{name}`" for name in parts)
                    warnings.warn(
                        f"A gradient is taken of the density of `{self.name}`, in which "
                        f"{names} have no means and scales of the training rows. Before "
                        "training on rows, call `initialize(rows)` once: from where it is, "
                        "training may take very long or end far off.",
                        stacklevel=2,
                    )
                return upstream

            return tf.identity(value), gradient

        return same(x)

    def forget_start(self) -> None:
        """Makes the next call check again whether data-dependent state is set."""
        object.__setattr__(self, "_is_set", False)

    def _unset_parts_of_now(self):
        """Returns the current `_unset_parts`, also while a function is traced."""
        if self._is_set:
            return []
        with tf.init_scope():
            parts = self._unset_parts()
        object.__setattr__(self, "_is_set", not parts)
        return parts

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets data-dependent state from `data`; does nothing by default.

        Args:
          data: `[N, *event]`, at the data end of this bijector.
          context: `[N, context_size]`, if the bijector is conditional.
          sample_weight: `[N]`: a row of weight 2 counts twice, one of weight 0 not at all.
        """
        self._check_rows(data, context, sample_weight)

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
        data, context, weight = rows_that_count(data, context, sample_weight)
        if is_one:
            self.check_support(data)
        return data, context, weight

    def _initialize_inverted(self, data, context, sample_weight=None):
        """Sets state so that `forward` normalises `data`, `[N, *event]`: for `Invert`."""
        if not self.is_initialized:
            raise ValueError(
                "Expected a `bijector` to invert whose data-dependent state can be set at "
                f"its latent end; got `{self.name}`. Build it without that state, or "
                "initialize it before it is inverted."
            )

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
        data, context, weight = self._check_rows(data, context, sample_weight)
        self.initialize(data, context=context, **weight_keyword(self, weight))
        return self._normalised(data, context)

    def _normalised(self, data, context):
        """Returns the data at the latent end, by the state that `initialize` has set."""
        if tf.nest.is_nested(self.inverse_min_event_ndims):
            return self.inverse_and_log_det(data, context=context)[0]
        data = tf.convert_to_tensor(data, self.dtype)
        context = None if context is None else tf.convert_to_tensor(context, self.dtype)
        # In pieces, which bound the memory of hidden activations. Not compiled, since each
        # bijector runs only once or twice.
        rows = max(1, min(2**16, 2**20 // math.prod(data.shape[1:])))
        pieces = []
        for i in range(0, len(data), rows):
            part = None if context is None else context[i : i + rows]
            pieces.append(self._inverse_and_log_det(data[i : i + rows], part, False)[0])
        return tf.concat(pieces, axis=0)


def weight_keyword(part: Any, sample_weight: TensorLike | None) -> dict:
    """Returns the keyword that hands weights to `part.initialize`; none without weights.

    Raises:
      ValueError: if the method of a class of one's own does not take them.
    """
    if sample_weight is None:
        return {}
    takes = inspect.signature(part.initialize).parameters.values()
    if not any(p.name == "sample_weight" or p.kind == p.VAR_KEYWORD for p in takes):
        raise ValueError(
            f"Expected `{type(part).__name__}.initialize` to take `sample_weight`, since "
            "rows have weights; got one that does not. Add the keyword, None by default."
        )
    return {"sample_weight": sample_weight}
