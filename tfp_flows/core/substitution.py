"""Bijectors as functions of their weights."""

import copy
from typing import Any

import tensorflow as tf

__all__ = ["replace_variables"]


def replace_variables(part: Any, tensors: dict) -> Any:
    """Returns a copy of `part` that reads tensors where `part` reads variables.

    The arithmetic of a bijector is then a function of its weights too, and one trace of it
    serves all bijectors that differ in nothing else.

    Args:
      part: a bijector, a conditioner, a variable, or what these have as attributes. What is
        something else is shared with the copy, with any variables inside it.
      tensors: tensors by the `ref()` of the variables that they stand for.
    """
    if isinstance(part, tf.Variable):
        return tensors[part.ref()]
    if isinstance(part, (list, tuple)):
        return [replace_variables(p, tensors) for p in part]
    if isinstance(part, dict):
        return {k: replace_variables(p, tensors) for k, p in part.items()}
    if hasattr(part, "replace_variables"):  # a conditioner, whose network is Keras's
        return part.replace_variables(tensors)
    return _replace_attributes(part, tensors) if isinstance(part, tf.Module) else part


def _replace_attributes(module, tensors):
    twin = copy.copy(module)
    # Not by `setattr`, which would track what is no variable any more.
    vars(twin).update({k: replace_variables(v, tensors) for k, v in vars(twin).items()})
    return twin
