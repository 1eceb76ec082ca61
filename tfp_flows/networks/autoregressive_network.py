"""The network that solves its own triangular map."""

import abc

import tensorflow as tf

from tfp_flows.networks import forward_substitution
from tfp_flows.networks.orderings import take

__all__ = ["AutoregressiveNetwork"]


class AutoregressiveNetwork(abc.ABC):
    """A network with MADE's masks, which `forward_substitution.py` solves.

    The parameters of a variable, P of them, depend on the variables of lower degree only.
    Each subclass has `event_size`, `num_parameters`, and `structure`.
    """

    @abc.abstractmethod
    def ordered_weights(self, context):
        """Returns the `Weights` for a context, and the variables' order and its inverse."""

    def solve(self, values, context, solve_one):
        """Solves `values_i = map(x_i; parameters_i(x_<i))` for x, one after another.

        No gradient goes back through it.

        Args:
          values: `[N, D]`, or `[N, D, V]` where V numbers a variable are needed.
          context: `[N, context_size]`, or None.
          solve_one: function of a variable's values, `[V, N]` (V = 1 without that axis), and
            parameters, `[P, N]`, that returns x_i and a log-det, `[N]` each. Steps whose
            functions are equal are traced once.

        Returns:
          x, `[N, D]`, and the sum of the log-dets, `[N]`.
        """
        weights, order, ranks = self.ordered_weights(context)
        values = values[..., None] if values.shape.rank == 2 else values
        values = take(tf.transpose(values, [1, 2, 0]), order, axis=0)
        x, log_det = forward_substitution.solve(self.structure, weights, values, solve_one)
        return take(tf.transpose(x), ranks, axis=1), log_det

    def solve_adjoint(self, u, context, u_bar, u_by_p, offset):
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset`, the last variable first.

        Args:
          u: `[N, D]`, where J, the derivative of the parameters by u, is taken.
          context: `[N, context_size]`, or None.
          u_bar: `[N, D]`.
          u_by_p: `[N, P, D]`, and so is `offset`.
          offset: what is added.

        Returns:
          `p_bar`, `[N, P, D]`.
        """
        weights, order, ranks = self.ordered_weights(context)
        u, u_bar = (take(tf.transpose(a), order, axis=0) for a in (u, u_bar))
        u_by_p, offset = (
            take(tf.transpose(a, [2, 1, 0]), order, axis=0) for a in (u_by_p, offset)
        )
        p_bar = forward_substitution.solve_adjoint(
            self.structure, weights, u, u_bar[:, None], u_by_p, offset
        )
        return take(tf.transpose(p_bar, [2, 1, 0]), ranks, axis=2)
