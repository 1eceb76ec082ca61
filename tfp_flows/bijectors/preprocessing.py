"""Maps of bounded data to the whole line, with likelihoods in the data's own units.

These bijectors stand at the data end of a chain. Each maps data towards the latent in
`inverse`, and a point outside its support has `log_det` minus infinity there, never NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_array, check_dtype, check_number, require
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.results import minus_infinity_outside


class Bounds(FlowBijector):
    """Maps intervals and half-lines to the whole line, for each variable.

    ```none
    inverse:  x = logit((y - low) / (high - low))    where both ends are finite
              x = log(y - low)                       where only `low` is
              x = -log(high - y)                     where only `high` is
              x = y                                  where neither is
    ```

    Args:
      low: lower ends, `[D]`; `-inf` where there is none.
      high: upper ends, `[D]`; `inf` where there is none.
      dtype: dtype of inputs.
      name: name of the bijector.

    Raises:
      ValueError: if the shapes differ or an interval is empty.

    >>> import numpy as np
    >>> import tfp_flows
    >>> bounds = tfp_flows.Bounds(low=[0.0, 0.0], high=[1.0, np.inf])
    >>> bounds.forward([[-9.0, -9.0], [9.0, 9.0]]).numpy().round(2)
    array([[0.00000e+00, 0.00000e+00],
           [1.00000e+00, 8.10308e+03]], dtype=float32)
    """

    def __init__(
        self,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "bounds",
    ) -> None:
        numpy_dtype = check_dtype("dtype", dtype).as_numpy_dtype
        low = check_array("low", low, numpy_dtype)
        high = check_array("high", high, numpy_dtype)
        fits, got = low.shape == high.shape, f"{low.shape} and {high.shape}"
        require(low.ndim == 1 and fits, "`low` and `high` of one shape `[D]`", got)
        got = f"{low.tolist()} and {high.tolist()}"
        require((low < high).all(), "`low` < `high`", got)
        super().__init__(event_ndims=1, event_shape=low.shape, dtype=dtype, name=name)
        self._low, self._high = low, high
        self._has_low, self._has_high = np.isfinite(low), np.isfinite(high)
        self._finite_low = np.where(self._has_low, low, 0).astype(numpy_dtype)
        self._finite_high = np.where(self._has_high, high, 0).astype(numpy_dtype)
        both = self._has_low & self._has_high
        self._width = np.where(both, self._finite_high - self._finite_low, 1)

    def _support(self):
        return self._low, self._high, 0.0

    def _forward_and_log_det(self, x, context, training):
        open_interval = _margin(tf.sigmoid(x), self.dtype)
        # Exponentials of other variables would overflow, with gradients of NaN.
        zero = tf.zeros_like(x)
        y = self._by_kind(
            both=self._finite_low + self._width * open_interval,
            low=self._finite_low + tf.exp(self._by_kind(zero, x, zero, zero)),
            high=self._finite_high - tf.exp(-self._by_kind(zero, zero, x, zero)),
            neither=x,
        )
        return y, -self._sum_log_slope(x)

    def _inverse_and_log_det(self, y, context, training):
        inside = _is_inside(y, self._low, self._high)
        # Points outside are replaced by an inner value, so that no gradient is NaN.
        unit = tf.where(inside, (y - self._finite_low) / self._width, 0.5)
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        x = self._by_kind(
            both=_logit(_margin(unit, self.dtype)),
            low=tf.math.log(tf.maximum(tf.where(inside, y - self._finite_low, 1), tiny)),
            high=-tf.math.log(tf.maximum(tf.where(inside, self._finite_high - y, 1), tiny)),
            neither=y,
        )
        return x, minus_infinity_outside(self._sum_log_slope(x), inside, y, [-1])

    def _by_kind(self, both, low, high, neither):
        one_sided = tf.where(self._has_low, low, tf.where(self._has_high, high, neither))
        return tf.where(self._has_low & self._has_high, both, one_sided)

    def _sum_log_slope(self, x):
        """Sum over the variables of `log |dx/dy|`, as a function of `x`."""
        zero = tf.zeros_like(x)
        log_width = np.log(self._width).astype(self.dtype.as_numpy_dtype)
        both = -tf.math.log_sigmoid(x) - tf.math.log_sigmoid(-x) - log_width
        return tf.reduce_sum(self._by_kind(both, -x, x, zero), axis=-1)


class Logit(FlowBijector):
    """`x = logit(alpha + (1 - 2 alpha) y)`, for data scaled to `[0, 1]`.

    The factor `1 - 2 alpha` is from the code of RealNVP and MAF; RealNVP's text has
    `1 - alpha`.

    Args:
      alpha: distance of the ends from 0 and 1; 0.05 in RealNVP, 1e-6 for MAF on MNIST.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      dtype: dtype of inputs.
      name: name of the bijector.

    Raises:
      ValueError: if `alpha` is not in `[0, 0.5)`.

    >>> import tfp_flows
    >>> tfp_flows.Logit(0.05).inverse([[0.0, 0.5, 1.0]]).numpy().round(3)
    array([[-2.944,  0.   ,  2.944]], dtype=float32)

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 4.1.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        alpha: float = 0.05,
        *,
        event_ndims: int = 1,
        dtype: tf.DType | str = tf.float32,
        name: str = "logit",
    ) -> None:
        check_number("alpha", alpha, "in [0, 0.5)", lambda alpha: 0 <= alpha < 0.5)
        super().__init__(event_ndims=event_ndims, dtype=dtype, name=name)
        self._alpha = alpha
        # Bounds on the output of `forward`, whose sigmoid may saturate.
        numpy_dtype = self.dtype.as_numpy_dtype
        self._low = numpy_dtype(-alpha / (1.0 - 2.0 * alpha))
        self._high = numpy_dtype((1.0 - alpha) / (1.0 - 2.0 * alpha))
        self._log_slope = np.log1p(-2.0 * alpha)

    @property
    def margin(self) -> float:
        """Distance by which outputs of `forward` exceed `[0, 1]`."""
        return self._alpha / (1.0 - 2.0 * self._alpha)

    def _support(self):
        return np.array(-self.margin), np.array(1.0 + self.margin), 1e-6

    def _forward_and_log_det(self, x, context, training):
        y = (tf.sigmoid(x) - self._alpha) / (1.0 - 2.0 * self._alpha)
        # Rounding, which differs under XLA, must not put an end outside.
        return tf.clip_by_value(y, self._low, self._high), -self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        inside = _is_inside(y, self._low, self._high)
        u = self._alpha + (1.0 - 2.0 * self._alpha) * y
        x = _logit(_margin(tf.where(inside, u, 0.5), self.dtype))
        log_det = self._log_det(x)
        return x, minus_infinity_outside(log_det, inside, y, self._event_axes())

    def _log_det(self, x):
        slope = self._log_slope - tf.math.log_sigmoid(x) - tf.math.log_sigmoid(-x)
        return tf.reduce_sum(slope, axis=self._event_axes())


def _is_inside(y, low, high):
    """Whether `y` is from `low` to `high`, or NaN, which later stays NaN."""
    return ~((y < low) | (y > high))


def _margin(unit, dtype):
    """Keeps the ends of `[0, 1]` from mapping to infinity."""
    epsilon = np.finfo(dtype.as_numpy_dtype).eps
    return tf.clip_by_value(unit, epsilon, 1.0 - epsilon)


def _logit(unit):
    """The log-odds of `unit`, in (0, 1)."""
    return tf.math.log(unit) - tf.math.log1p(-unit)
