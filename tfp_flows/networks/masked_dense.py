"""One dense layer of an autoregressive network: its mask, and products that skip zeros."""

import itertools

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

    Where the degrees of the inputs rise, and those of the units do so or rise in several
    runs (one a parameter, towards outputs), the mask is block-triangular. The kernel is
    then held as tiles: blocks of columns, each with only the rows that can reach it. With
    four tiles that is 5/8 of the weights and of the arithmetic. Otherwise there is one.

    Args:
      in_degrees: degrees of the inputs, `[inputs]`.
      out_degrees: degrees of the units, `[units]`.
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
        inputs_rise = (np.diff(self.in_degrees) >= 0).all()
        edges = _edges(self.out_degrees) if inputs_rise else [0, self.shape[1]]
        self._columns = [slice(*pair) for pair in itertools.pairwise(edges)]
        if len(self._columns) == 1:
            self._tile_masks = [self.mask]
        else:
            reach = [int(self.mask[:, c].any(axis=1).sum()) for c in self._columns]
            self._tile_masks = [
                self.mask[:rows, columns]
                for rows, columns in zip(reach, self._columns, strict=True)
            ]

    @property
    def shape(self):
        """Shape of the whole kernel, `(inputs, units)`."""
        return self.mask.shape

    def parts(self, *, zero=False):
        """Returns the `Part`s of the tiles and of the bias; `zero`: tiles start at zero."""
        tiles = [
            kernel_part(mask.shape, whole=self.shape, zero=zero)
            for mask in self._tile_masks
        ]
        return tiles, bias_part(self.shape[1])

    def product(self, x, tiles):
        """Maps `x`, `[N, inputs]`, to `[N, units]`, without a bias."""
        tiles = self._masked(tiles)
        if len(tiles) == 1:
            return x @ tiles[0]
        return tf.concat([x[:, : tile.shape[0]] @ tile for tile in tiles], axis=-1)

    def __call__(self, x, tiles, bias):
        """Maps `x`, `[N, inputs]`, to `[N, units]`."""
        return tf.nn.bias_add(self.product(x, tiles), bias)

    def kernel(self, tiles):
        """Returns the whole masked kernel, `[inputs, units]`."""
        missing = [self.shape[0] - mask.shape[0] for mask in self._tile_masks]
        columns = [
            tf.pad(tile, [[0, rows], [0, 0]])
            for tile, rows in zip(self._masked(tiles), missing, strict=True)
        ]
        return tf.concat(columns, axis=-1)

    def tiles(self, kernel):
        """Cuts a whole kernel, `[inputs, units]`, into tiles."""
        return [
            kernel[: mask.shape[0], columns]
            for mask, columns in zip(self._tile_masks, self._columns, strict=True)
        ]

    def _masked(self, tiles):
        return [
            tile * tf.constant(mask, tile.dtype)
            for tile, mask in zip(tiles, self._tile_masks, strict=True)
        ]


def _edges(out_degrees, num_tiles=4, least_width=64):
    """Where to divide the columns: at the ends of rising runs, and evenly in between."""
    ends = np.flatnonzero(np.diff(out_degrees, prepend=np.inf, append=-np.inf) < 0)
    edges = [0]
    for start, end in itertools.pairwise(ends.tolist()):
        count = max(1, min(num_tiles, (end - start) // least_width))
        edges += np.linspace(start, end, count + 1).astype(int).tolist()[1:]
    return edges if len(edges) > len(ends) else [0, len(out_degrees)]
