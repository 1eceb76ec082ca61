"""Distributions of rows of codes and numbers, some of which may be absent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_name
from tfp_flows.core.arguments import check_seed
from tfp_flows.core.arguments import check_widths
from tfp_flows.core.compiled import CompiledCall
from tfp_flows.core.inputs import align_batch_axes
from tfp_flows.core.inputs import check_context
from tfp_flows.core.inputs import check_value
from tfp_flows.distributions import draws
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.distributions.draws import by_rows
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.tables.networks import KNOTS
from tfp_flows.tables.networks import CellFeatures
from tfp_flows.tables.networks import RowNetworks
from tfp_flows.tables.number_conditionals import Evaluated
from tfp_flows.tables.number_conditionals import NumberConditionals
from tfp_flows.tables.number_conditionals import NumberPool
from tfp_flows.tables.number_maps import NumberSpec

__all__ = ["TableDistribution"]


class TableDistribution(DistributionWrapper):
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
        check_widths("hidden_units", hidden_units)
        check_seed("seed", seed)
        check_name("name", name)
        super().__init__(name=name)
        # Not tracked, which would wrap its lists.
        object.__setattr__(self, "parameters", parameters)
        self.cells = CellFeatures(num_values, _specs(numbers), knots)
        self.context_cells = CellFeatures(context_values, _specs(context_numbers), knots)
        self.num_members = num_members
        networks = RowNetworks(hidden_units, dropout, num_members, self.context_cells.size)
        from_codes, from_numbers = split_seed(seed, 2)
        self._mades = networks.from_codes(num_values, from_codes)
        size = NumberConditionals(self.cells.maps, num_bins).num_parameters
        self._networks = networks.from_numbers(self.cells, size, from_numbers)
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
        from_context = self.features_of_context(x, context)
        log_prob = self.log_prob_of_codes(codes, from_context, training)[..., None]
        if self._networks is None:
            return log_prob
        from_numbers = self.numbers.log_prob_of_members(x, from_context, training)
        return tf.concat([log_prob, from_numbers], axis=2)

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
        from_context = self.features_of_context(x, context)
        log_prob = self.mean_over_members(self.log_prob_of_codes(codes, from_context))
        if self._networks is None:
            return log_prob
        return log_prob + self.numbers.log_prob(x, from_context)

    def _set_transient_state(self):
        cells, num_bins = self.cells, self.parameters["num_bins"]
        weights = self.parameters["recalibration"] or [0.0] * cells.num_numbers
        numbers = RowNumbers(cells, self._networks, num_bins, weights)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "_compiled", CompiledCall(self._log_prob))
        object.__setattr__(self, "draws", RowSampler(self, self._mades, self._networks))


def _specs(numbers):
    return [n if isinstance(n, NumberSpec) else NumberSpec(**n) for n in numbers]


class RowSampler:
    """Draws one cell after another; what is given is kept, and weighs the row.

    Args:
      rows: the `TableDistribution`.
      mades: the M members' distributions of codes; none where there are no codes.
      networks: the networks of the numbers; None where there are none.
    """

    def __init__(self, rows: Any, mades: list, networks: Any) -> None:
        self._cells = rows.cells
        self._rows = rows
        self._mades, self._networks = mades, networks

    def draw(self, count: tf.Tensor, seed: tf.Tensor, *context: tf.Tensor) -> tf.Tensor:
        """Returns cells, `[count, K + D]`, of contexts `[count, C]`."""
        size = self._cells.num_codes + self._cells.num_numbers
        nothing = tf.zeros([count, size], tf.float64)
        return self._completed(nothing, None, seed, *context)[0]

    def complete(
        self, x: tf.Tensor, observed: tf.Tensor, seed: tf.Tensor, *context: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws missing cells given those before them.

        Args:
          x: `[N, K + D]`; any numbers where cells are missing.
          observed: booleans, `[N, K + D]`.
          seed: stateless seed.
          *context: `[N, C]`, if there is one.

        Returns:
          Cells, `[N, K + D]`, and the log-densities of the observed ones given all before
          them, `[N]`: the importance weights of the rows.
        """
        return self._completed(x, observed, seed, *context)

    def _completed(self, x, observed, seed, *context):
        # Op by op where it is called eagerly: to trace all columns would take longer.
        from_codes, from_numbers = draws.split(seed, 2)
        num_codes = self._cells.num_codes
        is_drawn = observed is None
        observed = tf.zeros_like(x, tf.bool) if is_drawn else observed
        from_context = self._rows.features_of_context(x, *(context or [None]))
        codes, weight = self._codes(
            x[:, :num_codes], observed[:, :num_codes], from_context, from_codes
        )
        if self._networks is None:
            return codes, weight
        numbers, more = self._numbers(
            codes,
            x[:, num_codes:],
            None if is_drawn else observed[:, num_codes:],
            from_context,
            from_numbers,
        )
        return tf.concat([codes, numbers], axis=1), weight + more

    def _codes(self, x, observed, from_context, seed):
        """Codes, each row's under one member, `[N, K]`, and log-weights, `[N]`."""
        num_rows = tf.shape(x)[0]
        if not self._mades:
            return x, tf.zeros([num_rows], tf.float64)
        choice_seed, *seeds = draws.split(seed, 1 + len(self._mades))
        given = [from_context] if from_context.shape[1] else []
        drawn = [
            made.complete(tf.cast(x, made.dtype), observed, member_seed, *given)
            for made, member_seed in zip(self._mades, seeds, strict=True)
        ]
        codes, weights = (tf.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
        member = _member(len(self._mades), num_rows, choice_seed)
        codes, weights = (tf.gather(t, member, batch_dims=1) for t in (codes, weights))
        return tf.cast(codes, tf.float64), tf.cast(weights, tf.float64)

    def _numbers(self, codes, x, observed, from_context, seed):
        cells, rows = self._cells, self._rows
        num_rows, dtype = tf.shape(x)[0], from_context.dtype
        is_present = cells.is_present(codes)
        features = [from_context, cells.from_codes(codes, dtype)]
        width = self._networks.input_shape[0]
        weight = tf.zeros([num_rows], tf.float64)
        numbers = []
        for j, number_seed in enumerate(draws.split(seed, cells.num_numbers)):
            seen = tf.concat(features, axis=1)
            seen = tf.pad(seen, [[0, 0], [0, width - seen.shape[1]]])
            parameters = self._networks.network.from_column(seen, j)[..., None]
            pool = rows.numbers.pool.from_columns([j])
            present = is_present[:, j : j + 1]
            y = pool.draw(parameters, number_seed)
            if observed is not None:
                y = tf.where(observed[:, j : j + 1], x[:, j : j + 1], y)
            y = tf.where(present, y, rows.numbers.centers[j])
            if observed is not None:
                log_prob = pool.log_prob(y, parameters)
                counts = observed[:, j : j + 1] & present
                weight += tf.where(counts, log_prob, 0.0)[:, 0]
            maps = pool.conditionals.maps
            u = maps.forward(maps.middle(y)).u
            features.append(cells.from_columns([j]).from_numbers(u, present, dtype))
            numbers.append(y)
        return tf.concat(numbers, axis=1), weight


def _member(num_members, num_rows, seed):
    """An index of a member for each row, `[N]`."""
    uniform = draws.uniform([num_rows], seed, tf.float64)
    return tf.cast(tf.floor(uniform * num_members), tf.int32)


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
        self, x: tf.Tensor, from_context: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns log-densities, `[N, M, D]`; zero where there is no number.

        Args:
          x: cells, `[N, K + D]`.
          from_context: features of the context, `[N, F]`.
          training: whether there is dropout.
        """
        each, is_present = self.evaluate(x, from_context, training)
        log_prob = each.log_prob
        return tf.where(is_present[:, None], log_prob, tf.zeros([], log_prob.dtype))

    def log_prob(self, x: tf.Tensor, from_context: tf.Tensor) -> tf.Tensor:
        """Returns log-densities of all numbers of a row in the pool, `[N]`."""
        numbers, parameters, is_present = self._of(x, from_context, training=False)
        log_prob = self.pool.log_prob(numbers, parameters)
        log_prob = tf.where(is_present, log_prob, tf.zeros([], log_prob.dtype))
        return tf.reduce_sum(log_prob, axis=1)

    def evaluate(
        self, x: tf.Tensor, from_context: tf.Tensor, training: bool = False
    ) -> tuple[Evaluated, tf.Tensor]:
        """Returns what the members say, `[N, M, D]`, and which numbers there are."""
        numbers, parameters, is_present = self._of(x, from_context, training)
        return self.pool.conditionals.evaluate(numbers, parameters), is_present

    def parameters_of_first(self, from_context: tf.Tensor) -> tf.Tensor:
        """Returns those of the first number, `[N, M, P, 1]`."""
        x = tf.zeros([tf.shape(from_context)[0], self._cells.num_cells], tf.float64)
        features = tf.concat([from_context, self._cells(x, from_context.dtype)], axis=1)
        return self._network.network.from_column(features, 0)[..., None]

    def _of(self, x, from_context, training):
        codes, numbers = self._cells.split(x)
        features = tf.concat([from_context, self._cells(x, from_context.dtype)], axis=1)
        is_present = self._cells.is_present(codes)
        numbers = tf.where(is_present, numbers, self.centers)
        return numbers, self._network(features, training=training), is_present
