"""Partitions of an event by the mask of a coupling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def check_mask(mask: npt.ArrayLike) -> np.ndarray:
    """Returns `mask` as a boolean array; both True and False must occur."""
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim == 0:
        raise ValueError(
            f"Expected a boolean `mask` of the event's shape; got dtype {mask.dtype} "
            f"and shape {mask.shape}."
        )
    if mask.all() or not mask.any():
        raise ValueError(
            "Expected a `mask` in which some variables pass and some change; got "
            f"{int(mask.sum())} of {mask.size} that pass."
        )
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
        self._seen = _Entries(np.flatnonzero(mask))
        self._changing = _Entries(np.flatnonzero(~mask))
        self._origin = np.argsort(np.argsort(~mask, kind="stable"))
        self._event_axes = list(range(-len(event_shape), 0))
        self.seen_shape = (*event_shape[:-1], int(np.sum(mask)))
        self.changing_shape = (*event_shape[:-1], int(np.sum(~mask)))
        self._changes_once = int(np.sum(mask[1:] != mask[:-1])) == 1
        self._alternates = bool((mask[1:] != mask[:-1]).all())
        self._mask = mask

    def split(self, x):
        if self._changes_once:
            first = int(np.sum(self._mask == self._mask[0]))
            parts = tf.split(x, [first, len(self._mask) - first], axis=-1)
            return self._in_order(*parts)
        return self._seen.take(x), self._changing.take(x)

    def join(self, seen, changed):
        if self._changes_once:
            return tf.concat(self._in_order(seen, changed), axis=-1)
        if self._alternates:
            return _interleave(*self._in_order(seen, changed))
        return tf.gather(tf.concat([seen, changed], axis=-1), self._origin, axis=-1)

    def sum(self, log_det):
        return tf.reduce_sum(log_det, axis=self._event_axes)

    def _in_order(self, a, b):
        """Orders (seen, changing) by position, or (first, second) by role."""
        return (a, b) if self._mask[0] else (b, a)


class _Entries:
    """Fixed indices of the last axis; a slice where they are evenly spaced."""

    def __init__(self, indices):
        steps = np.diff(indices)
        self._indices = indices
        self._slice = None
        if len(set(steps)) <= 1:
            step = int(steps[0]) if len(steps) else 1
            self._slice = slice(int(indices[0]), int(indices[-1]) + 1, step)

    def take(self, x):
        if self._slice is not None:
            return x[..., self._slice]
        return tf.gather(x, self._indices, axis=-1)


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


def _interleave(even, odd):
    """Puts `even` at 0, 2, 4, ... and `odd` at 1, 3, 5, ... of the last axis."""
    size = even.shape[-1] + odd.shape[-1]
    if even.shape[-1] > odd.shape[-1]:
        odd = tf.concat([odd, odd[..., :1]], axis=-1)
    pairs = tf.stack([even, odd], axis=-1)
    shape = tf.concat([tf.shape(even)[:-1], [2 * even.shape[-1]]], axis=0)
    return tf.reshape(pairs, shape)[..., :size]
