"""The forms in which users give rows, contexts and weights, told apart."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require

# The type of the specification of None in a dataset's element.
_NO_TENSOR = type(tf.type_spec_from_value(None))


class Rows(typing.NamedTuple):
    """Rows, their context and their weights: arrays, tensors, or their specifications.

    Attributes:
      x: `[N, *event]`.
      context: `[N, context_size]`; None if there is none.
      weight: `[N]`; None if all rows count alike.
    """

    x: typing.Any
    context: typing.Any = None
    weight: typing.Any = None

    @property
    def by_argument(self) -> dict[str, Any]:
        """The parts that are not None, by the arguments of `fit` that they are."""
        parts = {"x": self.x, "context": self.context, "sample_weight": self.weight}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def inputs(self) -> Any:
        """The inputs of a model: `x`, or `(x, context)`."""
        return self.x if self.context is None else (self.x, self.context)

    def as_batch(self) -> tuple:
        """Returns Keras's tuple of inputs, targets and weights."""
        if self.weight is None:
            return (self.inputs,)
        # Keras drops weights without targets, so the weights stand there, too.
        return (self.inputs, self.weight, self.weight)

    def map(self, function: Callable) -> Rows:
        """Returns the `Rows` of `function` of each part that is not None."""
        return Rows(*(None if part is None else function(part) for part in self))


class RowFormat:
    """The shapes and columns of a model's rows and contexts, which tell the two apart.

    A tuple or list of batches is `(x, context)`; a tuple or list of single rows is `x`.

    Args:
      event_shape: shape of one row; None if it is unknown.
      context_size: width of the context; 0 if there is none.
      dtype: dtype of the model.
      check: function that raises `ValueError` for an array of rows, `[n, *event]`, with
        values that no row may have; None if rows may have any.
      columns: names of the columns of data frames, in their order, for "x" and "context";
        without an entry, any will do.
    """

    def __init__(
        self,
        event_shape: Any,
        context_size: int,
        dtype: tf.DType | str,
        check: Callable[[np.ndarray], None] | None = None,
        columns: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        event_shape = tf.TensorShape(event_shape)
        self.event_shape = event_shape if event_shape.rank is not None else None
        self.context_size = context_size
        self.dtype = tf.as_dtype(dtype)
        self.check = check
        self.columns = columns or {}

    def from_inputs(self, inputs: Any) -> Rows:
        """Returns the `Rows` of inputs: `x`, `(x,)`, `(x, context)`, or a dictionary."""
        if isinstance(inputs, dict):
            is_named = {"x"} <= set(inputs) <= {"x", "context"}
            require(is_named, "inputs named `x` and `context`", sorted(inputs))
            return Rows(**inputs)
        if not isinstance(inputs, (tuple, list)) or self._is_batch(inputs):
            return Rows(inputs)
        count = len(inputs)
        require(1 <= count <= 2, "inputs `x` or `(x, context)`", f"{count} of them")
        return Rows(*(None if _is_absent(part) else part for part in inputs))

    def from_batch(self, batch: Any) -> Rows:
        """Returns the `Rows` of Keras's inputs, targets and weights; refuses targets.

        The second entry of `(x, context)` is the context of a conditional model.
        """
        if isinstance(batch, dict) or self._is_batch(batch):
            return self.from_inputs(batch)
        inputs, second, weight = keras.utils.unpack_x_y_sample_weight(batch)
        rows = self.from_inputs(inputs)
        if not _is_absent(second):
            if rows.context is not None or not self.context_size:
                self.refuse_targets(second)
            rows = rows._replace(context=second)
        return rows._replace(weight=None if _is_absent(weight) else weight)

    def refuse_targets(self, y: Any) -> None:
        """Raises `ValueError` if there are targets, and says where a context goes."""
        place = " A context is the second input: fit((x, context))."
        hint = place if self.context_size else ""
        require(y is None, "no targets `y`", "some", hint)

    def _is_batch(self, value):
        """Whether `value` is rows: not a sequence, or a sequence of single rows."""
        if not isinstance(value, (tuple, list)) or not value:
            return True
        is_part = hasattr(value[0], "shape") or isinstance(value[0], dict)
        # A tuple of arrays is never rows, so an `x` with too few axes gets its own error.
        if is_part and (isinstance(value, tuple) or self.event_shape is None):
            return False
        if self.event_shape is None:
            return isinstance(value, list)
        return _ndims(value[0]) <= self.event_shape.rank


def _is_absent(part):
    return part is None or isinstance(part, _NO_TENSOR)


def _ndims(value):
    if hasattr(value, "shape"):
        return len(value.shape)
    if not isinstance(value, (tuple, list)):
        return 0
    return 1 + (_ndims(value[0]) if value else 0)
