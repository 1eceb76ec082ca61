"""The latents of many rows, some at a time."""

import math

import tensorflow as tf

__all__ = ["normalise_rows"]


def normalise_rows(bijector, data, context):
    """Returns `data` at the bijector's latent end, `[N, *event]`.

    In pieces that bound the memory of hidden activations; not compiled, since each bijector
    runs but once or twice when a flow is initialised.

    Args:
      bijector: a `FlowBijector`.
      data: `[N, *event]`, at its data end.
      context: `[N, context_size]`; None where there is none.
    """
    data = tf.convert_to_tensor(data, bijector.dtype)
    context = None if context is None else tf.convert_to_tensor(context, bijector.dtype)
    rows = max(1, min(2**16, 2**20 // math.prod(data.shape[1:])))
    pieces = []
    for i in range(0, len(data), rows):
        part = None if context is None else context[i : i + rows]
        pieces.append(bijector._inverse_and_log_det(data[i : i + rows], part, False)[0])
    return tf.concat(pieces, axis=0)
