"""Smooth maps of the line, near the identity far out, with inverses in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet


class CubicRational(Transformer):
    """`y = x + alpha u / (1 + beta u^2)`, with `u = x - loc`.

    ```none
    r = 1 / (1 + beta u^2)
    dy/dx = 1 + alpha r (2 r - 1)        above 0, since -1 < alpha < 8
    inverse: the real root of the cubic  beta v^3 - beta Y v^2 + (alpha + 1) v - Y = 0,
             Y = y - loc,  x = loc + v
    ```

    The parameters of a variable are alpha (between its bounds, by a sigmoid), beta (above
    0.1, by softplus) and loc; zeros give the identity.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.CubicRational()
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Gerdes, Cheng (2026), Analytic bijections. https://arxiv.org/abs/2601.10774
    """

    num_parameters = 3

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 3, D]`; log-dets `[..., D]`."""
        alpha, beta, loc = self.constrain(parameters)
        u = _near(x - loc)
        r = 1.0 / (1.0 + beta * u**2)
        return x + alpha * u * r, tf.math.log1p(alpha * r * (2.0 * r - 1.0))

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self.inverse_by_root(self._root, y, parameters)

    def _root(self, y, parameters):
        alpha, beta, loc = self.constrain(parameters)
        near = _near(y - loc)
        x = y - near + _cubic_root(near, alpha, beta)
        for _ in range(2):  # Newton's steps, since the formula rounds
            value, log_det = self.forward_and_log_det(x, parameters)
            x += (y - value) * tf.exp(-log_det)
        return x

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """alpha, beta and loc, `[..., D]` each."""
        alpha, beta, loc = super().constrain(parameters)
        low, high = -1.0 + 1e-3, 8.0 - 1e-3
        at_zero = math.log(-low / high)
        alpha = low + (high - low) * tf.sigmoid(alpha + at_zero)
        return alpha, _above_a_tenth(beta), loc


class SinhConjugation(Transformer):
    """`y = loc + a asinh(exp(mu) (exp(nu) sinh((x - loc) / a) + beta))`.

    ```none
    U = (x - loc) / a,   z = exp(mu) (exp(nu) sinh(U) + beta)
    log dy/dx = mu + nu + log cosh(U) - log(1 + z^2) / 2
    inverse: the same map with (beta, mu, nu) -> (-beta, -nu, -mu)
    ```

    Far out it adds `a (mu + nu)` to the distance from loc.

    The parameters of a variable are loc, a (above 0.1 by softplus), mu and nu (between -3
    and 3), and beta (by asinh); zeros give the identity.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.SinhConjugation()
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Gerdes, Cheng (2026), Analytic bijections. https://arxiv.org/abs/2601.10774
    """

    num_parameters = 5

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 5, D]`; log-dets `[..., D]`."""
        loc, a, mu, nu, beta = self.constrain(parameters)
        return _sinh_conjugate(x, loc, a, mu, nu, beta)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        loc, a, mu, nu, beta = self.constrain(parameters)
        return _sinh_conjugate(y, loc, a, -nu, -mu, -beta)

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """loc, a, mu, nu and beta, `[..., D]` each."""
        loc, a, mu, nu, beta = super().constrain(parameters)
        mu, nu = soft_bounded_scale(mu, 3.0), soft_bounded_scale(nu, 3.0)
        return loc, _above_a_tenth(a), mu, nu, tf.asinh(beta)


class CubicConjugation(Transformer):
    """`y = loc + g^-1(g(x - loc) + beta)`, with `g(u) = a u + b u^3`.

    ```none
    u = x - loc,   v = y - loc
    log dy/dx = log(a + 3 b u^2) - log(a + 3 b v^2)
    inverse: the same map with beta -> -beta
    ```

    The parameters of a variable are loc, a and b (between exp(-2) and exp(2)), and beta;
    zeros give the identity.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.CubicConjugation()
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Gerdes, Cheng (2026), Analytic bijections. https://arxiv.org/abs/2601.10774
    """

    num_parameters = 4

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 4, D]`; log-dets `[..., D]`."""
        return self._shifted(x, parameters, 1.0)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self._shifted(y, parameters, -1.0)

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """loc, a, b and beta, `[..., D]` each."""
        loc, a, b, beta = super().constrain(parameters)
        return loc, tf.exp(soft_bounded_scale(a)), tf.exp(soft_bounded_scale(b)), beta

    def _shifted(self, value, parameters, sign):
        loc, a, b, beta = self.constrain(parameters)
        u = _near(value - loc, 0.2)
        shifted = _near(a * u + b * u**3 + sign * beta, 0.8)
        v = _inverse_of_cubic(shifted, a, b)
        log_det = tf.math.log(a + 3.0 * b * u**2) - tf.math.log(a + 3.0 * b * v**2)
        return value - u + v, log_det


def _above_a_tenth(raw):
    """Returns a number above 0.1 for any `raw`; 1 at 0."""
    return 0.1 + tf.math.softplus(raw + math.log(math.expm1(0.9)))


def _near(u, power=0.4):
    """Clips `u` where its powers would overflow; the maps add a constant beyond."""
    most = u.dtype.max**power
    return tf.clip_by_value(u, -most, most)


def _sinh_conjugate(x, loc, a, mu, nu, beta):
    most = 0.4 * math.log(x.dtype.max)
    u = tf.clip_by_value(_near(x - loc, 0.8) / a, -most, most)
    z = tf.exp(mu) * (tf.exp(nu) * tf.sinh(u) + beta)
    size = tf.abs(u)
    log_cosh = size + tf.math.log1p(tf.exp(-2.0 * size)) - math.log(2.0)
    log_det = mu + nu + log_cosh - 0.5 * tf.math.log1p(z**2)
    return x + a * (tf.asinh(z) - u), log_det


def _inverse_of_cubic(value, a, b):
    """Solves `a v + b v^3 = value` for v, in a form that does not cancel."""
    third = tf.sqrt(a / b / 3.0)
    return 2.0 * third * tf.sinh(tf.asinh(0.5 * value / b / third**3) / 3.0)


def _cubic_root(y, alpha, beta):
    """The real root v of `beta v^3 - beta y v^2 + (alpha + 1) v - y = 0`."""
    # In units of max(|y|, 1), so that no power overflows.
    unit = tf.maximum(tf.abs(y), 1.0)
    b = -y / unit
    c = (alpha + 1.0) / beta / unit / unit
    d = b / beta / unit / unit
    d0 = b**2 - 3.0 * c
    d1 = 2.0 * b**3 - 9.0 * b * c + 27.0 * d
    sign = tf.where(d1 >= 0.0, tf.ones_like(d1), -tf.ones_like(d1))
    root = tf.sqrt(tf.maximum(d1**2 - 4.0 * d0**3, 0.0))
    cube = (d1 + sign * root) / 2.0
    cube_root = sign * tf.abs(cube) ** (1.0 / 3.0)
    # The cube root is 0 only for a triple root, where d0 is 0 too.
    is_zero = tf.equal(cube_root, 0.0)
    zeros, ones = tf.zeros_like(d0), tf.ones_like(d0)
    other = tf.where(is_zero, zeros, d0) / tf.where(is_zero, ones, cube_root)
    return -unit * (b + cube_root + other) / 3.0
