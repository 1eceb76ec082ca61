"""The one check that the fields of a dataclass hold what they are annotated with."""

import dataclasses
import operator
import os
import types
import typing

import numpy as np

__all__ = ["check_kind", "check_kinds"]


def check_kind(argument, value, kind):
    """Raises `ValueError` unless `value` is of the class `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"Expected `{argument}`, a {kind.__name__}; got {value!r}.")


def check_kinds(values, error=ValueError):
    """Raises `error` unless each field holds a value of its type; integers are numbers.

    Args:
      values: a dataclass of `bool`, `int`, `float`, `str`, `os.PathLike`, tuples of one of
        these, None, or unions of them.
      error: class of the exception.
    """
    for field in dataclasses.fields(values):
        value, kind = getattr(values, field.name), field.type
        kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind]
        if not any(_is_of(value, kind) for kind in kinds):
            raise error(f"Expected {_WORDS[kinds[0]]} `{field.name}`; got {value!r}.")


def _is_of(value, kind):
    if typing.get_origin(kind) is tuple:
        from_entry, _ = typing.get_args(kind)
        return isinstance(value, (tuple, list)) and all(
            _is_of(v, from_entry) for v in value
        )
    if kind in (bool, str, os.PathLike, types.NoneType):
        return isinstance(value, kind)
    if kind is float and isinstance(value, (float, np.floating)):
        return True
    return _is_integer(value)


def _is_integer(value):
    try:
        return not isinstance(value, bool) and operator.index(value) is not None
    except TypeError:
        return False


_WORDS = {
    bool: "True or False as",
    int: "an integer",
    float: "a number",
    str: "a string",
    tuple[int, ...]: "a tuple of integers",
    tuple[str, ...]: "a tuple of strings",
}
