"""Gradients that apply a step again instead of keeping its activations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.compiled import is_compiled_by_xla
from tfp_flows.core.conditioners import refuse_dropout

if TYPE_CHECKING:
    from tfp_flows.core.flow_bijector import FlowBijector


def recomputing(apply: Callable) -> Callable:
    """Returns `apply` with a gradient that applies it again and keeps only its inputs.

    `tf.recompute_grad` does the same, but XLA merges its second evaluation with the first.
    """

    @tf.custom_gradient
    def call(*inputs):
        def gradient(*upstream, variables=()):
            again = tf.nest.map_structure(functools.partial(_after, upstream[0]), inputs)
            sources = [*again, *variables]
            with tf.GradientTape() as tape:
                tape.watch([s for s in tf.nest.flatten(sources) if s.dtype.is_floating])
                outputs = apply(*again)
            upstream = tf.nest.pack_sequence_as(outputs, upstream)
            gradients = tape.gradient(outputs, sources, output_gradients=upstream)
            by_inputs, by_variables = gradients[: len(inputs)], gradients[len(inputs) :]
            return (by_inputs, by_variables) if variables else by_inputs

        return apply(*inputs), gradient

    return call


def refuse_batch_statistics(steps: Sequence[FlowBijector]) -> None:
    """Raises `ValueError` if one of `steps` must not be applied twice while it trains."""
    names = [step.name for step in steps if step.has_batch_statistics]
    words = "`bijectors` without batch statistics, which would be counted twice"
    require(not names, f"{words}, for `recompute`", names)
    refuse_dropout(steps, "`recompute`")


def _after(upstream, value):
    """Returns `value` as a tensor that exists only after the gradient `upstream`.

    Otherwise all steps could be recomputed before the last step's activations are freed.
    """
    with tf.control_dependencies([upstream]):
        value = tf.identity(value)
    if not is_compiled_by_xla():
        return value
    # XLA would otherwise merge the recomputation with the first computation.
    entry = tf.reshape(upstream, [-1])[:1]
    always = tf.reduce_all((entry <= entry) | tf.math.is_nan(entry))
    return tf.where(always, value, tf.zeros_like(value))
