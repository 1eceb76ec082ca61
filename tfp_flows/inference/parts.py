"""The parts of a draw, a structure of tensors: as arguments, by name, and as rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require

NUMBER_A_DRAW = "a log-density of the target that returns a number for each of N draws"
# Advice about log-densities that mix draws.
LACKING_AXIS = (
    " A sum over data may lack its axis, such as tf.reduce_sum(log_prob, axis=-1)."
)


def check_parts(name: str, value: Any, event_shape: Any) -> None:
    """Refuses a value that lacks a part, or has another one; names are dictionary keys."""
    expected, got = named(event_shape), named(value)
    fits = len(got) == len(expected)
    if isinstance(value, dict) or isinstance(event_shape, dict):
        fits = got.keys() == expected.keys()
    words = f"`{name}` of the parts {[*expected]}"
    require(fits or not expected, words, [*got] or type(value).__name__)


def cast_parts(value: Any, event_shape: Any, dtype: tf.DType) -> Any:
    """Returns parts as tensors in the structure of their shapes; one may be a list."""
    if not tf.nest.is_nested(event_shape):
        return tf.cast(value, dtype)
    pairs = zip(named(value).values(), named(event_shape).values(), strict=True)
    parts = [cast_parts(part, shape, dtype) for part, shape in pairs]
    return tf.nest.pack_sequence_as(event_shape, tf.nest.flatten(parts))


def call_with_parts(function: Callable, parts: Any) -> Any:
    """Calls a function of parts as `tfp.vi` does, unpacking a list or a dictionary."""
    positional, keywords = arguments_of(parts)
    return function(*positional, **keywords)


def check_number_a_draw(log_prob: tf.Tensor, batch_shape: tf.TensorShape) -> None:
    """Refuses log-densities of another shape than the draws have, which would broadcast."""
    fits, got = log_prob.shape.is_compatible_with(batch_shape), f"shape {log_prob.shape}"
    require(fits, f"{NUMBER_A_DRAW}, {batch_shape}", got, LACKING_AXIS)


def arguments_of(parts: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """Returns the positional arguments, and the keywords, of a function of parts."""
    if isinstance(parts, dict):
        return (), parts
    return (parts if _is_list(parts) else (parts,)), {}


def from_arguments(structure: Any, positional: Sequence[Any], keywords: dict) -> Any:
    """Returns the parts in the form of `structure`, from the result of `arguments_of`."""
    if isinstance(structure, dict):
        return keywords
    is_list = _is_list(structure)
    return (
        tf.nest.pack_sequence_as(structure, list(positional)) if is_list else positional[0]
    )


def _is_list(structure):
    return isinstance(structure, (list, tuple)) and not hasattr(structure, "_fields")


def named(structure: Any) -> dict:
    """Returns the parts of a structure by their names, or by their indices."""
    if isinstance(structure, dict):
        return dict(sorted(structure.items()))
    if hasattr(structure, "_asdict"):
        return structure._asdict()
    return dict(enumerate(structure)) if isinstance(structure, (list, tuple)) else {}


def named_parts(
    draws: Any, target: Any = None, names: str | Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns the parts of a structure by their names, in the order of `tf.nest`.

    These are `names`, or those of the structure. The parts of a list have names by a joint
    distribution, `target`.
    """
    parts = [np.asarray(part) for part in tf.nest.flatten(draws)]
    if names is None:
        names = _paths(draws, _names_in_order(target))
    names = [names] if isinstance(names, str) else list(names)
    words = f"{len(parts)} `names`, one for each part and all different"
    require(len(names) == len(set(names)) == len(parts), words, names)
    return dict(zip(names, parts, strict=True))


def _names_in_order(target):
    """Names of the parts that are not pinned; None if the target has no names."""
    joint = getattr(target, "distribution", target)
    if not hasattr(joint, "resolve_graph"):
        return None
    pins = getattr(target, "pins", None) or {}
    return [name for name, _ in joint.resolve_graph() if name not in pins]


def _paths(structure, in_order=None, prefix=""):
    """Names of parts, with the names of the structures around them as prefix."""
    if not tf.nest.is_nested(structure):
        return [prefix.removesuffix(".") or "x"]
    items: Any = named(structure).items()
    if _is_list(structure):
        is_named = in_order is not None and len(in_order) == len(structure)
        names = in_order if is_named else [f"part_{i}" for i in range(len(structure))]
        items = zip(names, structure, strict=True)
    return [name for key, part in items for name in _paths(part, None, f"{prefix}{key}.")]


def parts_from_rows(rows: tf.Tensor, event_shape: Any) -> Any:
    """Returns parts in a structure of shapes, `[..., *event]` each, from rows, `[..., M]`.

    Rows have the entries of all parts, in the order of `tf.nest.flatten(event_shape)`.
    """
    shapes = tf.nest.flatten(event_shape)
    batch = tf.shape(rows)[:-1]
    split = tf.split(rows, [shape.num_elements() for shape in shapes], axis=-1)
    parts = [
        tf.reshape(part, tf.concat([batch, shape], axis=0))
        for part, shape in zip(split, shapes, strict=True)
    ]
    return tf.nest.pack_sequence_as(event_shape, parts)


def rows_from_parts(parts: Any, event_shape: Any) -> tf.Tensor:
    """Returns rows, `[..., M]`, from parts: the inverse of `parts_from_rows`."""
    rows = []
    for part, shape in zip(*map(tf.nest.flatten, (parts, event_shape)), strict=True):
        batch = tf.shape(part)[: part.shape.rank - shape.rank]
        rows.append(tf.reshape(part, tf.concat([batch, [-1]], axis=0)))
    return tf.concat(rows, axis=-1)
