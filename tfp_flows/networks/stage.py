"""What a step of `staircase.py` sees: the rows that are due at one stage."""

import typing

import numpy as np
import tensorflow as tf

__all__ = ["Rows", "Stage", "Window", "grown", "put", "rows_of"]


class Rows:
    """Where the rows of each stage and of each block stand in one array.

    Args:
      stages: the stage of each row, rising, `[rows]`.
      edges: stages at which blocks begin, and the number of stages.
    """

    def __init__(self, stages, edges):
        by_stage = np.searchsorted(stages, np.arange(edges[-1] + 1))
        self.by_block = by_stage[edges]
        self.most_in_stage = max(int(np.diff(by_stage).max()), 1)
        self.most_in_block = int(np.diff(self.by_block).max())
        # What is written may have rows to spare, also where no stage has any.
        self.most_at_once = max(self.most_in_block, self.most_in_stage)
        # Room for a block, and for a stage of it that has fewer rows than the largest.
        self.room = self.most_in_block + self.most_in_stage
        self.stages = tf.constant(by_stage, tf.int32)
        self.blocks = tf.constant(self.by_block, tf.int32)
        self.is_even = bool((np.diff(by_stage) == self.most_in_stage).all())


class Window(typing.NamedTuple):
    """The part of all rows that stages work on.

    Attributes:
      first_stage: number of the first stage of `inputs`.
      inputs: nest of `[stages, ..., N]`.
      rows: `Rows` of each array, the last layer's included.
      begins: the row of each array that the window begins with, integers or tensors.
      bases: of each layer, `[rows, N]` or `[rows, 1]`, what rows are made of that stand
        before the window included.
      kernels: of each layer, pairs of a source and a kernel within the window.
      companions: of each layer, `[rows, N]` or None.
    """

    first_stage: typing.Any
    inputs: typing.Any
    rows: list
    begins: list
    bases: list
    kernels: list
    companions: list

    def climb(self, start, end, most_stages, step, carry, arrays):
        """Goes through the stages; returns the carry and the arrays with the new rows."""

        def one(i, carry, *arrays):
            stage = Stage(i, self, arrays)
            values, carry = step(stage, carry)
            stage.write(-1, values)
            return i + 1, carry, *stage.arrays

        _, carry, *arrays = tf.while_loop(
            lambda i, *_: i < end,
            one,
            (start, carry, *arrays),
            maximum_iterations=most_stages,
        )
        return carry, *arrays


class Stage:
    """The rows that are due, as the function sees them that `climb` calls.

    Attributes:
      inputs: nest of `[..., N]`, the stage's part of `climb`'s `inputs`.
    """

    def __init__(self, index, window, arrays):
        place = index - window.first_stage
        self.inputs = tf.nest.map_structure(lambda a: a[place], window.inputs)
        self.arrays = list(arrays)
        self._index = index
        self._window = window

    def value(self, k):
        """The rows of layer k, `[most, N]`; rows to spare are arbitrary."""
        value = self._due(k, self._window.bases[k])
        for source, kernel in self._window.kernels[k]:
            value += self._due(k, kernel) @ self.arrays[source]
        return value

    def companion(self, k):
        """The companions of the rows of layer k, `[most, N]`."""
        return self._due(k, self._window.companions[k])

    def write(self, k, values):
        """Stores what later layers and stages see of the rows of layer k."""
        rows = self._window.rows[k + 1]
        start = rows.stages[self._index]
        if not rows.is_even:  # rows to spare belong to later stages: zero until then
            due = tf.range(rows.most_in_stage) < rows.stages[self._index + 1] - start
            values = tf.where(due[:, None], values, tf.zeros_like(values))
        begin = start - self._window.begins[k + 1]
        self.arrays[k + 1] = put(self.arrays[k + 1], values, begin)

    def _due(self, k, array):
        rows = self._window.rows[k + 1]
        begin = rows.stages[self._index] - self._window.begins[k + 1]
        return rows_of(array, begin, rows.most_in_stage)


def rows_of(array, begin, count):
    """Rows from the tensor `begin` on."""
    rest = [0] * (array.shape.rank - 1), [-1] * (array.shape.rank - 1)
    return tf.slice(array, [begin, *rest[0]], [count, *rest[1]])


def grown(array, count):
    """Appends rows of zeros up to `count`."""
    return tf.pad(array, [[0, count - array.shape[0]]] + [[0, 0]] * (array.shape.rank - 1))


def put(array, values, begin):
    """Replaces rows from the tensor `begin` on."""
    places = begin + tf.range(values.shape[0])
    return tf.tensor_scatter_nd_update(array, places[:, None], values)
