"""Gradients of a sequence of steps that keep only the input of each step."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.core.compiled import is_compiled_by_xla
from tfp_flows.core.composite import context_for
from tfp_flows.core.dropout import refuse_dropout

if TYPE_CHECKING:
    from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["PulledBack", "apply_recomputing", "pull_back", "refuse_batch_statistics"]


class PulledBack(NamedTuple):
    """Gradients by the inputs of a bijector.

    Attributes:
      by_value: gradient by its input, `[N, *event]`.
      by_context: gradient by the context; None if there is none.
      by_weights: list of gradients by the weights; None for unused weights.
    """

    by_value: tf.Tensor
    by_context: tf.Tensor | None
    by_weights: list


def pull_back(
    apply: Callable,
    value: tf.Tensor,
    context: tf.Tensor | None,
    upstream: Sequence[tf.Tensor],
    weights: Sequence,
) -> PulledBack:
    """Applies a map once more, and back-propagates through it.

    Args:
      apply: function of `(value, context)` that returns a result and a log-det.
      value: its input, `[N, *event]`.
      context: `[N, context_size]`; None if there is none.
      upstream: gradients by the result and by the log-det.
      weights: list of variables or tensors that it reads.

    Returns:
      A `PulledBack`.
    """
    sources = [value, *([] if context is None else [context]), *weights]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = apply(value, context)
    by_value, *others = tape.gradient(outputs, sources, output_gradients=upstream)
    by_context = None if context is None else others.pop(0)
    return PulledBack(by_value, by_context, others)


def apply_recomputing(
    steps: Sequence[FlowBijector],
    apply_step: Callable,
    pull_back_step: Callable,
    value: tf.Tensor,
    context: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies steps in sequence, each once more when the gradient is asked for.

    Args:
      steps: list of `FlowBijector`s, in the order in which they are applied.
      apply_step: function of `(step, value, context)` that returns a result and a log-det.
      pull_back_step: function of `(step, value, context, upstream, weights)` that returns
        a `PulledBack`.
      value: `[N, *event]`.
      context: `[N, context_size]`; None if there is none.

    Returns:
      The last step's result and the sum of the log-dets.
    """

    @tf.custom_gradient
    def call(value, *contexts):
        context = contexts[0] if contexts else None
        values, log_dets = [value], []
        for step in steps:
            value, log_det = apply_step(step, value, context)
            values.append(value)
            log_dets.append(log_det)
        *inputs, result = values

        def gradient(*upstream, variables=()):
            pulled = _pull_back_steps(
                steps, pull_back_step, inputs, context, upstream, variables
            )
            by_inputs = [pulled.by_value, pulled.by_context][: 1 + len(contexts)]
            return (by_inputs, pulled.by_weights) if variables else by_inputs

        return (result, tf.add_n(log_dets)), gradient

    return call(value) if context is None else call(value, context)


def refuse_batch_statistics(steps: Sequence[FlowBijector]) -> None:
    """Raises `ValueError` if one of `steps` must not be applied twice while it trains."""
    names = [step.name for step in steps if step.has_batch_statistics]
    if names:
        raise ValueError(
            "Expected `bijectors` without batch statistics, which would be counted twice, "
            f"for `recompute`; got {names}."
        )
    refuse_dropout(steps, "`recompute`")


def _pull_back_steps(steps, pull_back_step, values, context, upstream, weights):
    """Back-propagates through steps in sequence, the last one first."""
    by_value, by_log_det = upstream
    by_context, by_weights = None, [None] * len(weights)
    done = [by_value]
    for step, value in zip(reversed(steps), reversed(values), strict=True):
        own = _indices(weights, step)
        pulled = pull_back_step(
            step,
            _after(done, value),
            context_for(step, context),
            (by_value, by_log_det),
            [weights[i] for i in own],
        )
        by_value = pulled.by_value
        by_context = _sum(by_context, pulled.by_context)
        for i, by_weight in zip(own, pulled.by_weights, strict=True):
            by_weights[i] = _sum(by_weights[i], by_weight)
        done = [by_value, *(g for g in pulled.by_weights if g is not None)]
    return PulledBack(by_value, by_context, by_weights)


def _after(done, value):
    """Returns `value` as something that is there only when `done` is.

    Else all steps could be applied again before the first one's activations are let go.
    """
    with tf.control_dependencies(done):
        value = tf.identity(value)
    if not is_compiled_by_xla():
        return value
    # XLA would otherwise merge the recomputation with the first computation.
    entry = tf.reshape(done[0], [-1])[:1]
    always = tf.reduce_all((entry <= entry) | tf.math.is_nan(entry))
    return tf.where(always, value, tf.zeros_like(value))


def _indices(weights, step):
    """Which of `weights` may be the step's: its variables, and any tensors."""
    own = {variable.ref() for variable in step.trainable_variables}
    return [
        i
        for i, weight in enumerate(weights)
        if not isinstance(weight, tf.Variable) or weight.ref() in own
    ]


def _sum(a, b):
    return b if a is None else a if b is None else a + b
