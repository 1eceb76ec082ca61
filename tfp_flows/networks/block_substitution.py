"""Blocks of rows: forward substitution through several triangular layers at once."""

import functools
import itertools
import math
import typing
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

__all__ = ["Layer", "block_bounds", "substitute"]


_LEVELS_OF_ONE_BLOCK = 16
_MOST_BLOCKS = 8


class Layer(typing.NamedTuple):
    """Rows that can be computed level after level.

    ```none
    sum[k][r]  = scale[r] * (base[r] + sum over (j, kernel) of kernel[r] @ rows[j])
                 + sum[k - 2][r], if it adds a skip
    rows[k+1]  = activation(sum[k])
    ```

    `rows[0]` is what is solved for. The last layer's sums are what it is solved from.

    Attributes:
      levels: of each row, rising, `[rows]`.
      base: `[rows, N]` or `[rows, 1]`; None for zeros.
      kernels: pairs of j, at most k, and a kernel, `[rows, rows of j]`, that is zero where
        the row of j has a higher level; for j = 0, also where it has the same.
      scale: `[rows, N]`; None for ones.
      adds_skip: whether what layer k - 2 has summed is added.
    """

    levels: np.ndarray
    base: tf.Tensor | None
    kernels: list
    scale: tf.Tensor | None = None
    adds_skip: bool = False


def block_bounds(num_levels: int) -> list[int]:
    """Levels at which blocks begin, and the number of levels (why so: BUILD_NOTES.md)."""
    doublings = math.ceil(math.log2(num_levels / _LEVELS_OF_ONE_BLOCK))
    num_blocks = min(_MOST_BLOCKS, 2 ** max(doublings, 0))
    return np.linspace(0, num_levels, num_blocks + 1).astype(int).tolist()


def substitute(
    levels: np.ndarray,
    layers: Sequence[Layer],
    activation: Callable,
    inputs: Sequence[tf.Tensor],
    solve_level: Callable,
    total: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Solves for rows level by level, computing each row of each layer once.

    The product of a block's rows with all rows before the block is one product of matrices;
    within the block, a loop goes from level to level.

    Args:
      levels: of the rows that are solved for, rising, as many of each level, `[rows]`.
      layers: `Layer`s. Rows of levels that `levels` does not have are left out.
      activation: elementwise function.
      inputs: list of `[number of levels, ..., N]`.
      solve_level: function of a level's inputs, its rows of the last layer, `[P, N]`, and
        `total`, that returns the level's rows that are solved for and the new total.
      total: tensor.

    Returns:
      What is solved for, `[rows, N]`, and the last total.
    """
    num_levels = int(levels[-1]) + 1
    starts = [
        np.searchsorted(of_array, np.arange(num_levels + 1))
        for of_array in (levels, *(layer.levels for layer in layers))
    ]
    bounds = block_bounds(num_levels)
    of_inputs = zip(*(_split(array, bounds) for array in inputs), strict=True)
    of_layers = zip(*(map(_by_block, layers, (s[bounds] for s in starts[1:]))), strict=True)
    known = [None] * (len(starts) - 1)
    for (first, end), *of_block in zip(
        itertools.pairwise(bounds), of_inputs, of_layers, strict=True
    ):
        rows = [_Rows(of_array[first : end + 1]) for of_array in starts]
        block = _Block(rows, of_block[1], known, activation, solve_level)
        total, *new = block.solve(of_block[0], total)
        known = [
            array if before is None else tf.concat([before, array], axis=0)
            for before, array in zip(known, new, strict=True)
        ]
    return known[0], total


def _split(array, edges):
    """The rows from each edge to the next."""
    if len(edges) == 2 and edges[-1] == array.shape[0]:
        return [array]
    return tf.split(array, np.diff([*edges, array.shape[0]]))[:-1]


def _by_block(layer, edges):
    """The layer's rows in each block, as a `Layer` each."""
    sources = [j for j, _ in layer.kernels]
    by_source = (_split(kernel, edges) for _, kernel in layer.kernels)
    kernels = [
        list(zip(sources, parts, strict=True)) for parts in zip(*by_source, strict=True)
    ]
    bases, scales = (
        [None] * len(kernels) if array is None else _split(array, edges)
        for array in (layer.base, layer.scale)
    )
    return [
        layer._replace(base=base, kernels=of_block, scale=scale)
        for base, of_block, scale in zip(bases, kernels, scales, strict=True)
    ]


class _Rows:
    """Where the rows of each level stand among those of a block.

    Args:
      starts: the row with which each level of the block begins, and the one after it.
    """

    def __init__(self, starts):
        self.first, self.end = int(starts[0]), int(starts[-1])
        self.count = self.end - self.first
        # All levels are given as many rows as the largest has. Those to spare belong to
        # later levels and are left zero; at the end of the block, to earlier ones.
        self.most = int(np.diff(starts).max())
        self.begins = np.minimum(starts[:-1] - self.first, self.count - self.most)
        self.indices = self.begins[:, None] + np.arange(self.most)
        self.is_due = self.indices < (starts[1:] - self.first)[:, None]


class _Block:
    """The rows of some levels, where those of all levels before are known."""

    def __init__(self, rows, layers, known, activation, solve_level):
        self._rows = rows
        self._activation = activation
        self._solve_level = solve_level
        self._layers = [self._within(layer, known) for layer in layers]

    def solve(self, inputs, total):
        """Returns the total, and the block's rows of each array."""
        num_columns = tf.shape(inputs[0])[-1]
        # No constants: XLA fails on some that go into loops.
        zero = tf.zeros([], inputs[0].dtype)
        arrays = [tf.fill([r.count, num_columns], zero) for r in self._rows[:-1]]
        num_levels = len(self._rows[0].begins)
        if num_levels == 1:
            return self._level(0, inputs, total, arrays)

        def body(level, total, *arrays):
            return level + 1, *self._level(level, inputs, total, list(arrays))

        def is_left(level, *_):
            return level < num_levels

        return tf.while_loop(is_left, body, (tf.constant(0), total, *arrays))[1:]

    def _level(self, level, inputs, total, arrays):
        begins = np.stack([rows.begins for rows in self._rows], axis=1)
        begins = tf.unstack(tf.gather(tf.constant(begins, tf.int32), level))
        sums: list = []
        for k, layer in enumerate(self._layers):
            sums.append(self._sum(layer, k, begins[k + 1], sums, arrays))
            if k + 1 < len(arrays) and sums[k] is not None:
                values = self._activation(sums[k])
                arrays[k + 1] = self._written(arrays[k + 1], k + 1, level, values)
        of_level = [tf.gather(array, level) for array in inputs]
        solved, total = self._solve_level(of_level, sums[-1], total)
        return total, self._written(arrays[0], 0, level, solved), *arrays[1:]

    def _sum(self, layer, k, begin, sums, arrays):
        if not self._rows[k + 1].count:
            return None
        begin, size = tf.stack([begin, 0]), tf.constant([self._rows[k + 1].most, -1])
        terms = [tf.slice(kernel, begin, size) @ arrays[j] for j, kernel in layer.kernels]
        if layer.base is not None:
            terms.append(tf.slice(layer.base, begin, size))
        if not layer.kernels:  # nothing has given it its columns yet
            terms.append(tf.zeros_like(arrays[0][:1]))
        value = functools.reduce(tf.add, terms)
        if layer.scale is not None:
            value *= tf.slice(layer.scale, begin, size)
        return value + sums[k - 2] if layer.adds_skip else value

    def _written(self, array, j, level, values):
        rows = self._rows[j]
        if not rows.is_due.all():
            is_due = tf.gather(tf.constant(rows.is_due[..., None]), level)
            values = tf.where(is_due, values, tf.zeros([], values.dtype))
        indices = tf.constant(rows.indices[..., None], tf.int32)
        return tf.tensor_scatter_nd_update(array, tf.gather(indices, level), values)

    def _within(self, layer, known):
        """The layer, with the products with all that is known in its base."""
        base, kernels = layer.base, []
        for j, kernel in layer.kernels:
            source = self._rows[j]
            if (source.first, source.end) != (0, kernel.shape[1]):
                later = kernel.shape[1] - source.end
                sizes = [source.first, source.count, later]
                before, kernel, _ = tf.split(kernel, sizes, axis=1)
                if source.first:
                    product = before @ known[j]
                    base = product if base is None else base + product
            if source.count:
                kernels.append((j, kernel))
        return layer._replace(base=base, kernels=kernels)
