"""Streams of batches of rows: a dataset, a `PyDataset` or a Python generator."""

from __future__ import annotations

import collections.abc
import contextlib
import itertools
import time
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.rows import take_rows
from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_batches import without_autotune
from tfp_flows.models.row_format import RowFormat
from tfp_flows.models.row_format import Rows

__all__ = ["RowStream", "errors_of_data"]

# The time for which a dataset is read before training.
_MOST_SECONDS = 60.0
# Batches of a `PyDataset` that are read before training, if there are so many: large ones
# of sorted rows are unlike each other.
_LEAST_BATCHES = 64
# Standard errors between the means of two halves of rows, which no shuffled rows have even
# in thousands of columns; and the rows of a half from which on they are told.
_MOST_ERRORS, _FEWEST_ROWS = 7.0, 50
_REMEDY = (
    "If its rows are sorted, shuffle them, or call `initialize` with an array of rows from "
    "all over it before `fit`."
)
_TOO_LONG = (
    "Means, scales and correlations are set from the rows of `x` that were read within "
    f"{{:g}} seconds, not from all of it. {_REMEDY}"
)
_SORTED = (
    "Means, scales and correlations are set from the first rows of `x`, and these change "
    f"from one end to the other. {_REMEDY}"
)


class RowStream:
    """Batches of rows, whose first ones can be read without being lost.

    Args:
      row_format: the `RowFormat` of the model.
      batches: one of `KINDS`, of batches as Keras takes them.
      checked: whether a batch with values that are not finite raises when it comes.

    Raises:
      ValueError: if a dataset has targets, or single rows instead of batches.
    """

    KINDS = (
        tf.data.Dataset,
        tf.distribute.DistributedDataset,
        keras.utils.PyDataset,
        collections.abc.Iterator,
    )

    def __init__(
        self, row_format: RowFormat, batches: Any, *, checked: bool = False
    ) -> None:
        self._format = row_format
        self._checked = checked
        self._batches = batches
        if isinstance(batches, tf.data.Dataset):
            _check_element(batches.element_spec, row_format)

    def first(self) -> Rows:
        """Returns the rows of the first batch as arrays.

        Raises `ValueError` if there is none, or the batches are distributed to replicas.
        """
        for batch in self._from_the_start():
            return self._arrays(batch).rows
        raise _no_batches()

    def sample(self, most: int, num_batches: int | None = None) -> Rows:
        """Returns rows of an epoch as arrays: all of them, or `most` that are drawn.

        A dataset is read once for that, for a minute at most; of a `PyDataset`, batches all
        over it are; of what can be read but once or has no end, the first rows are taken.
        Rows of weight zero are drawn last. The same rows are drawn each time.

        Args:
          most: number of rows.
          num_batches: of an epoch; None if it has all of them.

        Raises:
          ValueError: if there are none, or values are not finite; if a dataset is empty in
            its second pass; or if the batches are distributed to replicas.
        """
        if isinstance(self._batches, keras.utils.PyDataset) and self._batches.num_batches:
            return self._drawn(self._spread_batches(most), most)[0]
        batches = itertools.islice(self._from_the_start(), num_batches)
        has_end = num_batches is not None or not _is_endless(self._batches)
        if isinstance(self._batches, tf.data.Dataset) and has_end:
            rows, was_read = self._drawn(batches, most)
            if not was_read:
                warnings.warn(_TOO_LONG.format(_MOST_SECONDS), stacklevel=4)
            elif num_batches is None:
                _refuse_read_once(self._batches)
            return rows
        rows, was_read = self._drawn(batches, most, first=True)
        if not was_read and _are_sorted(rows.x):
            warnings.warn(_SORTED, stacklevel=4)
        return rows

    def split(self, share: float) -> None:
        """Raises `ValueError`, since only arrays have last rows."""
        raise ValueError(
            f"Expected arrays with `validation_split` of {share}; got batches. Give "
            "`validation_data` instead."
        )

    def for_keras(self, **_: object) -> dict:
        """Returns arguments of Keras's `fit`, `evaluate` and `predict`, by name."""
        batches = self._batches
        if isinstance(batches, tf.data.Dataset):
            return {"x": without_autotune(batches.map(self._standard_tensors))}
        if isinstance(batches, keras.utils.PyDataset):
            return {"x": _StandardBatches(batches, self._standard_arrays)}
        if isinstance(batches, collections.abc.Iterator):
            # Keras takes generators, but no other iterators.
            return {"x": (self._standard_arrays(batch) for batch in batches)}
        return {"x": batches}

    def _spread_batches(self, most):
        """Batches all over a `PyDataset`, with `most` rows if there are so many."""
        batches, count = self._batches, self._batches.num_batches
        size = max(len(self._arrays(batches[0]).rows.x), 1)
        needed = min(count, max(_LEAST_BATCHES, -(-most // size)))
        indices = np.linspace(0, count - 1, needed).round().astype(int)
        return (batches[int(index)] for index in indices)

    def _drawn(self, batches, most, *, first=False):
        """At most `most` rows of batches, drawn or the first, and whether all were read."""
        rng, start, parts, keys = np.random.default_rng(0), time.monotonic(), [], []
        was_read = True
        for batch in batches:
            rows = RowArrays(self._format, self._format.of_batch(batch))
            if self._checked:
                rows.check_finite()
            parts.append(rows.rows)
            key = rng.random(len(rows.rows.x))
            if rows.rows.weight is not None:
                key += rows.rows.weight.reshape(-1) <= 0.0
            keys.append(key)
            count = sum(map(len, keys))
            was_read = not (count >= most if first else _is_late(start))
            if not was_read:
                break
            if count >= 2 * most:
                parts, keys = _smallest(parts, keys, most)
        if not parts:
            raise _no_batches()
        (rows,), _ = _smallest(parts, keys, most if not first else None)
        if self._checked:
            RowArrays(self._format, rows).check()
        return rows, was_read

    def _from_the_start(self):
        batches = self._batches
        if isinstance(batches, tf.data.Dataset):
            return batches.as_numpy_iterator()
        if isinstance(batches, keras.utils.PyDataset):
            count = batches.num_batches
            indices = itertools.count() if count is None else range(count)
            return (batches[i] for i in indices)
        if isinstance(batches, collections.abc.Iterator):
            # Batches that are read here come again in the next pass.
            seen: list = []
            self._batches = itertools.chain(seen, batches)
            return _remembered(batches, seen)
        raise ValueError(
            "Expected an initialized model for a distributed dataset; call `initialize` "
            "with some of its rows first."
        )

    def _standard_tensors(self, *batch):
        rows = self._format.of_batch(batch)
        if self._checked:
            checks = [_assert_finite(*item) for item in rows._asdict().items()]
            with tf.control_dependencies([c for c in checks if c is not None]):
                return tf.nest.map_structure(tf.identity, rows.as_batch())
        return rows.as_batch()

    def _standard_arrays(self, batch):
        batch = self._arrays(batch).rows.as_batch()
        dtype = self._format.dtype.as_numpy_dtype
        return tf.nest.map_structure(lambda array: array.astype(dtype), batch)

    def _arrays(self, batch):
        data = RowArrays(self._format, self._format.of_batch(batch))
        if self._checked:
            data.check()
        return data


def _smallest(parts, keys, most):
    """The rows with the `most` smallest keys, or all, in their order, and the keys."""
    rows = Rows(
        *(None if c[0] is None else np.concatenate(c) for c in zip(*parts, strict=True))
    )
    key = np.concatenate(keys)
    if most is None or len(key) <= most:
        return [rows], [key]
    index = np.sort(np.argpartition(key, most - 1)[:most])
    return [take_rows(rows, index)], [key[index]]


def _is_late(start):
    return time.monotonic() - start > _MOST_SECONDS


def _is_endless(batches):
    is_dataset = isinstance(batches, tf.data.Dataset)
    return is_dataset and batches.cardinality() == tf.data.INFINITE_CARDINALITY


def _refuse_read_once(dataset):
    """Refuses a dataset that has given all its rows, and has none any more."""
    if dataset.cardinality() != tf.data.UNKNOWN_CARDINALITY:
        return
    if next(iter(dataset), None) is None:
        raise ValueError(
            "Expected a dataset that can be read again, since its statistics are taken "
            "before training; got one that is empty in the second pass. Call `.cache()` on "
            "it, or `initialize` with an array of some rows, on a dataset made anew."
        )


def _are_sorted(x):
    """Whether means of the first and the second half differ by more than chance."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    half = len(rows) // 2
    if half < _FEWEST_ROWS:
        return False
    error = rows.std(axis=0) * np.sqrt(4.0 / len(rows))
    difference = np.abs(rows[:half].mean(axis=0) - rows[half:].mean(axis=0))
    return bool(np.any(difference > _MOST_ERRORS * error))


def _no_batches():
    return ValueError("Expected `x` of at least one batch; got none.")


@contextlib.contextmanager
def errors_of_data() -> Iterator[None]:
    """Raises what a batch raises within TensorFlow as the `ValueError` that it was."""
    try:
        yield
    except tf.errors.OpError as error:
        for mark, end in (("assertion failed: [", "]"), ("ValueError: ", "\n")):
            _, found, rest = error.message.partition(f"{mark}Expected ")
            if found:
                raise ValueError(f"Expected {rest.partition(end)[0]}") from error
        raise


class _StandardBatches(keras.utils.PyDataset):
    """A `PyDataset` in another form."""

    def __init__(self, batches, standard):
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self._of = batches
        self._standard = standard

    @property
    def num_batches(self):
        return self._of.num_batches

    def __getitem__(self, index):
        return self._standard(self._of[index])

    def on_epoch_begin(self):
        self._of.on_epoch_begin()

    def on_epoch_end(self):
        self._of.on_epoch_end()


def _remembered(batches, seen):
    for batch in batches:
        seen.append(batch)
        yield batch


def _check_element(spec, row_format):
    rows = row_format.of_batch(spec)
    event = row_format.event_shape
    shape = getattr(rows.x, "shape", tf.TensorShape(None))
    if event is None or shape.rank is None:
        return
    if shape.rank == event.rank and shape.is_compatible_with(event):
        raise ValueError(
            f"Expected a dataset of batches; got one of single rows, {shape}. Call "
            "`.batch` on it."
        )
    if shape.rank != event.rank + 1 or not shape[1:].is_compatible_with(event):
        expected = ", ".join(map(str, ("N", *event)))
        raise ValueError(f"Expected `x` of shape [{expected}]; got {shape}.")


def _assert_finite(argument, tensor):
    if tensor is None or not tensor.dtype.is_floating:
        return None
    is_finite = tf.math.is_finite(tensor)
    rows = tf.reduce_all(tf.reshape(is_finite, [tf.shape(tensor)[0], -1]), axis=1)
    name = "sample_weight" if argument == "weight" else argument
    message = tf.strings.format(
        f"Expected finite `{name}`; got NaN or infinity in row {{}} of a batch.",
        tf.argmax(tf.cast(~rows, tf.int32)),
    )
    return tf.debugging.Assert(tf.reduce_all(rows), [message])
