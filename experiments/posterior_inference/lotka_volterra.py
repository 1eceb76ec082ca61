"""Predators and their prey: the equations of Lotka and Volterra with noisy counts."""

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.targets import Target

__all__ = ["lotka_volterra", "solve"]

tfd = tfp.distributions
_Root = tfd.JointDistributionCoroutine.Root
# Of a unit of time. More of them change log-densities of draws by less than 1e-3.
_STEPS = 8


class _NormalAboveZero(tfd.TruncatedNormal):
    """Normals above zero; TFP's default bijector needs a finite upper end."""

    def _default_event_space_bijector(self):
        return tfp.bijectors.Exp()


def solve(theta, z_init, times):
    """Solves the equations by the classical method of Runge and Kutta.

    ```none
    d log u / dt = a - b v,      d log v / dt = -c + e u
    ```

    The gradient is that of the steps, by sensitivities that take the same steps forwards:
    of hundreds of steps, nothing has to be kept for a way back.

    Args:
      theta: a, b, c, e, `[..., 4]`.
      z_init: u and v at time 0, `[..., 2]`.
      times: `[T]`, in rising order, NumPy.

    Returns:
      Log of u and v at each of the times, `[..., T, 2]`.
    """
    spans = np.diff(times, prepend=0.0)
    steps = max(1, int(np.ceil(_STEPS * spans.max())))
    lengths = tf.constant(np.repeat(spans / steps, steps), z_init.dtype)

    @tf.custom_gradient
    def solution(p):
        def gradient(upstream):  # [T, 2, ...] by [T, 3, 2, 2, ...]
            by_p = tf.scan(_steps(p, _both), lengths, (p[2], _start(p)))[1]
            moved = upstream[:, None, None] * by_p[steps - 1 :: steps]
            return tf.reduce_sum(moved, axis=[0, 3])

        z = tf.scan(_steps(p, lambda p, z: (_slope(p, *z),)), lengths, (p[2],))[0]
        return z[steps - 1 :: steps], gradient

    a, b, c, e = tf.unstack(theta, num=4, axis=-1)
    start = tf.unstack(tf.math.log(z_init), num=2, axis=-1)
    z = solution(tf.stack([tf.stack([a, -c]), tf.stack([-b, e]), tf.stack(start)]))
    rank = len(z.shape)
    return tf.transpose(z, [*range(2, rank), 0, 1])


def _slope(p, z):
    """Of `z`, `[2, ...]`; `p`, `[3, 2, ...]`, has rates, couplings and the start."""
    return p[0] + p[1] * tf.reverse(tf.exp(z), [0])


def _both(p, state):
    """Slopes of z, `[2, ...]`, and of its derivatives by p, `[3, 2, 2, ...]`."""
    z, by_p = state
    others = tf.reverse(tf.exp(z), [0])
    eye = _start(p)[2]
    direct = tf.stack([eye, eye * others, tf.zeros_like(eye)])
    return p[0] + p[1] * others, direct + p[1] * others * tf.reverse(by_p, [2])


def _start(p):
    """Derivatives of the start by p: only by itself."""
    eye = tf.reshape(tf.eye(2, dtype=p.dtype), [2, 2] + [1] * (len(p.shape) - 2))
    eye += tf.zeros_like(p[:1])
    return tf.stack([tf.zeros_like(eye), tf.zeros_like(eye), eye])


def _steps(p, slope):
    """A function from a state, a tuple of tensors, and a length to the next state."""

    def moved(state, h, k):
        return tuple(x + h * dx for x, dx in zip(state, k, strict=True))

    def step(state, h):
        k1 = slope(p, state)
        k2 = slope(p, moved(state, 0.5 * h, k1))
        k3 = slope(p, moved(state, 0.5 * h, k2))
        k4 = slope(p, moved(state, h, k3))
        k = [a + 2.0 * (b + c) + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]
        return moved(state, h / 6.0, k)

    return step


def lotka_volterra(data):
    """Returns the `Target` of counts of prey and predators.

    Args:
      data: `y_init`, `[2]`, at time 0, and `y`, `[T, 2]`, at the times `ts`, `[T]`.
    """
    middle, spread = np.float32([[1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05]])

    def model():
        theta = yield _Root(
            tfd.Independent(_NormalAboveZero(middle, spread, 0.0, np.inf), 1, name="theta")
        )
        z_init = yield _Root(
            tfd.Sample(tfd.LogNormal(math.log(10.0), 1.0), 2, name="z_init")
        )
        sigma = yield _Root(tfd.Sample(tfd.LogNormal(-1.0, 1.0), 2, name="sigma"))
        first = tfd.LogNormal(tf.math.log(z_init), sigma)
        yield tfd.Independent(first, 1, name="y_init")
        wide = (tf.cast(p, tf.float64) for p in (theta, z_init))
        log_z = tf.cast(solve(*wide, data["ts"]), theta.dtype)
        counts = tfd.LogNormal(log_z, sigma[..., None, :])
        yield tfd.Independent(counts, 2, name="y")

    build = functools.partial(tfd.JointDistributionCoroutine, model)
    return Target(build, {n: data[n].astype(np.float32) for n in ("y_init", "y")})
