"""Both directions of an autoregressive map, and the gradient of the sequential one."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfp_flows.core.autoregressive_conditioner import AutoregressiveConditioner
from tfp_flows.core.dropout import in_mode

__all__ = ["Autoregression"]


class Autoregression:
    """The map `v_i = apply(u_i; conditioner_i(u_<i, context))` and its inverse.

    `parallel` is one call of the conditioner. `sequential` finds u from v, one variable
    after another: by the conditioner's own `solve`, at about the cost of one call, if it is
    an `AutoregressiveConditioner` that can (a `Conditioner` of a `MaskedMLP` is); else by
    calling it on the whole of u until nothing changes, exact after at most D calls.

    The gradient of `sequential` does not go back through its loop. At the solution,
    `u = undo(v; p)` with the parameters `p = conditioner(u)`, so with `J` the strictly
    triangular derivative of p by u, adjoints (written with a bar) obey

    ```none
    u_bar' = u_bar + J^T p_bar
    p_bar  = (d undo / d p) * u_bar'  + (d log_det / d p) * log_det_bar
    ```

    which such a conditioner solves the same way as u itself, the last
    variable first; for others it is a fixed point, exact after at most D products with
    `J^T`. All else is the ordinary gradient of one parallel call.

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

    def parallel(self, u, context, training=False):
        """Maps `u`, `[..., D]`, in one pass; returns `v` and the log-det, `[...]`."""
        v, log_det = self._apply(u, in_mode(self._conditioner, training)(u, context))
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

    def _can_solve(self, dtype):
        # In another dtype than its weights', a network can only be called as a whole.
        is_declared = isinstance(self._conditioner, AutoregressiveConditioner)
        return is_declared and self._conditioner.can_solve(dtype)

    def _solve(self, v, context=None):
        if self._can_solve(v.dtype):
            return self._conditioner.solve(v, context, _OneVariable(self._undo))
        return self._solve_by_sweeps(v, context)

    def _solve_by_sweeps(self, v, context):
        def sweep(u):
            return self._undo(v, self._conditioner(u, context))[0]

        u = _fixed_point(sweep, tf.zeros_like(v), v.shape[-1])
        u, log_det = self._undo(v, self._conditioner(u, context))
        return u, tf.reduce_sum(log_det, axis=-1)

    def _gradient(self, u, v, contexts, variables, u_bar, log_det_bar):
        sources = [u, *contexts, *variables]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(sources)
            p = self._conditioner(u, *(contexts or [None]))
        (u_by_v, u_by_p), (log_det_by_v, log_det_by_p) = _slopes(self._undo, v, p)
        log_det_bar = log_det_bar[..., None]
        offset = log_det_by_p * log_det_bar

        def back(p_bar, sources):
            return tape.gradient(p, sources, p_bar, unconnected_gradients="zero")

        def sweep(p_bar):
            return u_by_p * _per_parameter(u_bar + back(p_bar, u), p) + offset

        if self._can_solve(v.dtype):
            shape = tf.concat([tf.shape(u)[:-1], [-1, u.shape[-1]]], axis=0)
            by_p = [tf.reshape(a, shape) for a in (u_by_p, offset)]
            context = contexts[0] if contexts else None
            p_bar = self._conditioner.solve_adjoint(u, context, u_bar, *by_p)
            p_bar = tf.reshape(p_bar, tf.shape(p))
        else:
            p_bar = _fixed_point(sweep, tf.zeros_like(p), u.shape[-1])
        propagated, *gradients = back(p_bar, sources)
        v_bar = u_by_v * (u_bar + propagated) + log_det_by_v * log_det_bar
        inputs = [v_bar, *gradients[: len(contexts)]]
        return (inputs, gradients[len(contexts) :]) if variables else inputs


@dataclasses.dataclass(frozen=True)
class _OneVariable:
    """`undo` of one variable: `[1, N]` and `[P, N]`, as of N variables to it.

    Equal for steps of one transformer, so that a network's solution is traced once.
    """

    undo: Callable

    def __call__(self, v, parameters):
        return self.undo(v[0], tf.reshape(parameters, [-1]))


def _slopes(function, v, parameters):
    """Derivatives by both arguments of what an elementwise `function` returns."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([v, parameters])
        results = function(v, parameters)
    return [
        tape.gradient(result, [v, parameters], unconnected_gradients="zero")
        for result in results
    ]


def _per_parameter(values, parameters):
    """Repeats `[..., D]` to `[..., P * D]`."""
    return tf.concat([values] * (parameters.shape[-1] // values.shape[-1]), axis=-1)


def _fixed_point(sweep, start, most):
    """Repeats `sweep` until nothing changes, `most` times at most."""

    def changing(i, value, previous):
        return (i < most) & tf.reduce_any(value != previous)

    def body(i, value, _):
        return i + 1, sweep(value), value

    return tf.while_loop(
        changing, body, (tf.constant(1), sweep(start), start), maximum_iterations=most
    )[1]
