"""Forward substitution through a MADE network, with the arithmetic of one pass.

`v_i = map(u_i; p_i(u_<i))` is solved for u one variable after another. The naive algorithm
runs the whole network D times. But a unit of degree d depends only on variables of degree
up to d, so it is computed once, when these are known. With three variables and two hidden
units, h_1 and h_2, of degree 1 and 2, the algorithm is

```none
level 0:  p_1 = b_1                            u_1 from v_1 and p_1
level 1:  h_1 = relu(K_11 u_1)
          p_2 = b_2 + L_21 h_1                 u_2 from v_2 and p_2
level 2:  h_2 = relu(K_21 u_1 + K_22 u_2)
          p_3 = b_3 + L_31 h_1 + L_32 h_2      u_3 from v_3 and p_3
```

A row is a unit, a variable or a parameter, with its row of a kernel. A level is all rows of
one degree, which can be computed at the same time. Over all levels each kernel is used
once, which costs about as much as one pass, and no unknown variable is ever used.
`substitute` computes many levels in blocks.
"""

import abc
import functools
import itertools
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.compiled import traced_once
from tfp_flows.core.conditioners import HAS_ADJOINT
from tfp_flows.networks.network_structure import Structure, Weights
from tfp_flows.networks.orderings import take

# Up to this number of levels, or of levels times rows, one block is fastest.
_LEVELS_OF_ONE_BLOCK, _SIZE_OF_ONE_BLOCK = 16, 1500
_MOST_BLOCKS = 8


class AutoregressiveNetwork(abc.ABC):
    """A network whose outputs for a variable depend on the variables before it.

    `solve` and `solve_adjoint` have no gradients; their arguments and results are as in
    `AutoregressiveConditioner`, with one batch axis. Networks of one structure with equal
    (==) `solve_one` share a trace.

    Attributes:
      num_masks: number of masks.
    """

    num_masks = 1

    def member(self, index: Any) -> Any:
        """Returns the network under mask `index`, an integer or a scalar tensor."""
        return self

    @abc.abstractmethod
    def solve(self, values: Any, context: Any, solve_one: Callable) -> tuple:
        """Solves for the variables: `values` is `[N, D]`, or `[N, D, V]` for V each."""

    @abc.abstractmethod
    def solve_adjoint(
        self, u: Any, context: Any, u_bar: Any, u_by_p: Any, offset: Any
    ) -> tf.Tensor:
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset` for `p_bar`."""


class MaskedNetwork(AutoregressiveNetwork):
    """A network with MADE's masks, each unit of which is computed once.

    Attributes:
      structure: the `Structure`, the same under each mask.
    """

    structure: Structure

    @abc.abstractmethod
    def ordered_weights(self, context: Any) -> tuple[Weights, Any, Any]:
        """Returns the `Weights` for a context, and the variables' order and ranks."""

    def solve(self, values: Any, context: Any, solve_one: Callable) -> tuple:
        """Solves for the variables: `values` is `[N, D]`, or `[N, D, V]` for V each."""
        weights, order, ranks = self.ordered_weights(context)
        values = values[..., None] if values.shape.rank == 2 else values
        values = take(tf.transpose(values, [1, 2, 0]), order, axis=0)
        u, log_det = traced_without_gradient(
            _solve, (self.structure, solve_one), (weights, values)
        )
        return take(tf.transpose(u), ranks, axis=1), log_det

    def solve_adjoint(
        self, u: Any, context: Any, u_bar: Any, u_by_p: Any, offset: Any
    ) -> tf.Tensor:
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset`, the last variable first.

        This is back-propagation through the network, also by substitution: the adjoint of a
        unit of degree d is final once the adjoints of all parameters of higher degree are.
        """
        weights, order, ranks = self.ordered_weights(context)
        by_variable = [
            take(tf.transpose(array, [2, 1, 0]), order, axis=0)
            for array in (u[:, None], u_bar[:, None], u_by_p, offset)
        ]
        p_bar = traced_without_gradient(
            _solve_adjoint, (self.structure,), (weights, *by_variable)
        )
        return take(tf.transpose(p_bar, [2, 1, 0]), ranks, axis=2)


def traced_without_gradient(function: Callable, key: tuple, tensors: tuple) -> Any:
    """Calls `function(*key, *tensors)` by `traced_once`, without a gradient.

    With constants among the tensors, TensorFlow would optimise the function for each call.
    """
    # Without gradients: a tape would trace the gradient of the call at once.
    hidden = functools.partial(tf.stop_gradient, name=HAS_ADJOINT)
    tensors = tf.nest.map_structure(hidden, tensors)
    return traced_once(function, key, tensors, inline=False)


def _solve(structure, solve_one, weights, values):
    def solve_level(inputs, parameters, log_det):
        u, summand = solve_one(*inputs, parameters)
        return structure.shown(u), log_det + summand

    layers = [
        Layer(levels, bias, [(k, kernel)], adds_skip=structure.adds_skip(k))
        for k, (levels, kernel, bias) in enumerate(
            zip(structure.levels, weights.kernels, weights.biases, strict=True)
        )
    ]
    layers[-1].kernels.extend((0, kernel) for kernel in weights.direct)
    shown, log_det = substitute(
        structure.seen_degrees[0] - 1,
        layers,
        structure.activation,
        [values],
        solve_level,
        tf.zeros_like(values[0, 0]),
    )
    return structure.variables_of(shown), log_det


def _solve_adjoint(structure, weights, u, u_bar, u_by_p, offset):
    def solve_level(inputs, propagated, nothing):
        u_bar, u_by_p, offset = inputs
        return u_by_p * (u_bar + propagated) + offset, nothing

    # The inputs of a layer become rows, with the highest degree first.
    layers: list[Layer] = []
    from_layers = zip(
        structure.seen_degrees,
        weights.kernels,
        [None, *_slopes(structure, weights, u[:, 0])],
        strict=True,
    )
    for k, (degrees, kernel, slopes) in reversed(list(enumerate(from_layers))):
        layers.append(
            Layer(
                structure.event_size - degrees[::-1],
                None,
                [(len(layers), _reversed_transpose(kernel))],
                slopes if slopes is None else slopes[::-1],
                structure.adds_skip(k + 1),
            )
        )
    layers[-1].kernels.extend((0, _reversed_transpose(k)) for k in weights.direct)
    p_bar, _ = substitute(
        structure.levels[-1],
        layers,
        tf.identity,
        [u_bar[::-1], u_by_p[::-1, ::-1], offset[::-1, ::-1]],
        solve_level,
        u[0, 0, 0],  # not used
    )
    return tf.reshape(p_bar[::-1], tf.shape(offset))


def _reversed_transpose(kernel):
    return tf.transpose(kernel[::-1, ::-1])


def _slopes(structure, weights, u):
    """Returns derivatives of the activation at the units of each layer, `[rows, N]`."""

    def layer(k, seen, skip):  # without products with zeros of the masked kernel
        products = []
        bounds = block_bounds(structure.event_size, max(map(len, structure.degrees)))
        for first, end in itertools.pairwise(bounds):
            rows = slice(*np.searchsorted(structure.levels[k], [first, end]))
            count = np.searchsorted(structure.seen_degrees[k], end)
            products.append(weights.kernels[k][rows, :count] @ seen[:count])
        value = tf.concat(products, axis=0) + weights.biases[k]
        return value if skip is None else value + skip

    sums, _ = structure.hidden(layer, u)
    with tf.GradientTape() as tape:
        tape.watch(sums)
        activations = [structure.activation(value) for value in sums]
    return tape.gradient(activations, sums)


class Layer(typing.NamedTuple):
    """Rows that can be computed level after level.

    ```none
    sum[k][r]  = scale[r] * (base[r] + sum over (j, kernel) of kernel[r] @ rows[j])
                 + sum[k - 2][r], if it adds a skip
    rows[k+1]  = activation(sum[k])
    ```

    `rows[0]` are the unknowns; the sums of the last layer determine them.

    Attributes:
      levels: level of each row, `[rows]`, in rising order.
      base: `[rows, N]` or `[rows, 1]`; None for zeros.
      kernels: pairs of j, at most k, and a kernel, `[rows, rows of j]`, that is zero where
        the row of j has a higher level; for j = 0, also where both levels are equal.
      scale: `[rows, N]`; None for ones.
      adds_skip: whether the sums of layer k - 2 are added.
    """

    levels: np.ndarray
    base: tf.Tensor | None
    kernels: list
    scale: tf.Tensor | None = None
    adds_skip: bool = False


def block_bounds(num_levels: int, width: float = math.inf) -> list[int]:
    """Returns the first level of each block, and the number of levels (BUILD_NOTES.md).

    `width` is the largest number of rows of an array, which each level of a block rewrites.
    If arrays are small, blocks do not speed up a call, and the first call takes longer.
    """
    by_levels = math.ceil(math.log2(num_levels / _LEVELS_OF_ONE_BLOCK))
    by_size = math.log2(num_levels * width / _SIZE_OF_ONE_BLOCK)
    num_blocks = min(_MOST_BLOCKS, 2 ** max(int(min(by_levels, by_size)), 0))
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

    The contribution of all rows before a block is one matrix product; within the block, a
    loop goes from level to level.

    Args:
      levels: level of each unknown row, `[rows]`, in rising order; each occurs equally
        often.
      layers: `Layer`s. Rows of levels that `levels` does not have are left out.
      activation: elementwise function.
      inputs: list of `[number of levels, ..., N]`.
      solve_level: function of a level's inputs, its rows of the last layer, `[P, N]`, and
        `total`, that returns the unknown rows of the level and the new total.
      total: tensor.

    Returns:
      The unknowns, `[rows, N]`, and the last total.
    """
    num_levels = int(levels[-1]) + 1
    starts = [
        np.searchsorted(from_array, np.arange(num_levels + 1))
        for from_array in (levels, *(layer.levels for layer in layers))
    ]
    # The rows of the last layer are not kept.
    width = max(map(len, (levels, *(layer.levels for layer in layers[:-1]))))
    bounds = block_bounds(num_levels, width)
    from_inputs = zip(*(_split(array, bounds) for array in inputs), strict=True)
    from_layers = zip(
        *(map(_by_block, layers, (s[bounds] for s in starts[1:]))), strict=True
    )
    known = [None] * (len(starts) - 1)
    for (first, end), *from_block in zip(
        itertools.pairwise(bounds), from_inputs, from_layers, strict=True
    ):
        rows = [_Rows(from_array[first : end + 1]) for from_array in starts]
        block = _Block(rows, from_block[1], known, activation, solve_level)
        total, *new = block.solve(from_block[0], total)
        known = [
            array if before is None else tf.concat([before, array], axis=0)
            for before, array in zip(known, new, strict=True)
        ]
    return known[0], total


def _split(array, edges):
    """Splits rows at `edges`, and drops the rows after the last edge."""
    if len(edges) == 2 and edges[-1] == array.shape[0]:
        return [array]
    return tf.split(array, np.diff([*edges, array.shape[0]]))[:-1]


def _by_block(layer, edges):
    """Returns the layer's rows in each block, one `Layer` for each."""
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
        layer._replace(base=base, kernels=from_block, scale=scale)
        for base, from_block, scale in zip(bases, kernels, scales, strict=True)
    ]


class _Rows:
    """Positions of the rows of each level within a block.

    Args:
      starts: first row of each level of the block, and the row after the block.
    """

    def __init__(self, starts):
        self.first, self.end = int(starts[0]), int(starts[-1])
        self.count = self.end - self.first
        # Each level has as many rows as the largest. Its extra rows belong to later levels
        # and are zero; at the end of the block, they belong to earlier levels.
        self.most = int(np.diff(starts).max())
        self.begins = np.minimum(starts[:-1] - self.first, self.count - self.most)
        self.indices = self.begins[:, None] + np.arange(self.most)
        self.is_due = self.indices < (starts[1:] - self.first)[:, None]


class _Block:
    """The rows of consecutive levels, given the rows of all levels before."""

    def __init__(self, rows, layers, known, activation, solve_level):
        self._rows = rows
        self._activation = activation
        self._solve_level = solve_level
        self._layers = [self._within(layer, known) for layer in layers]

    def solve(self, inputs, total):
        """Returns the total, and the block's rows of each array."""
        num_columns = tf.shape(inputs[0])[-1]
        # Not constants, since XLA fails on some constants that enter a loop.
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
        from_level = [tf.gather(array, level) for array in inputs]
        solved, total = self._solve_level(from_level, sums[-1], total)
        return total, self._written(arrays[0], 0, level, solved), *arrays[1:]

    def _sum(self, layer, k, begin, sums, arrays):
        if not self._rows[k + 1].count:
            return None
        begin, size = tf.stack([begin, 0]), tf.constant([self._rows[k + 1].most, -1])
        terms = [tf.slice(kernel, begin, size) @ arrays[j] for j, kernel in layer.kernels]
        if layer.base is not None:
            terms.append(tf.slice(layer.base, begin, size))
        if not layer.kernels:  # the base may have one column instead of N
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
        """Returns the layer with the products of known rows added to its base."""
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
