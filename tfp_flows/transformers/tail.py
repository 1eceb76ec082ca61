"""A map between light and heavy tails, with learned tail weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet

_LEAST_WEIGHT = 1e-3
_MOST_RAW = 10.0  # soft bound of the parameter of a weight
_RAW_AT_ZERO = math.log(math.expm1(0.25))  # the inverse softplus of the first weight

# Below this log-probability, the inverse of erfc starts from its asymptote.
_LOG_G_OF_FAR = math.log(1e-4)


class Tail(Transformer):
    """Gives each side of a normal variable a generalised Pareto tail.

    With `E = log erfc(|x| / sqrt(2))`, and `lam` the weight of the tail on the side of x:

    ```none
    y = mu + sigma sign(x) (exp(-lam E) - 1) / lam
    log dy/dx = log sigma - (lam + 1) E - x^2 / 2 + log(2 / pi) / 2
    inverse: log g = -log(1 + lam |y - mu| / sigma) / lam,   |x| = sqrt(2) erfc^-1(g)
    ```

    A Student-t distribution of nu degrees of freedom has tails of weight 1 / nu. Light
    tails have weights near 0; the map is then about `0.8 sigma x` at the centre, not the
    identity. E is computed from the logarithm of erfcx, since erfc underflows beyond
    |x| = 14 in float32. The inverse of erfc ends with Newton's steps on that logarithm.

    The parameters of a variable are mu, log sigma (between -2 and 2), and the weights of
    the lower and upper tail by softplus. Zeros give moderately heavy tails, of weight 0.25.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.Tail()
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Hickling, Prangle (2025), Flexible tails for normalizing flows.
      https://arxiv.org/abs/2406.16971
    """

    num_parameters = 4

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 4, D]`; log-dets `[..., D]`."""
        mu, log_sigma, *weights = self.constrain(parameters)
        weight = _on_side_of(x, *weights)
        # Clipped where the value would overflow.
        most = x.dtype.max**0.4
        sign = tf.where(x < 0.0, -tf.ones_like(x), tf.ones_like(x))  # 1 at 0
        t = sign * tf.clip_by_value(x, -most, most) / math.sqrt(2.0)
        log_erfcx = tfp.math.logerfcx(t)
        exponent = weight * (t**2 - log_erfcx)
        size = tf.math.expm1(tf.minimum(exponent, 0.8 * math.log(x.dtype.max))) / weight
        log_det = log_sigma + exponent - log_erfcx + 0.5 * math.log(2.0 / math.pi)
        return mu + tf.exp(log_sigma) * sign * size, log_det

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self.inverse_by_root(self._root, y, parameters)

    def _root(self, y, parameters):
        mu, log_sigma, *weights = self.constrain(parameters)
        weight = _on_side_of(y - mu, *weights)
        most = y.dtype.max**0.8
        distance = tf.clip_by_value((y - mu) * tf.exp(-log_sigma), -most, most)
        log_g = -tf.math.log1p(weight * tf.abs(distance)) / weight
        return math.sqrt(2.0) * tf.sign(distance) * _inverse_log_erfc(log_g)

    @staticmethod
    def raw_weights(weights: np.ndarray) -> np.ndarray:
        """Returns parameters that give these tail weights, within 0.001 and 8.7."""
        positive = np.maximum(np.asarray(weights, np.float64) - _LEAST_WEIGHT, 1e-6)
        raw = np.log(np.expm1(positive)) - _RAW_AT_ZERO
        return _MOST_RAW * np.arctanh(np.clip(raw / _MOST_RAW, -0.999, 0.999))

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """mu, log sigma, and the weights of the lower and upper tail, `[..., D]` each."""
        mu, log_sigma, lower, upper = super().constrain(parameters)
        return mu, soft_bounded_scale(log_sigma), _weight(lower), _weight(upper)


def _weight(raw):
    raw = soft_bounded_scale(raw, _MOST_RAW)
    return _LEAST_WEIGHT + tf.math.softplus(raw + _RAW_AT_ZERO)


def _on_side_of(x, lower, upper):
    return tf.where(x < 0.0, lower, upper)


def _inverse_log_erfc(log_g):
    """Solves `log erfc(t) = log_g` for t, with `log_g` of 0 or less."""
    is_near = log_g > _LOG_G_OF_FAR
    edge = tf.fill(tf.shape(log_g), tf.constant(_LOG_G_OF_FAR, log_g.dtype))
    near = tfp.math.erfcinv(tf.exp(tf.where(is_near, log_g, edge)))
    eta = math.log(2.0 / math.pi) - 2.0 * tf.where(is_near, edge, log_g)
    far = tf.sqrt(0.5 * (eta - tf.math.log(eta)))
    t = tf.where(is_near, near, far)
    for _ in range(2):  # Newton's steps also remove the jump between the two starts
        log_erfcx = tfp.math.logerfcx(t)
        t += (log_erfcx - t**2 - log_g) * (0.5 * math.sqrt(math.pi)) * tf.exp(log_erfcx)
    return t
