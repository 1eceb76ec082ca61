"""One dense layer of an autoregressive network: its mask, and products that skip zeros."""

import numpy as np
import tensorflow as tf

__all__ = ["MaskedDense"]


class MaskedDense:
    """`x @ (kernel * mask) + bias`, where the mask follows from degrees.

    ```none
    mask[i, o] = in_degrees[i] <= out_degrees[o]     between inputs and hidden units
    mask[i, o] = in_degrees[i] <  out_degrees[o]     towards outputs (strict)
    ```

    Where the degrees rise along both axes, the mask is block-triangular: the columns are
    then taken in blocks, each of which reads only the rows that can reach it. With four
    blocks that is 5/8 of the arithmetic.

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
        self._blocks = _blocks(self.mask) if self._is_sorted() else None

    @property
    def shape(self):
        """Shape of the kernel, `(inputs, units)`."""
        return self.mask.shape

    def masked(self, kernel):
        """Returns the kernel with zeros where the mask is False."""
        return kernel * tf.constant(self.mask, kernel.dtype)

    def __call__(self, x, kernel, bias):
        """Maps `x`, `[N, inputs]`, to `[N, units]`."""
        kernel = self.masked(kernel)
        if self._blocks is None:
            return tf.nn.bias_add(x @ kernel, bias)
        columns = [
            x[:, :rows] @ kernel[:rows, start:end] for rows, start, end in self._blocks
        ]
        return tf.nn.bias_add(tf.concat(columns, axis=-1), bias)

    def _is_sorted(self):
        return all(
            (np.diff(degrees) >= 0).all() for degrees in (self.in_degrees, self.out_degrees)
        )


def _blocks(mask, num_blocks=4, least_width=64):
    """Column ranges of `mask` with the number of rows that reach them, or None."""
    units = mask.shape[1]
    num_blocks = min(num_blocks, units // least_width)
    if num_blocks < 2:
        return None
    edges = np.linspace(0, units, num_blocks + 1).astype(int)
    reach = [int(mask[:, end - 1].sum()) for end in edges[1:]]
    return [
        (max(rows, 1), int(start), int(end))
        for rows, start, end in zip(reach, edges[:-1], edges[1:], strict=True)
    ]
