"""What bijectors need of conditioners: forward substitution, and dropout in training."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import require

if TYPE_CHECKING:
    from tfp_flows.core.flow_bijector import FlowBijector


# Name of the operations that stop gradients because `solve_adjoint` computes them. `to_jax`
# leaves these operations out, and lets JAX differentiate the computation itself.
HAS_ADJOINT = "has_adjoint"


class AutoregressiveConditioner(abc.ABC):
    """A conditioner that solves its triangular map by forward substitution.

    The parameters `p_i` of variable i depend only on the variables before it, in some
    ordering. So `v_i = map(u_i; p_i(u_<i, context))` is solved for u one variable after
    another. A network with MADE's masks needs the arithmetic of one pass, since each unit
    is computed once, when its inputs are known. Any other conditioner is called up to D
    times.
    """

    @abc.abstractmethod
    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Whether `solve` and `solve_adjoint` take inputs of `dtype`."""

    @abc.abstractmethod
    def solve(
        self, values: TensorLike, context: TensorLike | None, solve_one: Callable
    ) -> tf.Tensor:
        """Solves for all variables, one after another, without gradients.

        Args:
          values: v, `[..., D]`.
          context: `[..., context_size]`, or None.
          solve_one: function of one variable's value, `[1, N]`, and its parameters,
            `[P, N]`, that returns the variable and a log-det, `[N]`. Steps with equal
            (==) functions and networks of one structure share a trace.

        Returns:
          The variables, `[..., D]`, and the sums of their log-dets, `[...]`.
        """

    @abc.abstractmethod
    def solve_adjoint(
        self,
        u: TensorLike,
        context: TensorLike | None,
        u_bar: TensorLike,
        u_by_p: TensorLike,
        offset: TensorLike,
    ) -> tf.Tensor:
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset`, the last variable first.

        `J` is the strictly triangular derivative of the parameters p by u.

        Args:
          u: input of the conditioner, `[..., D]`.
          context: `[..., context_size]`, or None.
          u_bar: `[..., D]`.
          u_by_p: `[..., P, D]`.
          offset: `[..., P, D]`.

        Returns:
          `p_bar`, `[..., P, D]`.
        """


def in_mode(conditioner: Callable, training: bool) -> Callable:
    """Returns the conditioner as a callable of `(x, context)` in training or evaluation.

    One with a true `dropout_in_training` takes `training` too.
    """
    if not (training and getattr(conditioner, "dropout_in_training", False)):
        return conditioner
    return lambda x, context=None: conditioner(x, context, training=True)


def refuse_dropout(steps: Sequence[FlowBijector], argument: str) -> None:
    """Refuses steps that would drop other units when the `argument` calls them again."""
    names = [
        step.name
        for step in steps
        if any(getattr(part, "dropout_in_training", False) for part in step.submodules)
    ]
    words = f"`bijectors` without `dropout_in_training` for {argument}"
    require(not names, f"{words}, which calls networks again in the gradient", names)
