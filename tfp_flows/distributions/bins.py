"""Bins of `[0, 1]`: their integers, noise in them, and draws beyond the end bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer
from tfp_flows.distributions import draws

__all__ = [
    "can_occur",
    "quantize",
    "reach_outside",
    "reduce_bits",
    "refuse_others",
    "uniform_noise",
]

# Median distance of draws outside: about as far as `Logit(0.05)` reaches.
_DISTANCE = 0.05


def can_occur(value: tf.Tensor, num_bins: int) -> tf.Tensor:
    """Which entries are integers `0, ..., num_bins - 1`."""
    return (value >= 0) & (value < num_bins) & (value == tf.floor(value))


def refuse_others(value: tf.Tensor, num_bins: int, argument: str) -> None:
    """Raises `ValueError` if an entry of `value` is no integer `0, ..., num_bins - 1`."""
    others = tf.boolean_mask(value, ~can_occur(value, num_bins))
    if len(others):
        raise ValueError(
            f"Expected `{argument}` of integers from 0 to {num_bins - 1}; got "
            f"{others[0]:g}."
        )


def quantize(scaled: tf.Tensor, num_bins: int) -> tf.Tensor:
    """The bins of scaled data; those outside `[0, 1]` count to the end bins."""
    return tf.clip_by_value(tf.floor(scaled * num_bins), 0, num_bins - 1)


def reduce_bits(images: np.ndarray, num_bits: int) -> np.ndarray:
    """Reduces 8-bit `images` to integers of `num_bits` bits, as in Glow's 5-bit data.

    >>> import numpy as np
    >>> import tfp_flows
    >>> tfp_flows.reduce_bits(np.uint8([0, 7, 8, 255]), num_bits=5).tolist()
    [0, 0, 1, 31]
    """
    if check_integer("num_bits", num_bits) > 8:
        raise ValueError(f"Expected `num_bits` from 1 to 8; got {num_bits}.")
    return np.asarray(images) // 2 ** (8 - num_bits)


def uniform_noise(
    value: tf.Tensor, event_ndims: int, seed: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Uniform noise in `[0, 1)`, `[..., *event]`, and its log-density 0, `[...]`."""
    noise = draws.uniform(tf.shape(value), draws.stateless(seed), value.dtype)
    batch_shape = tf.shape(value)[: value.shape.rank - event_ndims]
    return noise, tf.zeros(batch_shape, value.dtype)


def reach_outside(
    scaled: tf.Tensor,
    value: tf.Tensor,
    num_bins: int,
    num_reaching: int,
    event_ndims: int,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Moves entries of the two end bins outside `[0, 1]`, in the first few draws.

    An entry moves with probability 1 / (1 + E), where its row has E entries in end bins,
    to a distance of density `d / (d + distance)^2`. All J draws are weighted as draws from
    the mixture of both kinds, so that those in the bins keep nearly their full weight.

    Args:
      scaled: `[J, ..., *event]`, in the bins.
      value: the bins, `[J, ..., *event]`.
      num_bins: number of bins.
      num_reaching: number of the J draws that may reach outside.
      event_ndims: number of axes of an event.
      seed: stateless seed.

    Returns:
      The moved `scaled`; the log-density of the moves, `[J, ...]`, relative to draws that
      stay in the bins, in which a unit of length is the width of a bin; and whether a row
      has moved, `[J, ...]`.
    """
    dtype, shape = scaled.dtype, tf.shape(scaled)
    axes = list(range(-event_ndims, 0))
    first, second = draws.split(seed, 2)
    is_end = (value == 0) | (value == num_bins - 1)
    num_ends = tf.reduce_sum(tf.cast(is_end, dtype), axis=axes, keepdims=True)
    log_stay, log_move = -tf.math.log1p(1.0 / num_ends), -tf.math.log1p(num_ends)
    index = tf.reshape(tf.range(shape[0]), [-1] + [1] * (scaled.shape.rank - 1))
    coin = tf.math.log(draws.uniform(shape, first, dtype))
    moves = is_end & (index < num_reaching) & (coin < log_move)
    ratio = draws.uniform(shape, second, dtype)
    distance = _DISTANCE * ratio / (1.0 - ratio)
    log_distance = math.log(_DISTANCE / num_bins) - 2.0 * tf.math.log(_DISTANCE + distance)
    moved = tf.where(value == 0, -distance, 1.0 + distance)
    share = tf.cast(num_reaching, dtype) / tf.cast(shape[0], dtype)
    of_moves = tf.where(moves, log_move + log_distance, 0.0)
    of_stays = tf.where(is_end & ~moves, log_stay, 0.0)
    log_reaching = tf.reduce_sum(of_moves + of_stays, axis=axes) + tf.math.log(share)
    has_moved = tf.reduce_any(moves, axis=axes)
    log_resting = tf.where(has_moved, tf.constant(-math.inf, dtype), tf.math.log1p(-share))
    log_density = tf.reduce_logsumexp(tf.stack([log_reaching, log_resting]), axis=0)
    return tf.where(moves, moved, scaled), log_density, has_moved
