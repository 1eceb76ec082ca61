"""The forms of rows, contexts and weights, and of the columns of a table."""

from __future__ import annotations

import json
import typing
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

__all__ = ["RowFormat", "Rows", "plain_columns", "refuse_other_columns"]

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
    def inputs(self) -> Any:
        """The inputs of a model."""
        return self.x if self.context is None else (self.x, self.context)

    def as_batch(self) -> tuple:
        """Returns Keras's tuple of inputs, targets and weights."""
        if self.weight is None:
            return (self.inputs,)
        # Keras drops weights that come without targets; nothing reads these.
        return (self.inputs, self.weight, self.weight)


class RowFormat:
    """The shapes of a model's rows and contexts, by which the two are told apart.

    A tuple or list of batches is `(x, context)`; one of single rows is a batch.

    Args:
      event_shape: shape of one row; None if it is unknown.
      context_size: width of the context; 0 if there is none.
      dtype: dtype of the model.
    """

    def __init__(self, event_shape: Any, context_size: int, dtype: tf.DType | str) -> None:
        event_shape = tf.TensorShape(event_shape)
        self.event_shape = event_shape if event_shape.rank is not None else None
        self.context_size = context_size
        self.dtype = tf.as_dtype(dtype)

    @classmethod
    def of_distribution(cls, distribution: tfd.Distribution) -> RowFormat:
        """The format of the events of a distribution."""
        return cls(
            getattr(distribution, "event_shape", None),
            _context_size(distribution),
            distribution.dtype,
        )

    def of_inputs(self, inputs: Any) -> Rows:
        """Returns the `Rows` of inputs: `x`, `(x,)`, `(x, context)`, or a dictionary.

        Raises:
          ValueError: if there are more than two parts, or entries of another name.
        """
        if isinstance(inputs, dict):
            return _of_dictionary(inputs)
        if not isinstance(inputs, (tuple, list)) or self._is_batch(inputs):
            return Rows(inputs)
        if not 1 <= len(inputs) <= 2:
            raise ValueError(
                f"Expected inputs `x` or `(x, context)`; got {len(inputs)} of them."
            )
        return Rows(*(None if _is_absent(part) else part for part in inputs))

    def of_batch(self, batch: Any) -> Rows:
        """Returns the `Rows` of Keras's tuple of inputs, targets and weights.

        As there are no targets, the second entry of `(x, context)` is the context of a
        conditional model.

        Raises:
          ValueError: if there are targets.
        """
        if isinstance(batch, dict) or self._is_batch(batch):
            return self.of_inputs(batch)
        inputs, second, weight = keras.utils.unpack_x_y_sample_weight(batch)
        rows = self.of_inputs(inputs)
        if not _is_absent(second):
            if rows.context is not None or not self.context_size:
                self.refuse_targets()
            rows = rows._replace(context=second)
        return rows._replace(weight=None if _is_absent(weight) else weight)

    def refuse_targets(self) -> None:
        """Raises `ValueError`, and says where a context goes."""
        hint = ""
        if self.context_size:
            hint = " A context is the second input: fit((x, context))."
        raise ValueError(f"Expected no targets `y`; got some.{hint}")

    def _is_batch(self, value):
        """Whether `value` is rows: not a sequence, or a sequence of single rows."""
        if not isinstance(value, (tuple, list)) or not value:
            return True
        is_part = hasattr(value[0], "shape") or isinstance(value[0], dict)
        # A tuple of arrays is never rows, so that an `x` of too few axes is called so.
        if is_part and (isinstance(value, tuple) or self.event_shape is None):
            return False
        if self.event_shape is None:
            return isinstance(value, list)
        return _ndims(value[0]) <= self.event_shape.rank


def plain_columns(columns: Any) -> list | None:
    """Returns a copy of names, or of dicts of plain values; None for None."""
    if columns is None:
        return None
    try:
        plain = json.loads(json.dumps(columns))
    except TypeError:  # what no file can hold
        plain = None
    if not isinstance(plain, list) or not all(isinstance(c, (str, dict)) for c in plain):
        raise ValueError(
            "Expected `columns`, a sequence of names or of dicts of plain values; got "
            f"{columns!r}."
        )
    return plain


def refuse_other_columns(columns: list | None, rows: Rows) -> None:
    """Raises `ValueError` if a table among `rows` has other columns than `columns`.

    A dict in `columns` has a "name" and a "role", "modelled" or "context"; a name alone is
    that of a modelled column. A table is an object with `columns`, such as a data frame.
    """
    tables = {"x": ("modelled", rows.x), "context": ("context", rows.context)}
    for argument, (role, table) in tables.items():
        expected = _names(columns or (), role)
        if not expected or not hasattr(table, "columns"):
            continue
        names = [str(name) for name in table.columns]
        if names != expected:
            raise ValueError(
                f"Expected `{argument}` of the columns {expected}, in this order; got "
                f"{names}."
            )


def _names(columns, role):
    named = (
        {"name": column, "role": "modelled"} if isinstance(column, str) else column
        for column in columns
    )
    return [c["name"] for c in named if c.get("role") == role and "name" in c]


def _context_size(distribution):
    size = getattr(distribution, "context_size", None)
    if size is None:  # of a stock distribution
        size = getattr(getattr(distribution, "bijector", None), "context_size", 0)
    return size


def _of_dictionary(inputs):
    names = sorted(inputs)
    if "x" not in inputs or not set(inputs) <= {"x", "context"}:
        raise ValueError(f"Expected inputs named `x` and `context`; got {names}.")
    return Rows(**inputs)


def _is_absent(part):
    return part is None or isinstance(part, _NO_TENSOR)


def _ndims(value):
    if hasattr(value, "shape"):
        return len(value.shape)
    if not isinstance(value, (tuple, list)):
        return 0
    return 1 + (_ndims(value[0]) if value else 0)
