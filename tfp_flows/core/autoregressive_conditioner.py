"""The conditioner that solves its own triangular map, as autoregressive steps see it."""

from __future__ import annotations

import abc
from collections.abc import Callable

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["AutoregressiveConditioner"]


class AutoregressiveConditioner(abc.ABC):
    """A conditioner whose triangular map it can solve by forward substitution.

    The parameters of variable i, `p_i`, depend on the variables before it only, in some
    ordering. So `v_i = map(u_i; p_i(u_<i, context))` can be solved for u one variable after
    another. A network with MADE's masks does that with the arithmetic of one pass, since
    each of its units is final once the variables that it sees are.

    A step calls any other conditioner up to D times.
    """

    @abc.abstractmethod
    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Whether `solve` and `solve_adjoint` take inputs of `dtype`."""

    @abc.abstractmethod
    def solve(
        self, values: TensorLike, context: TensorLike | None, solve_one: Callable
    ) -> tf.Tensor:
        """Solves for all variables, one after another; no gradient goes back through this.

        Args:
          values: what is known of each variable, `[..., D]`.
          context: `[..., context_size]`, or None.
          solve_one: function of one variable's value, `[1, N]`, and its parameters,
            `[P, N]`, that returns the variable and a log-det, `[N]`. Where those of two
            steps are equal (==) and their networks are alike, one trace serves both.

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
          u: `[..., D]`, what the parameters are functions of.
          context: `[..., context_size]`, or None.
          u_bar: `[..., D]`.
          u_by_p: `[..., P, D]`, and so is `offset`.
          offset: what is added.

        Returns:
          `p_bar`, `[..., P, D]`.
        """
