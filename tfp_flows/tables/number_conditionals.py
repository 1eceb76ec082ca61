"""Conditional distributions of the numbers of a row, of parameters of networks."""

from __future__ import annotations

import math
import typing

import numpy as np
import tensorflow as tf

from tfp_flows.tables.normal_interval import log_interval_probability
from tfp_flows.tables.normal_interval import normal_cdf
from tfp_flows.tables.number_maps import NumberMaps
from tfp_flows.tables.spline_conditional import CircleConditional
from tfp_flows.tables.spline_conditional import LineConditional

__all__ = ["Evaluated", "NumberConditionals"]

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

    def of_columns(self, columns: list[int]) -> NumberConditionals:
        """Those of some of the numbers."""
        return NumberConditionals(self.maps.of_columns(columns), self._num_bins)

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
            of_kind = parameters[..., : conditional.num_parameters, :]
            results.append(lambda c=conditional, p=of_kind: getattr(c, method)(value, p))
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
        of_bins = self.maps.of_columns(columns)
        y, parameters = (tf.gather(t, columns, axis=-1) for t in (y, parameters))
        of_kind = parameters[..., : self._on_line.num_parameters, :]
        low, high = (self._latent(of_bins.edge(e), of_kind) for e in (y, y + 1.0))
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
