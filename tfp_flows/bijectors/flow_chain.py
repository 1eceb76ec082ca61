"""Bijectors in sequence, evaluated in one pass each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import bijectors as tfb

from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.tfp_bijector import TFPBijector, event_ndims_of
from tfp_flows.core.arguments import check_each, check_flag, require
from tfp_flows.core.composite import Composite, as_bijectors, context_for
from tfp_flows.core.context_standardizer import ContextStandardizer
from tfp_flows.core.event_shapes import end_shapes, event_shape_after
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.recompute import recomputing, refuse_batch_statistics
from tfp_flows.core.rows import initialize_part


class FlowChain(Composite):
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

    Contexts come in their own units. A chain standardises them by statistics that
    `initialize` sets from the training rows, unless every conditional bijector in it does
    so itself. Before `initialize` they are unchanged, and so is the output of an encoder.

    With `recompute`, training keeps only the input of each bijector, not the activations
    inside it, and applies the bijector again for the gradient, which is the same. A step
    takes about a third longer.

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

    >>> import tfp_flows
    >>> flow = tfp_flows.FlowChain([tfp_flows.Logit(0.01), tfp_flows.Permutation([1, 0])])
    >>> flow.inverse([[0.5, 0.5]]).numpy()
    array([[0., 0.]], dtype=float32)

    Reference:
      Chen, Xu, Zhang, Guestrin (2016), Training deep nets with sublinear memory cost.
      https://arxiv.org/abs/1604.06174
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        *,
        standardize_context: bool = True,
        recompute: bool = False,
        parameters: dict | None = None,
        name: str = "flow_chain",
    ) -> None:
        check_each(check_flag, standardize_context=standardize_context, recompute=recompute)
        steps = _as_steps(as_bijectors("bijectors", bijectors))
        if recompute:
            refuse_batch_statistics(steps)
        event_shape, data_event_shape = end_shapes(steps)
        super().__init__(
            steps,
            event_ndims=steps[-1].forward_min_event_ndims,
            data_event_ndims=steps[0].inverse_min_event_ndims,
            event_shape=event_shape,
            data_event_shape=data_event_shape,
            parameters=parameters,
            name=name,
        )
        self._recompute = recompute
        self._standardizer = None
        if standardize_context and not super().standardizes_context:
            dtype = self.dtype or tf.float32
            self._standardizer = ContextStandardizer(self.context_size, dtype)

    @property
    def bijectors(self) -> tuple[FlowBijector, ...]:
        """The bijectors as `FlowBijector`s, from the data side to the latent side."""
        return tuple(self._steps)

    @property
    def standardizes_context(self) -> bool:
        """Whether contexts are standardised, here or in every conditional bijector."""
        return self._standardizer is not None or super().standardizes_context

    @property
    def is_initialized(self) -> bool:
        """Whether the state of every bijector, and the statistics of contexts, are set."""
        contexts_are = self._standardizer is None or self._standardizer.is_initialized
        return contexts_are and super().is_initialized

    def _initialize(self, data, context, weight):
        context = self._initialized_context(context, weight)
        stateful = [i for i, step in enumerate(self._steps) if _has_state(step)]
        last_reading = max((i for i in stateful if self._steps[i].reads_rows), default=-1)
        for i, step in enumerate(self._steps[: max(stateful, default=-1) + 1]):
            step_context = context_for(step, context)
            if i < last_reading:
                data = step.initialize_and_normalise(
                    data, context=step_context, sample_weight=weight
                )
                continue
            initialize_part(step, data, step_context, weight)
            if i == stateful[-1]:
                return
            # Later steps need no rows.
            data, context, weight = _first_row(data), _first_row(context), None
            data = step._normalised(data, context_for(step, context))

    def _initialize_and_normalise(self, data, context, weight):
        context = self._initialized_context(context, weight)
        for step in self._steps:
            data = step.initialize_and_normalise(
                data, context=context_for(step, context), sample_weight=weight
            )
        return data

    def _initialize_inverted(self, data, context, weight):
        steps = [Invert(step) for step in reversed(self._steps)]
        inverted = FlowChain(steps, standardize_context=False)
        context = self._initialized_context(context, weight)
        inverted.initialize(data, context=context, sample_weight=weight)

    def context_of_parts(self, context: TensorLike | None) -> tf.Tensor | None:
        """Returns `context`, `[..., context_size]`, as the bijectors in the list see it."""
        return context if self._standardizer is None else self._standardizer(context)

    def _initialized_context(self, context, weight):
        """Sets the statistics of contexts; returns contexts as the steps see them."""
        if self._standardizer is None:
            return context
        return self._standardizer.initialize(context, weight=weight)

    def _run(self, direction, value, context, training):
        context = self.context_of_parts(context)
        log_dets = []
        for step in self._in_order(direction):
            apply: Callable = functools.partial(self._apply_part, step, direction, training)
            if self._recompute:
                apply = recomputing(apply)
            contexts = [] if context_for(step, context) is None else [context]
            value, log_det = apply(value, *contexts)
            log_dets.append(log_det)
        return value, tf.add_n(log_dets)

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")

    def _in_order(self, direction):
        return self._steps if direction == "inverse" else self._steps[::-1]

    def _event_shape_after(self, direction, shape):
        for step in self._steps[:: 1 if direction == "inverse" else -1]:
            shape = event_shape_after(step, direction, shape)
        return shape


def _has_state(step):
    return step.has_data_dependent_state or not step.is_initialized


def _first_row(rows):
    return None if rows is None else tf.nest.map_structure(lambda x: x[:1], rows)


def _as_steps(bijectors):
    """Makes `FlowBijector`s of all bijectors, with the event's rank along the chain."""
    bijectors = [part for b in bijectors for part in _flatten(b)]
    event_ndims = event_ndims_of(bijectors, tfb.Chain(bijectors).forward_min_event_ndims)
    steps: list[FlowBijector] = []
    for bijector in reversed(bijectors):
        if not isinstance(bijector, FlowBijector):
            bijector = TFPBijector(bijector, event_ndims)
        axes = bijector.forward_min_event_ndims
        words = f"`bijectors` of events with {event_ndims} axes"
        wrapped = f"`TFPBijector({bijector.name}, {event_ndims})`"
        hint = f" Give it `event_ndims={event_ndims}`, or chain {wrapped}."
        require(axes == event_ndims, words, f"{axes} axes in `{bijector.name}`", hint)
        steps.insert(0, bijector)
        event_ndims = bijector.forward_event_ndims(event_ndims)
    return steps


def _flatten(bijector):
    """Takes stock chains and inversions apart, since they would not hand context on."""
    if _is_a(bijector, tfb.Chain):
        return [part for b in bijector.bijectors for part in _flatten(b)]
    if _is_a(bijector, tfb.Invert):
        inner = bijector.bijector
        if isinstance(inner, FlowBijector):
            return [Invert(inner)]
        if _is_a(inner, tfb.Chain):
            return [part for b in inner.bijectors[::-1] for part in _flatten(tfb.Invert(b))]
    return [bijector]


def _is_a(bijector, stock_class):
    # If a part is no `CompositeTensor`, as ours, TFP builds the base class of its class.
    return isinstance(bijector, stock_class.__mro__[1])
