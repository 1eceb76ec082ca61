"""Poisson counts whose log-rates are a Gaussian process."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.targets import Target

__all__ = ["poisson_regression"]

tfd = tfp.distributions
_Root = tfd.JointDistributionCoroutine.Root
_JITTER = 1e-10


def poisson_regression(data):
    """Returns the `Target` of counts `k` at points `x`, `[N]` each.

    The process is given as `f = L z`, with standard normal z and L a Cholesky factor.

    Args:
      data: `x` and `k`.
    """
    squares = (data["x"][:, None] - data["x"]) ** 2
    size = len(data["x"])

    def factor(rho, alpha):
        rho, alpha = _within(rho, 1e-3, 1e3), _within(alpha, 0.0, 1e6)
        kernel = alpha**2 * tf.exp(-0.5 * squares / rho**2)
        # More than the model's only for an alpha of 30 and more, where it would be lost.
        jitter = tf.maximum(1e-13 * alpha**2, _JITTER)
        return tf.linalg.cholesky(kernel + jitter * np.eye(size))

    def process(rho, alpha, z):
        return tf.linalg.matvec(factor(rho, alpha), tf.cast(z, tf.float64))

    def model():
        rho = yield _Root(tfd.Gamma(25.0, 4.0, name="rho"))
        alpha = yield _Root(tfd.HalfNormal(2.0, name="alpha"))
        z = yield _Root(tfd.Sample(tfd.Normal(0.0, 1.0), size, name="z"))
        log_rate = tf.cast(process(rho, alpha, z), z.dtype)
        yield tfd.Independent(tfd.Poisson(log_rate=log_rate), 1, name="k")

    def parameters(parts):
        rho, alpha, z = parts
        columns = [np.stack([rho, alpha], axis=-1), process(rho, alpha, z)]
        return np.concatenate(columns, axis=-1)

    def parts(rows):
        rho, alpha, f = rows[..., 0], rows[..., 1], rows[..., 2:]
        z = np.linalg.solve(factor(rho, alpha), f[..., None].astype(np.float64))
        return [rho, alpha, z[..., 0]]

    build = functools.partial(tfd.JointDistributionCoroutine, model)
    observed = {"k": data["k"].astype(np.float32)}
    return Target(build, observed, parameters=parameters, parts=parts)


def _within(value, low, high):
    """In float64, `[..., 1, 1]`, and such that a Cholesky factor exists.

    TensorFlow raises an error where there is none, also for one of many draws.
    """
    value = tf.cast(value, tf.float64)[..., None, None]
    value = tf.where(tf.math.is_finite(value), value, 1.0)
    return tf.clip_by_value(value, low, high)
