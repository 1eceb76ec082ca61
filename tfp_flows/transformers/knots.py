"""Knots of splines: where they are, and between which of them a value is."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

__all__ = ["Bin", "bin_of", "knots_of", "shares_of", "value_at"]

# Least width and height of a bin, as parts of the interval.
_LEAST_BIN = 1e-3


class Bin(NamedTuple):
    """The bins that values are in, `[...]` each.

    Attributes:
      index: their numbers, from 0.
      x_0: left ends in x.
      y_0: left ends in y.
      w: widths.
      h: heights.
    """

    index: tf.Tensor
    x_0: tf.Tensor
    y_0: tf.Tensor
    w: tf.Tensor
    h: tf.Tensor


def shares_of(logits: tf.Tensor) -> tf.Tensor:
    """Parts of the interval that belong to K bins, of logits, `[K, ...]` both."""
    num_bins = logits.shape[0]
    greatest = tf.reduce_max(logits, axis=0, keepdims=True)
    shares = tf.exp(logits - tf.stop_gradient(greatest))
    shares /= tf.reduce_sum(shares, axis=0, keepdims=True)
    return _LEAST_BIN + (1.0 - _LEAST_BIN * num_bins) * shares


def knots_of(shares: tf.Tensor, bound: float) -> list[tf.Tensor]:
    """K + 1 knots from `-bound` to `bound`, `[...]` each, of shares `[K, ...]`."""
    # Both ends exactly, where a sum of all shares would be rounded.
    end = tf.fill(tf.shape(shares[0]), tf.constant(bound, shares.dtype))
    passed = itertools.accumulate(tf.unstack(shares)[:-1])
    return [-end, *(_position(share, bound) for share in passed), end]


def bin_of(value: tf.Tensor, shares: Sequence[tf.Tensor], axis: int, bound: float) -> Bin:
    """Returns the bins that `value`, an x or a y as `axis` says, is in.

    Nothing is gathered, since the gradient of that is a scatter: bins before that of a
    value, and it alone, are sums from which all others are dropped.

    Args:
      value: `[...]`, from `-bound` to `bound`.
      shares: of the interval in x and in y, `[K, ...]` both.
      axis: 0 or 1.
      bound: half the length of the interval.
    """
    *inner, _ = knots_of(shares[axis], bound)[1:]
    # A sum over one array: XLA computes sums of many anew for each bin below.
    index = tf.reduce_sum(tf.cast(value >= tf.stack(inner), tf.int32), axis=0)
    numbers = _numbers_like(shares[0], index)
    x_0, y_0 = (_position(_sum_where(numbers < index, part), bound) for part in shares)
    w, h = (2.0 * bound * _sum_where(tf.equal(numbers, index), part) for part in shares)
    return Bin(index, x_0, y_0, w, h)


def value_at(index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Of `values`, `[K, ...]`, that at `index`, `[...]`; 0 where there is none."""
    return _sum_where(tf.equal(_numbers_like(values, index), index), values)


def _position(share, bound):
    return bound * (2.0 * share - 1.0)


def _numbers_like(values, index):
    """The integers below K, for K arrays, to compare with an index of any rank."""
    return tf.reshape(tf.range(values.shape[0]), [-1, *[1] * index.shape.rank])


def _sum_where(condition, values):
    return tf.reduce_sum(tf.where(condition, values, tf.zeros([], values.dtype)), axis=0)
