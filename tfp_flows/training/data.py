"""The data of `fit`: rows with contexts and weights, in memory or in batches.

`RowFormat` tells rows, contexts and weights apart in the forms that users give. `RowArrays`
and `RowStream` are data in memory and in batches, with the same methods: `first` and
`sample` for the data-dependent state, `split` for validation, `for_keras` for Keras.
"""

from __future__ import annotations

import collections.abc
import contextlib
import itertools
import math
import time
import typing
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import check_rows, take_rows
from tfp_flows.core.statistics import check_resolution
from tfp_flows.training.row_batches import (
    given_order,
    new_orders,
    row_batches,
    without_autotune,
)

# The type of the specification of None in a dataset's element.
_NO_TENSOR = type(tf.type_spec_from_value(None))
# Seconds for which a dataset is read before training.
_MOST_SECONDS = 60.0
# Least number of batches of a `PyDataset` that are read before training, if it has so many.
# Batches of sorted rows differ from each other, so a few large ones are no sample.
_LEAST_BATCHES = 64
# Rows count as sorted if the means of their two halves differ by more standard errors. By
# chance, not even one of thousands of columns does.
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


class Rows(typing.NamedTuple):
    """Rows, their context and their weights: arrays, tensors, or their specifications.

    Attributes:
      x: `[N, *event]`.
      context: `[N, context_size]`; None if there is none.
      weight: `[N]`; None if all rows count alike.
    """

    x: typing.Any
    context: typing.Any = None
    weight: typing.Any = None

    @property
    def inputs(self) -> Any:
        """The inputs of a model: `x`, or `(x, context)`."""
        return self.x if self.context is None else (self.x, self.context)

    def as_batch(self) -> tuple:
        """Returns Keras's tuple of inputs, targets and weights."""
        if self.weight is None:
            return (self.inputs,)
        # Keras drops weights without targets, so the weights stand there, too.
        return (self.inputs, self.weight, self.weight)


class RowFormat:
    """The shapes of a model's rows and contexts, which tell the two apart.

    A tuple or list of batches is `(x, context)`; a tuple or list of single rows is `x`.

    Args:
      event_shape: shape of one row; None if it is unknown.
      context_size: width of the context; 0 if there is none.
      dtype: dtype of the model.
      check: function that raises `ValueError` for an array of rows, `[n, *event]`, with
        values that no row may have; None if rows may have any.
    """

    def __init__(
        self,
        event_shape: Any,
        context_size: int,
        dtype: tf.DType | str,
        check: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        event_shape = tf.TensorShape(event_shape)
        self.event_shape = event_shape if event_shape.rank is not None else None
        self.context_size = context_size
        self.dtype = tf.as_dtype(dtype)
        self.check = check

    @classmethod
    def from_distribution(cls, distribution: tfd.Distribution) -> RowFormat:
        """Returns the format of the events of a distribution."""
        return cls(
            getattr(distribution, "event_shape", None),
            _context_size(distribution),
            distribution.dtype,
        )

    def from_inputs(self, inputs: Any) -> Rows:
        """Returns the `Rows` of inputs: `x`, `(x,)`, `(x, context)`, or a dictionary.

        Raises:
          ValueError: if there are more than two parts, or entries of another name.
        """
        if isinstance(inputs, dict):
            is_named = {"x"} <= set(inputs) <= {"x", "context"}
            require(is_named, "inputs named `x` and `context`", sorted(inputs))
            return Rows(**inputs)
        if not isinstance(inputs, (tuple, list)) or self._is_batch(inputs):
            return Rows(inputs)
        count = len(inputs)
        require(1 <= count <= 2, "inputs `x` or `(x, context)`", f"{count} of them")
        return Rows(*(None if _is_absent(part) else part for part in inputs))

    def from_batch(self, batch: Any) -> Rows:
        """Returns the `Rows` of Keras's tuple of inputs, targets and weights.

        As there are no targets, the second entry of `(x, context)` is the context of a
        conditional model.

        Raises:
          ValueError: if there are targets.
        """
        if isinstance(batch, dict) or self._is_batch(batch):
            return self.from_inputs(batch)
        inputs, second, weight = keras.utils.unpack_x_y_sample_weight(batch)
        rows = self.from_inputs(inputs)
        if not _is_absent(second):
            if rows.context is not None or not self.context_size:
                self.refuse_targets()
            rows = rows._replace(context=second)
        return rows._replace(weight=None if _is_absent(weight) else weight)

    def refuse_targets(self) -> None:
        """Raises `ValueError`, and says where a context goes."""
        place = " A context is the second input: fit((x, context))."
        hint = place if self.context_size else ""
        raise ValueError(f"Expected no targets `y`; got some.{hint}")

    def _is_batch(self, value):
        """Whether `value` is rows: not a sequence, or a sequence of single rows."""
        if not isinstance(value, (tuple, list)) or not value:
            return True
        is_part = hasattr(value[0], "shape") or isinstance(value[0], dict)
        # A tuple of arrays is never rows, so an `x` with too few axes gets its own error.
        if is_part and (isinstance(value, tuple) or self.event_shape is None):
            return False
        if self.event_shape is None:
            return isinstance(value, list)
        return _ndims(value[0]) <= self.event_shape.rank


def _context_size(distribution):
    size = getattr(distribution, "context_size", None)
    if size is None:  # TFP's own distributions have none
        size = getattr(getattr(distribution, "bijector", None), "context_size", 0)
    return size


def _is_absent(part):
    return part is None or isinstance(part, _NO_TENSOR)


def _ndims(value):
    if hasattr(value, "shape"):
        return len(value.shape)
    if not isinstance(value, (tuple, list)):
        return 0
    return 1 + (_ndims(value[0]) if value else 0)


class RowArrays:
    """Data in memory: arrays of rows, contexts and weights of equal length.

    Args:
      row_format: the `RowFormat` of the model.
      rows: `Rows` of anything that NumPy converts to arrays.

    Raises:
      ValueError: if something is not numeric, or of another shape or length, there are no
        rows, or they have values that no row may have.
    """

    def __init__(self, row_format: RowFormat, rows: Rows) -> None:
        require(rows.x is not None, "`x` as an array of numbers", None)
        self._format = row_format
        given = {n: value for n, value in rows._asdict().items() if value is not None}
        self.rows = Rows(
            **{name: as_array(value, _argument(name)) for name, value in given.items()}
        )
        x, context, weight = self.rows
        event_shape = tf.TensorShape(row_format.event_shape)
        check_rows(x, context, event_shape, row_format.context_size, argument="x")
        if weight is not None:
            words = f"`sample_weight` of shape [{len(x)}], one a row of `x`"
            require(weight.shape in ((len(x),), (len(x), 1)), words, weight.shape)
        if row_format.check is not None:
            row_format.check(self.rows.x)

    def check(self, argument: str = "x") -> None:
        """Raises `ValueError` if values are not finite, or not resolved by the dtype."""
        self.check_finite(argument)
        for name, array in self._named(argument):
            check_resolution(array, self._format.dtype, name)

    def check_finite(self, argument: str = "x") -> None:
        """Raises `ValueError` if values are not finite."""
        for name, array in self._named(argument):
            check_finite(array, name)

    def check_sum_of_weights(self) -> None:
        """Raises `ValueError` unless the sum of the weights is above 0."""
        if self.rows.weight is not None:
            total = self.rows.weight.sum()
            require(total > 0, "`sample_weight` with a sum above 0", total)

    def first(self) -> Rows:
        """Returns all rows."""
        return self.rows

    def sample(self, most: int, num_batches: int | None = None) -> Rows:
        """Returns all rows, since they are in memory."""
        return self.rows

    def split(self, share: float) -> list[RowArrays]:
        """Returns the first rows, and the last rows, which are a `share` of all."""
        num_rows = len(self.rows.x)
        count = math.floor(num_rows * (1.0 - share))  # as Keras splits
        words = "`validation_split` that leaves rows for training and for validation"
        require(0 < count < num_rows, words, f"{share} of {num_rows} rows")
        parts = []
        for part in (slice(count), slice(count, None)):
            rows = Rows(*(None if array is None else array[part] for array in self.rows))
            parts.append(RowArrays(self._format, rows))
        return parts

    def for_keras(
        self,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool = False,
    ) -> dict:
        """Returns arguments of Keras's `fit`, `evaluate` and `predict`, by name."""
        dtype = self._format.dtype.as_numpy_dtype
        rows = tf.nest.map_structure(lambda array: _from_dtype(array, dtype), self.rows)
        count = len(rows.x)
        batch_size = batch_size or (math.ceil(count / steps) if steps else 32)
        order = new_orders(count) if shuffle else given_order(count)
        return {"x": row_batches(rows.as_batch(), order, batch_size)}

    def _named(self, argument):
        prefix = "" if argument == "x" else f"{argument}: "
        for name, array in self.rows._asdict().items():
            if array is not None:
                yield prefix + _argument(name), array


def _argument(field):
    """Returns the argument of `fit` that a field of `Rows` is."""
    return "sample_weight" if field == "weight" else field


def as_array(value: Any, argument: str) -> np.ndarray:
    """Returns a numeric array of lists, arrays, tensors, or a table with `__array__`.

    Raises `ValueError`, which names the `argument`, if entries are missing or no real
    numbers.
    """
    require(not np.ma.is_masked(value), f"`{argument}` without masked entries", "some")
    try:
        array = np.asarray(value)
        if array.dtype == object and _are_numbers(array):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected `{argument}` as an array of numbers; {error}"
        ) from error
    if array.dtype == bool:
        return array.astype(np.uint8)  # TensorFlow converts no booleans by itself
    if array.dtype.kind not in "iuf" and not _is_small_float(array.dtype):
        raise ValueError(
            f"Expected `{argument}` as an array of numbers; got {_described(value, array)}."
        )
    return array


def check_finite(array: np.ndarray, argument: str) -> None:
    """Raises `ValueError`, with the first row, if an array has NaN or infinity."""
    if array.dtype.kind in "biu" or not array.size:
        return
    # Minimum and maximum are NaN if one value is.
    if np.isfinite(array.min()) and np.isfinite(array.max()):
        return
    rows = array.reshape(len(array), -1)
    bad = np.argwhere(~np.isfinite(rows))
    row, entry = bad[0]
    raise ValueError(
        f"Expected finite `{argument}`; got {rows[row, entry]} in row {row} "
        f"({len(np.unique(bad[:, 0]))} of {len(rows)} rows have such values)."
    )


def _from_dtype(array, dtype):
    if array is None:
        return None
    if array.dtype.kind in "biu":  # the model casts integers, a batch at a time
        dtype = array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False)


def _is_small_float(dtype):
    # NumPy takes bfloat16 and other small floats for void.
    return dtype.kind == "V" and dtype.names is None and tf.as_dtype(dtype).is_floating


def _are_numbers(array):
    """Whether an object array holds numbers: a table with several numeric dtypes does."""
    numbers = (bool, int, float, np.number, np.bool_)
    return all(isinstance(entry, numbers) for entry in array.flat)


def _described(value, array):
    kinds = getattr(value, "dtypes", None)  # a table has one for each column
    if kinds is None:
        return f"dtype {array.dtype}"
    columns = [str(name) for name, kind in kinds.items() if kind.kind not in "biuf"]
    if not columns:
        return "a table with missing entries"
    return f"a table whose columns {columns} are not of numbers"


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
        for batch in self._from_the_start():
            return self._arrays(batch).rows
        raise _no_batches()

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

    def for_keras(self, *, steps: int | None = None, **_: object) -> dict:
        """Returns arguments of Keras's `fit`, `evaluate` and `predict`, by name.

        Raises `ValueError` without `steps` for batches without end.
        """
        batches = self._batches
        has_end = steps is not None or not is_endless(batches)
        require(has_end, "a number of steps with a dataset without end", None)
        if isinstance(batches, tf.data.Dataset):
            return {"x": without_autotune(batches.map(self._standard_tensors))}
        if isinstance(batches, keras.utils.PyDataset):
            return {"x": _StandardBatches(batches, self._standard_arrays)}
        if isinstance(batches, collections.abc.Iterator):
            # Keras takes generators, but no other iterators.
            return {"x": (self._standard_arrays(batch) for batch in batches)}
        return {"x": batches}

    def _spread_batches(self, most):
        """Evenly spaced batches of a `PyDataset`, with `most` rows if it has so many."""
        batches, count = self._batches, self._batches.num_batches
        size = max(len(self._arrays(batches[0]).rows.x), 1)
        needed = min(count, max(_LEAST_BATCHES, -(-most // size)))
        indices = np.linspace(0, count - 1, needed).round().astype(int)
        return (batches[int(index)] for index in indices)

    def _drawn(self, batches, most, *, first=False):
        """Returns `most` rows of batches, a sample or the first, and if all were read."""
        rng, start = np.random.default_rng(0), time.monotonic()
        parts: list = []  # rows, and their keys
        was_read = True
        for batch in batches:
            data = RowArrays(self._format, self._format.from_batch(batch))
            if self._checked:
                data.check_finite()
            rows = data.rows
            # The rows with the smallest keys are the sample.
            key = rng.random(len(rows.x))
            if rows.weight is not None:
                key += rows.weight.reshape(-1) <= 0.0
            parts.append((rows, key))
            count = sum(len(key) for _, key in parts)
            is_late = time.monotonic() - start > _MOST_SECONDS
            if count >= most if first else is_late:
                was_read = False
                break
            if count >= 2 * most:
                parts = [_smallest(parts, most)]
        if not parts:
            raise _no_batches()
        rows, _ = _smallest(parts, None if first else most)
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
        if self._checked:
            checks += [_assert_finite(*item) for item in rows._asdict().items()]
        if self._format.check is not None:
            checks += [tf.numpy_function(self._format.check, [rows.x], [])]
        with tf.control_dependencies([c for c in checks if c is not None]):
            return tf.nest.map_structure(tf.identity, rows.as_batch())

    def _standard_arrays(self, batch):
        batch = self._arrays(batch).rows.as_batch()
        dtype = self._format.dtype.as_numpy_dtype
        return tf.nest.map_structure(lambda array: array.astype(dtype), batch)

    def _arrays(self, batch):
        data = RowArrays(self._format, self._format.from_batch(batch))
        if self._checked:
            data.check_finite()  # one batch may vary less than all rows
        return data


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


def _no_batches():
    return ValueError("Expected `x` of at least one batch; got none.")


@contextlib.contextmanager
def errors_of_data() -> Iterator[None]:
    """Raises the `ValueError` of a batch again, which TensorFlow wraps in its own error."""
    try:
        yield
    except tf.errors.OpError as error:
        for mark, end in (("assertion failed: [", "]"), ("ValueError: ", "\n")):
            _, found, rest = error.message.partition(f"{mark}Expected ")
            if found:
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
    event = row_format.event_shape
    shape = getattr(rows.x, "shape", tf.TensorShape(None))
    if event is None or shape.rank is None:
        return
    is_row = shape.rank == event.rank and shape.is_compatible_with(event)
    found, hint = f"one of single rows, {shape}", " Call `.batch` on it."
    require(not is_row, "a dataset of batches", found, hint)
    fits = shape.rank == event.rank + 1 and shape[1:].is_compatible_with(event)
    require(fits, f"`x` of shape [{', '.join(map(str, ('N', *event)))}]", shape)


def _assert_finite(field, tensor):
    if tensor is None or not tensor.dtype.is_floating:
        return None
    is_finite = tf.math.is_finite(tensor)
    rows = tf.reduce_all(tf.reshape(is_finite, [tf.shape(tensor)[0], -1]), axis=1)
    first, name = tf.argmax(tf.concat([~rows, [True]], axis=0)), _argument(field)
    message = tf.strings.format(
        f"Expected finite `{name}`; got NaN or infinity in row {{}} of a batch.", first
    )
    return tf.debugging.Assert(tf.reduce_all(rows), [message])
