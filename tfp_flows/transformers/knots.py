"""Knots of splines: where they are, and between which of them a value is."""

import itertools
from collections.abc import Sequence

import tensorflow as tf

__all__ = ["bin_of", "knots_last_but_one", "knots_of"]

# Least width and height of a bin, as parts of the interval.
_LEAST_BIN = 1e-3


def knots_of(
    widths: tf.Tensor, heights: tf.Tensor, slopes: Sequence[tf.Tensor], bound: float
) -> list[tf.Tensor]:
    """K + 1 knots, `[3, ...]`, of logits `[K, ...]` and K + 1 slopes."""
    knots = zip(_positions(widths, bound), _positions(heights, bound), slopes, strict=True)
    return [tf.stack(knot) for knot in knots]


def knots_last_but_one(knots: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """Three arrays `[..., K + 1, D]` of K + 1 arrays `[3, ..., D]`."""
    return tf.unstack(tf.stack(knots, axis=-2))


def bin_of(value: tf.Tensor, knots: Sequence[tf.Tensor], axis: int) -> tuple:
    """Left end in x and in y, sizes, and both slopes, of the bin that `value` is in.

    The bins are passed one after another, up to that of `value`, which is an x or a y, as
    `axis` says. That is faster than a search and a gather, whose gradient is a scatter.
    """
    left, right = knots[0], knots[1]
    for knot, following in itertools.pairwise(knots[1:]):
        is_beyond = value >= knot[axis]
        left = tf.where(is_beyond, knot, left)
        right = tf.where(is_beyond, following, right)
    (x_0, y_0, d_0), (x_1, y_1, d_1) = tf.unstack(left), tf.unstack(right)
    return x_0, y_0, x_1 - x_0, y_1 - y_0, d_0, d_1


def _positions(logits, bound):
    """K + 1 knots from `-bound` to `bound`, of logits `[K, ...]`."""
    num_bins = logits.shape[0]
    greatest = tf.reduce_max(logits, axis=0, keepdims=True)
    shares = tf.exp(logits - tf.stop_gradient(greatest))
    shares /= tf.reduce_sum(shares, axis=0, keepdims=True)
    shares = _LEAST_BIN + (1.0 - _LEAST_BIN * num_bins) * shares
    passed = itertools.accumulate(tf.unstack(shares)[:-1])
    # Both ends exactly, where a sum of all shares would be rounded.
    end = tf.fill(tf.shape(logits[0]), tf.constant(bound, logits.dtype))
    return [-end, *(bound * (2.0 * share - 1.0) for share in passed), end]
