"""Rows of data: checks of users' rows, choices of rows, and calls on flat rows or parts."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_unmasked, require
from tfp_flows.core.compiled import is_compiled_by_xla


def parts_of_rows(*arrays: Any, size: int = 4096) -> Iterator[list]:
    """Yields lists of slices of arrays, at most `size` rows each; None stays None."""
    for first in range(0, len(arrays[0]), size):
        part = slice(first, first + size)
        yield [None if array is None else array[part] for array in arrays]


def tensors_of_parts(*arrays: Any) -> Iterator[list]:
    """Yields lists of tensors, as `parts_of_rows`."""
    for part in parts_of_rows(*arrays):
        yield [None if array is None else tf.constant(array) for array in part]


def by_parts(function: Callable, *arrays: Any, size: int = 4096) -> np.ndarray:
    """Returns `function` of all rows, computed on parts of `size` rows to bound its memory.

    Arrays but the first may be None, which the function then gets.
    """
    parts = parts_of_rows(*arrays, size=size)
    return np.concatenate([np.asarray(function(*part)) for part in parts])


def map_parts(function: Callable, size: int, *tensors: tf.Tensor) -> tf.Tensor:
    """Returns `function` of all rows, a part of `size` rows at a time, also in a graph.

    The function takes the index of the part and its rows of the tensors. It returns as many
    rows, in the dtype of the first tensor.
    """
    num_rows = tf.shape(tensors[0])[0]
    num_parts = -(-num_rows // size)
    index = tf.range(num_parts)
    # The last part is padded with the last row.
    rows = tf.range(num_parts * -(-num_rows // num_parts))
    rows = tf.reshape(tf.minimum(rows, num_rows - 1), [num_parts, -1])

    @tf.autograph.experimental.do_not_convert
    def on_part(part):
        return function(part[0], *(tf.gather(t, part[1]) for t in tensors))

    results = tf.map_fn(
        on_part,
        (index, rows),
        fn_output_signature=tensors[0].dtype,
        parallel_iterations=1,
    )
    shape = tf.concat([[tf.size(rows)], tf.shape(results)[2:]], axis=0)
    return tf.reshape(results, shape)[:num_rows]


def on_flat_rows(
    function: Callable, x: tf.Tensor, context: tf.Tensor | None, *arguments: Any
) -> tf.Tensor:
    """Returns `function(rows, contexts, *arguments)`, with the batch axes of both."""
    if context is not None:
        context = tf.reshape(context, [-1, context.shape[-1]])
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.reshape(function(rows, context, *arguments), tf.shape(x)[:-1])


def distinct_rows(*tensors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the index of one row of each kind, `[K]`, and the kind of each row, `[N]`.

    Rows of one kind are equal in all tensors, `[N, columns]`, of which the first has a
    floating-point dtype. Under XLA all rows count as different.
    """
    index = tf.range(tf.shape(tensors[0])[0])
    if is_compiled_by_xla():
        return index, index
    keys = tf.concat([tf.cast(t, tensors[0].dtype) for t in tensors], axis=1)
    _, kind = tf.raw_ops.UniqueV2(x=keys, axis=[0])
    return tf.math.unsorted_segment_min(index, kind, tf.reduce_max(kind) + 1), kind


def at_least_one_row(*tensors: tf.Tensor | None) -> tuple:
    """Adds a row of zeros to tensors without rows.

    Loops over variables and convolutions need at least one.

    Returns the tensors, of which some may be None, and a function that removes such a row
    from outputs.
    """
    if all(t is None or t.shape[0] for t in tensors):
        return *tensors, lambda outputs: outputs

    def padded(tensor):
        missing = tf.maximum(1 - tf.shape(tensor)[0], 0)
        return tf.pad(tensor, [[0, missing]] + [[0, 0]] * (tensor.shape.rank - 1))

    num_rows = tf.shape(tensors[0])[0]
    rows = [t if t is None or t.shape[0] else padded(t) for t in tensors]
    return *rows, lambda outputs: tuple(output[:num_rows] for output in outputs)


def check_rows(
    data: TensorLike,
    context: TensorLike | None,
    event_shape: tf.TensorShape,
    context_size: int,
    *,
    argument: str = "data",
) -> Any:
    """Returns `data`, `[N, *event]`, as an array or tensor of at least one row.

    It may be a `tf.TensorSpec`; an event shape of unknown rank allows any shape. With a
    `context_size` of 0, the context must be None.
    """
    data = _as_numbers(data, argument)
    expected = tf.TensorShape([None]).concatenate(event_shape)
    fits, got = expected.is_compatible_with(data.shape), _tuple(data.shape)
    require(data.shape and fits, f"`{argument}` of shape {_written(expected)}", got)
    words = f"`{argument}` of at least one row"
    require(data.shape[0] != 0, words, f"shape {got}")
    _check_context(context, context_size, data.shape[0])
    return data


def rows_of_positive_weight(
    data: Any, context: TensorLike | None, sample_weight: TensorLike | None
) -> tuple:
    """Returns data, contexts and weights of the rows whose weight is above zero.

    Data, in any structure, and context are as they were given, or arrays of fewer rows.
    Weights, `[N]` or `[N, 1]`, become float64, `[n]`; equal ones become None. Weights must
    be finite and not negative, with a sum above 0.
    """
    if sample_weight is None:
        return data, context, None
    weight, count = as_array(sample_weight, "sample_weight"), num_rows(data)
    check_weight(weight, count)
    weight = weight.astype(np.float64).reshape(-1)
    most = weight.max(initial=0.0)
    words = "finite `sample_weight` with a sum above 0"
    require(0.0 < most < np.inf, words, f"a largest one of {most}")
    counts = np.flatnonzero(weight > 0.0)
    if len(counts) < count:
        if context is not None and not tf.is_tensor(context):
            context = np.asarray(context)
        data, context, weight = take_rows((data, context, weight), counts)
    return data, context, None if np.ptp(weight) == 0.0 else weight


def check_weight(weight: np.ndarray, num_rows: int) -> None:
    """Refuses `sample_weight` of another shape than `[num_rows]`, and negative weights."""
    fits = weight.shape in ((num_rows,), (num_rows, 1))
    words = f"`sample_weight` of shape [{num_rows}], one a row"
    require(fits, words, weight.shape)
    rows = np.flatnonzero(weight < 0)
    got = f"some in rows {rows[:5].tolist()}"
    require(not len(rows), "`sample_weight` without negative weights", got)


def initialize_part(part: Any, data: Any, context: Any, weight: Any) -> None:
    """Initialises a bijector, distribution or conditioner by rows, if it has any state.

    It gets no context and no weights if there are none. If a user's class does not take
    weights, `ValueError` says so.
    """
    if not hasattr(part, "initialize"):
        return
    keywords = {} if context is None else {"context": context}
    if weight is not None:
        takes = inspect.signature(part.initialize).parameters.values()
        fits = any(p.name == "sample_weight" or p.kind == p.VAR_KEYWORD for p in takes)
        words = f"`{type(part).__name__}.initialize` to take `sample_weight`"
        hint = " Add the keyword, None by default, since rows have weights."
        require(fits, words, "one that does not", hint)
        keywords["sample_weight"] = weight
    part.initialize(data, **keywords)


def num_rows(data: Any) -> int:
    """Returns N of an array `[N, *event]`, or of a structure of arrays with N rows."""
    return len(tf.nest.flatten(data)[0])


def take_rows(data: Any, index: Any) -> Any:
    """Returns the rows `index` of `[N, ...]`, or of None, in any structure.

    Indices are integers, `[n]`; for arrays also booleans, `[N]`, or a slice.
    """

    def take(rows):
        if rows is None:
            return None
        return tf.gather(rows, index) if tf.is_tensor(rows) else np.asarray(rows)[index]

    return tf.nest.map_structure(take, data)


def random_split(data: Any, share: float, seed: int | None) -> tuple[Any, Any]:
    """Returns random rows, in another order, and the others: a share, at least one."""
    order = np.random.default_rng(seed).permutation(num_rows(data))
    count = max(1, round(share * len(order)))
    return take_rows(data, order[count:]), take_rows(data, order[:count])


def sample_of_rows(data: Any, most: int) -> Any:
    """Returns at most `most` rows of `[N, ...]`, in any structure, in their order.

    They are drawn from all rows, always the same ones, since the first rows of sorted data
    are unlike the others.
    """
    count = num_rows(data)
    if count <= most:
        return data
    chosen = np.random.default_rng(0).choice(count, most, replace=False)
    return take_rows(data, np.sort(chosen))


def rows_by_weight(weight: np.ndarray, count: int | None = None) -> np.ndarray:
    """Returns indices of rows, each as often as its share of the weights, rounded.

    There are `count`, or N if None, in increasing order. Each row comes once if all weights
    are equal and `count` is None.
    """
    count = len(weight) if count is None else count
    total = np.cumsum(weight / weight.max())
    places = (np.arange(count) + 0.5) / count
    return np.searchsorted(total / total[-1], places)


def effective_count(weight: np.ndarray | None, count: int) -> float:
    """Returns Kish's effective sample size, `sum(w)^2 / sum(w^2)`; `count` if None."""
    if weight is None or not len(weight):
        return float(count)
    weight = weight / weight.max()  # the square of a small number would be zero
    return float(weight.sum() ** 2 / (weight**2).sum())


def refuse_rows_outside(
    low: np.ndarray,
    high: np.ndarray,
    slack: float,
    data: np.ndarray,
    dtype: tf.DType,
    argument: str,
) -> None:
    """Refuses `data`, `[N, *event]`, with an entry that is not between `low` and `high`.

    The ends broadcast to an event. Entries are first rounded to `dtype`; `slack` is the
    tolerance for rounding at both ends.
    """
    rounded = data.astype(dtype.as_numpy_dtype)
    outside = (rounded < low - slack) | (rounded > high + slack)
    if outside.any():
        index = tuple(np.argwhere(outside)[0])
        ends = (np.broadcast_to(end, data.shape[1:])[index[1:]] for end in (low, high))
        interval = "[{:g}, {:g}]".format(*ends)
        raise ValueError(refusal(argument, interval, data, index))


def refusal(argument: str, expected: str, data: np.ndarray, index: tuple) -> str:
    """Returns the message that the entry `index` of `data` is outside of `expected`."""
    row, *entry = (int(i) for i in index)
    place = f"column {entry[0]}" if len(entry) == 1 else f"entry {tuple(entry)}"
    return (
        f"Expected `{argument}` within {expected} in {place}; got {data[index]:g} in row "
        f"{row}."
    )


def _check_context(context, context_size, num_rows):
    if not context_size:
        got = f"shape {_tuple(np.shape(context))}"
        words = "no `context`, since the flow is unconditional"
        require(context is None, words, got)
        return
    words = f"`context` of shape [N, {context_size}]"
    require(context is not None, words, None)
    context = _as_numbers(context, "context")
    fits = len(context.shape) == 2 and context.shape[1] == context_size
    require(fits, words, _tuple(context.shape))
    expected = tf.TensorShape([num_rows, context_size])
    fits = expected.is_compatible_with(context.shape)
    require(fits, f"`context` of shape {_written(expected)}", _tuple(context.shape))


def as_array(value: Any, argument: str, hint: str = "") -> np.ndarray:
    """Returns a numeric array of lists, arrays, tensors, or a table with `__array__`.

    Raises `ValueError`, which names the `argument` and ends with the `hint`, if rows have
    several lengths, or entries are missing or no real numbers.
    """
    check_unmasked(argument, value)
    words = f"Expected `{argument}` as an array of numbers"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:  # rows of several lengths, for example
        raise ValueError(f"{words}; got an error of NumPy: {error}{hint}") from error
    if array.dtype == object and _are_numbers(array):
        array = array.astype(np.float64)
    if array.dtype == bool:
        return array.astype(np.uint8)  # TensorFlow converts no booleans by itself
    if array.dtype.kind not in "iuf" and not _is_small_float(array.dtype):
        raise ValueError(f"{words}; got {_described(value, array)}.{hint}")
    return array


def _as_numbers(value, argument):
    """Returns tensors and their specifications as they are, anything else as an array."""
    if not isinstance(value, (tf.Tensor, tf.TensorSpec, tf.Variable)):
        return as_array(value, argument)
    is_number = value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool
    require(is_number, f"`{argument}` as an array of numbers", value.dtype)
    return value


def _are_numbers(array):
    """Whether an object array holds numbers: a table with several numeric dtypes does."""
    numbers = (bool, int, float, np.integer, np.floating, np.bool_)
    others = np.timedelta64  # a subclass of `np.integer`
    entries = array.flat
    return all(isinstance(e, numbers) and not isinstance(e, others) for e in entries)


def _is_small_float(dtype):
    # NumPy takes bfloat16 and other small floats for void.
    return dtype.kind == "V" and dtype.names is None and tf.as_dtype(dtype).is_floating


def _described(value, array):
    kinds = getattr(value, "dtypes", None)  # a table has one for each column
    if kinds is None:  # NumPy keeps whole what it takes for no sequence
        return f"dtype {array.dtype}" if array.ndim else f"a {type(value).__name__}"
    columns = [str(name) for name, kind in kinds.items() if kind.kind not in "biuf"]
    if not columns:
        return "a table with missing entries"
    return f"a table whose columns {columns} are not of numbers"


def _written(shape):
    if shape.rank is None:
        return "[N, ...]"
    first, *others = shape.as_list()
    return f"[{', '.join(map(str, ['N' if first is None else first, *others]))}]"


def _tuple(shape):
    return tuple(shape) if tf.TensorShape(shape).rank is not None else "unknown"
