"""Evaluation of a function of many rows, some at a time."""

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.draws import fold_in

__all__ = ["by_batches"]


def by_batches(function, x, *, seed, batch_size):
    """Returns the results of `function` for all rows as arrays, of N rows each.

    Args:
      function: of a batch, `[n, ...]`, and a stateless seed of its own; returns tensors
        `[n, ...]`, in any nest. It is compiled once.
      x: `[N, ...]`, an array.
      seed: integer, or anything that `tfp.random.sanitize_seed` takes.
      batch_size: rows at a time.

    Raises:
      ValueError: if there is no row.
    """
    if not len(x):
        raise ValueError("Expected `x` of at least one row; got none.")
    compiled = tf.function(
        function,
        input_signature=[
            tf.TensorSpec([None, *x.shape[1:]], x.dtype),
            tf.TensorSpec([2], tf.int32),
        ],
        autograph=False,
    )
    results = [
        compiled(x[start : start + batch_size], fold_in(seed, start))
        for start in range(0, len(x), batch_size)
    ]
    return tf.nest.map_structure(
        lambda *parts: np.concatenate([part.numpy() for part in parts]), *results
    )
