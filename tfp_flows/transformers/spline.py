"""Monotone rational-quadratic splines, on an interval and on a circle."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.core.arguments import check_positive, check_size, require
from tfp_flows.core.compiled import traced_once
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet

# Least width and height of a bin, as shares of the interval.
_LEAST_BIN = 1e-3
_MOST_BINS = 500  # each bin then has at least half of an equal share
# Bounds on the slope at a knot. The paper has no upper bound; this one keeps the inverse
# well-conditioned.
_LEAST_SLOPE = 1e-3
_MOST_SLOPE = 30.0


class _Spline(Transformer):
    """A spline of `num_bins` bins on `[-bound, bound]`; a subclass has `_map`."""

    def __init__(self, num_bins: int, bound: float) -> None:
        self.num_bins = check_size("num_bins", num_bins, 2, _MOST_BINS)
        check_positive("bound", bound)
        self.bound = float(bound)

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., P, D]`; log-dets `[..., D]`."""
        return self._mapped(_interpolate, 0, x, parameters)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self._mapped(_interpolate_back, 1, y, parameters)

    @abc.abstractmethod
    def _map(self, interpolate, axis, value, parameters):
        """Returns the mapped value and the log-det, `[M]` both, from parameters `[P, M]`.

        `interpolate` is a function of a value, its bin, and the slopes at both ends of the
        bin; the axis is 0 if the value is an x, 1 if it is a y. If all rows share their
        parameters, the shapes are `[..., D]` and `[P, 1, ..., 1, D]`.
        """

    def _mapped(self, interpolate, axis, value, parameters):
        """Calls `_map` for values `[..., D]` and parameters `[..., P, D]`."""
        parameters = tf.convert_to_tensor(parameters)
        value = tf.convert_to_tensor(value, parameters.dtype)
        sizes = {*value.shape[-1:], *parameters.shape[-1:]} - {1, None}
        words = f"`parameters` of shape [..., {self.num_parameters}, D] for D variables"
        require(len(sizes) < 2, words, f"{parameters.shape} for values {value.shape}")
        num_shared = value.shape.rank + 1 - parameters.shape.rank
        if num_shared > 0:
            for _ in range(num_shared):
                parameters = parameters[tf.newaxis]
            tensors = value, self._bins_first(parameters)
            return traced_once(self._map, (interpolate, axis), tensors, inline=True)
        value, parameters = _with_one_batch_shape(value, parameters)
        shape = tf.shape(value)
        flat = tf.reshape(self._bins_first(parameters), [self.num_parameters, -1])
        tensors = tf.reshape(value, [-1]), flat
        mapped, log_det = traced_once(self._map, (interpolate, axis), tensors, inline=True)
        return tf.reshape(mapped, shape), tf.reshape(log_det, shape)

    def _bins_first(self, parameters):
        """Returns parameters `[..., P, D]` as `[P, ..., D]`."""
        self._check_parameters(parameters, self.num_parameters)
        rank = parameters.shape.rank
        return tf.transpose(parameters, [rank - 2, *range(rank - 2), rank - 1])

    def _knots_and_slopes(self, shares, slopes):
        """Knots in x and in y, and slopes there, `[..., K + 1, D]` each."""
        arrays = *(_knots(part, self.bound) for part in tf.unstack(shares)), slopes
        return [tf.stack(array, axis=-2) for array in arrays]


class RationalQuadraticSpline(_Spline):
    """A monotone spline on `[-bound, bound]`, and the identity outside.

    In the bin from knot `(x_0, y_0)` to `(x_1, y_1)`, with slopes `d_0` and `d_1` there:

    ```none
    t = (x - x_0) / (x_1 - x_0),   h = y_1 - y_0,   s = h / (x_1 - x_0)
    y = y_0 + h (s t^2 + d_0 t (1 - t)) / (s + (d_0 + d_1 - 2 s) t (1 - t))
    dy/dx = s^2 (d_1 t^2 + 2 s t (1 - t) + d_0 (1 - t)^2)
            / (s + (d_0 + d_1 - 2 s) t (1 - t))^2
    ```

    The inverse is the root of a quadratic, in a form where only e can cancel:

    ```none
    r = (y - y_0) / h,   e = d_0 (1 - r) - d_1 r
    t = 2 s r / (2 s r + g)  where e >= 0,   g / (g + 2 s (1 - r))  elsewhere,
        with g = |e| + sqrt(e^2 + 4 s^2 r (1 - r))
    ```

    The slopes at both ends are 1, so the density is continuous there. Most data should lie
    within the bound, as standardised data do.

    The parameters of a variable are K widths and K heights (logits), and K - 1 slopes
    (before softplus); zeros give the identity.

    Args:
      num_bins: number of bins, K, of at least 2.
      bound: half the length of the interval.

    Raises:
      ValueError: if `num_bins` is not an integer from 2 to 500, or `bound` not above 0.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.RationalQuadraticSpline(4, bound=3.0)
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows, equations 4 to 8.
      https://arxiv.org/abs/1906.04032
    """

    def __init__(self, num_bins: int = 8, bound: float = 3.0) -> None:
        super().__init__(num_bins, bound)

    @property
    def num_parameters(self) -> int:
        """3 K - 1: widths, heights, and slopes between the bins."""
        return 3 * self.num_bins - 1

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """Knots in x and in y, and slopes there, `[..., K + 1, D]` each."""
        shares, raw = self._shares_and_raw_slopes(self._bins_first(parameters))
        one = tf.ones_like(raw[0])
        return self._knots_and_slopes(shares, [one, *tf.unstack(_slopes(raw)), one])

    def _shares_and_raw_slopes(self, parameters):
        logits, raw = tf.split(parameters, [2 * self.num_bins, self.num_bins - 1])
        return _shares(logits), raw

    def _map(self, interpolate, axis, value, parameters):
        shares, raw = self._shares_and_raw_slopes(parameters)
        inside = tf.clip_by_value(value, -self.bound, self.bound)
        place = _find_bin(inside, shares, axis, self.bound)
        index, last = place.index, self.num_bins - 1
        # The slope at both ends is exactly 1, and is no parameter.
        is_end = tf.stack([tf.equal(index, 0), tf.equal(index, last)])
        inner = _slopes(_values_at([index - 1, index], raw))
        left, right = tf.unstack(tf.where(is_end, tf.ones([], inner.dtype), inner))
        mapped, log_det = interpolate(inside, place, left, right)
        is_inside = tf.abs(value) <= self.bound
        mapped = tf.where(is_inside, mapped, value)
        return mapped, tf.where(is_inside, log_det, tf.zeros_like(log_det))


class CircularSpline(_Spline):
    """A monotone spline of angles, and a rotation by a phase.

    ```none
    y = wrap(spline(wrap(x)) + phase),   wrap(v) = v modulo 2 bound, in [-bound, bound)
    ```

    The slope at `-bound` is that at `bound`. The map is one-to-one on the circle. Its
    base must be a distribution on the circle, such as the uniform one.

    The parameters of a variable are K widths, K heights, K slopes, and the phase; zeros
    give the identity.

    Args:
      num_bins: number of bins, K, of at least 2.
      bound: half the length of the circle; pi for angles in radians.

    Raises:
      ValueError: if `num_bins` is not an integer from 2 to 500, or `bound` not above 0.

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
        super().__init__(num_bins, bound)

    @property
    def num_parameters(self) -> int:
        """3 K + 1: widths, heights, slopes, and a phase."""
        return 3 * self.num_bins + 1

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """Knots in x and in y, slopes there, `[..., K + 1, D]` each, and the phase."""
        shares, raw, phase = self._shares_raw_slopes_and_phase(self._bins_first(parameters))
        slopes = tf.unstack(_slopes(raw))
        return *self._knots_and_slopes(shares, [*slopes, slopes[0]]), phase

    def _map(self, interpolate, axis, value, parameters):
        shares, raw, phase = self._shares_raw_slopes_and_phase(parameters)
        angle = self._wrap(value if axis == 0 else value - phase)
        place = _find_bin(angle, shares, axis, self.bound)
        following = (place.index + 1) % self.num_bins
        left, right = tf.unstack(_slopes(_values_at([place.index, following], raw)))
        mapped, log_det = interpolate(angle, place, left, right)
        return self._wrap(mapped + phase) if axis == 0 else mapped, log_det

    def _shares_raw_slopes_and_phase(self, parameters):
        logits, raw, phase = tf.split(parameters, [2 * self.num_bins, self.num_bins, 1])
        return _shares(logits), raw, phase[0]

    def _wrap(self, angle):
        # The remainder may round up to the length itself.
        wrapped = tf.math.floormod(angle + self.bound, 2.0 * self.bound) - self.bound
        return tf.clip_by_value(wrapped, -self.bound, self.bound)


class _Bin(NamedTuple):
    """The bin that each value is in: its number from 0, left ends, width and height."""

    index: tf.Tensor
    x_0: tf.Tensor
    y_0: tf.Tensor
    w: tf.Tensor
    h: tf.Tensor


def _shares(logits: tf.Tensor) -> tf.Tensor:
    """Returns widths and heights as shares, `[2, K, ...]`, from logits `[2 K, ...]`."""
    num_bins = logits.shape[0] // 2
    logits = tf.stack(tf.split(logits, 2))
    greatest = tf.reduce_max(logits, axis=1, keepdims=True)
    shares = tf.exp(logits - tf.stop_gradient(greatest))
    shares /= tf.reduce_sum(shares, axis=1, keepdims=True)
    return _LEAST_BIN + (1.0 - _LEAST_BIN * num_bins) * shares


def _knots(shares: tf.Tensor, bound: float) -> list[tf.Tensor]:
    """Returns K + 1 knots from `-bound` to `bound`, `[...]` each, for shares `[K, ...]`."""
    # The last knot is set to `bound`, since the sum of all shares is rounded.
    end = tf.fill(tf.shape(shares[0]), tf.constant(bound, shares.dtype))
    return [-end, *tf.unstack(_inner_knots(shares, bound)), end]


def _inner_knots(shares: tf.Tensor, bound: float) -> tf.Tensor:
    """Returns the knots between the ends, `[K - 1, ...]`, from shares `[K, ...]`."""
    passed = itertools.accumulate(tf.unstack(shares)[:-1])
    # Stacked first, since one operation on all knots is traced faster than many. Also, XLA
    # would compute a sum of many arrays anew for each bin.
    return _position(tf.stack(list(passed)), bound)


def _find_bin(value: tf.Tensor, shares: tf.Tensor, axis: int, bound: float) -> _Bin:
    """Returns the bin of each value, an x (axis 0) or a y (1), within the bound.

    Ends and sizes of bins are masked sums over all bins, since the gradient of a gather is
    a scatter, which is slow. Shares in x and in y are `[2, K, ...]`.
    """
    inner = _inner_knots(shares[axis], bound)
    index = tf.reduce_sum(tf.cast(value >= inner, tf.int32), axis=0)
    numbers = _numbers_like(shares[0], index)
    starts = _position(_sum_where(numbers < index, shares), bound)
    sizes = 2.0 * bound * _sum_where(tf.equal(numbers, index), shares)
    return _Bin(index, *tf.unstack(starts), *tf.unstack(sizes))


def _values_at(indices: Sequence[tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    """Returns the entries of `values`, `[K, ...]`, at I indices `[...]`: `[I, ...]`.

    An index out of range gives 0.
    """
    index = tf.stack(indices)[:, tf.newaxis]
    numbers = _numbers_like(values, indices[0])
    return _sum_where(tf.equal(numbers, index), values)


def _position(share, bound):
    return bound * (2.0 * share - 1.0)


def _numbers_like(values, index):
    """Returns 0 to K - 1, shaped to compare with `index` of any rank."""
    return tf.reshape(tf.range(values.shape[0]), [-1, *[1] * index.shape.rank])


def _sum_where(condition, values):
    """Sums over the second axis of `[2, K, ...]`, to which both arguments broadcast."""
    return tf.reduce_sum(tf.where(condition, values, tf.zeros([], values.dtype)), axis=1)


def _slopes(raw: tf.Tensor) -> tf.Tensor:
    """Returns slopes between `_LEAST_SLOPE` and about `_MOST_SLOPE`; 1 where `raw` is 0."""
    at_zero = math.log(math.expm1(1.0 - _LEAST_SLOPE))
    return _LEAST_SLOPE + tf.math.softplus(soft_bounded_scale(raw, _MOST_SLOPE) + at_zero)


def _interpolate(
    x: tf.Tensor, place: _Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> ValueAndLogDet:
    """Returns the spline at `x`, and the logarithm of its slope there."""
    t, s = _within((x - place.x_0) / place.w), place.h / place.w
    r, log_slope = _rise_and_log_slope(t, s, d_0, d_1)
    return place.y_0 + place.h * r, log_slope


def _interpolate_back(
    y: tf.Tensor, place: _Bin, d_0: tf.Tensor, d_1: tf.Tensor
) -> ValueAndLogDet:
    """Returns the inverse of the spline at `y`, and the logarithm of its slope there."""
    r, s = _within((y - place.y_0) / place.h), place.h / place.w
    t = _place_of_rise(r, s, d_0, d_1)
    _, log_slope = _rise_and_log_slope(t, s, d_0, d_1)
    return place.x_0 + t * place.w, -log_slope


def _within(part):
    """Clips a fraction of a bin to [0, 1], against rounding; its gradient is kept."""
    return part + tf.stop_gradient(tf.clip_by_value(part, 0.0, 1.0) - part)


# TensorFlow adds three and more gradients of one tensor in the order in which their memory
# is free, so the rounding would differ from run to run. The gradients of the next two
# functions are written out: each of their sums has one order.


@tf.custom_gradient
def _rise_and_log_slope(t, s, d_0, d_1):
    """Returns `r = (y - y_0) / h` and `log(dy/dx)` at `t`, in a bin of mean slope s.

    These are equations 4 and 5 of the paper, as sums of positive terms.

    ```none
    a = s t + d_0 (1 - t),   b = d_1 t + s (1 - t)
    p = t a + (1 - t) b,     q = (1 - t) a + t b
    r = t a / p,             dy/dx = s^2 q / p^2
    ```
    """
    u = 1.0 - t
    a, b, p, q = _sides(t, s, d_0, d_1)
    r = t * a / p

    def gradient(by_r, by_log_slope):
        by_p = -(by_r * r + 2.0 * by_log_slope) / p
        by_q = by_log_slope / q
        by_a = by_r * t / p + t * by_p + u * by_q
        by_b = u * by_p + t * by_q
        by_t = by_r * a / p + (a - b) * (by_p - by_q)
        by_t += by_a * (s - d_0) + by_b * (d_1 - s)
        by_s = 2.0 * by_log_slope / s + t * by_a + u * by_b
        return by_t, by_s, u * by_a, t * by_b

    return (r, 2.0 * tf.math.log(s / p) + tf.math.log(q)), gradient


@tf.custom_gradient
def _place_of_rise(r, s, d_0, d_1):
    """Returns the `t` at which `_rise_and_log_slope` rises to `r`."""
    below, above = 2.0 * s * r, 2.0 * s * (1.0 - r)
    e = d_0 * (1.0 - r) - d_1 * r
    g = tf.abs(e) + tf.sqrt(e * e + below * above)
    # The ratio t / (1 - t) is below / g if e >= 0, else g / above.
    below, above = tf.where(e >= 0.0, below, g), tf.where(e >= 0.0, g, above)
    t = below / (below + above)

    def gradient(by_t):
        # By the implicit function theorem, with dr/dt = s q / p^2.
        u = 1.0 - t
        _, _, p, q = _sides(t, s, d_0, d_1)
        by_r = by_t * p * p / (s * q)
        by_a, by_b = -by_r * t * (1.0 - r) / p, by_r * u * r / p
        return by_r, t * by_a + u * by_b, u * by_a, t * by_b

    return t, gradient


def _sides(t, s, d_0, d_1):
    """Returns a, b, p and q of `_rise_and_log_slope`."""
    u = 1.0 - t
    a, b = s * t + d_0 * u, d_1 * t + s * u
    return a, b, t * a + u * b, u * a + t * b


def _with_one_batch_shape(value, parameters):
    """Broadcasts the batch axes of both arguments against each other."""
    like = parameters[..., 0, :]
    if value.shape.is_fully_defined() and value.shape == like.shape:
        return value, parameters
    # Adding zeros broadcasts; the compiler removes it if the shapes are equal.
    value += tf.zeros_like(like)
    return value, parameters + tf.zeros_like(value)[..., tf.newaxis, :]
