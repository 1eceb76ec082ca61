"""Bijectors in sequence, evaluated in one pass each."""

import functools

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.chain_steps import as_steps
from tfp_flows.bijectors.invert import Invert
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.context_standardizer import ContextStandardizer
from tfp_flows.core.event_shapes import end_shapes
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.parts import all_standardize_context
from tfp_flows.core.parts import as_bijectors
from tfp_flows.core.parts import context_for
from tfp_flows.core.parts import shared_context_size
from tfp_flows.core.parts import shared_dtype
from tfp_flows.core.pulled_back import pull_back
from tfp_flows.core.recompute import call_recomputing
from tfp_flows.core.recompute import pull_back_steps
from tfp_flows.core.recompute import refuse_batch_statistics

__all__ = ["FlowChain"]

tfb = tfp.bijectors


class FlowChain(FlowBijector):
    """Composes bijectors, ours and TFP's, and sums their log-dets.

    The list runs from the data side to the latent side, as in `tfb.Chain`:

    ```none
    forward:  y = b[0](b[1](... b[-1](x)))        latent -> data
    inverse:  x = b[-1]^-1(... b[0]^-1(y))        data -> latent
    log_det:  the sum over the bijectors
    ```

    `context` reaches every conditional bijector at any depth, and `training` all of
    them. Unlike `tfb.Chain`, nothing is cached. An end may be a structure of tensors, as
    `tfb.Split` and `tfb.JointMap` have it, with the same batch axes in all parts.

    Contexts come in the data's own units: a chain standardises them, by statistics that
    `initialize` sets from the training rows', unless every conditional bijector in it does
    so itself. Before `initialize` they pass as they are, as the output of an encoder does.

    With `recompute`, training keeps of each bijector only what it was given, not the
    activations inside it, and applies it once more for the gradient: about a third more
    time. The gradient is the same.

    Args:
      bijectors: list of `tfp.bijectors.Bijector`s, data side first.
      standardize_context: whether contexts are standardised.
      recompute: whether gradients recompute the activations inside the bijectors.
      parameters: the constructor's arguments of a subclass that builds the list itself.
      name: name of the bijector.

    Raises:
      ValueError: if the list is empty, or two bijectors want contexts of two widths; if the
        events of one are known not to fit the next; or if one normalises by the rows of a
        batch, which would be counted twice, with `recompute`.

    Reference:
      Chen, Xu, Zhang, Guestrin (2016), Training deep nets with sublinear memory cost.
      https://arxiv.org/abs/1604.06174
    """

    def __init__(
        self,
        bijectors,
        *,
        standardize_context=True,
        recompute=False,
        parameters=None,
        name="flow_chain",
    ):
        options = {"standardize_context": standardize_context, "recompute": recompute}
        options["name"] = name
        check_arguments(options)
        if parameters is None:
            parameters = {"bijectors": bijectors, **options}
        bijectors = as_bijectors("bijectors", bijectors)
        steps = as_steps(bijectors)
        if recompute:
            refuse_batch_statistics(steps)
        event_shape, data_event_shape = end_shapes(steps)
        super().__init__(
            event_ndims=steps[-1].forward_min_event_ndims,
            data_event_ndims=steps[0].inverse_min_event_ndims,
            event_shape=event_shape,
            data_event_shape=data_event_shape,
            context_size=shared_context_size(steps),
            is_constant_jacobian=all(step.is_constant_jacobian for step in steps),
            dtype=shared_dtype(steps),
            parameters=parameters,
            name=name,
        )
        self._steps = steps
        self._recompute = recompute
        self._standardizer = None
        if standardize_context and not all_standardize_context(steps):
            dtype = self.dtype or tf.float32
            self._standardizer = ContextStandardizer(self.context_size, dtype)

    @property
    def bijectors(self):
        """The bijectors as `FlowBijector`s, from the data side to the latent side."""
        return tuple(self._steps)

    @property
    def has_data_dependent_state(self):
        """Whether `initialize` sets anything in a bijector."""
        return any(step.has_data_dependent_state for step in self._steps)

    @property
    def has_batch_statistics(self):
        """Whether a bijector normalises by the rows of a batch in training."""
        return any(step.has_batch_statistics for step in self._steps)

    @property
    def standardizes_context(self):
        """Whether contexts are standardised, here or in every conditional bijector."""
        return self._standardizer is not None or all_standardize_context(self._steps)

    @property
    def is_initialized(self):
        """Whether the data-dependent state of every bijector is set, and the contexts'."""
        parts = [*self._steps, *([self._standardizer] if self._standardizer else [])]
        return all(part.is_initialized for part in parts)

    @property
    def sequential_directions(self):
        """Those of any bijector."""
        return frozenset().union(*(step.sequential_directions for step in self._steps))

    def initialize(self, data, *, context=None):
        """Sets the state of each bijector from `data` as it arrives there.

        Args:
          data: `[N, *event]`, at the data end.
          context: `[N, context_size]`, where the chain is conditional.
        """
        self._check_rows(data, context)
        context = self._initialized_context(context)
        stateful = [i for i, s in enumerate(self._steps) if _has_state(s)]
        if not stateful:
            return
        *before, last = self._steps[: stateful[-1] + 1]
        for step in before:
            data = step.initialize_and_normalise(data, context=context_for(step, context))
        last.initialize(data, context=context_for(last, context))

    def initialize_and_normalise(self, data, *, context=None):
        """Initialises, and returns the data at the latent end, `[N, *event]`."""
        self._check_rows(data, context)
        context = self._initialized_context(context)
        for step in self._steps:
            data = step.initialize_and_normalise(data, context=context_for(step, context))
        return data

    def check_support(self, data, *, argument="data"):
        """Refuses rows that lie where the first bijector has no inverse."""
        self._steps[0].check_support(data, argument=argument)

    def _initialize_inverted(self, data, context):
        steps = [Invert(step) for step in reversed(self._steps)]
        inverted = FlowChain(steps, standardize_context=False)
        inverted.initialize(data, context=self._initialized_context(context))

    def context_of_parts(self, context):
        """Returns `context`, `[..., context_size]`, as the bijectors in the list see it."""
        return context if self._standardizer is None else self._standardizer(context)

    def _initialized_context(self, context):
        """Sets the statistics of contexts, where wanted; returns what steps are given."""
        if self._standardizer is None:
            return context
        return self._standardizer.initialize(context)

    def _forward_and_log_det(self, x, context, training):
        return self._run("forward", x, context, training)

    def _inverse_and_log_det(self, y, context, training):
        return self._run("inverse", y, context, training)

    def _run(self, direction, value, context, training):
        context = self.context_of_parts(context)
        apply = functools.partial(self._apply_steps, direction, training)
        if not self._recompute:
            values, log_det = apply(value, context)
            return values[-1], log_det
        pull_back = functools.partial(self._pull_back, direction)
        return call_recomputing(apply, pull_back, value, context)

    def _apply_steps(self, direction, training, value, context):
        values, log_dets = [value], []
        for step in self._in_order(direction):
            value, log_det = self._apply_step(
                step, direction, value, context_for(step, context), training
            )
            values.append(value)
            log_dets.append(log_det)
        return values, tf.add_n(log_dets)

    def _apply_step(self, step, direction, value, context, training):
        return step._apply_as_part(direction, value, context, training)

    def _pull_back(self, direction, values, context, upstream, weights):
        pull_back_step = functools.partial(self._pull_back_step, direction)
        steps = self._in_order(direction)
        return pull_back_steps(steps, pull_back_step, values, context, upstream, weights)

    def _pull_back_step(self, direction, step, value, context, upstream, weights):
        def apply(value, context):
            return self._apply_step(step, direction, value, context, False)

        return pull_back(apply, value, context, upstream, weights)

    def _in_order(self, direction):
        return self._steps if direction == "inverse" else self._steps[::-1]

    def _forward_event_shape(self, input_shape):
        for step in reversed(self._steps):
            input_shape = step.forward_event_shape(input_shape)
        return input_shape

    def _forward_event_shape_tensor(self, input_shape):
        for step in reversed(self._steps):
            input_shape = step.forward_event_shape_tensor(input_shape)
        return input_shape

    def _inverse_event_shape(self, output_shape):
        for step in self._steps:
            output_shape = step.inverse_event_shape(output_shape)
        return output_shape

    def _inverse_event_shape_tensor(self, output_shape):
        for step in self._steps:
            output_shape = step.inverse_event_shape_tensor(output_shape)
        return output_shape


def _has_state(step):
    return step.has_data_dependent_state or not step.is_initialized
