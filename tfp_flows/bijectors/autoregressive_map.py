"""An autoregressive map in both directions, of which MAF and IAF apply one each."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import NoReturn

import tensorflow as tf

from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.bijectors.swept_conditioner import SweptConditioner
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.autoregressive_conditioner import AutoregressiveConditioner
from tfp_flows.core.bounded_adjoint import bounded_adjoint
from tfp_flows.core.dropout import in_mode
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.transformer import Transformer

__all__ = ["AutoregressiveMap"]


class AutoregressiveMap(FlowBijector):
    """The map `v_i = T(u_i; p_i)`, `p_i = conditioner_i(u_<i, context)`, and its inverse.

    Applied in one pass, it is undone one variable after another, with the arithmetic of one
    pass if the conditioner is an `AutoregressiveConditioner`, else in up to D calls of it.
    Its gradient follows from the implicit function theorem, and is solved for as u is, the
    last variable first: with `J`, the strictly triangular derivative of p by u, `L`, the
    log-det of T, and adjoints written with a bar,

    ```none
    v_bar = (u_bar - L_u log_det_bar + J^T p_bar) / T_u
    p_bar = -T_p v_bar - L_p log_det_bar
    ```
    """

    def __init__(self, parameters: dict, transformer: Transformer) -> None:
        """Takes a step's arguments, and the transformer that it takes by default."""
        check_arguments(parameters, optional=["dtype"])
        event_size, conditioner = parameters["event_size"], parameters["conditioner"]
        super().__init__(
            event_ndims=1,
            event_shape=[event_size],
            context_size=getattr(conditioner, "context_size", 0),
            dtype=parameters["dtype"],
            parameters=parameters,
            name=parameters["name"],
        )
        shape = [event_size]
        check_conditioner(conditioner, shape, shape, transformer, self.dtype)
        self._event_size = int(event_size)
        self._conditioner = conditioner
        self._transformer = transformer

    @property
    def conditioner(self) -> Callable:
        """The autoregressive network."""
        return self._conditioner

    def replace_variables(self, tensors: dict) -> NoReturn:
        """Refuses to: the gradient of the sequential direction would miss the tensors."""
        words = "Expected `bijectors` whose weights may be tensors; got some elsewhere in"
        raise ValueError(f"{words} `{self.name}`.")

    @property
    @abc.abstractmethod
    def _transform(self):
        """T, elementwise: function of u and parameters that returns v and the log-det."""

    @property
    @abc.abstractmethod
    def _transform_back(self):
        """Its inverse: function of v and parameters that returns u and the log-det."""

    def _parallel(self, u, context, training=False):
        """Applies the map to `u`, `[..., D]`; returns v and the log-det, `[...]`."""
        v, log_det = self._transform(u, self._parameters_of(u, context, training))
        return v, tf.reduce_sum(log_det, axis=-1)

    def _sequential(self, v, context):
        """Undoes the map on `v`, `[..., D]`; returns u and the log-det of that, `[...]`."""

        @tf.custom_gradient
        def solve(v, *contexts):
            solver = self._solver(v.dtype)
            solve_one = _OneVariable(self._transform_back)
            u, log_det = solver.solve(v, *(contexts or [None]), solve_one)

            def gradient(*bars, variables=()):
                v_bar, *others = self._adjoints(solver, u, contexts, variables, *bars)
                inputs = [v_bar, *others[: len(contexts)]]
                return (inputs, others[len(contexts) :]) if variables else inputs

            return (u, log_det), gradient

        return solve(v) if context is None else solve(v, context)

    def _adjoints(self, solver, u, contexts, variables, u_bar, log_det_bar):
        """Adjoints of v, the context if any, and variables, from those of the results."""
        sources = [u, *contexts, *variables]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            p = self._parameters_of(u, *(contexts or [None]))
        with tf.GradientTape(persistent=True) as elementwise:
            elementwise.watch([u, p])
            v, log_det = self._transform(u, p)
        v_by_u, v_by_p = _gradients(elementwise, v, [u, p])
        bar = tf.broadcast_to(-log_det_bar[..., None], tf.shape(log_det))
        from_u, from_p = _gradients(elementwise, log_det, [u, p], bar)
        u_bar += from_u
        u_by_p = -v_by_p / v_by_u[..., None, :]
        p_bar = solver.solve_adjoint(u, *(contexts or [None]), u_bar, u_by_p, from_p)
        through_p, *others = _gradients(tape, p, sources, bounded_adjoint(p_bar))
        return bounded_adjoint((u_bar + through_p) / v_by_u), *others

    def _parameters_of(self, u, context, training=False):
        outputs = in_mode(self._conditioner, training)(u, context)
        return self._transformer.parameters_of(outputs, self._event_size)

    def _solver(self, dtype):
        own, one_by_one = self._conditioner, not self._transformer.knows_variables
        solves = isinstance(own, AutoregressiveConditioner) and own.can_solve(dtype)
        return own if solves and one_by_one else SweptConditioner(self._parameters_of)


@dataclasses.dataclass(frozen=True)
class _OneVariable:
    """`solve_one` of a conditioner; those of steps of one transformer are equal."""

    transform_back: Callable

    def __call__(self, v, parameters):
        return self.transform_back(v[0], parameters)


def _gradients(tape, target, sources, bar=None):
    return tape.gradient(target, sources, bar, unconnected_gradients="zero")
