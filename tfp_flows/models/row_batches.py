"""Evaluation of a function of many rows, some at a time."""

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.draws import fold_in

__all__ = ["RowFunction"]


class RowFunction:
    """A function of rows and a seed, compiled once for batches of any length.

    Args:
      function: of a batch, `[n, *event]`, and a stateless seed of its own; returns tensors
        `[n, ...]`, in any nest.
      event_shape: shape of one row.
      dtype: of the rows.
    """

    def __init__(self, function, event_shape, dtype):
        self._dtype = tf.as_dtype(dtype)
        self._function = tf.function(
            function,
            input_signature=[
                tf.TensorSpec([None, *event_shape], self._dtype),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,
        )

    def __call__(self, x, *, seed, batch_size):
        """Returns the results for all rows as arrays, `[N, ...]`.

        Args:
          x: `[N, *event]`, an array.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          batch_size: rows at a time; each batch has draws of its own.

        Raises:
          ValueError: if there is no row.
        """
        if not len(x):
            raise ValueError("Expected `x` of at least one row; got none.")
        x = np.asarray(x, self._dtype.as_numpy_dtype)
        results = [
            self._function(x[start : start + batch_size], fold_in(seed, start))
            for start in range(0, len(x), batch_size)
        ]
        return tf.nest.map_structure(
            lambda *parts: np.concatenate([part.numpy() for part in parts]), *results
        )
