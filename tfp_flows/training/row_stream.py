"""Rows in batches: datasets, generators and others, with a look at them before training."""

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

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import take_rows
from tfp_flows.core.statistics import check_resolution
from tfp_flows.training.row_arrays import RowArrays
from tfp_flows.training.row_batches import without_autotune
from tfp_flows.training.row_format import RowFormat, Rows

# Seconds for which a dataset is read before training.
_MOST_SECONDS = 60.0
# Least number of batches of a `PyDataset` that are read before training, if it has so many.
# Batches of sorted rows differ from each other, so a few large ones are no sample.
_LEAST_BATCHES = 64
# Rows count as sorted if the means of their two halves differ by more standard errors, as
# not even one of thousands of columns does by chance.
_MOST_ERRORS = 7.0
_FEWEST_ROWS = 50  # fewest rows in each half for the comparison of means
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
    """Data in batches, whose first ones can be read before training without being lost.

    Args:
      row_format: the `RowFormat` of the model.
      batches: one of `KINDS`, with batches in the forms that Keras takes.
      checked: whether a batch with infinite or NaN values raises `ValueError` when it
        comes.

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
        batch = next(iter(self._from_the_start()), None)
        require(batch is not None, "`x` of at least one batch", "none")
        return self._rows(batch)

    def sample(self, most: int, num_batches: int | None = None) -> Rows:
        """Returns rows of an epoch as arrays: all of them, or a random sample of `most`.

        A dataset is read once, for a minute at most. A `PyDataset` is read at evenly spaced
        batches. Generators and endless datasets give their first rows. Rows of weight zero
        are drawn last. The sample is the same each time.

        Args:
          most: number of rows.
          num_batches: number of batches of an epoch; None for all.

        Raises:
          ValueError: if there are none, or values are not finite; if a dataset is empty in
            its second pass; or if the batches are distributed to replicas.
        """
        if isinstance(self._batches, keras.utils.PyDataset) and self._batches.num_batches:
            return self._drawn(self._spread_batches(most), most)[0]
        batches = itertools.islice(self._from_the_start(), num_batches)
        has_end = num_batches is not None or not is_endless(self._batches)
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
        """Raises `ValueError`, since the last rows of batches are not known in advance."""
        raise ValueError(
            f"Expected arrays with `validation_split` of {share}; got batches. Give "
            "`validation_data` instead."
        )

    def for_keras(self, *, steps: int | None = None, **_: object) -> Any:
        """Returns the batches that Keras's `fit`, `evaluate` and `predict` take.

        Their size and order stay. Raises `ValueError` without `steps` for batches without
        end.
        """
        batches = self._batches
        has_end = steps is not None or not is_endless(batches)
        require(has_end, "a number of steps with a dataset without end", None)
        if isinstance(batches, tf.data.Dataset):
            return without_autotune(batches.map(self._standard_tensors))
        if isinstance(batches, keras.utils.PyDataset):
            return _StandardBatches(batches, self._standard_arrays)
        if isinstance(batches, collections.abc.Iterator):
            # Keras takes generators, but no other iterators.
            return (self._standard_arrays(batch) for batch in batches)
        return batches

    def _spread_batches(self, most):
        """Evenly spaced batches of a `PyDataset`, with `most` rows if it has so many."""
        batches, count = self._batches, self._batches.num_batches
        size = max(len(self._rows(batches[0]).x), 1)
        needed = min(count, max(_LEAST_BATCHES, -(-most // size)))
        indices = np.linspace(0, count - 1, needed).round().astype(int)
        return (batches[int(index)] for index in indices)

    def _drawn(self, batches, most, *, first=False):
        """Returns `most` rows, a sample or the first ones, and whether all were read."""
        rng, start = np.random.default_rng(0), time.monotonic()
        parts: list = []  # rows, and their keys
        was_read = True
        for batch in batches:
            rows = self._rows(batch)
            # The rows with the smallest keys are the sample.
            key = rng.random(len(rows.x))
            if rows.weight is not None:
                key += rows.weight.reshape(-1) <= 0.0
            parts.append((rows, key))
            count = sum(len(key) for _, key in parts)
            is_late = time.monotonic() - start > _MOST_SECONDS
            is_enough = count >= most if first else is_late
            if is_enough:
                was_read = False
                break
            if count >= 2 * most:
                parts = [_smallest(parts, most)]
        require(parts, "`x` of at least one batch", "none")
        rows, _ = _smallest(parts, None if first else most)
        if self._checked:  # not batch by batch, since one may vary less than all rows
            for name, array in rows.by_argument.items():
                check_resolution(array, self._format.dtype, name)
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
            # The next pass gives the batches that are read here again.
            first_pass, self._batches = itertools.tee(batches)
            return first_pass
        raise ValueError(
            "Expected an initialized model for a distributed dataset; call `initialize` "
            "with some of its rows first."
        )

    def _standard_tensors(self, *batch):
        rows = self._format.from_batch(batch)
        some = "Expected `x` of at least one row in each batch; got none."
        checks = [tf.debugging.Assert(tf.shape(rows.x)[0] > 0, [some])]
        for name, tensor in rows.by_argument.items():
            if self._checked and tensor.dtype.is_floating:
                checks.append(_assert_finite(name, tensor))
        if rows.weight is not None:
            some = "Expected `sample_weight` without negative weights; got some in a batch."
            checks.append(tf.debugging.Assert(tf.reduce_all(rows.weight >= 0), [some]))
        if self._format.check is not None:
            checks.append(tf.numpy_function(self._format.check, [rows.x], []))
        with tf.control_dependencies(checks):
            return tf.nest.map_structure(tf.identity, rows.as_batch())

    def _standard_arrays(self, batch):
        dtype = self._format.dtype.as_numpy_dtype
        return self._rows(batch).map(lambda array: array.astype(dtype)).as_batch()

    def _rows(self, batch):
        """Returns the `Rows` of a batch as arrays, which are checked."""
        data = RowArrays(self._format, self._format.from_batch(batch))
        if self._checked:
            data.check_finite(is_batch=True)
        return data.rows


def _smallest(parts, most):
    """Returns the rows with the `most` smallest keys, in their order, and the keys."""
    rows, key = tf.nest.map_structure(
        lambda *arrays: None if arrays[0] is None else np.concatenate(arrays), *parts
    )
    if most is None or len(key) <= most:
        return rows, key
    index = np.sort(np.argpartition(key, most - 1)[:most])
    return take_rows((rows, key), index)


def is_endless(batches: Any) -> bool:
    """Whether batches are a dataset that says it has no end."""
    if isinstance(batches, keras.utils.PyDataset):
        return batches.num_batches is None
    is_dataset = isinstance(batches, tf.data.Dataset)
    return is_dataset and batches.cardinality() == tf.data.INFINITE_CARDINALITY


def _refuse_read_once(dataset):
    """Refuses a dataset that is empty after it was read once."""
    if dataset.cardinality() != tf.data.UNKNOWN_CARDINALITY:
        return
    if next(iter(dataset), None) is None:
        raise ValueError(
            "Expected a dataset that can be read again, since its statistics are taken "
            "before training; got one that is empty in the second pass. Call `.cache()` on "
            "it, or `initialize` with an array of some rows, on a dataset made anew."
        )


def _are_sorted(x):
    """Whether the means of the first and the second half differ by more than chance."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    half = len(rows) // 2
    if half < _FEWEST_ROWS:
        return False
    error = rows.std(axis=0) * np.sqrt(4.0 / len(rows))
    difference = np.abs(rows[:half].mean(axis=0) - rows[half:].mean(axis=0))
    return bool(np.any(difference > _MOST_ERRORS * error))


@contextlib.contextmanager
def errors_of_data() -> Iterator[None]:
    """Raises the `ValueError` of a batch again, which TensorFlow wraps in its own error."""
    try:
        yield
    except tf.errors.OpError as error:
        for mark, end in (("assertion failed: [", "]"), ("ValueError: ", "\n")):
            _, has_mark, rest = error.message.partition(f"{mark}Expected ")
            if has_mark:
                raise ValueError(f"Expected {rest.partition(end)[0]}") from error
        raise


class _StandardBatches(keras.utils.PyDataset):
    """A `PyDataset` whose batches go through a function."""

    def __init__(self, batches, standard):
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self._batches = batches
        self._standard = standard

    @property
    def num_batches(self):
        return self._batches.num_batches

    def __getitem__(self, index):
        return self._standard(self._batches[index])

    def on_epoch_begin(self):
        self._batches.on_epoch_begin()

    def on_epoch_end(self):
        self._batches.on_epoch_end()


def _check_element(spec, row_format):
    rows = row_format.from_batch(spec)
    for part in rows.by_argument.values():
        is_dense = isinstance(part, tf.TensorSpec)
        got = type(part).__name__.removesuffix("Spec")
        require(is_dense, "a dataset of dense tensors", f"one with a {got}")
    event = row_format.event_shape
    shape = getattr(rows.x, "shape", tf.TensorShape(None))
    if event is None or shape.rank is None:
        return
    is_row = shape.rank == event.rank and shape.is_compatible_with(event)
    got, hint = f"one of single rows, {shape}", " Call `.batch` on it."
    require(not is_row, "a dataset of batches", got, hint)
    fits = shape.rank == event.rank + 1 and shape[1:].is_compatible_with(event)
    require(fits, f"`x` of shape [{', '.join(map(str, ('N', *event)))}]", shape)


def _assert_finite(name, tensor):
    is_finite = tf.math.is_finite(tensor)
    rows = tf.reduce_all(tf.reshape(is_finite, [tf.shape(tensor)[0], -1]), axis=1)
    first = tf.argmax(tf.concat([~rows, [True]], axis=0))
    message = tf.strings.format(
        f"Expected finite `{name}`; got NaN or infinity in row {{}} of a batch.", first
    )
    return tf.debugging.Assert(tf.reduce_all(rows), [message])
