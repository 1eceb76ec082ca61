"""Arrays of a spline with the axis of the bins in front, which compilers vectorise.

Loops over the last axis, the D variables, are short; over all rows and variables they are
long, and what is done with a bin is done with a whole array.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

__all__ = ["bins_first", "with_bins_first"]


def bins_first(parameters: tf.Tensor) -> tf.Tensor:
    """Returns parameters `[..., P, D]` as `[P, ..., D]`."""
    rank = parameters.shape.rank
    return tf.transpose(parameters, [rank - 2, *range(rank - 2), rank - 1])


def with_bins_first(
    function: Callable, value: TensorLike, parameters: TensorLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `function` maps `value` to, `[..., D]` each.

    Args:
      function: of `value`, `[M]`, and `parameters`, `[P, M]`, of which it returns arrays
        `[M]`. Of parameters that all rows share, of `[..., D]` and `[P, 1, ..., 1, D]`.
      value: `[..., D]`.
      parameters: `[..., P, D]`; the batch axes of both broadcast.
    """
    parameters = tf.convert_to_tensor(parameters)
    value = tf.convert_to_tensor(value, parameters.dtype)
    num_shared = value.shape.rank + 1 - parameters.shape.rank
    if num_shared > 0:
        for _ in range(num_shared):
            parameters = parameters[tf.newaxis]
        return function(value, bins_first(parameters))
    value, parameters = _of_one_batch(value, parameters)
    shape = tf.shape(value)
    flat = tf.reshape(bins_first(parameters), [parameters.shape[-2], -1])
    mapped, log_det = function(tf.reshape(value, [-1]), flat)
    return tf.reshape(mapped, shape), tf.reshape(log_det, shape)


def _of_one_batch(value, parameters):
    like = parameters[..., 0, :]
    if value.shape.is_fully_defined() and value.shape == like.shape:
        return value, parameters
    # Of which nothing is left where the shapes turn out to be alike.
    value += tf.zeros_like(like)
    return value, parameters + tf.zeros_like(value)[..., tf.newaxis, :]
