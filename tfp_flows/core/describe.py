"""A text table of a bijector's steps, event shapes and numbers of parameters."""

from __future__ import annotations

import math
import typing

import tensorflow as tf
import tensorflow_probability as tfp


class Line(typing.NamedTuple):
    """A line of a table of steps.

    Attributes:
      name: name of the step, indented by its depth.
      kind: its class.
      event_shape: event shape at its data end.
      parameters: numbers of trainable and of fixed parameters.
    """

    name: str
    kind: str
    event_shape: str
    parameters: str


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
        headline(flow, shape),
        *as_table(lines(flow, shape)),
    ]


def lines(
    bijector: tfp.bijectors.Bijector, event_shape: tf.TensorShape | None, depth: int = 0
) -> list[Line]:
    """Returns a `Line` for each part of a bijector and for their parts, data side first.

    `event_shape` is the one at its data end; None if it is not known. `depth`, the number
    of bijectors around it, sets the indent of its parts.
    """
    table = []
    for part, shape in _parts(bijector, event_shape):
        name, kind = "  " * depth + part.name, type(part).__name__
        table.append(Line(name, kind, _text(shape), count_parameters(part)))
        table += lines(part, shape, depth + 1)
    return table


def as_table(table: list[Line]) -> list[str]:
    """Returns `Line`s as text in columns under a header; an empty list for no `Line`s."""
    if not table:
        return []
    table = [Line("step", "class", "event shape", "parameters"), *table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


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
