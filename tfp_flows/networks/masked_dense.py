"""One dense layer of an autoregressive network: its mask, and products that skip zeros."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.networks.orderings import take
from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part

if TYPE_CHECKING:
    from tfp_flows.networks.packed_weights import Part

__all__ = ["MaskedDense"]


class MaskedDense:
    """`x @ (kernel * mask) + bias`, where the mask follows from degrees.

    ```none
    mask[i, o] = in_degrees[i] <= out_degrees[o]     between inputs and hidden units
    mask[i, o] = in_degrees[i] <  out_degrees[o]     towards outputs (strict)
    ```

    A wide kernel is held as tiles: blocks of 80 units or more, in rising order of degrees,
    each with only the inputs that can reach it. With four tiles that is 5/8 of the weights
    and of the arithmetic, with two 3/4. Others are kept as one tile, in the order of the
    degrees given. Tiles are `[units, inputs]`, what a unit sees in one row, which
    forward substitution reads unit after unit.

    Args:
      in_degrees: degrees of the inputs, `[inputs]`.
      out_degrees: degrees of one copy of the units, `[units / num_copies]`.
      num_copies: how often these units stand side by side.
      strict: whether units see strictly lower degrees only, as outputs do.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, equations 12 and 13.
      https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        in_degrees: npt.ArrayLike,
        out_degrees: npt.ArrayLike,
        *,
        num_copies: int = 1,
        strict: bool = False,
    ) -> None:
        self.in_degrees = np.asarray(in_degrees)
        self.out_degrees = np.tile(out_degrees, num_copies)
        self.num_copies = num_copies
        self._is_output = strict
        seen_by = np.less if strict else np.less_equal
        self.mask = seen_by(self.in_degrees[:, None], self.out_degrees[None, :])
        # Of a small kernel, more products would cost more than its zeros.
        is_small = math.prod(self.shape) < 2**14
        num_tiles = 1 if is_small else max(1, min(4, self.shape[1] // 80))
        self._is_tiled = num_tiles > 1
        self._tile_masks = [self.mask]
        if self._is_tiled:
            edges = np.linspace(0, self.shape[1], num_tiles + 1).astype(int)
            mask = self.mask[self.rising_inputs][:, self.rising_units]
            self._tile_masks = [
                _without_idle_inputs(mask[:, slice(*pair)])
                for pair in itertools.pairwise(edges)
            ]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole kernel, `(inputs, units)`."""
        return self.mask.shape

    @property
    def rising_inputs(self) -> np.ndarray:
        """Indices of the inputs in rising order of degrees, `[inputs]`."""
        return np.argsort(self.in_degrees, kind="stable")

    @property
    def rising_units(self) -> np.ndarray:
        """Indices of the units in rising order of degrees, `[units]`."""
        return np.argsort(self.out_degrees, kind="stable")

    def parts(self, num_others: int = 0, *, zero: bool = False) -> tuple[list[Part], Part]:
        """Returns the `Part`s of the tiles and of the bias, which outputs start at zero.

        Args:
          num_others: how many inputs each unit sees besides these, as of a context.
          zero: whether the tiles start at zero.
        """
        num_inputs = self.shape[0] + num_others
        tiles = [
            kernel_part(mask.T.shape, num_inputs, zero=zero) for mask in self._tile_masks
        ]
        return tiles, bias_part(self.shape[1], None if self._is_output else num_inputs)

    def product(self, x: tf.Tensor, tiles: Sequence[tf.Tensor]) -> tf.Tensor:
        """Maps `x`, `[N, inputs]`, to `[N, units]`, without a bias."""
        tiles = self._masked(tiles)
        if not self._is_tiled:
            return tf.matmul(x, tiles[0], transpose_b=True)
        x = take(x, self.rising_inputs, axis=1)
        return self._from_rising(_product_of_tiles(x, *tiles))

    def transposed_kernel(self, tiles: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the whole masked kernel, `[units, inputs]`, both in rising order."""
        if not self._is_tiled:
            rows = take(self._masked(tiles)[0], self.rising_units, axis=0)
            return take(rows, self.rising_inputs, axis=1)
        rows = [
            tf.pad(tile, [[0, 0], [0, self.shape[0] - tile.shape[1]]])
            for tile in self._masked(tiles)
        ]
        return tf.concat(rows, axis=0)

    def tiles(self, kernel: tf.Tensor) -> list[tf.Tensor]:
        """Cuts a whole kernel, `[inputs, units]`, into tiles."""
        if not self._is_tiled:
            return [tf.transpose(kernel)]
        kernel = take(take(kernel, self.rising_inputs, axis=0), self.rising_units, axis=1)
        columns = tf.split(kernel, [mask.shape[1] for mask in self._tile_masks], axis=1)
        return [
            tf.transpose(some[: mask.shape[0]])
            for some, mask in zip(columns, self._tile_masks, strict=True)
        ]

    def _from_rising(self, products):
        """Puts `[N, units]`, where copies of a unit are neighbours, in order."""
        per_copy = self.shape[1] // self.num_copies
        if self.num_copies > 1:
            # Not a transposition, whose plain kernel is slow.
            products = tf.reshape(products, [-1, per_copy, self.num_copies])
            products = tf.concat(tf.unstack(products, axis=2), axis=1)
        ranks = np.argsort(np.argsort(self.out_degrees[:per_copy], kind="stable"))
        products = tf.reshape(products, [-1, self.num_copies, per_copy])
        return tf.reshape(take(products, ranks, axis=2), [-1, self.shape[1]])

    def _masked(self, tiles):
        return [
            tile * tf.constant(mask.T, tile.dtype)
            for tile, mask in zip(tiles, self._tile_masks, strict=True)
        ]


def _without_idle_inputs(mask):
    return mask[: mask.any(axis=1).sum()]


@tf.custom_gradient
def _product_of_tiles(x, *tiles):
    """Products of the first columns of `x`, as many as each tile has, side by side."""
    seen = [x[:, : tile.shape[1]] for tile in tiles]

    def gradient(upstream):
        # TensorFlow's own gradient would add up each tile's share of `x` at full width.
        parts = tf.split(upstream, [tile.shape[0] for tile in tiles], axis=-1)
        of_tiles = [
            tf.matmul(part, columns, transpose_a=True)
            for part, columns in zip(parts, seen, strict=True)
        ]
        of_x: list = []
        share = 0.0
        for index in reversed(range(len(tiles))):
            share += tf.matmul(parts[index], tiles[index])
            narrower = tiles[index - 1].shape[1] if index else 0
            of_x.insert(0, share[:, narrower:])
            share = share[:, :narrower]
        of_x.append(tf.zeros_like(x[:, tiles[-1].shape[1] :]))
        return tf.concat(of_x, axis=-1), *of_tiles

    products = [
        tf.matmul(columns, tile, transpose_b=True)
        for columns, tile in zip(seen, tiles, strict=True)
    ]
    return tf.concat(products, axis=-1), gradient
