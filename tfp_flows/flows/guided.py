"""Guidance: a conditional flow whose parameters move away from unconditional ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive, SweptConditioner
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_array, check_instance, check_number, require
from tfp_flows.core.conditioners import AutoregressiveConditioner
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.tarflow import TarFlow


class Guided(FlowChain):
    """A conditional `TarFlow`, guided away from a context that says nothing.

    ```none
    p_t = (1 + weight) * conditioner_t(y_<t, context) - weight * conditioner_t(y_<t, null)
    ```

    These are the parameters before the transformer bounds them. The result is a flow that
    shares the weights of the given one. It samples token by token with two caches, and its
    density is exact. With weight 0 it is the given flow. Larger weights trade variety for
    samples that fit the context.

    The flow must have been trained on `null_context`, too: replace the contexts of about a
    tenth of the training rows by it. For one-hot classes the default, zeros, is no class.

    Args:
      flow: a `TarFlow` with a context.
      weight: weight of the guidance, at least 0.
      null_context: context that says nothing, `[context_size]`, in the units of contexts;
        zeros by default.
      name: name of the bijector.

    Raises:
      ValueError: if `flow` is no `TarFlow` with a context, `weight` is below 0, or
        `null_context` has another shape.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> small = {"num_blocks": 2, "num_layers": 1, "num_units": 8, "num_heads": 2}
    >>> flow = tfp_flows.TarFlow((4, 2), context_size=3, **small, seed=0)
    >>> guided = tfp_flows.flows.Guided(flow, weight=1.0)
    >>> guided.forward(tf.ones([5, 4, 2]), context=tf.ones([5, 3])).shape
    TensorShape([5, 4, 2])

    Reference:
      Zhai et al. (2024), Normalizing flows are capable generative models, section 2.5.
      https://arxiv.org/abs/2412.06329
      Ho, Salimans (2022), Classifier-free diffusion guidance.
      https://arxiv.org/abs/2207.12598
    """

    def __init__(
        self,
        flow: TarFlow,
        weight: float,
        null_context: TensorLike | None = None,
        *,
        name: str = "guided",
    ) -> None:
        check_instance("flow", flow, TarFlow, "a `TarFlow` with a context")
        require(flow.context_size, "`flow`, a `TarFlow` with a context", "none")
        check_number("weight", weight, "of at least 0", lambda w: 0.0 <= w < np.inf)
        null = np.zeros(flow.context_size) if null_context is None else null_context
        null = check_array("null_context", null, flow.dtype.as_numpy_dtype)
        require(
            null.shape == (flow.context_size,),
            f"`null_context` of shape [{flow.context_size}]",
            f"{list(null.shape)}",
        )

        super().__init__(
            [_guided(step, flow, float(weight), null) for step in flow.bijectors],
            standardize_context=False,  # the conditioners do
            parameters={
                "flow": flow,
                "weight": float(weight),
                "null_context": null.tolist(),
                "name": name,
            },
            name=name,
        )

    @property
    def standardizes_context(self) -> bool:
        """Whether contexts are standardised here: True, by the given flow."""
        return True


def _guided(
    step: FlowBijector, flow: TarFlow, weight: float, null: np.ndarray
) -> FlowBijector:
    """Returns a step with guided parameters; a step without a network stays as it is."""
    if not isinstance(step, MaskedAutoregressive):
        return step
    conditioner = _GuidedConditioner(step.conditioner, flow, weight, null)
    return step.copy(conditioner=conditioner)


class _GuidedConditioner(tf.Module, AutoregressiveConditioner):
    """Guided parameters of a step, from one call of its conditioner on both contexts.

    The flow standardises contexts; `null` is the context that says nothing.
    """

    def __init__(
        self, conditioner: Any, flow: TarFlow, weight: float, null: np.ndarray
    ) -> None:
        super().__init__(name="guided_conditioner")
        self._conditioner = conditioner
        self._flow = flow
        self._weight = weight
        self._null = null
        self.context_size = conditioner.context_size
        self.input_shape = conditioner.input_shape
        self.output_shape = conditioner.output_shape

    def __call__(self, x: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
        """Maps rows, `[N, D]`, and contexts in their units to parameters."""
        outputs = self._conditioner(tf.concat([x, x], axis=0), self._both(context))
        conditional, null = tf.split(outputs, 2)
        return _guide(conditional, null, self._weight)

    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Whether the conditioner of the step can solve inputs of `dtype`."""
        return self._conditioner.can_solve(dtype)

    def solve(
        self, values: TensorLike, context: TensorLike | None, solve_one: Callable
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `AutoregressiveConditioner`; here for values `[N, D]` only."""
        solve_both = _SolveBoth(solve_one, self._weight)
        rows = tf.concat([values, values], axis=0)
        both = self._conditioner.solve(rows, self._both(context), solve_both)
        u, log_det = (tf.split(part, 2)[0] for part in both)
        return u, log_det

    def solve_adjoint(
        self,
        u: TensorLike,
        context: TensorLike | None,
        u_bar: TensorLike,
        u_by_p: TensorLike,
        offset: TensorLike,
    ) -> tf.Tensor:
        """See `AutoregressiveConditioner`; it takes up to one pass for each token."""

        def parameters_of(u: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
            return tf.reshape(self(u, context), tf.shape(u_by_p))

        swept = SweptConditioner(parameters_of)
        return swept.solve_adjoint(u, context, u_bar, u_by_p, offset)

    def _both(self, context: tf.Tensor) -> tf.Tensor:
        null = tf.zeros_like(context) + tf.constant(self._null, context.dtype)
        contexts = tf.concat([context, null], axis=0)
        return self._flow.context_of_parts(contexts)


def _guide(conditional: tf.Tensor, null: tf.Tensor, weight: float) -> tf.Tensor:
    """Returns guided parameters, from parameters with the context and without it."""
    return (1.0 + weight) * conditional - weight * null


@dataclasses.dataclass(frozen=True)
class _SolveBoth:
    """A `solve_one` for rows that come twice: with their context, then without it."""

    solve_one: Callable
    weight: float

    def __call__(self, v: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        conditional, null = tf.split(parameters, 2, axis=-1)
        guided = _guide(conditional, null, self.weight)
        return self.solve_one(v, tf.concat([guided, guided], axis=-1))
