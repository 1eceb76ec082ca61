"""Monotone rational-quadratic splines, on an interval and on a circle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_number
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.bins_first import bins_first
from tfp_flows.transformers.bins_first import with_bins_first
from tfp_flows.transformers.knots import bin_of
from tfp_flows.transformers.knots import knots_last_but_one
from tfp_flows.transformers.knots import knots_of
from tfp_flows.transformers.transformer import Transformer

__all__ = ["CircularSpline", "RationalQuadraticSpline"]

# Least slope at a knot. The largest one, which the paper does not bound, keeps the inverse
# well-conditioned.
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 30.0


class RationalQuadraticSpline(Transformer):
    """A monotone spline on `[-bound, bound]`, and the identity outside.

    In the bin from knot `(x_0, y_0)` to `(x_1, y_1)`, with slopes `d_0` and `d_1` there:

    ```none
    t = (x - x_0) / (x_1 - x_0),   h = y_1 - y_0,   s = h / (x_1 - x_0)
    y = y_0 + h (s t^2 + d_0 t (1 - t)) / (s + (d_0 + d_1 - 2 s) t (1 - t))
    dy/dx = s^2 (d_1 t^2 + 2 s t (1 - t) + d_0 (1 - t)^2)
            / (s + (d_0 + d_1 - 2 s) t (1 - t))^2
    ```

    The inverse is the root of a quadratic, here of sums of positive numbers but for e:

    ```none
    r = (y - y_0) / h,   e = d_0 (1 - r) - d_1 r
    t = 2 s r / (2 s r + g)  where e >= 0,   g / (g + 2 s (1 - r))  elsewhere,
        with g = |e| + sqrt(e^2 + 4 s^2 r (1 - r))
    ```

    The slopes at both ends are 1, so that the density is continuous there. Data should lie
    within the bound for the most part, as standardised data do.

    The parameters of a variable are K widths, K heights, and K - 1 slopes, as logits and
    before softplus; zeros are the identity.

    Args:
      num_bins: number of bins, K, of at least 2.
      bound: half the length of the interval.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformer = transformers.RationalQuadraticSpline(4, bound=3.0)
    >>> parameters = tf.ones([transformer.num_parameters, 1])  # of one variable
    >>> y, log_det = transformer.forward_and_log_det(tf.constant([[0.5]]), parameters)
    >>> x, _ = transformer.inverse_and_log_det(y, parameters)
    >>> x.numpy().round(3)
    array([[0.5]], dtype=float32)

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows, equations 4 to 8.
      https://arxiv.org/abs/1906.04032
    """

    def __init__(self, num_bins: int = 8, bound: float = 3.0) -> None:
        check_number("num_bins", num_bins, f"from 2 to {_MOST_BINS}", _is_number_of_bins)
        check_number("bound", bound, "above 0", _is_length)
        self.num_bins = int(num_bins)
        self.bound = float(bound)

    @property
    def num_parameters(self) -> int:
        """3 K - 1: widths, heights, and slopes between the bins."""
        return 3 * self.num_bins - 1

    def forward_and_log_det(
        self, x: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., P, D]`; log-dets `[..., D]`."""
        return with_bins_first(self._map(_interpolate), x, parameters)

    def inverse_and_log_det(
        self, y: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return with_bins_first(self._map(_interpolate_back), y, parameters)

    def constrain(self, parameters: TensorLike) -> Sequence[tf.Tensor]:
        """Knots in x and in y, and slopes there, `[..., K + 1, D]` each."""
        return knots_last_but_one(self._knots(bins_first(parameters)))

    def _knots(self, parameters):
        """K + 1 times x, y and slope, `[3, ...]`, of parameters `[P, ...]`."""
        sizes = [self.num_bins, self.num_bins, self.num_bins - 1]
        widths, heights, slopes = tf.split(parameters, sizes)
        one = tf.ones_like(widths[0])
        slopes = [one, *tf.unstack(_slopes(slopes)), one]
        return knots_of(widths, heights, slopes, self.bound)

    def _map(self, interpolate):
        def with_identity_outside(value, parameters):
            inside = tf.clip_by_value(value, -self.bound, self.bound)
            mapped, log_det = interpolate(inside, self._knots(parameters))
            is_inside = tf.abs(value) <= self.bound
            mapped = tf.where(is_inside, mapped, value)
            return mapped, tf.where(is_inside, log_det, tf.zeros_like(log_det))

        return with_identity_outside


class CircularSpline(Transformer):
    """A monotone spline of angles, and a rotation by a phase.

    ```none
    y = wrap(spline(wrap(x)) + phase),   wrap(v) = v modulo 2 bound, in [-bound, bound)
    ```

    The slope at `-bound` is that at `bound`. The map is one-to-one on the circle: its base
    must be a distribution on it, such as the uniform one on `[-bound, bound]`.

    The parameters of a variable are K widths, K heights, K slopes, and the phase; zeros are
    the identity.

    Args:
      num_bins: number of bins, K, of at least 2.
      bound: half the length of the circle; pi for angles in radians.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformer = transformers.CircularSpline(4)
    >>> parameters = tf.ones([transformer.num_parameters, 1])  # of one variable
    >>> y, log_det = transformer.forward_and_log_det(tf.constant([[0.5]]), parameters)
    >>> x, _ = transformer.inverse_and_log_det(y, parameters)
    >>> x.numpy().round(3)
    array([[0.5]], dtype=float32)

    Reference:
      Rezende et al. (2020), Normalizing flows on tori and spheres.
      https://arxiv.org/abs/2002.02428
    """

    is_monotone = False

    def __init__(self, num_bins: int = 8, bound: float = math.pi) -> None:
        check_number("num_bins", num_bins, f"from 2 to {_MOST_BINS}", _is_number_of_bins)
        check_number("bound", bound, "above 0", _is_length)
        self.num_bins = int(num_bins)
        self.bound = float(bound)

    @property
    def num_parameters(self) -> int:
        """3 K + 1: widths, heights, slopes, and a phase."""
        return 3 * self.num_bins + 1

    def forward_and_log_det(
        self, x: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., P, D]`; log-dets `[..., D]`."""
        return with_bins_first(self._forward, x, parameters)

    def inverse_and_log_det(
        self, y: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return with_bins_first(self._inverse, y, parameters)

    def constrain(self, parameters: TensorLike) -> Sequence[tf.Tensor]:
        """Knots in x and in y, slopes there, `[..., K + 1, D]` each, and the phase."""
        knots, phase = self._knots_and_phase(bins_first(parameters))
        return *knots_last_but_one(knots), phase

    def _forward(self, x, parameters):
        knots, phase = self._knots_and_phase(parameters)
        y, log_det = _interpolate(self._wrap(x), knots)
        return self._wrap(y + phase), log_det

    def _inverse(self, y, parameters):
        knots, phase = self._knots_and_phase(parameters)
        return _interpolate_back(self._wrap(y - phase), knots)

    def _knots_and_phase(self, parameters):
        """As `RationalQuadraticSpline._knots`, and the phase, of parameters `[P, ...]`."""
        widths, heights, slopes, phase = tf.split(parameters, [self.num_bins] * 3 + [1])
        slopes = tf.unstack(_slopes(slopes))
        knots = knots_of(widths, heights, [*slopes, slopes[0]], self.bound)
        return knots, phase[0]

    def _wrap(self, angle):
        # The remainder may round to the length itself.
        wrapped = tf.math.floormod(angle + self.bound, 2.0 * self.bound) - self.bound
        return tf.clip_by_value(wrapped, -self.bound, self.bound)


_MOST_BINS = 500  # of which each has at least half of its share of the interval


def _is_number_of_bins(value):
    return 2 <= value <= _MOST_BINS and float(value).is_integer()


def _is_length(value):
    return math.isfinite(value) and value > 0.0


def _slopes(raw):
    """Slopes above the least one, and below about the largest; 1 where `raw` is 0."""
    at_zero = math.log(math.expm1(1.0 - _LEAST_SLOPE))
    return _LEAST_SLOPE + tf.math.softplus(soft_bounded_scale(raw, _MOST_SLOPE) + at_zero)


def _interpolate(x, knots):
    """The spline at `x`, and the logarithm of its slope there."""
    x_0, y_0, w, h, d_0, d_1 = bin_of(x, knots, 0)
    t = tf.clip_by_value((x - x_0) / w, 0.0, 1.0)
    s = h / w
    y = y_0 + h * t * (s * t + d_0 * (1.0 - t)) / _denominator(t, s, d_0, d_1)
    return y, _log_slope(t, s, d_0, d_1)


def _interpolate_back(y, knots):
    """The inverse of the spline at `y`, and the logarithm of its slope there."""
    x_0, y_0, w, h, d_0, d_1 = bin_of(y, knots, 1)
    r = tf.clip_by_value((y - y_0) / h, 0.0, 1.0)
    s = h / w
    below, above = 2.0 * s * r, 2.0 * s * (1.0 - r)
    e = d_0 * (1.0 - r) - d_1 * r
    g = tf.abs(e) + tf.sqrt(e * e + below * above)
    # t : 1 - t, as below : g or as g : above.
    below, above = tf.where(e >= 0.0, below, g), tf.where(e >= 0.0, g, above)
    t = below / (below + above)
    return x_0 + t * w, -_log_slope(t, s, d_0, d_1)


def _denominator(t, s, d_0, d_1):
    return s + (d_0 + d_1 - 2.0 * s) * t * (1.0 - t)


def _log_slope(t, s, d_0, d_1):
    numerator = d_1 * t**2 + 2.0 * s * t * (1.0 - t) + d_0 * (1.0 - t) ** 2
    denominator = _denominator(t, s, d_0, d_1)
    return 2.0 * tf.math.log(s / denominator) + tf.math.log(numerator)
