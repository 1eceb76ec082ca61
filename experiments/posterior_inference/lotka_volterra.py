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

    Args:
      theta: a, b, c, e, `[..., 4]`.
      z_init: u and v at time 0, `[..., 2]`.
      times: `[T]`, in rising order, NumPy.

    Returns:
      Log of u and v at each of the times, `[..., T, 2]`.
    """
    a, b, c, e = (theta[..., i] for i in range(4))
    rates, couplings = tf.stack([a, -c], axis=-1), tf.stack([-b, e], axis=-1)

    def slope(z):
        return rates + couplings * tf.reverse(tf.exp(z), axis=[-1])

    def step(z, h):
        k1 = slope(z)
        k2 = slope(z + 0.5 * h * k1)
        k3 = slope(z + 0.5 * h * k2)
        k4 = slope(z + h * k3)
        return z + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)

    lengths = np.diff(times, prepend=0.0)
    steps = max(1, int(np.ceil(_STEPS * lengths.max())))

    def advance(z, length):
        for _ in range(steps):
            z = step(z, length / steps)
        return z

    states = tf.scan(advance, tf.constant(lengths, z_init.dtype), tf.math.log(z_init))
    return tf.stack([states[i] for i in range(len(times))], axis=-2)


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
