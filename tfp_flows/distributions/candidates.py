"""Draws that are chosen among candidates by their weights."""

import tensorflow as tf

__all__ = ["choose"]


def choose(complete, x, context, count, seed):
    """Completes each row `count` times, and returns one of these by importance weight.

    Args:
      complete: function of rows, `[N, D]`, and their contexts, `[N, C]`, if there are any,
        that returns completed rows and their log-weights, `[N]`.
      x: `[..., D]`.
      context: `[..., C]`, with the batch axes of `x`; None where there is none.
      count: number of candidates for each row.
      seed: stateless seed of the choice.

    Returns:
      `[..., D]`.
    """
    rows, *contexts = (
        tf.repeat(tf.reshape(t, [-1, t.shape[-1]]), count, axis=0)
        for t in ([x] if context is None else [x, context])
    )
    completed, log_weights = complete(rows, *contexts)
    completed = tf.reshape(completed, [-1, count, x.shape[-1]])
    log_weights = tf.reshape(log_weights, [-1, count])
    chosen = tf.random.stateless_categorical(log_weights, 1, seed)
    return tf.reshape(tf.gather(completed, chosen[:, 0], batch_dims=1), tf.shape(x))
