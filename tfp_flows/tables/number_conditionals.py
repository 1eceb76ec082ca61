"""Conditional distributions of the numbers of a row, of parameters of networks."""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import draws
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.spline import CircularSpline
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["Evaluated", "NumberConditionals", "NumberPool"]
# Bins narrower than this in the latent have the density at their middle.
_NARROW = 0.02
_INFINITE = 100.0  # of standard normals, which have nothing beyond


class Evaluated(typing.NamedTuple):
    """Densities and distribution functions of each member, `[..., M, D]`.

    Attributes:
      log_prob: log-densities, of integers log-probabilities.
      below: of integers `P(Y < y)`, of other numbers `P(Y <= y)`; on circles 1/2.
      up_to: `P(Y <= y)`; on circles 1/2.
    """

    log_prob: tf.Tensor
    below: tf.Tensor
    up_to: tf.Tensor


class NumberConditionals:
    """Mixtures of M conditionals for each of D numbers, in the units of a table.

    ```none
    real:     log p(y) = log p(u) + log du/dy
    integer:  log P(y) = log(F(u(y + 1)) - F(u(y)))
    ```

    Parameters are `[..., M, P, D]`, numbers y `[..., D]` in float64; the batch axes
    broadcast.

    Args:
      maps: the `NumberMaps` of the numbers.
      num_bins: bins of each spline.
    """

    def __init__(self, maps: NumberMaps, num_bins: int) -> None:
        self.maps = maps
        self._on_line = LineConditional(num_bins)
        self._on_circle = CircleConditional(num_bins)
        self._num_bins = num_bins

    @property
    def num_parameters(self) -> int:
        """P."""
        return max(self._on_line.num_parameters, self._on_circle.num_parameters)

    def from_columns(self, columns: list[int]) -> NumberConditionals:
        """Those of some of the numbers."""
        return NumberConditionals(self.maps.from_columns(columns), self._num_bins)

    def log_prob(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-densities, of integers log-probabilities, of each member, `[..., M, D]`.

        Those of numbers outside the support are minus infinity.
        """
        return self.evaluate(y, parameters).log_prob

    def evaluate(self, y: tf.Tensor, parameters: tf.Tensor) -> Evaluated:
        """Log-densities, and the distribution functions on both sides of y."""
        mapped = self.maps.forward(self.maps.middle(y))
        log_prob, cdf = self._by_kind("log_prob_and_cdf", mapped.u, parameters)
        log_prob += tf.cast(mapped.log_slope, log_prob.dtype)[..., None, :]
        is_inside = mapped.is_inside
        each = Evaluated(log_prob, cdf, cdf)
        if self.maps.is_integer.any():
            each = self._with_bins(each, y, parameters)
            is_inside &= ~self.maps.is_integer | tf.equal(y, tf.floor(y))
        outside = tf.constant(-math.inf, log_prob.dtype)
        log_prob = tf.where(is_inside[..., None, :], each.log_prob, outside)
        is_nan = tf.math.is_nan(y)[..., None, :]
        log_prob = tf.where(is_nan, tf.constant(math.nan, log_prob.dtype), log_prob)
        return each._replace(log_prob=log_prob)

    def cdf(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(Y <= y)` of each member, `[..., M, D]`; on a circle, from its `low`."""
        upper = tf.where(self.maps.is_integer, tf.floor(y) + 1.0, y)
        u = self.maps.edge(upper)
        inside = self._by_kind("cdf", u, parameters)
        low, high = self.maps.ends
        is_below, is_above = ((upper <= low)[..., None, :], (upper >= high)[..., None, :])
        inside = tf.where(is_below, tf.zeros([], inside.dtype), inside)
        return tf.where(is_above, tf.ones([], inside.dtype), inside)

    def draw(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Numbers y, `[N, D]`, of one member each, of standard normals z, `[N, D]`.

        Args:
          z: y is that quantile of its distribution which z is of the standard normal.
          parameters: `[N, P, D]`.
        """
        u = tf.cast(self._by_kind("value", z, parameters), tf.float64)
        y = self.maps.backward(u)
        return tf.where(self.maps.is_integer, tf.floor(y), y)

    def cdf_on_line(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(U <= u)` of each member, `[..., M, D]`."""
        return self._by_kind("cdf", u, parameters)

    def _by_kind(self, method, value, parameters):
        """What the conditionals on the line and on the circle return, where each holds."""
        value = tf.cast(value, parameters.dtype)
        has_members = parameters.shape.rank > value.shape.rank + 1
        value = value[..., None, :] if has_members else value
        is_circle = self.maps.is_circle
        results = []
        for conditional in (self._on_line, self._on_circle):
            from_kind = parameters[..., : conditional.num_parameters, :]
            results.append(lambda c=conditional, p=from_kind: getattr(c, method)(value, p))
        if not is_circle.any():
            return results[0]()
        if is_circle.all():
            return results[1]()
        return tf.nest.map_structure(
            lambda on_circle, on_line: tf.where(is_circle, on_circle, on_line),
            results[1](),
            results[0](),
        )

    def _with_bins(self, each, y, parameters):
        """Puts probabilities and ends of bins where there are integers."""
        columns = np.flatnonzero(self.maps.is_integer)
        from_bins = self.maps.from_columns(columns)
        y, parameters = (tf.gather(t, columns, axis=-1) for t in (y, parameters))
        from_kind = parameters[..., : self._on_line.num_parameters, :]
        low, high = (self._latent(from_bins.edge(e), from_kind) for e in (y, y + 1.0))
        is_wide = high - low > _NARROW
        middle = tf.gather(each.log_prob, columns, axis=-1)
        wide = log_interval_probability(
            tf.where(is_wide, low, tf.zeros_like(low)),
            tf.where(is_wide, high, tf.ones_like(high)),
        )
        found = tf.where(is_wide, wide, middle), normal_cdf(low), normal_cdf(high)
        places = np.full(len(self.maps.is_integer), 0)
        places[columns] = np.arange(len(columns))
        return Evaluated(
            *(
                tf.where(self.maps.is_integer, tf.gather(own, places, axis=-1), other)
                for own, other in zip(found, each, strict=True)
            )
        )

    def _latent(self, u, parameters):
        u = tf.cast(u, parameters.dtype)[..., None, :]
        is_end = tf.math.is_inf(u)
        z, _ = self._on_line.latent_and_log_slope(
            tf.where(is_end, tf.zeros_like(u), u), parameters
        )
        return tf.where(is_end, tf.sign(u) * _INFINITE, z)


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
        shift, log_scale, weight, from_spline = self._parts(parameters)
        inside, log_slope = self._spline.forward_and_log_det(
            (u - shift) * tf.exp(-log_scale), from_spline
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
        shift, log_scale, weight, from_spline = self._parts(parameters)
        inside = tf.sinh(tf.clip_by_value(weight * z, -30.0, 30.0)) / weight
        u, _ = self._spline.inverse_and_log_det(inside, from_spline)
        return shift + tf.exp(log_scale) * u

    def log_prob_and_cdf(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log-densities and `P(U <= u)`, `[..., D]`."""
        z, log_slope = self.latent_and_log_slope(u, parameters)
        return log_slope - 0.5 * z**2 - _LOG_SQRT_2_PI, normal_cdf(z)

    def _parts(self, parameters):
        shift, log_scale, tail, from_spline = tf.split(
            parameters, [1, 1, 1, self._spline.num_parameters], axis=-2
        )
        tail = soft_bounded_scale(_PACE * tail[..., 0, :], _BOUND)
        log_scale = soft_bounded_scale(log_scale[..., 0, :], _MOST_LOG_SCALE)
        return shift[..., 0, :], log_scale, _FIRST_WEIGHT * tf.exp(tail), from_spline


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


def log_interval_probability(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Returns `log P(low < Z <= high)`, `[...]`, for `low < high` at some distance.

    Args:
      low: `[...]`; values of -100 and less have nothing below.
      high: `[...]`; values of 100 and more have nothing above.
    """
    # In the lower tail, where a difference of logarithms has all digits.
    is_upper = low + high > 0.0
    low, high = tf.where(is_upper, -high, low), tf.where(is_upper, -low, high)
    normal = tfp.distributions.Normal(tf.zeros([], low.dtype), tf.ones([], low.dtype))
    below_low, below_high = normal.log_cdf(low), normal.log_cdf(high)
    ratio = tf.minimum(below_low - below_high, -1e-6)
    return below_high + tfp.math.log1mexp(ratio)


def normal_cdf(z: tf.Tensor) -> tf.Tensor:
    """Returns `P(Z <= z)`, `[...]`."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)


class NumberPool:
    """Means over M members of the distributions of D numbers, recalibrated.

    ```none
    F(y) = G(mean of F_m(y)),   G(p) = (1 - w) p + w (3 p^2 - 2 p^3)
    p(y) = (mean of p_m(y)) ((1 - w) + w (3 (a + b) - 2 (a^2 + a b + b^2)))
    a, b: means of F_m below y and up to y, which of real numbers are equal
    ```

    A mean of distributions that are calibrated is too wide; weights w above 0 narrow it. No
    density falls below `1 - |w|` of the mean's, however far out.

    Args:
      conditionals: the `NumberConditionals` of the members.
      weights: w of each number, `[D]`, in (-1, 1); 0 on circles, which have no order.

    Reference:
      Gneiting, Ranjan (2013), Combining predictive distributions.
      https://doi.org/10.1214/13-EJS823 (Theorem 3.1; there G is a beta distribution's.)
    """

    def __init__(self, conditionals: NumberConditionals, weights: Sequence[float]) -> None:
        self.conditionals = conditionals
        self.weights = np.asarray(weights, np.float64)

    def from_columns(self, columns: list[int]) -> NumberPool:
        """Those of some of the numbers."""
        own = self.conditionals.from_columns(columns)
        return NumberPool(own, self.weights[columns].tolist())

    def log_prob(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-densities, of integers log-probabilities, `[..., D]`, of members' parameters.

        Args:
          y: numbers, `[..., D]`.
          parameters: `[..., M, P, D]`.
        """
        each = self.conditionals.evaluate(y, parameters)
        log_sum = tf.reduce_logsumexp(each.log_prob, axis=-2)
        num_members = tf.cast(tf.shape(each.log_prob)[-2], tf.float64)
        log_prob = tf.cast(log_sum, tf.float64) - tf.math.log(num_members)
        return log_prob + tf.math.log(self._narrowing(each))

    def cdf(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(Y <= y)`, `[..., D]`."""
        return self._recalibrated(self.conditionals.cdf(y, parameters))

    def cdf_on_line(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(U <= u)` on the standardised line, `[..., D]`."""
        return self._recalibrated(self.conditionals.cdf_on_line(u, parameters))

    def narrowing(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Densities as shares of those of the mean, `[..., D]`."""
        return self._narrowing(self.conditionals.evaluate(y, parameters))

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws numbers, `[N, D]`, of members' parameters, `[N, M, P, D]`.

        By rejection: of the members' draws those are kept that G makes more probable.
        """
        y, is_kept = self._proposed(parameters, seed)
        rest = tf.where(~tf.reduce_all(is_kept, axis=1))[:, 0]
        from_rest = tf.gather(parameters, rest)

        def again(index, y, is_kept):
            other, is_other_kept = self._proposed(from_rest, draws.fold_in(seed, index))
            return index + 1, tf.where(is_kept, y, other), is_kept | is_other_kept

        state = (tf.constant(1), tf.gather(y, rest), tf.gather(is_kept, rest))
        found = tf.while_loop(lambda i, y, kept: ~tf.reduce_all(kept), again, state)[1]
        return tf.tensor_scatter_nd_update(y, rest[:, None], found)

    def _proposed(self, parameters, seed):
        """Draws of one member for each row, `[N, D]`, and which of them are kept."""
        member_seed, noise_seed, choice_seed = draws.split(seed, 3)
        shape = tf.shape(parameters)
        uniform = draws.uniform([shape[0]], member_seed, tf.float64)
        member = tf.cast(tf.floor(uniform * tf.cast(shape[1], tf.float64)), tf.int32)
        size = [shape[0], shape[3]]
        z = draws.normal(size, noise_seed, parameters.dtype)
        y = self.conditionals.draw(z, tf.gather(parameters, member, batch_dims=1))
        most = 1.0 + np.maximum(0.5 * self.weights, -self.weights)
        share = draws.uniform(size, choice_seed, tf.float64) * most
        # What is NaN stays so, in place of a search without end.
        return y, (share < self.narrowing(y, parameters)) | tf.math.is_nan(y)

    def _narrowing(self, each):
        a, b = (self._mean(cdf) for cdf in (each.below, each.up_to))
        narrow = 3.0 * (a + b) - 2.0 * (a**2 + a * b + b**2)
        return 1.0 - self.weights + self.weights * narrow

    def _recalibrated(self, each):
        p = self._mean(each)
        return (1.0 - self.weights) * p + self.weights * p**2 * (3.0 - 2.0 * p)

    def _mean(self, each):
        return tf.reduce_mean(tf.cast(each, tf.float64), axis=-2)
