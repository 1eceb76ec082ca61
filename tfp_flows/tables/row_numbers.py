"""The numbers of rows, given their codes and features of their context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.tables.cell_features import CellFeatures
from tfp_flows.tables.number_conditionals import Evaluated
from tfp_flows.tables.number_conditionals import NumberConditionals
from tfp_flows.tables.number_pool import NumberPool

__all__ = ["RowNumbers"]


class RowNumbers:
    """Distributions of the D numbers of rows, each given all that comes before it.

    Args:
      cells: of the rows.
      network: of the numbers' parameters; None where D is 0.
      num_bins: bins of each spline.
      weights: of the `NumberPool`, `[D]`.
    """

    def __init__(
        self, cells: CellFeatures, network: Any, num_bins: int, weights: Sequence[float]
    ) -> None:
        self._cells, self._network = cells, network
        self.pool = NumberPool(NumberConditionals(cells.maps, num_bins), weights)
        # What stands where there is no number.
        self.centers = tf.constant([spec.center for spec in cells.maps.specs], tf.float64)

    def log_prob_of_members(
        self, x: tf.Tensor, of_context: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns log-densities, `[N, M, D]`; zero where there is no number.

        Args:
          x: cells, `[N, K + D]`.
          of_context: features of the context, `[N, F]`.
          training: whether there is dropout.
        """
        each, is_present = self.evaluate(x, of_context, training)
        log_prob = each.log_prob
        return tf.where(is_present[:, None], log_prob, tf.zeros([], log_prob.dtype))

    def log_prob(self, x: tf.Tensor, of_context: tf.Tensor) -> tf.Tensor:
        """Returns log-densities of all numbers of a row in the pool, `[N]`."""
        numbers, parameters, is_present = self._of(x, of_context, training=False)
        log_prob = self.pool.log_prob(numbers, parameters)
        log_prob = tf.where(is_present, log_prob, tf.zeros([], log_prob.dtype))
        return tf.reduce_sum(log_prob, axis=1)

    def evaluate(
        self, x: tf.Tensor, of_context: tf.Tensor, training: bool = False
    ) -> tuple[Evaluated, tf.Tensor]:
        """Returns what the members say, `[N, M, D]`, and which numbers there are."""
        numbers, parameters, is_present = self._of(x, of_context, training)
        return self.pool.conditionals.evaluate(numbers, parameters), is_present

    def parameters_of_first(self, of_context: tf.Tensor) -> tf.Tensor:
        """Returns those of the first number, `[N, M, P, 1]`."""
        x = tf.zeros([tf.shape(of_context)[0], self._cells.num_cells], tf.float64)
        features = tf.concat([of_context, self._cells(x, of_context.dtype)], axis=1)
        return self._network.network.of_column(features, 0)[..., None]

    def _of(self, x, of_context, training):
        codes, numbers = self._cells.split(x)
        features = tf.concat([of_context, self._cells(x, of_context.dtype)], axis=1)
        is_present = self._cells.is_present(codes)
        numbers = tf.where(is_present, numbers, self.centers)
        return numbers, self._network(features, training=training), is_present
