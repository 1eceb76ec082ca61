"""The solution of an autoregressive map by calls of its whole conditioner."""

from collections.abc import Callable

import tensorflow as tf

from tfp_flows.core.autoregressive_conditioner import AutoregressiveConditioner

__all__ = ["SweptConditioner"]


class SweptConditioner(AutoregressiveConditioner):
    """A conditioner of any kind, which can only be called on all variables at once.

    Each sweep solves for all of them given what the last one found, until nothing changes.
    A variable is final once those before it are, so D sweeps always do.

    Args:
      parameters_of: function of `(u, context)` that returns parameters, `[..., P, D]`.
    """

    def __init__(self, parameters_of: Callable) -> None:
        self._parameters_of = parameters_of

    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Always."""
        return True

    def solve(
        self, values: tf.Tensor, context: tf.Tensor | None, solve_one: Callable
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `AutoregressiveConditioner`; here for values `[..., D]` only."""

        def sweep(u):
            parameters = self._parameters_of(u, context)
            # One variable of many rows, [1, N] and [P, N].
            rank = parameters.shape.rank
            first = [rank - 2, *range(rank - 2), rank - 1]
            rows = tf.reshape(tf.transpose(parameters, first), [parameters.shape[-2], -1])
            solved = solve_one(tf.reshape(values, [1, -1]), rows)
            return [tf.reshape(part, tf.shape(values)) for part in solved]

        u = _fixed_point(lambda u: sweep(u)[0], tf.zeros_like(values), values.shape[-1])
        u, log_det = sweep(u)
        return u, tf.reduce_sum(log_det, axis=-1)

    def solve_adjoint(
        self,
        u: tf.Tensor,
        context: tf.Tensor | None,
        u_bar: tf.Tensor,
        u_by_p: tf.Tensor,
        offset: tf.Tensor,
    ) -> tf.Tensor:
        """See `AutoregressiveConditioner`."""
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(u)
            p = self._parameters_of(u, context)

        def sweep(p_bar):
            through_p = tape.gradient(p, u, p_bar, unconnected_gradients="zero")
            return u_by_p * (u_bar + through_p)[..., None, :] + offset

        return _fixed_point(sweep, tf.zeros_like(u_by_p), u.shape[-1])


def _fixed_point(sweep, start, most):
    """Repeats `sweep` until nothing changes, `most` times at most."""

    def changing(i, value, previous):
        return (i < most) & tf.reduce_any(value != previous)

    def body(i, value, _):
        return i + 1, sweep(value), value

    return tf.while_loop(
        changing, body, (tf.constant(1), sweep(start), start), maximum_iterations=most
    )[1]
