"""Checks of targets, before anything is fitted to them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_instance
from tfp_flows.distributions.distribution_checks import is_discrete

__all__ = ["check_target", "named", "parts_of"]

_TARGET = "a `tfd.Distribution` or the shape of an event"


def check_target(target: Any) -> None:
    """Raises `ValueError` unless `target` is a continuous distribution or a shape."""
    if isinstance(target, (str, bytes, type)) or target is None:
        check_instance("target", target, (), _TARGET)
    if isinstance(target, tfd.Distribution) or hasattr(target, "event_shape"):
        _refuse_discrete_parts(target)
        return
    if callable(target):
        raise ValueError(
            f"Expected `target`, {_TARGET}; got the function {target!r}. For a log_prob "
            "function give the shape of its argument, and the function as "
            "`target_log_prob_fn`."
        )
    sizes = [size for size in tf.nest.flatten(target) if size is not None]
    if any(isinstance(s, bool) or not hasattr(s, "__index__") or s < 0 for s in sizes):
        if not all(isinstance(s, tf.TensorShape) for s in sizes):
            raise ValueError(f"Expected `target`, {_TARGET}; got {target!r}.")


def _refuse_discrete_parts(target):
    for name, part in parts_of(target):
        if isinstance(part, tfd.Distribution) and is_discrete(part):
            raise ValueError(
                "Expected `target` of continuous parts, of one floating-point dtype; got "
                f"{name}, a discrete "
                f"{type(part).__name__.removeprefix('_')}. Sum over it in the target's "
                "log_prob."
            )


def parts_of(target: Any) -> list[tuple[str, Any]]:
    """Pairs of a description and the distribution of each part that is not pinned."""
    if isinstance(target, tfd.Distribution) and not hasattr(target, "sample_distributions"):
        return [(f"`{target.name}`", target)]
    joint = getattr(target, "distribution", target)
    try:
        parts, _ = joint.sample_distributions(seed=0)
    except Exception:  # a model that cannot be sampled raises where it is used
        return []
    pins = getattr(target, "pins", None)
    by_name = named(parts)
    left = by_name.keys() if pins is None else set(named(target.event_shape))
    return [
        (f"the part {name!r}" if isinstance(name, str) else f"the part {name}", part)
        for name, part in by_name.items()
        if name in left
    ]


def named(structure: Any) -> dict:
    """Returns the parts of a structure by their names, or by their indices."""
    if isinstance(structure, dict):
        return dict(structure)
    if hasattr(structure, "_asdict"):
        return structure._asdict()
    return dict(enumerate(structure)) if isinstance(structure, (list, tuple)) else {}
