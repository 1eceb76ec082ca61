"""Distributions of rows of codes and numbers, some of which may be absent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.compiled_call import CompiledCall
from tfp_flows.core.inputs import align_batch_axes
from tfp_flows.core.inputs import check_context
from tfp_flows.core.inputs import check_value
from tfp_flows.distributions import draws
from tfp_flows.distributions.batches_of_rows import by_rows
from tfp_flows.distributions.compound import Compound
from tfp_flows.networks.seeds import split_seed
from tfp_flows.tables.cell_features import KNOTS
from tfp_flows.tables.cell_features import CellFeatures
from tfp_flows.tables.number_conditionals import NumberConditionals
from tfp_flows.tables.number_maps import NumberSpec
from tfp_flows.tables.row_draws import RowDraws
from tfp_flows.tables.row_networks import RowNetworks
from tfp_flows.tables.row_numbers import RowNumbers

__all__ = ["MixedRows"]


class MixedRows(Compound):
    """The distribution of K codes and D numbers, given cells of the same kinds.

    ```none
    p(row) = P(codes | context)
             product over j of  p(number_j | codes, numbers before, context)
    P(codes)    = mean over M members of  CategoricalMADE
    p(number_j) = pool over M members of  a spline of the line or circle; of an integer,
                  the probability of its bin
    ```

    Where the code of a number is not 0, there is no number: its cell does not count, and
    nothing depends on it. So the density is exact, whatever is absent. A step of training
    maximises the mean over the members of their log-densities: each is fitted by itself.
    The pool is their mean, recalibrated (`NumberPool`).

    Args:
      num_values: of each of the K codes.
      numbers: a `NumberSpec`, or its dictionary, for each of the D numbers.
      context_values: of each code of the context.
      context_numbers: of each number of the context.
      num_members: M.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      dropout: share of their units that a step of training drops.
      knots: as of `CellFeatures`.
      seed: integer that determines initial weights.
      recalibration: weight of each number in its `NumberPool`; none: 0 for all.
      description: plain values that are saved with it: of the table.
      name: name of the module.
    """

    def __init__(
        self,
        num_values: Sequence[int],
        numbers: Sequence[Any],
        *,
        context_values: Sequence[int] = (),
        context_numbers: Sequence[Any] = (),
        num_members: int = 1,
        num_bins: int = 8,
        hidden_units: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        knots: Sequence[float] = KNOTS,
        seed: int | None = None,
        recalibration: Sequence[float] = (),
        description: dict | None = None,
        name: str = "mixed_rows",
    ) -> None:
        parameters = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        check_arguments(parameters)
        super().__init__(name=name)
        # Not tracked, which would wrap its lists.
        object.__setattr__(self, "parameters", parameters)
        self.cells = CellFeatures(num_values, _specs(numbers), knots)
        self.context_cells = CellFeatures(context_values, _specs(context_numbers), knots)
        self.num_members = num_members
        networks = RowNetworks(hidden_units, dropout, num_members, self.context_cells.size)
        of_codes, of_numbers = split_seed(seed, 2)
        self._mades = networks.of_codes(num_values, of_codes)
        size = NumberConditionals(self.cells.maps, num_bins).num_parameters
        self._networks = networks.of_numbers(self.cells, size, of_numbers)
        self._set_transient_state()

    dtype = tf.float64

    @property
    def event_shape(self) -> tf.TensorShape:
        """Of one row: K codes, then D numbers."""
        return tf.TensorShape([self.cells.num_cells])

    @property
    def context_size(self) -> int:
        """Number of cells of the context."""
        return self.context_cells.num_cells

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns log-densities, `[...]`.

        Args:
          value: codes and numbers, `[..., K + D]`.
          context: `[..., context_size]`, where there is one.
          training: whether the members' logarithms are averaged, with dropout.

        Returns:
          Nats, with respect to the lengths of the numbers that are present and no integers;
          minus infinity outside the support, NaN of NaN.
        """
        x = check_value(value, "value", 1, self.event_shape, self.dtype)
        context = check_context(context, self.context_size, self.dtype, self.name)
        x, context = align_batch_axes(x, context, 1)
        method = self._compiled if tf.executing_eagerly() else self._log_prob
        return by_rows(method, x, context, training)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws cells, `[*sample_shape, ..., K + D]`, of contexts `[..., context_size]`."""
        context = check_context(context, self.context_size, self.dtype, self.name)
        shape = draws.joint_shape(sample_shape, context)
        contexts = []
        if context is not None:
            width = [self.context_size]
            each = tf.broadcast_to(context, tf.concat([shape, width], axis=0))
            contexts = [tf.reshape(each, [-1, *width])]
        x = self.draws.draw(tf.reduce_prod(shape), draws.stateless(seed), *contexts)
        return tf.reshape(x, tf.concat([shape, self.event_shape], axis=0))

    def log_prob_of_codes(
        self, codes: tf.Tensor, features: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns those of each member, `[N, M]`, of codes, `[N, K]`.

        Args:
          codes: as of rows.
          features: of the context, `[N, F]`.
          training: whether there is dropout.
        """
        if not self._mades:
            return tf.zeros([tf.shape(codes)[0], self.num_members], features.dtype)
        given = {"context": features} if self.context_cells.size else {}
        codes = tf.cast(codes, features.dtype)
        each = [made.log_prob(codes, training=training, **given) for made in self._mades]
        return tf.stack(each, axis=1)

    def features_of_context(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """Returns what networks see of the context of rows x, `[N, F]`; F may be 0."""
        if context is None:
            return tf.zeros([tf.shape(x)[0], 0], tf.float32)
        return self.context_cells(tf.convert_to_tensor(context), tf.float32)

    def mean_over_members(self, log_prob: tf.Tensor) -> tf.Tensor:
        """Returns logarithms of means of densities, of `[N, M, ...]`, as float64."""
        log_sum = tf.reduce_logsumexp(log_prob, axis=1)
        return tf.cast(log_sum, self.dtype) - math.log(self.num_members)

    def log_prob_of_networks(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """Returns each network's log-densities, `[N, M, 1 + D]`: of codes, of numbers.

        Args:
          x: cells, `[N, K + D]`.
          context: `[N, C]`, where there is one.
          training: whether there is dropout.
        """
        codes, _ = self.cells.split(x)
        of_context = self.features_of_context(x, context)
        log_prob = self.log_prob_of_codes(codes, of_context, training)[..., None]
        if self._networks is None:
            return log_prob
        of_numbers = self.numbers.log_prob_of_members(x, of_context, training)
        return tf.concat([log_prob, of_numbers], axis=2)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("numbers", "context_numbers")
        plain = {n: [vars(spec) for spec in _specs(self.parameters[n])] for n in names}
        return {**self.parameters, **plain}

    def start_at_frequencies(self, x: np.ndarray, weights: np.ndarray) -> None:
        """Starts each member's codes at their frequencies in its own training rows.

        Args:
          x: cells, `[N, K + D]`.
          weights: weights of the rows by member, `[N, M]`; only their ratios count.
        """
        for made, weight in zip(self._mades, weights.T, strict=False):
            scale = np.count_nonzero(weight) / weight.sum()
            made.start_at_frequencies(x[:, : self.cells.num_codes], weight * scale)

    def recalibrate(self, weights: Sequence[float]) -> None:
        """Sets the weights of the `NumberPool`, which are saved with all else."""
        self.parameters["recalibration"] = [float(weight) for weight in weights]
        self._set_transient_state()

    @property
    def networks(self) -> tuple[list, Any]:
        """Of the codes, one a member, or none; and of all numbers, or None."""
        return self._mades, self._networks

    @property
    def _parts(self):
        return [part for part in (*self._mades, self._networks) if part is not None]

    def _log_prob(self, x, context, training):
        if training:
            each = self.log_prob_of_networks(x, context, training)
            return tf.reduce_sum(tf.cast(tf.reduce_mean(each, axis=1), self.dtype), axis=1)
        codes, _ = self.cells.split(x)
        of_context = self.features_of_context(x, context)
        log_prob = self.mean_over_members(self.log_prob_of_codes(codes, of_context))
        if self._networks is None:
            return log_prob
        return log_prob + self.numbers.log_prob(x, of_context)

    def _set_transient_state(self):
        cells, num_bins = self.cells, self.parameters["num_bins"]
        weights = self.parameters["recalibration"] or [0.0] * cells.num_numbers
        numbers = RowNumbers(cells, self._networks, num_bins, weights)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "_compiled", CompiledCall(self._log_prob))
        object.__setattr__(self, "draws", RowDraws(self, self._mades, self._networks))


def _specs(numbers):
    return [n if isinstance(n, NumberSpec) else NumberSpec(**n) for n in numbers]
