"""Gradients of steps in sequence that keep what each step was given, and nothing else."""

import tensorflow as tf

from tfp_flows.core.compiled_call import is_compiled_by_xla
from tfp_flows.core.dropout import refuse_dropout
from tfp_flows.core.parts import context_for
from tfp_flows.core.pulled_back import PulledBack

__all__ = ["call_recomputing", "pull_back_steps", "refuse_batch_statistics"]


def call_recomputing(apply, pull_back, value, context):
    """Returns the result of `apply(value, context)`, whose gradient is `pull_back`.

    Args:
      apply: function of `(value, context)` that returns a list, of what each step was
        given and of the last one's result, and a log-det.
      pull_back: function of `(values, context, upstream, weights)`, with what each step was
        given, that returns a `PulledBack`.
      value: `[..., *event]`.
      context: `[..., context_size]`; None where there is none.
    """

    @tf.custom_gradient
    def call(value, *contexts):
        context = contexts[0] if contexts else None
        (*values, result), log_det = apply(value, context)

        def gradient(*upstream, variables=()):
            pulled = pull_back(values, context, upstream, variables)
            inputs = [pulled.by_value, pulled.by_context][: 1 + len(contexts)]
            return (inputs, pulled.by_weights) if variables else inputs

        return (result, log_det), gradient

    return call(value) if context is None else call(value, context)


def pull_back_steps(steps, pull_back_step, values, context, upstream, weights):
    """Back-propagates through steps in sequence, the last one first.

    Args:
      steps: list of `FlowBijector`s, in the order in which they were applied.
      pull_back_step: function of `(step, value, context, upstream, weights)` that returns
        a `PulledBack`.
      values: list of what each step was given.
      context: what they were given too; None where there is none.
      upstream: gradients by the result and by the sum of the log-dets.
      weights: list of variables or tensors that they read.

    Returns:
      A `PulledBack`.
    """
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


def refuse_batch_statistics(steps):
    """Raises `ValueError` if one of `steps` must not be applied twice while it trains."""
    names = [step.name for step in steps if step.has_batch_statistics]
    if names:
        raise ValueError(
            "Expected `bijectors` without batch statistics, which would be counted twice, "
            f"for `recompute`; got {names}."
        )
    refuse_dropout(steps, "`recompute`")


def _after(done, value):
    """Returns `value` as something that is there only when `done` is.

    Else all steps could be applied again before the first one's activations are let go.
    """
    with tf.control_dependencies(done):
        value = tf.identity(value)
    if not is_compiled_by_xla():
        return value
    # XLA keeps no such order, and would take what is computed again from the first time.
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
