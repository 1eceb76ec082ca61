"""The one check that a network fits the step that it is given to."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from tfp_flows.transformers.transformer import Transformer

__all__ = ["check_conditioner"]


def check_conditioner(
    conditioner: Callable,
    seen_shape: Sequence[int],
    changing_shape: Sequence[int],
    transformer: Transformer,
) -> None:
    """Refuses a conditioner of other sizes, which might broadcast and go unnoticed.

    Args:
      conditioner: a callable; one without `input_shape` and `output_shape` passes.
      seen_shape: shape of what it is shown of an event.
      changing_shape: shape, `(..., C)`, of what changes by its parameters.
      transformer: what its P parameters a variable are for.

    Raises:
      ValueError: if it is made for inputs of another shape, or does not return parameters
        of shape `(..., P * C)`.
    """
    if not callable(conditioner) or isinstance(conditioner, type):
        raise ValueError(
            "Expected a `conditioner`, a callable of (x, context) such as a `Conditioner`; "
            f"got {conditioner!r}."
        )
    if _is_keras_layer(conditioner):
        raise ValueError(
            "Expected a `conditioner` of (x, context); got the Keras layer "
            f"{conditioner!r}: wrap it in `Conditioner`, with the shape of what it sees."
        )
    *leading, size = changing_shape
    parameters_shape = (*leading, transformer.num_parameters * size)
    for name, expected in (("input_shape", seen_shape), ("output_shape", parameters_shape)):
        expected = tuple(expected)
        shape = tuple(getattr(conditioner, name, expected))
        if not tf.TensorShape(shape).is_compatible_with(expected):
            raise ValueError(
                f"Expected a `conditioner` of `{name}` {expected}, to change entries of "
                f"shape {tuple(changing_shape)} by `{type(transformer).__name__}`; got "
                f"{shape}."
            )


def _is_keras_layer(value):
    # Without Keras itself, which bijectors do not know.
    return any(cls.__module__.startswith("keras.") for cls in type(value).__mro__)
