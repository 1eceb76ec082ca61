"""A text table of a bijector's steps, event shapes and numbers of parameters."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

_HEADER = ("step", "class", "event shape", "parameters")


def headline(
    bijector: tfp.bijectors.Bijector, event_shape: tf.TensorShape | None = None
) -> str:
    """Returns name, class, event shape, context and number of parameters in one line.

    The event shape is the one at the data end, taken from the steps by default.
    """
    shape = bijector._event_shapes["inverse"] if event_shape is None else event_shape
    context = bijector.context_size
    return ", ".join(
        [
            f'{type(bijector).__name__} "{bijector.name}": event shape {_text(shape)}',
            f"context of {context}" if context else "no context",
            f"{count_parameters(bijector)} parameters",
            "any dtype" if bijector.dtype is None else bijector.dtype.name,
        ]
    )


def from_distribution(distribution: tfp.distributions.Distribution) -> list[str]:
    """Returns lines of text on a `FlowDistribution`: itself, its base, its steps."""
    base, flow = distribution.distribution, distribution.bijector
    shape = distribution.event_shape
    return [
        headline(distribution, shape),
        f'base "{base.name}": event shape {base.event_shape}, '
        f"{count_parameters(base)} parameters",
        *from_bijector(flow, shape),
    ]


def from_bijector(
    bijector: tfp.bijectors.Bijector, event_shape: tf.TensorShape | None
) -> list[str]:
    """Returns lines of text on a bijector: itself, and a table of its parts if it has some.

    `event_shape` is the one at its data end; None if it is not known.
    """
    head, rows = headline(bijector, event_shape), list(_rows(bijector, event_shape))
    if not rows:
        return [head]
    columns = zip(_HEADER, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    padded = (map(str.ljust, row, widths) for row in (_HEADER, *rows))
    return [head, *("  " + "  ".join(row).rstrip() for row in padded)]


def _rows(bijector, event_shape, depth=0):
    """Yields the cells of `_HEADER` of each part and of their parts, data side first."""
    for part, shape in _parts(bijector, event_shape):
        name, kind = "  " * depth + part.name, type(part).__name__
        yield name, kind, _text(shape), count_parameters(part)
        yield from _rows(part, shape, depth + 1)


def count_parameters(module: tf.Module) -> str:
    """Returns the numbers of trainable and of fixed parameters, as text."""
    variables = {v.ref(): v for v in module.variables}.values()
    counts = {True: 0, False: 0}
    for variable in variables:
        counts[variable.trainable] += math.prod(variable.shape)
    fixed = f" + {counts[False]:,} fixed" if counts[False] else ""
    return f"{counts[True]:,}{fixed}"


def _parts(bijector, shape):
    """Yields the parts, data side first, and the shapes of events at their data ends."""
    if hasattr(bijector, "levels"):
        for level, latent in zip(bijector.levels, bijector.latent_shapes, strict=True):
            yield level, shape
            *spatial, channels = level.inverse_event_shape(shape)
            shape = tf.TensorShape([*spatial, channels - latent[-1]])
    elif hasattr(bijector, "bijectors"):
        for part in bijector.bijectors:
            shape = part._event_shapes["inverse"] if shape is None else shape
            yield part, shape
            shape = None if shape is None else part.inverse_event_shape(shape)
    elif hasattr(bijector, "bijector"):  # it may have another shape at its data end
        yield bijector.bijector, bijector.bijector._event_shapes["inverse"]


def _text(shape):
    if shape is None:
        return "[...]"
    return str(tf.TensorShape(shape).as_list())
