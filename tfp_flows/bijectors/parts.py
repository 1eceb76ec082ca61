"""What composite bijectors ask of their parts, and how they pass data through them."""

import math

import numpy as np
import tensorflow as tf

__all__ = ["normalise_in_pieces", "shared_context_size", "shared_dtype"]


def normalise_in_pieces(part, data, context, *, max_rows=2**16, max_entries=2**20):
    """Inverse of many rows, in pieces that bound the memory of hidden activations.

    Args:
      part: a `FlowBijector`.
      data: `[N, *event]`.
      context: `[N, C]`, or None.
      max_rows: rows of a piece, at most.
      max_entries: their entries, at most.

    Returns:
      `[N, *event]`, at the latent end.
    """
    rows = max(1, min(max_rows, max_entries // math.prod(np.shape(data)[1:])))
    pieces = [
        part.inverse_and_log_det(
            data[i : i + rows], context=None if context is None else context[i : i + rows]
        )[0]
        for i in range(0, len(data), rows)
    ]
    return tf.concat(pieces, axis=0)


def shared_context_size(parts):
    """Returns the one width of context of `parts`; 0 where none is conditional.

    Args:
      parts: list of `FlowBijector`s.

    Raises:
      ValueError: if two want contexts of two widths.
    """
    sizes = sorted({part.context_size for part in parts} - {0})
    if len(sizes) > 1:
        raise ValueError(f"Expected one `context_size` in all of `bijectors`; got {sizes}.")
    return sizes[0] if sizes else 0


def shared_dtype(parts):
    """Returns the one dtype of `parts`; None where any will do.

    Args:
      parts: list of `FlowBijector`s.

    Raises:
      ValueError: if there are two.
    """
    dtypes = {part.dtype for part in parts if part.dtype is not None}
    if len(dtypes) > 1:
        names = sorted(dtype.name for dtype in dtypes)
        raise ValueError(f"Expected one dtype in all of `bijectors`; got {names}.")
    return dtypes.pop() if dtypes else None
