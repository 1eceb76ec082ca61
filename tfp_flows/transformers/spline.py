"""Monotone rational-quadratic splines, on an interval and on a circle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_number
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.transformer import Transformer

__all__ = ["CircularSpline", "RationalQuadraticSpline"]


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
        return with_bins_first(self._map(interpolate, 0), x, parameters)

    def inverse_and_log_det(
        self, y: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return with_bins_first(self._map(interpolate_back, 1), y, parameters)

    def constrain(self, parameters: TensorLike) -> Sequence[tf.Tensor]:
        """Knots in x and in y, and slopes there, `[..., K + 1, D]` each."""
        shares, raw = self._shares_and_raw_slopes(bins_first(parameters))
        one = tf.ones_like(shares[0][0])
        return _last_but_one(shares, [one, *tf.unstack(slopes_of(raw)), one], self.bound)

    def _shares_and_raw_slopes(self, parameters):
        sizes = [self.num_bins, self.num_bins, self.num_bins - 1]
        widths, heights, raw = tf.split(parameters, sizes)
        return (shares_of(widths), shares_of(heights)), raw

    def _map(self, method, axis):
        def with_identity_outside(value, parameters):
            shares, raw = self._shares_and_raw_slopes(parameters)
            inside = tf.clip_by_value(value, -self.bound, self.bound)
            place = bin_of(inside, shares, axis, self.bound)
            slopes = [
                # Exactly 1 at the ends, where there is none to train.
                tf.where(
                    tf.equal(place.index, end), tf.ones_like(value), slopes_of(from_knot)
                )
                for from_knot, end in (
                    (value_at(place.index - 1, raw), 0),
                    (value_at(place.index, raw), self.num_bins - 1),
                )
            ]
            mapped, log_det = method(inside, place, *slopes)
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
        shares, raw, phase = self._shares_raw_slopes_and_phase(bins_first(parameters))
        slopes = tf.unstack(slopes_of(raw))
        return *_last_but_one(shares, [*slopes, slopes[0]], self.bound), phase

    def _forward(self, x, parameters):
        *place, phase = self._bin_slopes_and_phase(self._wrap(x), parameters, 0)
        y, log_det = interpolate(self._wrap(x), *place)
        return self._wrap(y + phase), log_det

    def _inverse(self, y, parameters):
        phase = parameters[-1]
        unturned = self._wrap(y - phase)
        *place, _ = self._bin_slopes_and_phase(unturned, parameters, 1)
        return interpolate_back(unturned, *place)

    def _bin_slopes_and_phase(self, angle, parameters, axis):
        shares, raw, phase = self._shares_raw_slopes_and_phase(parameters)
        place = bin_of(angle, shares, axis, self.bound)
        following = (place.index + 1) % self.num_bins
        slopes = (slopes_of(value_at(index, raw)) for index in (place.index, following))
        return place, *slopes, phase

    def _shares_raw_slopes_and_phase(self, parameters):
        widths, heights, raw, phase = tf.split(parameters, [self.num_bins] * 3 + [1])
        return (shares_of(widths), shares_of(heights)), raw, phase[0]

    def _wrap(self, angle):
        # The remainder may round to the length itself.
        wrapped = tf.math.floormod(angle + self.bound, 2.0 * self.bound) - self.bound
        return tf.clip_by_value(wrapped, -self.bound, self.bound)


_MOST_BINS = 500  # of which each has at least half of its share of the interval


def _is_number_of_bins(value):
    return 2 <= value <= _MOST_BINS and float(value).is_integer()


def _is_length(value):
    return math.isfinite(value) and value > 0.0


def _last_but_one(shares, slopes, bound):
    """Knots in x and y, and slopes there, `[..., K + 1, D]` each, of K + 1 slopes."""
    arrays = *(knots_of(part, bound) for part in shares), slopes
    return [tf.stack(array, axis=-2) for array in arrays]


# Least width and height of a bin, as parts of the interval.
_LEAST_BIN = 1e-3


class Bin(NamedTuple):
    """The bins that values are in, `[...]` each.

    Attributes:
      index: their numbers, from 0.
      x_0: left ends in x.
      y_0: left ends in y.
      w: widths.
      h: heights.
    """

    index: tf.Tensor
    x_0: tf.Tensor
    y_0: tf.Tensor
    w: tf.Tensor
    h: tf.Tensor


def shares_of(logits: tf.Tensor) -> tf.Tensor:
    """Parts of the interval that belong to K bins, of logits, `[K, ...]` both."""
    num_bins = logits.shape[0]
    greatest = tf.reduce_max(logits, axis=0, keepdims=True)
    shares = tf.exp(logits - tf.stop_gradient(greatest))
    shares /= tf.reduce_sum(shares, axis=0, keepdims=True)
    return _LEAST_BIN + (1.0 - _LEAST_BIN * num_bins) * shares


def knots_of(shares: tf.Tensor, bound: float) -> list[tf.Tensor]:
    """K + 1 knots from `-bound` to `bound`, `[...]` each, of shares `[K, ...]`."""
    # Both ends exactly, where a sum of all shares would be rounded.
    end = tf.fill(tf.shape(shares[0]), tf.constant(bound, shares.dtype))
    passed = itertools.accumulate(tf.unstack(shares)[:-1])
    return [-end, *(_position(share, bound) for share in passed), end]


def bin_of(value: tf.Tensor, shares: Sequence[tf.Tensor], axis: int, bound: float) -> Bin:
    """Returns the bins that `value`, an x or a y as `axis` says, is in.

    Nothing is gathered, since the gradient of that is a scatter: bins before that of a
    value, and it alone, are sums from which all others are dropped.

    Args:
      value: `[...]`, from `-bound` to `bound`.
      shares: of the interval in x and in y, `[K, ...]` both.
      axis: 0 or 1.
      bound: half the length of the interval.
    """
    *inner, _ = knots_of(shares[axis], bound)[1:]
    # A sum over one array: XLA computes sums of many anew for each bin below.
    index = tf.reduce_sum(tf.cast(value >= tf.stack(inner), tf.int32), axis=0)
    numbers = _numbers_like(shares[0], index)
    x_0, y_0 = (_position(_sum_where(numbers < index, part), bound) for part in shares)
    w, h = (2.0 * bound * _sum_where(tf.equal(numbers, index), part) for part in shares)
    return Bin(index, x_0, y_0, w, h)


def value_at(index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Of `values`, `[K, ...]`, that at `index`, `[...]`; 0 where there is none."""
    return _sum_where(tf.equal(_numbers_like(values, index), index), values)


def _position(share, bound):
    return bound * (2.0 * share - 1.0)


def _numbers_like(values, index):
    """The integers below K, for K arrays, to compare with an index of any rank."""
    return tf.reshape(tf.range(values.shape[0]), [-1, *[1] * index.shape.rank])


def _sum_where(condition, values):
    return tf.reduce_sum(tf.where(condition, values, tf.zeros([], values.dtype)), axis=0)


# Least slope at a knot. The largest one, which the paper does not bound, keeps the inverse
# well-conditioned.
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 30.0


def slopes_of(raw: tf.Tensor) -> tf.Tensor:
    """Slopes above the least one, and below about the largest; 1 where `raw` is 0."""
    at_zero = math.log(math.expm1(1.0 - _LEAST_SLOPE))
    return _LEAST_SLOPE + tf.math.softplus(soft_bounded_scale(raw, _MOST_SLOPE) + at_zero)


def interpolate(
    x: tf.Tensor, place: Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The spline at `x`, and the logarithm of its slope there."""
    t, s = _within((x - place.x_0) / place.w), place.h / place.w
    rise = t * (s * t + d_0 * (1.0 - t)) / _denominator(t, s, d_0, d_1)
    return place.y_0 + place.h * rise, _log_slope(t, s, d_0, d_1)


def interpolate_back(
    y: tf.Tensor, place: Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The inverse of the spline at `y`, and the logarithm of its slope there."""
    r, s = _within((y - place.y_0) / place.h), place.h / place.w
    below, above = 2.0 * s * r, 2.0 * s * (1.0 - r)
    e = d_0 * (1.0 - r) - d_1 * r
    g = tf.abs(e) + tf.sqrt(e * e + below * above)
    # t : 1 - t, as below : g or as g : above.
    below, above = tf.where(e >= 0.0, below, g), tf.where(e >= 0.0, g, above)
    t = below / (below + above)
    return place.x_0 + t * place.w, -_log_slope(t, s, d_0, d_1)


def _within(part):
    """`part` of a bin, from 0 to 1 but for rounding, which keeps its gradient."""
    return part + tf.stop_gradient(tf.clip_by_value(part, 0.0, 1.0) - part)


def _denominator(t, s, d_0, d_1):
    return s + (d_0 + d_1 - 2.0 * s) * t * (1.0 - t)


def _log_slope(t, s, d_0, d_1):
    numerator = d_1 * t**2 + 2.0 * s * t * (1.0 - t) + d_0 * (1.0 - t) ** 2
    denominator = _denominator(t, s, d_0, d_1)
    return 2.0 * tf.math.log(s / denominator) + tf.math.log(numerator)


def bins_first(parameters: tf.Tensor) -> tf.Tensor:
    """Returns parameters `[..., P, D]` as `[P, ..., D]`."""
    rank = parameters.shape.rank
    return tf.transpose(parameters, [rank - 2, *range(rank - 2), rank - 1])


def with_bins_first(
    function: Callable, value: TensorLike, parameters: TensorLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `function` maps `value` to, `[..., D]` each.

    Args:
      function: of `value`, `[M]`, and `parameters`, `[P, M]`, of which it returns arrays
        `[M]`. Of parameters that all rows share, of `[..., D]` and `[P, 1, ..., 1, D]`.
      value: `[..., D]`.
      parameters: `[..., P, D]`; the batch axes of both broadcast.
    """
    parameters = tf.convert_to_tensor(parameters)
    value = tf.convert_to_tensor(value, parameters.dtype)
    num_shared = value.shape.rank + 1 - parameters.shape.rank
    if num_shared > 0:
        for _ in range(num_shared):
            parameters = parameters[tf.newaxis]
        return function(value, bins_first(parameters))
    value, parameters = _from_one_batch(value, parameters)
    shape = tf.shape(value)
    flat = tf.reshape(bins_first(parameters), [parameters.shape[-2], -1])
    mapped, log_det = function(tf.reshape(value, [-1]), flat)
    return tf.reshape(mapped, shape), tf.reshape(log_det, shape)


def _from_one_batch(value, parameters):
    like = parameters[..., 0, :]
    if value.shape.is_fully_defined() and value.shape == like.shape:
        return value, parameters
    # Of which nothing is left where the shapes turn out to be alike.
    value += tf.zeros_like(like)
    return value, parameters + tf.zeros_like(value)[..., tf.newaxis, :]
