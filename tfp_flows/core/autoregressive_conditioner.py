"""The protocol of conditioners that solve their own triangular map."""

from __future__ import annotations

import abc
from collections.abc import Callable

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["AutoregressiveConditioner"]


class AutoregressiveConditioner(abc.ABC):
    """A conditioner that solves its triangular map by forward substitution.

    The parameters `p_i` of variable i depend only on the variables before it, in some
    ordering. So `v_i = map(u_i; p_i(u_<i, context))` is solved for u one variable after
    another. A network with MADE's masks needs the arithmetic of one pass, since each unit
    is final once its inputs are. A step calls any other conditioner up to D times.
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
