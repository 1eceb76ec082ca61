"""Partitions of an event by the mask of a coupling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_array, require

# Largest number of runs of equal entries that are split and joined one by one. Gathers have
# gradients of many operations.
_MOST_RUNS = 16


def check_mask(mask: npt.ArrayLike) -> np.ndarray:
    """Returns `mask` as a boolean array; both True and False must occur."""
    mask = check_array("mask", mask)
    got = f"dtype {mask.dtype} and shape {mask.shape}"
    is_mask = mask.dtype == bool and mask.ndim > 0
    require(is_mask, "a boolean `mask` of the event's shape", got)
    words = "a `mask` in which some variables pass and some change"
    has_both = mask.any() and not mask.all()
    require(has_both, words, f"{int(mask.sum())} of {mask.size} that pass")
    return mask


def partition(mask: np.ndarray) -> _SplitLastAxis | _MaskEvent:
    """Returns the cheapest way to split events by the boolean array `mask`.

    It has `split(x) -> (seen, changing)`, `join(seen, changed) -> y`,
    `sum(log_det) -> log_det` over the event's axes, and the shapes `seen_shape` and
    `changing_shape` of the results of `split` for one event.
    """
    along_last_axis = mask.reshape(-1, mask.shape[-1])
    if (along_last_axis == along_last_axis[0]).all():
        return _SplitLastAxis(along_last_axis[0], mask.shape)
    return _MaskEvent(mask)


class _SplitLastAxis:
    """Passing and changing entries of the last axis as two smaller tensors."""

    def __init__(self, mask, event_shape):
        self._origin = np.argsort(np.argsort(~mask, kind="stable"))
        self._event_axes = list(range(-len(event_shape), 0))
        self.seen_shape = (*event_shape[:-1], int(np.sum(mask)))
        self.changing_shape = (*event_shape[:-1], int(np.sum(~mask)))
        ends = np.flatnonzero(mask[1:] != mask[:-1]) + 1
        self._runs = np.diff([0, *ends, len(mask)])
        self._alternates = len(mask) > 2 and bool((mask[1:] != mask[:-1]).all())
        self._mask = mask

    def split(self, x):
        if self._alternates and len(self._mask) % 2 == 0:  # faster than strided slices
            pairs = tf.reshape(x, [-1, *self.seen_shape, 2])
            return self._in_order(*tf.unstack(pairs, axis=-1))
        if self._alternates:
            return self._in_order(x[..., ::2], x[..., 1::2])
        if len(self._runs) <= _MOST_RUNS:
            runs = tf.split(x, self._runs, axis=-1)
            return self._in_order(_joined(runs[::2]), _joined(runs[1::2]))
        places = map(np.flatnonzero, (self._mask, ~self._mask))
        return tuple(tf.gather(x, place, axis=-1) for place in places)

    def join(self, seen, changed):
        even, odd = self._in_order(seen, changed)
        if self._alternates:
            return _interleave(even, odd, self.seen_shape[:-1])
        if len(self._runs) <= _MOST_RUNS:
            runs = list(self._runs)
            runs[::2] = _parts(even, self._runs[::2])
            runs[1::2] = _parts(odd, self._runs[1::2])
            return tf.concat(runs, axis=-1)
        return tf.gather(tf.concat([seen, changed], axis=-1), self._origin, axis=-1)

    def sum(self, log_det):
        return tf.reduce_sum(log_det, axis=self._event_axes)

    def _in_order(self, a, b):
        """Orders (seen, changing) by position, or (first, second) by role."""
        return (a, b) if self._mask[0] else (b, a)


def _joined(parts):
    return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def _parts(x, sizes):
    return tf.split(x, sizes, axis=-1) if len(sizes) > 1 else [x]


class _MaskEvent:
    """The whole event, with zeros at the changing entries for the conditioner."""

    def __init__(self, mask):
        self._mask = mask
        self._event_axes = list(range(-mask.ndim, 0))
        self.seen_shape = self.changing_shape = mask.shape

    def split(self, x):
        return tf.where(self._mask, x, tf.zeros_like(x)), x

    def join(self, seen, changed):
        return tf.where(self._mask, seen, changed)

    def sum(self, log_det):
        log_det = tf.where(self._mask, tf.zeros_like(log_det), log_det)
        return tf.reduce_sum(log_det, axis=self._event_axes)


def _interleave(even, odd, leading):
    """Puts `even` at 0, 2, ... and `odd` at 1, 3, ... of the last axis of an event."""
    size = even.shape[-1] + odd.shape[-1]
    if even.shape[-1] > odd.shape[-1]:
        odd = tf.concat([odd, odd[..., :1]], axis=-1)
    pairs = tf.stack([even, odd], axis=-1)
    whole = tf.reshape(pairs, [-1, *leading, 2 * even.shape[-1]])
    return whole if size % 2 == 0 else whole[..., :size]
