"""Streams of batches of rows: a dataset, a `PyDataset` or a Python generator."""

from __future__ import annotations

import collections.abc
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_batches import without_autotune
from tfp_flows.models.row_format import RowFormat
from tfp_flows.models.row_format import Rows

__all__ = ["RowStream", "errors_of_data"]


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

    def first(self, least: int) -> Rows:
        """Returns the rows of the first batches as arrays, at least `least` or all.

        Raises `ValueError` if there are none, or the batches are distributed to replicas.
        """
        batches, seen = [], 0
        for batch in self._from_the_start():
            data = self._arrays(batch)
            batches.append(data.rows)
            seen += len(data.rows.x)
            if seen >= least:
                break
        if not batches:
            raise ValueError("Expected `x` of at least one batch; got none.")
        return Rows(
            *(
                None if c[0] is None else np.concatenate(c)
                for c in zip(*batches, strict=True)
            )
        )

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
