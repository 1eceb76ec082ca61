"""Supports of joint distributions as plain data, from the supports of the parts."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.serialization import serialize
from tfp_flows.distributions.default_supports import support_of_one

if typing.TYPE_CHECKING:
    from tfp_flows.distributions.joint_support import JointSupport

__all__ = ["described", "part_by_part", "supports_of_parts"]

_NUM_POINTS = 16


def part_by_part(target: Any, support: JointSupport) -> JointSupport:
    """Returns a `JointSupport` of the parts' own bijectors that is equal to `support`.

    TFP's support of a joint distribution calls the functions of the model, which cannot be
    saved, since the support of a part may depend on other parts. It rarely does; if so,
    `ValueError` is raised.
    """
    structure = supports_of_parts(target)
    plain = support.of_shape(target.event_shape, structure, support.dtype)
    if not all(map(_is_close, _answers(support), _answers(plain))):
        raise ValueError(
            "Expected a `target` of parts whose supports do not depend on other parts; got "
            f"`{target.name}`."
        )
    return plain


def supports_of_parts(target: Any) -> Any:
    """Returns the supports of the parts at a draw of the target, in its structure."""
    return tf.nest.pack_sequence_as(
        target.event_shape, list(map(support_of_one, _distributions(target)))
    )


def described(support: tfp.bijectors.Bijector, name: str) -> tuple[dict, list[np.ndarray]]:
    """Returns a support as plain data, with the values of its variables.

    Raises `ValueError`, which names the posterior, if plain data cannot describe it.
    """
    try:
        if hasattr(support, "_part_by_part"):  # holds the functions of a model
            support = support._part_by_part().bijector
        data = serialize(support)
    except ValueError as error:
        raise ValueError(
            f"Expected a support of `{name}` that plain data describe: {error} Pickle "
            "`posterior.distribution`, and make a `FlowPosterior` of it and a new "
            "posterior's `support`."
        ) from error
    return data, [variable.numpy() for variable in support.variables]


def _distributions(target):
    """The parts that are not pinned, in the order in which their structure is flattened."""
    if not tf.nest.is_nested(target.event_shape):
        return [target]
    joint, pins = target, {}
    if hasattr(target, "pins"):
        joint, pins = target.distribution, target.pins
    parts = joint.sample_distributions(seed=(0, 0))[0]
    if hasattr(parts, "_asdict"):
        named = parts._asdict()
    elif isinstance(parts, dict):
        named = dict(sorted(parts.items()))
    else:
        names = [name for name, _ in joint.resolve_graph()]
        named = dict(zip(names, parts, strict=True))
    return [part for name, part in named.items() if name not in pins]


def _answers(support):
    """The parts of some unconstrained points, and their log-dets."""
    rng = np.random.default_rng(0)
    points = 2.0 * rng.normal(size=(_NUM_POINTS, support.event_size))
    points = tf.constant(points, support.dtype)
    parts = support.bijector.forward(points)
    log_det = support.bijector.forward_log_det_jacobian(points, event_ndims=1)
    return [np.asarray(answer) for answer in (*tf.nest.flatten(parts), log_det)]


def _is_close(a, b):
    # The log-det of an unconstrained part may be one number for all points.
    return np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
