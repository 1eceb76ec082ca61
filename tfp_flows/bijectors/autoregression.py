"""Both directions of an autoregressive map, and the gradient of the sequential one."""

import tensorflow as tf

__all__ = ["Autoregression"]


class Autoregression:
    """The map `v_i = apply(u_i; conditioner_i(u_<i, context))` and its inverse.

    `parallel` is one call of the conditioner. `sequential` finds u from v, one variable
    after another: by the conditioner's own `column_wise`, at about the cost of one call,
    if it has that (a `Conditioner` of a `MaskedMLP` does); else by calling it on the whole
    of u until nothing changes, which is exact after at most D calls.

    The gradient of `sequential` does not go back through its loop. At the solution,
    `u = undo(v; conditioner(u))`, so with `J` the strictly triangular derivative of the
    right side by u,

    ```none
    adjoint of the right side:  w = (1 - J)^-T (adjoint of u)
    ```

    found as the fixed point of `w <- (adjoint of u) + J^T w`; all else is the ordinary
    gradient of one parallel call.

    Args:
      conditioner: callable of `(u, context)` whose output for variable i depends on those
        before it only.
      apply: elementwise function of `(u, parameters)` that returns `(v, log_det)`.
      undo: its inverse.
    """

    def __init__(self, conditioner, apply, undo):
        self._conditioner = conditioner
        self._apply = apply
        self._undo = undo

    def parallel(self, u, context):
        """Maps `u`, `[..., D]`, in one pass; returns `v` and the log-det, `[...]`."""
        v, log_det = self._apply(u, self._conditioner(u, context))
        return v, tf.reduce_sum(log_det, axis=-1)

    def sequential(self, v, context):
        """Undoes `parallel`; returns `u` and the log-det of that, `[...]`."""

        @tf.custom_gradient
        def solve(v, *contexts):
            u, log_det = self._solve(v, *contexts)

            def gradient(u_adjoint, log_det_adjoint, variables=()):
                return self._gradient(u, v, contexts, variables, u_adjoint, log_det_adjoint)

            return (u, log_det), gradient

        return solve(v) if context is None else solve(v, context)

    def _solve(self, v, context=None):
        column_wise = getattr(self._conditioner, "column_wise", None)
        if column_wise is not None:
            return column_wise(v, context, self._undo)
        return self._solve_by_sweeps(v, context)

    def _solve_by_sweeps(self, v, context):
        def sweep(u):
            return self._undo(v, self._conditioner(u, context))[0]

        u = _fixed_point(sweep, tf.zeros_like(v), v.shape[-1])
        u, log_det = self._undo(v, self._conditioner(u, context))
        return u, tf.reduce_sum(log_det, axis=-1)

    def _gradient(self, u, v, contexts, variables, u_adjoint, log_det_adjoint):
        sources = [v, *contexts, *variables]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([u, *sources])
            again, log_det = self._undo(v, self._conditioner(u, *(contexts or [None])))
            log_det = tf.reduce_sum(log_det, axis=-1)
        zeros = tf.UnconnectedGradients.ZERO
        u_adjoint += tape.gradient(log_det, u, log_det_adjoint, unconnected_gradients=zeros)

        def sweep(w):
            return u_adjoint + tape.gradient(again, u, w, unconnected_gradients=zeros)

        w = _fixed_point(sweep, u_adjoint, u.shape[-1])
        gradients = tape.gradient(
            [again, log_det], sources, [w, log_det_adjoint], unconnected_gradients=zeros
        )
        inputs = gradients[: 1 + len(contexts)]
        return (inputs, gradients[1 + len(contexts) :]) if variables else inputs


def _fixed_point(sweep, start, most):
    """Repeats `sweep` until nothing changes, `most` times at most."""

    def changing(i, value, previous):
        return (i < most) & tf.reduce_any(value != previous)

    def body(i, value, _):
        return i + 1, sweep(value), value

    return tf.while_loop(
        changing, body, (tf.constant(1), sweep(start), start), maximum_iterations=most
    )[1]
