"""Conditional densities of one number, by a monotone spline of parameters of a network."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_flows.tables.normal_interval import normal_cdf
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.spline import CircularSpline
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["CircleConditional", "LineConditional"]

_LOG_SQRT_2_PI = 0.5 * math.log(2.0 * math.pi)
# Of the weight of the tails: as of `HeavyTails`, which are learned as slowly.
_FIRST_WEIGHT, _PACE, _BOUND = 0.3, 0.25, 7.0
_MOST_LOG_SCALE = 7.0
_FAR = 1e12


class LineConditional:
    """A density on the line: a normal one, through tails, a spline, a scale and a shift.

    ```none
    z = asinh(w spline((u - shift) exp(-log_scale))) / w,   z standard normal
    log p(u) = log normal(z) + log dz/du,    P(U <= u) = normal_cdf(z)
    ```

    Parameters of zero are nearly the standard normal, with heavier tails (Johnson's S_U).

    Args:
      num_bins: bins of the spline.
      bound: the spline is on `[-bound, bound]`.

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
      https://arxiv.org/abs/1906.04032
    """

    def __init__(self, num_bins: int, bound: float = 3.0) -> None:
        self._spline = RationalQuadraticSpline(num_bins, bound)

    @property
    def num_parameters(self) -> int:
        """P: shift, log-scale, weight of the tails, and the spline's."""
        return 3 + self._spline.num_parameters

    def latent_and_log_slope(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z and `log dz/du`, of `u`, `[..., D]`, and parameters `[..., P, D]`."""
        shift, log_scale, weight, of_spline = self._parts(parameters)
        inside, log_slope = self._spline.forward_and_log_det(
            (u - shift) * tf.exp(-log_scale), of_spline
        )
        scaled = weight * inside
        log_slope -= log_scale + 0.5 * tf.math.log1p(scaled**2)
        return tf.asinh(scaled) / weight, log_slope

    def cdf(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns `P(U <= u)`, `[..., D]`; infinite u are those of an end."""
        near = tf.clip_by_value(u, -_FAR, _FAR)
        z, _ = self.latent_and_log_slope(near, parameters)
        return tf.where(tf.math.is_inf(u), 0.5 + 0.5 * tf.sign(u), normal_cdf(z))

    def value(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns u, whose `cdf` is that of a standard normal z, `[..., D]`."""
        shift, log_scale, weight, of_spline = self._parts(parameters)
        inside = tf.sinh(tf.clip_by_value(weight * z, -30.0, 30.0)) / weight
        u, _ = self._spline.inverse_and_log_det(inside, of_spline)
        return shift + tf.exp(log_scale) * u

    def log_prob_and_cdf(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log-densities and `P(U <= u)`, `[..., D]`."""
        z, log_slope = self.latent_and_log_slope(u, parameters)
        return log_slope - 0.5 * z**2 - _LOG_SQRT_2_PI, normal_cdf(z)

    def _parts(self, parameters):
        shift, log_scale, tail, of_spline = tf.split(
            parameters, [1, 1, 1, self._spline.num_parameters], axis=-2
        )
        tail = soft_bounded_scale(_PACE * tail[..., 0, :], _BOUND)
        log_scale = soft_bounded_scale(log_scale[..., 0, :], _MOST_LOG_SCALE)
        return shift[..., 0, :], log_scale, _FIRST_WEIGHT * tf.exp(tail), of_spline


class CircleConditional:
    """A density on the circle `[-pi, pi)`: the uniform one, through a spline and a turn.

    Args:
      num_bins: bins of the spline.

    Reference:
      Rezende et al. (2020), Normalizing flows on tori and spheres.
      https://arxiv.org/abs/2002.02428
    """

    def __init__(self, num_bins: int) -> None:
        self._spline = CircularSpline(num_bins)

    @property
    def num_parameters(self) -> int:
        """P: those of the spline."""
        return self._spline.num_parameters

    def log_prob_and_cdf(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log-densities, `[..., D]`, and 1/2: a circle has no tails."""
        _, log_slope = self._spline.forward_and_log_det(u, parameters)
        log_prob = log_slope - math.log(2.0 * math.pi)
        return log_prob, tf.fill(tf.shape(log_prob), tf.constant(0.5, log_prob.dtype))

    def cdf(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns the probability of angles from -pi to u, `[..., D]`."""
        near = tf.clip_by_value(u, -math.pi, math.pi)
        turned = self._turns(near, parameters) - self._turns(-math.pi, parameters)
        inside = tf.math.floormod(turned, 1.0)
        return tf.where(u >= math.pi, tf.ones_like(inside), inside)

    def value(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns u, whose `cdf` is that of a standard normal z, `[..., D]`."""
        turns = self._turns(-math.pi, parameters) + normal_cdf(z)
        angle = 2.0 * math.pi * tf.math.floormod(turns, 1.0) - math.pi
        u, _ = self._spline.inverse_and_log_det(angle, parameters)
        return u

    def _turns(self, u, parameters):
        u = u + tf.zeros_like(parameters[..., 0, :])
        angle, _ = self._spline.forward_and_log_det(u, parameters)
        return (angle + math.pi) / (2.0 * math.pi)
