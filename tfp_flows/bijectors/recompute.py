"""Gradients of steps in sequence that keep nothing but the end result."""

import tensorflow as tf

from tfp_flows.bijectors.dropout import refuse_dropout
from tfp_flows.bijectors.parts import context_for
from tfp_flows.bijectors.pulled_back import PulledBack

__all__ = ["call_recomputing", "pull_back_steps", "refuse_batch_statistics"]


def call_recomputing(apply, pull_back, value, context):
    """Returns `apply(value, context)`, whose gradient is `pull_back` from the result.

    Args:
      apply: function of `(value, context)` that returns a result and a log-det.
      pull_back: function of `(result, context, upstream, weights)` that returns a
        `PulledBack`.
      value: `[..., *event]`.
      context: `[..., context_size]`; None where there is none.
    """

    @tf.custom_gradient
    def call(value, *contexts):
        context = contexts[0] if contexts else None
        result, log_det = apply(value, context)

        def gradient(*upstream, variables=()):
            pulled = pull_back(result, context, upstream, variables)
            inputs = [pulled.by_value, pulled.by_context][: 1 + len(contexts)]
            return (inputs, pulled.by_weights) if variables else inputs

        return (result, log_det), gradient

    return call(value) if context is None else call(value, context)


def pull_back_steps(steps, pull_back_step, result, context, upstream, weights):
    """Back-propagates through steps in sequence, the last one first.

    Args:
      steps: list of `FlowBijector`s, in the order in which they were applied.
      pull_back_step: function of `(step, result, context, upstream, weights)` that
        returns a `PulledBack`.
      result: of the last step.
      context: what they were given; None where there is none.
      upstream: gradients by the result and by the sum of the log-dets.
      weights: list of variables or tensors that they read.

    Returns:
      A `PulledBack`.
    """
    by_result, by_log_det = upstream
    by_context, by_weights = None, [None] * len(weights)
    for step in reversed(steps):
        own = _indices(weights, step)
        pulled = pull_back_step(
            step,
            result,
            context_for(step, context),
            (by_result, by_log_det),
            [weights[i] for i in own],
        )
        by_result = pulled.by_value
        by_context = _sum(by_context, pulled.by_context)
        for i, by_weight in zip(own, pulled.by_weights, strict=True):
            by_weights[i] = _sum(by_weights[i], by_weight)
        # Else all steps could be undone before the first one's activations are let go.
        done = [by_result, *(g for g in pulled.by_weights if g is not None)]
        with tf.control_dependencies(done):
            result = tf.identity(pulled.value)
    return PulledBack(result, by_result, by_context, by_weights)


def refuse_batch_statistics(steps):
    """Raises `ValueError` if one of `steps` cannot be undone or redone while it trains."""
    names = [step.name for step in steps if step.has_batch_statistics]
    if names:
        raise ValueError(
            "Expected `bijectors` without batch statistics, which cannot be undone, for "
            f"`recompute`; got {names}."
        )
    refuse_dropout(steps, "`recompute`")


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
