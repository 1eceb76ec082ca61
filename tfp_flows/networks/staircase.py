"""Products with block-triangular kernels, where what is multiplied appears step by step."""

import itertools
import typing

import numpy as np
import tensorflow as tf

from tfp_flows.networks.stage import Rows
from tfp_flows.networks.stage import Window
from tfp_flows.networks.stage import grown
from tfp_flows.networks.stage import put
from tfp_flows.networks.stage import rows_of

__all__ = ["Layer", "climb"]

# Up to so many stages each is best taken by itself, beyond in blocks (BUILD_NOTES.md).
_FEW_STAGES = 192

# Rows of the widest layer that make a block: what they contribute to each other stays in
# the caches of one core, and the product with all earlier rows is an efficient one.
_BLOCK_ROWS = 32

# Stages are divided into so many parts, each of which reads the rows that it can know.
_PARTS_OF_BLOCKS = 2
_PARTS_OF_STAGES = 4


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

    Few stages are taken one by one: a layer's rows are one matrix product with all that is
    known. Many are taken in blocks: the product of a block's rows with all that is known
    before the block is one matrix product, and what rows of a block contribute to each
    other is added stage by stage. Either way earlier stages read only the rows that they
    can know, which saves 3/8 or 1/4 of the arithmetic.

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
    all_stages = [stages, *(layer.stages for layer in layers)]
    edges = _block_edges(int(stages[-1]) + 1, max(map(len, all_stages[:-1])))
    rows = [Rows(of_array, edges) for of_array in all_stages]
    layers = [_padded(layer, k, rows) for k, layer in enumerate(layers)]
    num_blocks, most_stages = len(edges) - 1, int(np.diff(edges).max())
    # A slice past the end would be shifted.
    inputs = tf.nest.map_structure(lambda a: grown(a, a.shape[0] + most_stages), inputs)
    num_parts = _PARTS_OF_STAGES if most_stages == 1 else _PARTS_OF_BLOCKS
    bounds = np.unique(np.linspace(0, num_blocks, num_parts + 1).astype(int)).tolist()
    num_columns = tf.shape(tf.nest.flatten(inputs)[0])[-1]
    arrays = [tf.zeros([0, num_columns], layers[0].base.dtype) for _ in layers]
    for part in itertools.pairwise(bounds):
        known = [int(r.by_block[part[1]]) for r in rows[:-1]]
        arrays = [
            grown(array, size + r.most_at_once)
            for array, size, r in zip(arrays, known, rows, strict=False)
        ]
        if most_stages == 1:
            carry, *arrays = _climb_stages(part, layers, rows, inputs, step, carry, arrays)
        else:
            carry, *arrays = _climb_blocks(
                part, edges, layers, rows, inputs, step, carry, arrays
            )
        arrays = [array[:size] for array, size in zip(arrays, known, strict=True)]
    return arrays[0], carry


def _climb_stages(part, layers, rows, inputs, step, carry, arrays):
    """Goes through stages that are blocks of their own."""
    window = Window(
        first_stage=0,
        inputs=inputs,
        rows=rows,
        begins=[0] * len(rows),
        bases=[layer.base for layer in layers],
        kernels=[
            [
                (source, kernel[:, : arrays[source].shape[0]])
                for source, kernel in layer.kernels
            ]
            for layer in layers
        ],
        companions=[layer.companion for layer in layers],
    )
    start, end = part
    return window.climb(tf.constant(start), end, end - start, step, carry, arrays)


def _climb_blocks(part, edges, layers, rows, inputs, step, carry, arrays):
    """Goes through blocks of several stages."""
    first_stages = tf.constant(edges, tf.int32)
    most_stages = int(np.diff(edges).max())

    def block(j, carry, *arrays):
        start, end = first_stages[j], first_stages[j + 1]
        window = _block(j, start, most_stages, layers, rows, inputs, arrays)
        empty = [
            tf.zeros([r.room, tf.shape(array)[1]], array.dtype)
            for r, array in zip(rows, arrays, strict=False)
        ]
        carry, *new = window.climb(start, end, most_stages, step, carry, empty)
        arrays = [
            put(array, of_block[: r.most_in_block], begin)
            for array, of_block, r, begin in zip(
                arrays, new, rows, window.begins, strict=False
            )
        ]
        return j + 1, carry, *arrays

    start, end = part
    _, carry, *arrays = tf.while_loop(
        lambda j, *_: j < end,
        block,
        (tf.constant(start), carry, *arrays),
        maximum_iterations=end - start,
    )
    return carry, *arrays


def _block(j, first_stage, most_stages, layers, rows, inputs, arrays):
    """The window on block j, where `arrays` are what is known, zero where it is not."""
    begins = [r.blocks[j] for r in rows]
    bases, kernels, companions = [], [], []
    for layer, r, begin in zip(layers, rows[1:], begins[1:], strict=True):
        base = rows_of(layer.base, begin, r.most_in_block)
        within = []
        for source, kernel in layer.kernels:
            kernel = rows_of(kernel, begin, r.most_in_block)
            base += kernel[:, : arrays[source].shape[0]] @ arrays[source]
            size = [r.most_in_block, rows[source].room]
            kernel = tf.slice(kernel, [0, begins[source]], size)
            within.append((source, grown(kernel, r.room)))
        bases.append(grown(base, r.room))
        kernels.append(within)
        companion = layer.companion
        if companion is not None:
            companion = rows_of(companion, begin, r.room)
        companions.append(companion)
    # Here, since what is read stage by stage should stand close together.
    inputs = tf.nest.map_structure(lambda a: rows_of(a, first_stage, most_stages), inputs)
    return Window(first_stage, inputs, rows, begins, bases, kernels, companions)


def _block_edges(num_stages, most_rows):
    """Stages at which blocks begin, and the number of stages."""
    size = 1
    if num_stages > _FEW_STAGES:
        size = int(np.clip(_BLOCK_ROWS * num_stages // most_rows, 1, num_stages))
    return np.append(np.arange(0, num_stages, size), num_stages)


def _padded(layer, k, rows):
    """The layer with rows and columns to spare: a slice past the end would be shifted."""
    count = len(layer.stages) + rows[k + 1].room
    kernels = [
        (source, tf.pad(grown(kernel, count), [[0, 0], [0, rows[source].room]]))
        for source, kernel in layer.kernels
    ]
    companion = None if layer.companion is None else grown(layer.companion, count)
    return layer._replace(
        base=grown(layer.base, count), kernels=kernels, companion=companion
    )
