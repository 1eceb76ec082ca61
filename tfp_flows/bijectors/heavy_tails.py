"""Heavier tails between a flow's steps and its base, for rows far from the training set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_choice, check_size
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.affine import soft_bounded_scale

# Weight of each variable, initially.
_FIRST_WEIGHT = 0.3
# Degrees of freedom of the length: initially, and at least.
_FIRST_DEGREES, _LEAST_DEGREES = 8.0, 2.0
# Factor of the learning rate of tails. Latents of training rows have lighter tails than
# latents of new rows, so tails are learned slowly and stay heavy for small tables.
_PACE = 0.25
# Bound on log-weights; at the lower end tails are Gaussian.
_BOUND = 7.0
# Above this number of variables, degrees of freedom grow with sqrt(D), as the standard
# deviation of s does. With fixed degrees, a tenth of samples of 784 variables would
# overflow.
_FEW = 32.0


class HeavyTails(FlowBijector):
    """Makes the tails of a normal base heavy, for each variable and for all together.

    ```none
    inverse:  s = D (mean |y_i|)^2 / (2 / pi), which is D where y is normal
              t = s                             where s <= D
                  D + a log(1 + (s - D) / a)    elsewhere
              v = sqrt(t / s) y
              x_i = sign(v_i) sqrt(log(1 + (w_i v_i)^2)) / w_i
    log_det:  (D / 2 - 1) log(t / s) - log(1 + (s - D) / a)    where s > D
              + sum(log(v_i / x_i) - log(1 + (w_i v_i)^2))
    forward:  v_i = sign(x_i) sqrt(exp((w_i x_i)^2) - 1) / w_i, then s of t, and y
    ```

    A flow of few training rows maps some new rows far out. With normal tails such a row
    costs its squared distance; here, about the distance's logarithm. The last line gives
    each variable the tails of a Student-t of `1 / w_i^2` degrees of freedom. The others
    give all variables together the tails of a multivariate Student-t, which cancels the
    log-det that steps gain by stretching a row in all directions. (The mean of |y_i| is
    less sensitive to a few large variables than a sum of squares.) With one variable, only
    the last line applies. The w_i and a are weights: where tails are light, training makes
    the w_i small and a large.

    It is the identity until `initialize`. Then all w_i are 0.3, and a is 8, or 12 for two
    variables, or 8 sqrt(D / 32) for D above 32. An inverted one stays the identity.

    Args:
      event_size: number of variables, D.
      kind: "student" or "sinh". For "sinh", the last line is `asinh(w_i y_i) / w_i` and
        comes first: rows with a single far variable cost more, and some samples lie
        thousands of times as far out as others.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` is below 1, or `kind` is another string.

    >>> import tfp_flows
    >>> tails = tfp_flows.HeavyTails(1)
    >>> tails.initialize([[0.0]])
    >>> tails.forward([[1.0], [5.0]]).numpy().round(1)
    array([[1. ],
           [9.7]], dtype=float32)

    Reference:
      Jones, Pewsey (2009), Sinh-arcsinh distributions ("sinh").
      https://doi.org/10.1093/biomet/asp053
    """

    def __init__(
        self,
        event_size: int,
        *,
        kind: str = "student",
        dtype: tf.DType | str = tf.float32,
        name: str = "heavy_tails",
    ) -> None:
        check_size("event_size", event_size)
        check_choice("kind", kind, tuple(_MAPS))
        super().__init__(event_ndims=1, event_shape=[event_size], dtype=dtype, name=name)
        self._map = _MAPS[kind]
        self._order = self._map.order
        self._size = float(event_size)
        self._spread = math.sqrt(max(1.0, self._size / _FEW))
        if kind == "student" and event_size == 1:
            self._order = ("each",)  # the length is the variable itself
        if kind == "student" and event_size == 2:
            self._spread = 1.5  # else samples lie as far out as with sinh
        zeros = tf.zeros(event_size, self.dtype)
        self._weight = tf.Variable(zeros, name="tail_weight")
        has_length = "length" in self._order
        self._degrees = tf.Variable(zeros[0], trainable=has_length, name="tail_degrees")
        self._initialized = tf.Variable(False, trainable=False, name="initialized")
        self._heavy = tf.Variable(False, trainable=False, name="heavy")

    @property
    def reads_rows(self) -> bool:
        """Whether `initialize` uses the values of the rows: False."""
        return False

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has decided if tails are heavy."""
        return bool(self._initialized.numpy())

    def _initialize(self, data, context, weight):
        self._heavy.assign(True)
        self._initialized.assign(True)

    def _initialize_inverted(self, data, context, weight):
        # Inverted, it would make the tails of the data lighter.
        self._initialized.assign(True)

    def _inverse_and_log_det(self, y, context, training):
        most = y.dtype.max**0.4  # beyond it, squares overflow
        value = tf.clip_by_value(y, -most, most)
        # The cost of the clipped part: steps that stretch far rows gain nothing.
        beyond = tf.math.log(tf.maximum(tf.abs(y) / most, 1.0))
        log_det = -tf.reduce_sum(beyond, axis=-1)
        maps = {"length": self._inverse_of_length, "each": self._inverse_of_each}
        for name in self._order:
            value, from_part = maps[name](value)
            log_det += from_part
        return self._if_heavy(y, value, log_det)

    def _forward_and_log_det(self, x, context, training):
        value, log_det, most = x, tf.zeros([], x.dtype), x.dtype.max**0.4
        maps = {"length": self._forward_of_length, "each": self._forward_of_each}
        for name in reversed(self._order):
            value, from_part = maps[name](tf.clip_by_value(value, -most, most), most)
            log_det += from_part
        return self._if_heavy(x, value, log_det)

    def _inverse_of_length(self, y):
        degrees = self._spread * _degrees(self._degrees)
        s = tf.maximum(self._squared_length(y), self._size)
        log_slope = tf.math.log1p((s - self._size) / degrees)
        t = self._size + degrees * log_slope
        return y * tf.sqrt(t / s)[..., None], self._log_det_of_length(s, t, log_slope)

    def _forward_of_length(self, v, most):
        degrees = self._spread * _degrees(self._degrees)
        t = tf.maximum(self._squared_length(v), self._size)
        log_slope = tf.minimum((t - self._size) / degrees, math.log(most**2))  # of s
        s = self._size + degrees * tf.math.expm1(log_slope)
        return v * tf.sqrt(s / t)[..., None], -self._log_det_of_length(s, t, log_slope)

    def _inverse_of_each(self, v):
        weight = _FIRST_WEIGHT * _factor(self._weight)
        scaled = weight * v
        log_det = tf.reduce_sum(self._map.log_slope(scaled), axis=-1)
        return self._map.apply(scaled) / weight, log_det

    def _forward_of_each(self, x, most):
        weight = _FIRST_WEIGHT * _factor(self._weight)
        limit = self._map.apply(tf.constant(most, x.dtype))
        scaled = self._map.undo(tf.clip_by_value(weight * x, -limit, limit))
        log_det = -tf.reduce_sum(self._map.log_slope(scaled), axis=-1)
        return scaled / weight, log_det

    def _squared_length(self, u):
        return 0.5 * math.pi * self._size * tf.reduce_mean(tf.abs(u), axis=-1) ** 2

    def _log_det_of_length(self, s, t, log_slope):
        """Returns the log-det of the inverse; `log_slope` is `-log dt/ds`."""
        return (0.5 * self._size - 1.0) * tf.math.log(t / s) - log_slope

    def _if_heavy(self, value, mapped, log_det):
        is_heavy = tf.convert_to_tensor(self._heavy)
        log_det = tf.where(is_heavy, log_det, tf.zeros_like(log_det))
        return tf.where(is_heavy, mapped, value), log_det


def _degrees(weight):
    return _LEAST_DEGREES + (_FIRST_DEGREES - _LEAST_DEGREES) * _factor(weight)


def _factor(weight):
    return tf.exp(soft_bounded_scale(_PACE * weight, _BOUND))


def _student(x):
    return x * tf.sqrt(_mean_log1p(x**2))


def _inverse_student(v):
    return v * tf.sqrt(_mean_slope(tf.math.expm1, v**2, (1 / 2, 1 / 6, 1 / 24)))


def _student_log_slope(x):
    return -0.5 * tf.math.log(_mean_log1p(x**2)) - tf.math.log1p(x**2)


def _sinh_log_slope(x):
    return -0.5 * tf.math.log1p(x**2)


def _mean_log1p(q):
    return _mean_slope(tf.math.log1p, q, (-1 / 2, 1 / 3, -1 / 4))


def _mean_slope(function, q, series):
    """Returns `function(q) / q` for `q >= 0`, safe at 0, gradients included.

    `series` are the Taylor coefficients of the function, from the one of `q^2` on.
    """
    is_small = q < np.finfo(q.dtype.as_numpy_dtype).eps ** 0.5
    rest, small = tf.zeros_like(q), tf.where(is_small, q, tf.zeros_like(q))
    for coefficient in reversed(series):  # powers have no second derivative at 0
        rest = small * (coefficient + rest)
    safe = tf.where(is_small, tf.ones_like(q), q)
    return tf.where(is_small, 1.0 + rest, function(safe) / safe)


class _Map(NamedTuple):
    """An odd map of slope 1 at 0, applied to `w y` for each variable by the inverse.

    Attributes:
      order: what the inverse maps, one after the other: the "length" of all variables
        together, and "each" of them by this map.
      apply: the map.
      undo: its inverse.
      log_slope: the logarithm of its slope.
    """

    order: tuple
    apply: Callable
    undo: Callable
    log_slope: Callable


_MAPS = {
    "student": _Map(("length", "each"), _student, _inverse_student, _student_log_slope),
    "sinh": _Map(("each", "length"), tf.asinh, tf.sinh, _sinh_log_slope),
}
