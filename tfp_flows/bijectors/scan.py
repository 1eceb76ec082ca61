"""A scan over steps that differ only in their weights, traced once."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import require
from tfp_flows.core.compiled import is_compiled_by_xla
from tfp_flows.core.composite import context_for
from tfp_flows.core.conditioners import refuse_dropout
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.recompute import recomputing
from tfp_flows.core.serialization import serialize

# Steps in one call. A call waits for all its operations, which leaves cores idle: with one
# step in each, a training step took 1.14 times as long.
_STEPS_A_CALL = 2

# Under XLA, a loop over 8 steps compiles no sooner, and a training step takes 1.08 times as
# long. Over 32 steps, the first training step takes half as long, later ones 1.05 times.
_STEPS_WITHOUT_LOOP = 8


class Scan(FlowChain):
    """A `FlowChain` of steps of one structure, traced once for all steps.

    The graph of a deep flow has the operations of every step and of their gradients, and
    tracing and optimising it takes as long as many training steps. The graph of a `Scan`
    calls one function of input and weights, once for every two steps. Under XLA
    (`jit_compile`), many steps become a loop.

    Args:
      bijectors: list of `FlowBijector`s, data side first. Their arguments differ only in
        `seed` and `name`, and seeds determine only variables.
      standardize_context: whether contexts are standardised.
      recompute: whether gradients recompute the activations inside the steps.
      name: name of the bijector.

    Raises:
      ValueError: if two steps are unlike or have batch statistics; at the first call, if
        variables are not attributes of bijectors or `Conditioner`s, for example in
        autoregressive steps.
    """

    def __init__(
        self,
        bijectors: Sequence[FlowBijector],
        *,
        standardize_context: bool = True,
        recompute: bool = False,
        name: str = "scan",
    ) -> None:
        super().__init__(
            bijectors,
            standardize_context=standardize_context,
            recompute=recompute,
            name=name,
        )
        first, *others = (_structure(serialize(step)) for step in self.bijectors)
        are_alike = all(other == first for other in others)
        got = f"{[step.name for step in self.bijectors]} that differ in more"
        words = "`bijectors` whose arguments are equal but for `seed` and `name`"
        require(are_alike, words, got)
        has_none = not self.has_batch_statistics
        require(has_none, "`bijectors` without batch statistics", "some")
        refuse_dropout(self.bijectors, "a scan")

    def _run(self, direction, value, context, training):
        if is_compiled_by_xla() and len(self._steps) > _STEPS_WITHOUT_LOOP:
            return self._loop(direction, value, self.context_of_parts(context))
        return super()._run(direction, value, context, training)

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")

    def _loop(self, direction, value, context):
        steps = super()._in_order(direction)
        weights = [tf.stack(w) for w in zip(*(s.variables for s in steps), strict=True)]
        apply = _function_of_weights(
            FlowChain(steps[:1], standardize_context=False), direction
        )
        if self._recompute:
            apply = recomputing(apply)
        contexts = [] if context_for(steps[0], context) is None else [context]

        def body(k, value, log_det):
            value, from_step = apply([w[k] for w in weights], value, *contexts)
            return k + 1, value, log_det + from_step

        start = tf.constant(0), value, tf.zeros(tf.shape(value)[:1], value.dtype)
        _, value, log_det = tf.while_loop(
            lambda k, *_: k < len(steps), body, start, maximum_iterations=len(steps)
        )
        return value, log_det

    def _apply_part(self, part, direction, training, value, context=None):
        # Under XLA, the gradient of a call keeps constants, such as axes, that XLA does not
        # recognise: it would compile anew whenever the weights have changed.
        if not part.variables or is_compiled_by_xla():
            return super()._apply_part(part, direction, training, value, context)
        key = direction, len(part.bijectors)
        functions = self._transient.compiled
        if key not in functions:
            functions[key] = tf.function(
                _function_of_weights(part, direction),
                autograph=False,
                # Otherwise the graph would be inlined again before it runs.
                experimental_attributes={"_noinline": True},
            )
        weights = [tf.convert_to_tensor(variable) for variable in part.variables]
        return functions[key](weights, value, context_for(part, context))

    def _in_order(self, direction):
        """Returns chains of steps; each chain is one call."""
        runs = [
            FlowChain(self._steps[i : i + _STEPS_A_CALL], standardize_context=False)
            for i in range(0, len(self._steps), _STEPS_A_CALL)
        ]
        return runs if direction == "inverse" else runs[::-1]


def _function_of_weights(template, direction):
    """Returns one direction of `template` as a function of weights, value and context."""
    refs = [variable.ref() for variable in template.variables]

    def apply(weights, value, context=None):
        twin = replace_variables(template, dict(zip(refs, weights, strict=True)))
        with _no_variables_read(template):
            return twin._method(direction)(value, context, False)

    return apply


@contextlib.contextmanager
def _no_variables_read(template):
    """Refuses a trace that reads variables, which would belong to one step only."""
    with tf.GradientTape() as tape:
        yield
    names = [variable.name for variable in tape.watched_variables()]
    words = "`bijectors` that hold variables as attributes of bijectors and of"
    got = f"{names} elsewhere in `{template.bijectors[0].name}`"
    require(not names, f"{words} `Conditioner`s", got)


def _structure(data):
    """Returns a serialized bijector without seeds and names."""
    if isinstance(data, dict):
        return {k: _structure(v) for k, v in data.items() if k not in ("seed", "name")}
    return [_structure(v) for v in data] if isinstance(data, list) else data


def replace_variables(part: Any, tensors: dict) -> Any:
    """Returns a copy of `part` that reads tensors where `part` reads variables.

    Its arithmetic is a function of the weights too, so one trace serves all bijectors that
    differ only in weights. `tensors` are by the `ref()` of variables. Objects other than
    bijectors, conditioners and variables are shared with the copy.
    """
    if isinstance(part, tf.Variable):
        return tensors[part.ref()]
    if isinstance(part, (list, tuple)):
        return [replace_variables(p, tensors) for p in part]
    if isinstance(part, dict):
        return {k: replace_variables(p, tensors) for k, p in part.items()}
    if hasattr(part, "replace_variables"):  # a conditioner with a Keras network
        return part.replace_variables(tensors)
    return _replace_attributes(part, tensors) if isinstance(part, tf.Module) else part


def _replace_attributes(module, tensors):
    twin = copy.copy(module)
    # Not by `setattr`, which would track a tensor as if it were a variable.
    vars(twin).update({k: replace_variables(v, tensors) for k, v in vars(twin).items()})
    return twin
