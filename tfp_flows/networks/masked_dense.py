"""One dense layer of an autoregressive network: its mask, and products that skip zeros."""

import itertools
import math

import numpy as np
import tensorflow as tf

from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part

__all__ = ["MaskedDense"]


class MaskedDense:
    """`x @ (kernel * mask) + bias`, where the mask follows from degrees.

    ```none
    mask[i, o] = in_degrees[i] <= out_degrees[o]     between inputs and hidden units
    mask[i, o] = in_degrees[i] <  out_degrees[o]     towards outputs (strict)
    ```

    Both degrees rise, so the mask is block-triangular. A wide kernel is held as tiles:
    blocks of 128 units or more, each with only the inputs that can reach it. With four
    tiles that is 5/8 of the weights and of the arithmetic, with two 3/4. Tiles are
    `[units, inputs]`, what a unit sees in one row, which `column_wise.py` reads unit after
    unit.

    Args:
      in_degrees: degrees of the inputs, rising, `[inputs]`.
      out_degrees: degrees of the units, rising, `[units]`.
      strict: whether units see strictly lower degrees only.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, equations 12 and 13.
      https://arxiv.org/abs/1502.03509
    """

    def __init__(self, in_degrees, out_degrees, *, strict=False):
        self.in_degrees = np.asarray(in_degrees)
        self.out_degrees = np.asarray(out_degrees)
        seen_by = np.less if strict else np.less_equal
        self.mask = seen_by(self.in_degrees[:, None], self.out_degrees[None, :])
        # Of a small kernel, more products would cost more than its zeros.
        is_small = math.prod(self.shape) < 2**14
        num_tiles = 1 if is_small else max(1, min(4, self.shape[1] // 128))
        edges = np.linspace(0, self.shape[1], num_tiles + 1).astype(int)
        self._units = [slice(*pair) for pair in itertools.pairwise(edges)]
        self._tile_masks = [self.mask]
        if num_tiles > 1:
            self._tile_masks = [
                _without_idle_inputs(self.mask[:, units]) for units in self._units
            ]

    @property
    def shape(self):
        """Shape of the whole kernel, `(inputs, units)`."""
        return self.mask.shape

    def parts(self, *, zero=False):
        """Returns the `Part`s of the tiles and of the bias; `zero`: tiles start at zero."""
        tiles = [
            kernel_part(mask.T.shape, whole=self.shape, zero=zero)
            for mask in self._tile_masks
        ]
        return tiles, bias_part(self.shape[1])

    def product(self, x, tiles):
        """Maps `x`, `[N, inputs]`, to `[N, units]`, without a bias."""
        tiles = self._masked(tiles)
        if len(tiles) == 1:
            return tf.matmul(x, tiles[0], transpose_b=True)
        products = [
            tf.matmul(x[:, : tile.shape[1]], tile, transpose_b=True) for tile in tiles
        ]
        return tf.concat(products, axis=-1)

    def __call__(self, x, tiles, bias):
        """Maps `x`, `[N, inputs]`, to `[N, units]`."""
        return tf.nn.bias_add(self.product(x, tiles), bias)

    def transposed_kernel(self, tiles):
        """Returns the whole masked kernel, transposed: `[units, inputs]`."""
        rows = [
            tf.pad(tile, [[0, 0], [0, self.shape[0] - tile.shape[1]]])
            for tile in self._masked(tiles)
        ]
        return tf.concat(rows, axis=0)

    def tiles(self, kernel):
        """Cuts a whole kernel, `[inputs, units]`, into tiles."""
        return [
            tf.transpose(kernel[: mask.shape[0], units])
            for mask, units in zip(self._tile_masks, self._units, strict=True)
        ]

    def _masked(self, tiles):
        return [
            tile * tf.constant(mask.T, tile.dtype)
            for tile, mask in zip(tiles, self._tile_masks, strict=True)
        ]


def _without_idle_inputs(mask):
    return mask[: mask.any(axis=1).sum()]
