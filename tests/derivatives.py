"""A direction of a bijector with its derivatives, op by op or in a graph."""

import contextlib

import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def op_by_op():
    """Runs functions op by op: for a few calls, that takes less than tracing them."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def with_derivatives(method, points, context, weights):
    """What `method(points)` is: `forward_and_log_det` or `inverse_and_log_det`.

    One backward pass gives one row of a Jacobian. So each point is repeated, once for each
    of its D outputs and once for its log-det.

    Returns:
      A dictionary: the `value`, `log_det` and `jacobian` of each point, and the `gradients`
      of the sum of all values and log-dets by each of `weights`.
    """
    size = points[0].size
    seeds = np.tile(np.eye(size + 1), [len(points), 1])
    context = {name: np.repeat(c, size + 1, axis=0) for name, c in context.items()}
    with tf.GradientTape() as tape:
        repeated = tf.constant(np.repeat(points, size + 1, axis=0))
        tape.watch(repeated)
        value, log_det = method(repeated, **context)
    rows, *gradients = tape.gradient(
        [value, log_det],
        [repeated, *weights],
        output_gradients=[tf.reshape(seeds[:, :-1], tf.shape(value)), seeds[:, -1]],
    )
    return {
        "value": value[:: size + 1],
        "log_det": log_det[:: size + 1],
        "jacobian": tf.reshape(rows, [-1, size + 1, size])[:, :size],
        "gradients": gradients,
    }
