"""The parts of a draw, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["named_parts", "part_names"]


def part_names(
    draws: Any, target: Any = None, names: str | Sequence[str] | None = None
) -> list[str]:
    """Returns the name of each part, in the order in which `tf.nest` flattens them.

    Args:
      draws: a structure of parts.
      target: joint distribution, pinned or not, whose names those in lists have; or None.
      names: these names, if they are not None.

    Raises:
      ValueError: if there are not as many names as parts, or two are alike.
    """
    count = len(tf.nest.flatten(draws))
    if names is None:
        names = _paths(draws, _names_in_order(target))
    names = [names] if isinstance(names, str) else list(names)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(
            f"Expected {count} `names`, one for each part and all different; got {names}."
        )
    return names


def named_parts(draws: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Returns the parts of a structure by their names."""
    parts = (np.asarray(part) for part in tf.nest.flatten(draws))
    return dict(zip(names, parts, strict=True))


def _names_in_order(target):
    """Names of the parts of a list, that are not pinned; None if the target has none."""
    joint = getattr(target, "distribution", target)
    if not hasattr(joint, "resolve_graph"):
        return None
    pins = getattr(target, "pins", None) or {}
    return [name for name, _ in joint.resolve_graph() if name not in pins]


def _paths(structure, in_order=None, prefix=""):
    """Names with those of the structures around before them, and a dot."""
    if not tf.nest.is_nested(structure):
        return [prefix.removesuffix(".") or "x"]
    if hasattr(structure, "_asdict"):
        items = structure._asdict().items()
    elif isinstance(structure, dict):
        items = sorted(structure.items())
    else:
        is_named = in_order is not None and len(in_order) == len(structure)
        names = in_order if is_named else [f"part_{i}" for i in range(len(structure))]
        items = zip(names, structure, strict=True)
    return [name for key, part in items for name in _paths(part, None, f"{prefix}{key}.")]
