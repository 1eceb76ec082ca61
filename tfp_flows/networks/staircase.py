"""Products with block-triangular kernels, where what is multiplied appears step by step."""

import itertools
import typing

import numpy as np
import tensorflow as tf

__all__ = ["Layer", "Stage", "climb"]

# Rows of the widest layer that make a block: what they contribute to each other stays in
# the caches of one core, and the product with all earlier rows is an efficient one.
_BLOCK_ROWS = 32


class Layer(typing.NamedTuple):
    """Rows that become computable stage after stage.

    ```none
    row r:  base[r] + sum over (source, kernel) of  kernel[r] @ arrays[source]
    ```

    Attributes:
      stages: the stage of each row, rising, `[rows]`. Rows whose stage is the number of
        stages are never computed.
      base: `[rows, N]` or `[rows, 1]`.
      kernels: pairs of a source and a kernel, `[rows, rows of the source]`, that is zero
        where the source's row has a later stage. Source 0 is what is solved for; source
        k + 1 is what has been written for layer k.
      companion: `[rows, N]`, what else `Stage.companion` shows of the rows that are due.
    """

    stages: np.ndarray
    base: tf.Tensor
    kernels: list
    companion: tf.Tensor | None = None


def climb(stages, layers, inputs, step, carry):
    """Solves for rows stage by stage, computing each row of each layer once.

    The stages are taken in blocks. The product of a block's rows with all that is known
    before the block is one matrix product; what rows of a block contribute to each other
    is added stage by stage. The second half of the stages reads all rows, the first only
    those that it can know, which saves a quarter of the arithmetic.

    Args:
      stages: the stage, from 0, of each row that is solved for, rising, `[rows]`.
      layers: `Layer`s; each reads sources before it. The last one's rows are not stored.
      inputs: nest of `[num_stages, ..., N]`, what `step` needs at each stage.
      step: function of `(stage, carry)`, where `stage` is a `Stage`, that returns the rows
        of that stage, `[P, N]`, and the new carry.
      carry: what goes from stage to stage, a nest of tensors.

    Returns:
      The rows, `[rows, N]`, and the last carry.
    """
    num_stages = int(stages[-1]) + 1
    all_stages = [stages, *(layer.stages for layer in layers)]
    edges = _block_edges(num_stages, most_rows=max(map(len, all_stages[:-1])))
    rows = [_Rows(of_array, edges) for of_array in all_stages]
    layers = [_padded(layer, k, rows) for k, layer in enumerate(layers)]
    num_columns = tf.shape(tf.nest.flatten(inputs)[0])[-1]
    arrays = [tf.zeros([0, num_columns], layers[0].base.dtype) for _ in layers]
    # A slice past the end would be shifted.
    inputs = tf.nest.map_structure(
        lambda a: _grown(a, num_stages + rows[0].most_stages), inputs
    )
    num_blocks = len(edges) - 1
    for start, end in itertools.pairwise(sorted({0, num_blocks // 2, num_blocks})):
        known = [int(r.by_block[end]) for r in rows[:-1]]

        def block(j, carry, *arrays):
            return j + 1, *_Block(j, layers, rows, arrays, inputs).climb(step, carry)

        _, carry, *arrays = tf.while_loop(
            lambda j, *_, end=end: j < end,
            block,
            (
                tf.constant(start),
                carry,
                *(
                    _grown(array, size + r.most_in_block)
                    for array, size, r in zip(arrays, known, rows, strict=False)
                ),
            ),
            maximum_iterations=end - start,
        )
        arrays = [array[:size] for array, size in zip(arrays, known, strict=True)]
    return arrays[0], carry


class _Rows:
    """Where the rows of each stage and of each block stand in one array."""

    def __init__(self, stages, edges):
        self.by_stage = np.searchsorted(stages, np.arange(edges[-1] + 1))
        self.by_block = self.by_stage[edges]
        self.most_in_stage = max(int(np.diff(self.by_stage).max()), 1)
        self.most_in_block = int(np.diff(self.by_block).max())
        # Room for a block, and for a stage of it that has fewer rows than the largest.
        self.room = self.most_in_block + self.most_in_stage
        self.most_stages = int(np.diff(edges).max())
        self.stages = tf.constant(self.by_stage, tf.int32)
        self.blocks = tf.constant(self.by_block, tf.int32)
        self.first_stages = tf.constant(edges, tf.int32)
        self.is_even = bool((np.diff(self.by_stage) == self.most_in_stage).all())


class _Block:
    """The rows of one block of stages.

    Args:
      j: number of the block, a scalar tensor.
      layers: `Layer`s with rows to spare.
      rows: `_Rows` of each array, the last layer's included.
      arrays: what is known, zero where it is not.
      inputs: of all stages.
    """

    def __init__(self, j, layers, rows, arrays, inputs):
        self.first_stage, self._end = (rows[0].first_stages[j + i] for i in range(2))
        self._known = arrays
        # Here, since what is read stage by stage should stand close together.
        self.inputs = tf.nest.map_structure(
            lambda a: _rows_of(a, self.first_stage, rows[0].most_stages), inputs
        )
        self.rows = rows
        self.begins = [r.blocks[j] for r in rows]
        self.companions, self.bases, self.kernels = [], [], []
        for layer, r, begin in zip(layers, rows[1:], self.begins[1:], strict=True):
            companion, base = layer.companion, _rows_of(layer.base, begin, r.most_in_block)
            if companion is not None:
                companion = _rows_of(companion, begin, r.room)
            within = []
            for source, kernel in layer.kernels:
                kernel = _rows_of(kernel, begin, r.most_in_block)
                base += kernel[:, : arrays[source].shape[0]] @ arrays[source]
                size = [r.most_in_block, rows[source].room]
                kernel = tf.slice(kernel, [0, self.begins[source]], size)
                within.append((source, _grown(kernel, r.room)))
            self.companions.append(companion)
            self.bases.append(_grown(base, r.room))
            self.kernels.append(within)

    def climb(self, step, carry):
        """Goes through the stages; returns the carry and the arrays with the new rows."""
        num_columns = tf.shape(self.bases[0])[1]
        dtype = self.bases[0].dtype
        empty = [tf.zeros([r.room, num_columns], dtype) for r in self.rows[:-1]]

        def one(i, carry, *arrays):
            stage = Stage(i, self, arrays)
            values, carry = step(stage, carry)
            stage._put(0, values)
            return i + 1, carry, *stage.arrays

        _, carry, *arrays = tf.while_loop(
            lambda i, *_: i < self._end,
            one,
            (self.first_stage, carry, *empty),
            maximum_iterations=self.rows[0].most_stages,
        )
        new = zip(self._known, arrays, self.rows, self.begins, strict=False)
        return carry, *(_put(a, b[: r.most_in_block], begin) for a, b, r, begin in new)


class Stage:
    """The rows that are due, as the function sees them that `climb` calls.

    Attributes:
      inputs: nest of `[..., N]`, the stage's part of `climb`'s `inputs`.
    """

    def __init__(self, index, block, arrays):
        index_in_block = index - block.first_stage
        self.inputs = tf.nest.map_structure(lambda a: a[index_in_block], block.inputs)
        self.arrays = list(arrays)
        self._index = index
        self._block = block

    def value(self, k):
        """The rows of layer k, `[most, N]`; rows to spare are arbitrary."""
        r = self._block.rows[k + 1]
        begin = r.stages[self._index] - self._block.begins[k + 1]
        value = _rows_of(self._block.bases[k], begin, r.most_in_stage)
        for source, kernel in self._block.kernels[k]:
            kernel = _rows_of(kernel, begin, r.most_in_stage)
            value += kernel @ self.arrays[source]
        return value

    def companion(self, k):
        """The companions of the rows of layer k, `[most, N]`."""
        r = self._block.rows[k + 1]
        begin = r.stages[self._index] - self._block.begins[k + 1]
        return _rows_of(self._block.companions[k], begin, r.most_in_stage)

    def write(self, k, values):
        """Stores what later layers and stages see of the rows of layer k."""
        self._put(k + 1, values)

    def _put(self, source, values):
        r = self._block.rows[source]
        start = r.stages[self._index]
        if not r.is_even:  # rows to spare belong to later stages and are zero until then
            due = tf.range(r.most_in_stage) < r.stages[self._index + 1] - start
            values = tf.where(due[:, None], values, tf.zeros_like(values))
        begin = start - self._block.begins[source]
        self.arrays[source] = _put(self.arrays[source], values, begin)


def _block_edges(num_stages, most_rows):
    """Stages at which blocks begin, and the number of stages."""
    size = int(np.clip(_BLOCK_ROWS * num_stages // most_rows, 1, num_stages))
    return np.append(np.arange(0, num_stages, size), num_stages)


def _padded(layer, k, rows):
    """The layer with rows and columns to spare: a slice past the end would be shifted."""
    count = len(layer.stages) + rows[k + 1].room
    kernels = [
        (source, tf.pad(_grown(kernel, count), [[0, 0], [0, rows[source].room]]))
        for source, kernel in layer.kernels
    ]
    companion = None if layer.companion is None else _grown(layer.companion, count)
    return layer._replace(
        base=_grown(layer.base, count), kernels=kernels, companion=companion
    )


def _rows_of(array, begin, count):
    """Rows from the tensor `begin` on."""
    rest = [0] * (array.shape.rank - 1), [-1] * (array.shape.rank - 1)
    return tf.slice(array, [begin, *rest[0]], [count, *rest[1]])


def _grown(array, count):
    """Appends rows of zeros up to `count`."""
    return tf.pad(array, [[0, count - array.shape[0]]] + [[0, 0]] * (array.shape.rank - 1))


def _put(array, values, begin):
    places = begin + tf.range(values.shape[0])
    return tf.tensor_scatter_nd_update(array, places[:, None], values)
