"""Monotone rational-quadratic splines, on an interval and on a circle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_number
from tfp_flows.transformers.bins_first import bins_first
from tfp_flows.transformers.bins_first import with_bins_first
from tfp_flows.transformers.knots import bin_of
from tfp_flows.transformers.knots import knots_of
from tfp_flows.transformers.knots import shares_of
from tfp_flows.transformers.knots import value_at
from tfp_flows.transformers.rational_quadratic import interpolate
from tfp_flows.transformers.rational_quadratic import interpolate_back
from tfp_flows.transformers.rational_quadratic import slopes_of
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
                    tf.equal(place.index, end), tf.ones_like(value), slopes_of(of_knot)
                )
                for of_knot, end in (
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
