"""What `flow_posterior` refuses of its target, by name."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_instance
from tfp_flows.distributions.base_checks import is_discrete

__all__ = ["check_support_structure", "check_target"]

tfd = tfp.distributions

_WORDS = "a `tfd.Distribution` or the shape of an event"


def check_target(target):
    """Raises `ValueError` if `target` is neither, or a part of it is discrete."""
    if isinstance(target, (str, bytes, type)) or target is None:
        check_instance("target", target, (), _WORDS)
    if isinstance(target, tfd.Distribution) or hasattr(target, "event_shape"):
        _refuse_discrete_parts(target)
        return
    if callable(target):
        raise ValueError(
            f"Expected `target`, {_WORDS}; got the function {target!r}. For a log_prob "
            "function give the shape of its argument, and the function as "
            "`target_log_prob_fn`."
        )
    sizes = [size for size in tf.nest.flatten(target) if size is not None]
    if any(isinstance(s, bool) or not hasattr(s, "__index__") or s < 0 for s in sizes):
        if not all(isinstance(s, tf.TensorShape) for s in sizes):
            raise ValueError(f"Expected `target`, {_WORDS}; got {target!r}.")


def check_support_structure(event_shape, support):
    """Raises `ValueError` unless `support` has a bijector, or None, for each part."""
    if tf.nest.is_nested(event_shape) and not isinstance(support, tfp.bijectors.Bijector):
        try:
            tf.nest.assert_same_structure(event_shape, support)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Expected `support` in the structure of the event shape {event_shape}; "
                f"got {support!r}."
            ) from error
    for part in tf.nest.flatten(support):
        if part is not None:
            words = "bijectors, or None for a part that is unconstrained"
            check_instance("support", part, tfp.bijectors.Bijector, words)


def _refuse_discrete_parts(target):
    for name, part in _parts(target):
        if isinstance(part, tfd.Distribution) and is_discrete(part):
            raise ValueError(
                "Expected `target` of continuous parts, of one floating-point dtype; got "
                f"{name}, a discrete "
                f"{type(part).__name__.removeprefix('_')}. Sum over it in the target's "
                "log_prob."
            )


def _parts(target):
    """Pairs of words and the distribution of each part that is left to be inferred."""
    if isinstance(target, tfd.Distribution) and not hasattr(target, "sample_distributions"):
        return [(f"`{target.name}`", target)]
    joint = getattr(target, "distribution", target)
    try:
        parts, _ = joint.sample_distributions(seed=0)
    except Exception:  # a model that cannot be drawn from says so where it is used
        return []
    pins = getattr(target, "pins", None)
    named = _named(parts)
    left = named.keys() if pins is None else set(_named(target.event_shape))
    return [
        (f"the part {name!r}" if isinstance(name, str) else f"the part {name}", part)
        for name, part in named.items()
        if name in left
    ]


def _named(structure):
    if isinstance(structure, dict):
        return dict(structure)
    if hasattr(structure, "_asdict"):
        return structure._asdict()
    return dict(enumerate(structure)) if isinstance(structure, (list, tuple)) else {}
