"""Quantiles of the normal distribution that are accurate in its tails, also under XLA."""

from __future__ import annotations

import math

import tensorflow as tf

# Coefficients, highest power first; denominators begin with 1.
_CENTRE = (
    *(-59.9633501014107895, 98.0010754185999661, -56.6762857469070293),
    *(13.9312609387279680, -1.23916583867381258),
)
_UNDER_CENTRE = (
    *(1.0, 1.95448858338141760, 4.67627912898881538, 86.3602421390890591),
    *(-225.462687854119371, 200.260212380060660, -82.0372256168333340),
    *(15.9056225126211696, -1.18331621121330003),
)
_TAIL = (
    *(4.05544892305962420, 31.5251094599893867, 57.1628192246421288),
    *(44.0805073893200835, 14.6849561928858024, 2.18663306850790268),
    *(-0.140256079171354496, -0.0350424626827848203, -8.57456785154685414e-4),
)
_UNDER_TAIL = (
    *(1.0, 15.7799883256466750, 45.3907635128879211, 41.3172038254672030),
    *(15.0425385692907503, 2.50464946208309416, -0.142182922854787789),
    *(-0.0380806407691578277, -9.33259480895457427e-4),
)


def lower_normal_quantile(p: tf.Tensor) -> tf.Tensor:
    """Returns z with `P(Z < z) = p`, for p, `[...]`, from 1e-14 to 1/2.

    XLA computes `tf.math.ndtri(p)` as `erfinv(2 p - 1)`, which in float32 is off by 0.03 at
    p = 1e-7, and minus infinity below 1.5e-8.

    Reference:
      Moshier, Cephes Mathematical Library, ndtri.c.
    """
    is_tail = p < math.exp(-2.0)
    y = p - 0.5
    square = y**2
    ratio = square * _polynomial(_CENTRE, square) / _polynomial(_UNDER_CENTRE, square)
    centre = math.sqrt(2.0 * math.pi) * (y + y * ratio)
    x = tf.sqrt(-2.0 * tf.math.log(p))
    z = 1.0 / x
    tail = tf.math.log(x) * z - x + z * _polynomial(_TAIL, z) / _polynomial(_UNDER_TAIL, z)
    return tf.where(is_tail, tail, centre)


def _polynomial(coefficients, x):
    value, *others = coefficients
    for coefficient in others:
        value = value * x + coefficient
    return value
