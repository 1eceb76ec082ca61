"""Draws of rows of codes and numbers, whole or given some of their cells."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_flows.distributions import draws

__all__ = ["RowDraws"]


class RowDraws:
    """Draws one cell after another; what is given is kept, and weighs the row.

    Args:
      rows: the `MixedRows`.
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
        of_codes, of_numbers = draws.split(seed, 2)
        num_codes = self._cells.num_codes
        is_drawn = observed is None
        observed = tf.zeros_like(x, tf.bool) if is_drawn else observed
        of_context = self._rows.features_of_context(x, *(context or [None]))
        codes, weight = self._codes(
            x[:, :num_codes], observed[:, :num_codes], of_context, of_codes
        )
        if self._networks is None:
            return codes, weight
        numbers, more = self._numbers(
            codes,
            x[:, num_codes:],
            None if is_drawn else observed[:, num_codes:],
            of_context,
            of_numbers,
        )
        return tf.concat([codes, numbers], axis=1), weight + more

    def _codes(self, x, observed, of_context, seed):
        """Codes, each row's under one member, `[N, K]`, and log-weights, `[N]`."""
        num_rows = tf.shape(x)[0]
        if not self._mades:
            return x, tf.zeros([num_rows], tf.float64)
        choice_seed, *seeds = draws.split(seed, 1 + len(self._mades))
        given = [of_context] if of_context.shape[1] else []
        drawn = [
            made.complete(tf.cast(x, made.dtype), observed, member_seed, *given)
            for made, member_seed in zip(self._mades, seeds, strict=True)
        ]
        codes, weights = (tf.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
        member = _member(len(self._mades), num_rows, choice_seed)
        codes, weights = (tf.gather(t, member, batch_dims=1) for t in (codes, weights))
        return tf.cast(codes, tf.float64), tf.cast(weights, tf.float64)

    def _numbers(self, codes, x, observed, of_context, seed):
        cells, rows = self._cells, self._rows
        num_rows, dtype = tf.shape(x)[0], of_context.dtype
        is_present = cells.is_present(codes)
        features = [of_context, cells.of_codes(codes, dtype)]
        width = self._networks.input_shape[0]
        weight = tf.zeros([num_rows], tf.float64)
        numbers = []
        for j, number_seed in enumerate(draws.split(seed, cells.num_numbers)):
            seen = tf.concat(features, axis=1)
            seen = tf.pad(seen, [[0, 0], [0, width - seen.shape[1]]])
            parameters = self._networks.network.of_column(seen, j)[..., None]
            pool = rows.numbers.pool.of_columns([j])
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
            features.append(cells.of_columns([j]).of_numbers(u, present, dtype))
            numbers.append(y)
        return tf.concat(numbers, axis=1), weight


def _member(num_members, num_rows, seed):
    """An index of a member for each row, `[N]`."""
    uniform = draws.uniform([num_rows], seed, tf.float64)
    return tf.cast(tf.floor(uniform * num_members), tf.int32)
