"""The completion of rows with missing cells, by importance where it is not exact."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import draws
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.row_codec import RowCodec

__all__ = ["complete_rows"]

_MOST_ROWS = 2**16  # completed at once


def complete_rows(
    rows: MixedRows,
    codec: RowCodec,
    x: np.ndarray,
    is_missing: np.ndarray,
    seed: tf.Tensor,
    num_candidates: int,
    *,
    context: tf.Tensor | None = None,
) -> np.ndarray:
    """Draws the missing cells of rows given the others, `[N, K + D]`.

    Args:
      rows: the distribution.
      codec: of its cells.
      x: `[N, K + D]`.
      is_missing: which columns of the rows are missing, `[N, columns]`.
      seed: stateless seed.
      num_candidates: completions of a row of which one is chosen, where that is not exact.
      context: `[N, C]`, if there is one.
    """
    completed = np.array(x)
    incomplete = np.flatnonzero(is_missing.any(axis=1))
    observed = np.ones(x.shape, bool)
    for column, name in enumerate(codec.names):
        observed[:, codec.cells_of_column(name)] = ~is_missing[:, [column]]
    absent = _codes_of_missing(codec, x.shape[1])
    needs_choice = (absent >= 0).any() or not _is_exact(rows, observed[incomplete])
    count = num_candidates if needs_choice else 1
    size = max(_MOST_ROWS // count, 1)
    for part, first in enumerate(range(0, len(incomplete), size)):
        index = incomplete[first : first + size]
        given = [] if context is None else [tf.gather(context, index)]
        part_seed = draws.fold_in(seed, part)
        arguments = (x[index], observed[index], absent, count, part_seed)
        completed[index] = _chosen(rows, *arguments, *given)
    return completed


def _chosen(rows, x, observed, absent, count, seed, *context):
    draw_seed, choice_seed = draws.split(seed, 2)
    repeated = (tf.repeat(tf.constant(t), count, axis=0) for t in (x, observed))
    given = [tf.repeat(c, count, axis=0) for c in context]
    candidates, weights = rows.draws.complete(*repeated, draw_seed, *given)
    # A cell that is imputed is not missing again.
    is_absent = (candidates == absent) & ~tf.repeat(observed, count, axis=0)
    weights = tf.where(tf.reduce_any(is_absent, axis=1), -1e9, weights)
    candidates = tf.reshape(candidates, [len(x), count, -1])
    return draws.choose(candidates, tf.reshape(weights, [-1, count]), choice_seed).numpy()


def _is_exact(rows, observed):
    """Whether draws are from the conditional: all missing cells come last.

    Under several members, observed codes before missing ones tell of the member.
    """
    rises = (~observed[:, 1:] >= ~observed[:, :-1]).all()
    codes = observed[:, : rows.cells.num_codes]
    is_split = codes.any(axis=1) & ~codes.all(axis=1)
    return rises and (rows.num_members == 1 or not is_split.any())


def _codes_of_missing(codec, size):
    """The code of each cell that says that it is missing, `[K + D]`; -1 if none does."""
    codes = np.full(size, -1.0)
    for name in codec.names:
        cells, own = codec.cells_of_column(name), codec.codec(name)
        if own.has_missing and cells:
            codes[cells[0]] = own.num_codes - 1
    return codes
