"""Conditional distributions of a row's numbers, from the parameters of networks."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.compiled import graph_function, is_compiled_by_xla
from tfp_flows.distributions import draws
from tfp_flows.distributions.univariate import bisect
from tfp_flows.tables.numbers.number_maps import U_BOUND, NumberMaps
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.spline import CircularSpline, RationalQuadraticSpline

# Bins narrower than this, in standard deviations of the latent, have the density at their
# middle times their width.
_NARROW = 0.02
_LATENT_OF_INFINITY = 100.0  # latents beyond have no probability
_LEAST_ARC = 1e-12  # least probability of an arc, above rounding of float64
_LOG_SQRT_2_PI = 0.5 * math.log(2.0 * math.pi)
_TAIL_RATE = 0.25  # factor of the learning rate of the tails' weight
TAIL_BOUNDS = (7.0, 7.0)  # bounds of the tails for files that name none
_LOG_SCALE_BOUND = 7.0  # bound on the logarithms of scales
# By whether tails are first: the bound of splines, and the tails' weight at parameters of
# zero. A normal variable is beyond 4 on either side in 1 of 16,000 draws.
_SPLINE_BOUNDS = {True: 4.0, False: 3.0}
_INITIAL_TAIL_WEIGHTS = {True: 0.15, False: 0.3}
_QUANTILE_BOUND = 40.0  # in standard deviations of training rows


class Evaluated(typing.NamedTuple):
    """Densities and distribution functions of each member, `[..., M, D]`."""

    log_prob: tf.Tensor  # log-densities; log-probabilities of integers
    below: tf.Tensor  # `P(Y < y)` of integers, `P(Y <= y)` of others, 1/2 on circles
    up_to: tf.Tensor  # `P(Y <= y)`; 1/2 on circles


class NumberConditionals:
    """Recalibrated means over M members of the distributions of D numbers.

    It is a linear pool that the cubic G makes narrower or wider, where the reference has a
    beta distribution function.

    ```none
    real number:   log p_m(y) = log p_m(u) + log du/dy
    integer:       log p_m(y) = log(F_m(u(y + 1)) - F_m(u(y)))
    F(y) = G(mean of F_m(y)),   G(p) = (1 - w) p + w (3 p^2 - 2 p^3)
    p(y) = (mean of p_m(y)) ((1 - w) + w (3 (a + b) - 2 (a^2 + a b + b^2)))
    a, b: means of F_m below y and up to y, which are equal for real numbers
    ```

    A mean of calibrated distributions is too wide; weights w above 0 narrow it. No density
    falls below `1 - |w|` times the mean's, however far out.

    The members' parameters are `[..., M, P, D]`, numbers y are `[..., D]` in float64, and
    the batch axes broadcast.

    Args:
      maps: the `NumberMaps` of the numbers.
      num_bins: bins of each spline.
      weights: w of each number, `[D]`, in (-1, 1); 0 on circles, which have no order.
        Empty: 0 for all.
      tail_bounds: bounds of the tails (`LineConditional`): of numbers that are mapped on a
        line, and of numbers whose logarithms are, where the same u is further out.
      are_tails_first: the order of tails and splines (`LineConditional`).

    Reference:
      Gneiting, Ranjan (2013), Combining predictive distributions.
      https://doi.org/10.1214/13-EJS823 (Theorem 3.1; there G is a beta distribution's.)
    """

    def __init__(
        self,
        maps: NumberMaps,
        num_bins: int,
        weights: Sequence[float] = (),
        tail_bounds: Sequence[float] = TAIL_BOUNDS,
        are_tails_first: bool = False,
    ) -> None:
        self.maps = maps
        self.weights = np.asarray(weights or [0.0] * len(maps.specs), np.float64)
        self._tail_bounds = tail_bounds
        bounds = [tail_bounds[is_log] for is_log in maps.is_logarithmic.astype(int)]
        self._line = LineConditional(num_bins, tuple(bounds), are_tails_first)
        self._circle = CircleConditional(num_bins)

    @property
    def num_parameters(self) -> int:
        """P."""
        return max(self._line.num_parameters, self._circle.num_parameters)

    def from_columns(self, columns: list[int]) -> NumberConditionals:
        """Returns the distributions of some of the numbers."""
        weights, maps = self.weights[columns].tolist(), self.maps.from_columns(columns)
        options = weights, self._tail_bounds, self._line.are_tails_first
        return NumberConditionals(maps, self._line.num_bins, *options)

    def within(self, room: tf.Tensor | None) -> NumberConditionals:
        """Returns the distributions in rooms, `[N, D]`, by row (`NumberMaps.within`)."""
        conditionals = copy.copy(self)
        conditionals.maps = self.maps.within(room, range(len(self.maps.specs)))
        return conditionals

    def log_prob(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns log-densities, of integers log-probabilities, `[..., D]`."""
        members = self.evaluate(y, parameters)
        log_sum = tf.reduce_logsumexp(members.log_prob, axis=-2)
        num_members = tf.cast(tf.shape(members.log_prob)[-2], tf.float64)
        log_prob = tf.cast(log_sum, tf.float64) - tf.math.log(num_members)
        return log_prob + tf.math.log(self._narrowing(members))

    def cdf(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns `P(Y <= y)`, `[..., D]`; on a circle, of the arc from its `low`."""
        upper = tf.where(self.maps.is_integer, tf.floor(y) + 1.0, y)
        inside = self._by_kind("cdf", self.maps.edge(upper), parameters)
        (low, high), upper = self.maps.ends, self.maps.share(upper)
        inside = tf.where((upper <= low)[..., None, :], tf.zeros_like(inside), inside)
        inside = tf.where((upper >= high)[..., None, :], tf.ones_like(inside), inside)
        return self._recalibrated(inside)

    def quantile(self, probability: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns the least y with `P(Y <= y) >= probability`, `[..., D]`, on the line."""
        far = tf.fill(tf.shape(probability), tf.constant(_QUANTILE_BOUND, tf.float64))

        def is_below(u):
            cdf = self._recalibrated(self._by_kind("cdf", u, parameters))
            return cdf < probability

        return self._in_units(bisect(is_below, -far, far))

    def narrowing(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns ratios of the densities to those of the plain mean, `[..., D]`."""
        return self._narrowing(self.evaluate(y, parameters))

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws numbers, `[N, D]`, for members' parameters, `[N, M, P, D]`.

        An integer is the bin in which a real number falls.
        """

        def on(conditional):
            draw = _traced_draw(conditional, parameters.dtype, is_compiled_by_xla())
            weights = tf.constant(self.weights)
            return draw(_parameters_of(conditional, parameters), weights, seed)

        return self._in_units(self._on_each_kind(on))

    def evaluate(self, y: tf.Tensor, parameters: tf.Tensor) -> Evaluated:
        """Returns each member's densities and distribution functions, `[..., M, D]`.

        Log-densities of numbers outside the support are minus infinity.
        """
        mapped = self.maps.forward(self.maps.middle(y))
        log_prob, cdf = self._by_kind("log_prob_and_cdf", mapped.u, parameters)
        log_prob += tf.cast(mapped.log_slope, log_prob.dtype)[..., None, :]
        is_inside, members = mapped.is_inside, Evaluated(log_prob, cdf, cdf)
        if self.maps.is_integer.any():
            members = self._with_bins(members, y, parameters)
            is_inside &= ~self.maps.is_integer | tf.equal(y, tf.floor(y))
        outside = tf.constant(-math.inf, log_prob.dtype)
        log_prob = tf.where(is_inside[..., None, :], members.log_prob, outside)
        is_nan = tf.math.is_nan(y)[..., None, :]
        log_prob = tf.where(is_nan, tf.constant(math.nan, log_prob.dtype), log_prob)
        return members._replace(log_prob=log_prob)

    def quantile_of_member(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns numbers with `P(Y <= y) = P(Z <= z)` under one member.

        Z is standard normal; z is `[..., D]`, or `[..., M, D]` for several members.
        """
        u = self._by_kind("value", z, parameters)
        return self._in_units(tf.cast(u, tf.float64))

    def _in_units(self, u):
        y = self.maps.backward(u)
        return tf.where(self.maps.is_integer, tf.floor(y), y)

    def _narrowing(self, members):
        below, up_to = (_mean_over_members(cdf) for cdf in (members.below, members.up_to))
        return _slope(below, up_to, self.weights)

    def _recalibrated(self, cdf):
        p = _mean_over_members(cdf)
        return (1.0 - self.weights) * p + self.weights * p**2 * (3.0 - 2.0 * p)

    def _by_kind(self, method, value, parameters):
        """Calls a method of the conditional on the line or the circle of each number."""
        value = tf.cast(value, parameters.dtype)
        has_members = parameters.shape.rank > value.shape.rank + 1
        value = value[..., None, :] if has_members else value

        def call(conditional):
            used = _parameters_of(conditional, parameters)
            return getattr(conditional, method)(value, used)

        return self._on_each_kind(call)

    def _on_each_kind(self, call):
        """The results of a function of the conditional on the line or the circle."""
        is_circle = self.maps.is_circle
        if not is_circle.any():
            return call(self._line)
        if is_circle.all():
            return call(self._circle)
        both = call(self._circle), call(self._line)
        return tf.nest.map_structure(lambda a, b: tf.where(is_circle, a, b), *both)

    def _with_bins(self, members, y, parameters):
        """Replaces densities by probabilities of bins, and sets both ends, for integers."""
        for is_circle in (False, True):
            is_replaced = self.maps.is_integer & (self.maps.is_circle == is_circle)
            columns = np.flatnonzero(is_replaced)
            if not len(columns):
                continue
            integers = self.from_columns(columns.tolist())
            conditional: LineConditional | CircleConditional = (
                integers._circle if is_circle else integers._line
            )
            used, own = _parameters_of(conditional, parameters), y
            if len(columns) < y.shape[-1]:  # a gather is slow, also of all columns
                own, used = (tf.gather(t, columns, axis=-1) for t in (own, used))
            low, high = (integers.maps.edge(end)[..., None, :] for end in (own, own + 1.0))
            middle = tf.gather(members.log_prob, columns, axis=-1)
            in_bins = conditional.in_bins(low, high, used, middle)
            places = np.zeros(len(is_replaced), int)
            places[columns] = np.arange(len(columns))
            members = Evaluated(
                *(
                    tf.where(is_replaced, tf.gather(bins, places, axis=-1), others)
                    for bins, others in zip(in_bins, members, strict=True)
                )
            )
        return members


def _parameters_of(conditional, parameters):
    """The parameters, `[..., P, D]`, of a line or circle, which may be fewer."""
    # The gradient of a slice takes ten times as long as that of a split.
    return tf.split(parameters, [conditional.num_parameters, -1], axis=-2)[0]


@functools.cache
def _traced_draw(conditional, dtype, by_xla):
    """A `tf.function` that draws on the line or circle, which all columns share.

    It takes members' parameters, `[N, M, P, D]`, weights of the recalibration, `[D]`, and a
    stateless seed. It draws from the plain mean, and accepts in proportion to G' (rejection
    sampling).
    """

    def propose(parameters, weights, seed):
        member_seed, noise_seed, choice_seed = draws.split(seed, 3)
        shape = tf.shape(parameters)
        member = draws.integers(shape[0], shape[1], member_seed)
        size = [shape[0], shape[3]]
        z = draws.normal(size, noise_seed, dtype)
        u = conditional.value(z, tf.gather(parameters, member, batch_dims=1))
        p = _mean_over_members(conditional.cdf(u[:, None], parameters))
        most = 1.0 + tf.maximum(0.5 * weights, -weights)
        share = draws.uniform(size, choice_seed, tf.float64) * most
        # NaN is accepted, or it would be proposed for ever.
        return tf.cast(u, tf.float64), (share < _slope(p, p, weights)) | tf.math.is_nan(u)

    def draw(parameters, weights, seed):
        u, is_kept = propose(parameters, weights, seed)
        rest = tf.range(tf.shape(u)[0])
        if not by_xla:  # under XLA, numbers of rows must not depend on draws
            rest = tf.boolean_mask(rest, ~tf.reduce_all(is_kept, axis=1))
        from_rest = tf.gather(parameters, rest)

        def again(index, u, is_kept):
            seed_again = draws.fold_in(seed, index)
            other, is_other_kept = propose(from_rest, weights, seed_again)
            return index + 1, tf.where(is_kept, u, other), is_kept | is_other_kept

        state = (tf.constant(1), tf.gather(u, rest), tf.gather(is_kept, rest))
        accepted = tf.while_loop(lambda i, u, kept: ~tf.reduce_all(kept), again, state)[1]
        return tf.tensor_scatter_nd_update(u, rest[:, None], accepted)

    parameters = tf.TensorSpec([None, None, conditional.num_parameters, None], dtype)
    weights, seed = tf.TensorSpec([None], tf.float64), tf.TensorSpec([2], tf.int32)
    return graph_function(draw, input_signature=[parameters, weights, seed])


def _slope(a, b, weights):
    """Mean slope of G from a to b."""
    return 1.0 - weights + weights * (3.0 * (a + b) - 2.0 * (a**2 + a * b + b**2))


def log_mean(values: tf.Tensor) -> tf.Tensor:
    """Returns logarithms of means over the members, in float64, of `[N, M, ...]`."""
    log_sum = tf.cast(tf.reduce_logsumexp(values, axis=1), tf.float64)
    return log_sum - math.log(values.shape[1])


def _mean_over_members(values):
    return tf.reduce_mean(tf.cast(values, tf.float64), axis=-2)


@dataclasses.dataclass(frozen=True)
class LineConditional:
    """A density on the line: a normal one, mapped by a spline, tails, scale and shift.

    ```none
    z = spline(asinh(w v) / w),   v = (u - shift) exp(-log_scale),   z standard normal
    log p(u) = log normal(z) + log dz/du,    P(U <= u) = normal_cdf(z)
    ```

    With parameters of zero, it is nearly the standard normal, with heavier tails (Johnson's
    S_U). The spline maps `[-4, 4]`, so that it shapes the tails as far as there are rows.

    Args:
      num_bins: bins of the spline.
      tail_bounds: bounds on the logarithms of `w / 0.15`, `[D]`. With 1.6, w is at most
        0.75, and the farthest of a million draws are some 25 scales away; with 0.7, 7.
      are_tails_first: whether the tails are the first map of v. Otherwise, as in earlier
        files, `z = asinh(w spline(v)) / w`, the bounds are those of `w / 0.3`, and the
        spline maps `[-3, 3]`: 0.3 % of the draws are beyond on either side, however light
        the tails of the rows are.

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
      https://arxiv.org/abs/1906.04032
    """

    num_bins: int
    tail_bounds: tuple[float, ...]
    are_tails_first: bool

    @functools.cached_property
    def _spline(self):
        return RationalQuadraticSpline(self.num_bins, _SPLINE_BOUNDS[self.are_tails_first])

    @property
    def num_parameters(self) -> int:
        """P: shift, log-scale, weight of the tails, and the parameters of the spline."""
        return 3 + self._spline.num_parameters

    def latent_and_log_slope(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z and `log dz/du`, `[..., D]`, for `u` and parameters `[..., P, D]`."""
        shift, log_scale, weight, from_spline = self._parts(parameters)
        z, log_slope = (u - shift) * tf.exp(-log_scale), -log_scale
        if self.are_tails_first:
            z, log_slope = _without_tails(z, log_slope, weight)
        z, log_slope_of_spline = self._spline.forward_and_log_det(z, from_spline)
        log_slope += log_slope_of_spline
        if not self.are_tails_first:
            z, log_slope = _without_tails(z, log_slope, weight)
        return z, log_slope

    def cdf(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns `P(U <= u)`, `[..., D]`; 0 or 1 where u is infinite."""
        near = tf.clip_by_value(u, -U_BOUND, U_BOUND)
        z, _ = self.latent_and_log_slope(near, parameters)
        return tf.where(tf.math.is_inf(u), 0.5 + 0.5 * tf.sign(u), normal_cdf(z))

    def value(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns u with `P(U <= u) = P(Z <= z)`, Z standard normal, `[..., D]`."""
        shift, log_scale, weight, from_spline = self._parts(parameters)
        v = z if self.are_tails_first else _with_tails(z, weight)
        v, _ = self._spline.inverse_and_log_det(v, from_spline)
        v = _with_tails(v, weight) if self.are_tails_first else v
        return shift + tf.exp(log_scale) * v

    def log_prob_and_cdf(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log-densities and `P(U <= u)`, `[..., D]`."""
        z, log_slope = self.latent_and_log_slope(u, parameters)
        return log_slope - 0.5 * z**2 - _LOG_SQRT_2_PI, normal_cdf(z)

    def in_bins(
        self, low: tf.Tensor, high: tf.Tensor, parameters: tf.Tensor, middle: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns log-probabilities of bins, and `P(U <= u)` at both ends, `[..., D]`.

        Bins are from `low` to `high`, which may be infinite. Narrow ones have the
        log-probabilities `middle`.
        """
        low, high = (self._latent(end, parameters) for end in (low, high))
        is_wide = high - low > _NARROW
        wide = log_interval_probability(
            tf.where(is_wide, low, tf.zeros_like(low)),
            tf.where(is_wide, high, tf.ones_like(high)),
        )
        return tf.where(is_wide, wide, middle), normal_cdf(low), normal_cdf(high)

    def _latent(self, u, parameters):
        u = tf.cast(u, parameters.dtype)
        is_end = tf.math.is_inf(u)
        near = tf.where(is_end, tf.zeros_like(u), u)
        z, _ = self.latent_and_log_slope(near, parameters)
        return tf.where(is_end, tf.sign(u) * _LATENT_OF_INFINITY, z)

    def _parts(self, parameters):
        shift, log_scale, tail, from_spline = tf.split(
            parameters, [1, 1, 1, self._spline.num_parameters], axis=-2
        )
        bounds = tf.constant(self.tail_bounds, tail.dtype)
        tail = soft_bounded_scale(_TAIL_RATE * tail[..., 0, :], bounds)
        log_scale = soft_bounded_scale(log_scale[..., 0, :], _LOG_SCALE_BOUND)
        weight = _INITIAL_TAIL_WEIGHTS[self.are_tails_first] * tf.exp(tail)
        return shift[..., 0, :], log_scale, weight, from_spline


def _with_tails(z, weight):
    return tf.sinh(tf.clip_by_value(weight * z, -30.0, 30.0)) / weight


def _without_tails(v, log_slope, weight):
    """The inverse of `_with_tails`, and the log-slope with its own."""
    scaled = weight * v
    return tf.asinh(scaled) / weight, log_slope - 0.5 * tf.math.log1p(scaled**2)


@dataclasses.dataclass(frozen=True)
class CircleConditional:
    """A density on the circle `[-pi, pi)`: the uniform one, mapped by a spline.

    Args:
      num_bins: bins of the spline.

    Reference:
      Rezende et al. (2020), Normalizing flows on tori and spheres.
      https://arxiv.org/abs/2002.02428
    """

    num_bins: int

    @functools.cached_property
    def _spline(self):
        return CircularSpline(self.num_bins)

    @property
    def num_parameters(self) -> int:
        """P: number of parameters of the spline."""
        return self._spline.num_parameters

    def log_prob_and_cdf(
        self, u: tf.Tensor, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log-densities, `[..., D]`, and 1/2 in place of a `cdf`."""
        _, log_slope = self._spline.forward_and_log_det(u, parameters)
        log_prob = log_slope - math.log(2.0 * math.pi)
        return log_prob, tf.fill(tf.shape(log_prob), tf.constant(0.5, log_prob.dtype))

    def cdf(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns the probability of angles from -pi to u, `[..., D]`."""
        near = tf.clip_by_value(u, -math.pi, math.pi)
        turned = self._turns(near, parameters) - self._turns(-math.pi, parameters)
        inside = tf.math.floormod(turned, 1.0)
        return tf.where(u >= math.pi, tf.ones_like(inside), inside)

    def in_bins(
        self, low: tf.Tensor, high: tf.Tensor, parameters: tf.Tensor, middle: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns log-probabilities of arcs, `[..., D]`, and twice 1/2 in place of a `cdf`.

        Arcs are from `low` to `high`, which are infinite at the ends of the circle.
        """
        # In float64, since the difference cancels digits.
        precise = tf.cast(parameters, tf.float64)
        below, up_to = (self.cdf(end, precise) for end in (low, high))
        log_prob = tf.math.log(tf.maximum(up_to - below, _LEAST_ARC))
        half = tf.fill(tf.shape(middle), tf.constant(0.5, middle.dtype))
        return tf.cast(log_prob, middle.dtype), half, half

    def value(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns u with `P(U <= u) = P(Z <= z)`, Z standard normal, `[..., D]`."""
        turns = self._turns(-math.pi, parameters) + normal_cdf(z)
        angle = 2.0 * math.pi * tf.math.floormod(turns, 1.0) - math.pi
        u, _ = self._spline.inverse_and_log_det(angle, parameters)
        return u

    def _turns(self, u, parameters):
        u = u + tf.zeros_like(parameters[..., 0, :])
        angle, _ = self._spline.forward_and_log_det(u, parameters)
        return (angle + math.pi) / (2.0 * math.pi)


def log_interval_probability(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Returns `log P(low < Z <= high)`, `[...]`, of a normal Z; high is well above low."""
    # Intervals are reflected to the lower tail, where the difference cancels no digits.
    is_upper = low + high > 0.0
    low, high = tf.where(is_upper, -high, low), tf.where(is_upper, -low, high)
    normal = tfp.distributions.Normal(tf.zeros([], low.dtype), tf.ones([], low.dtype))
    below_low, below_high = normal.log_cdf(low), normal.log_cdf(high)
    ratio = tf.minimum(below_low - below_high, -1e-6)
    return below_high + tfp.math.log1mexp(ratio)


def normal_cdf(z: tf.Tensor) -> tf.Tensor:
    """Returns `P(Z <= z)`, `[...]`."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)
