"""Both directions of a bijector, with their derivatives, by one traced function."""

import functools

import numpy as np
import tensorflow as tf

__all__ = ["TracedAnswers"]


class TracedAnswers:
    """Values, log-dets, Jacobians and gradients of weights, from one trace of a bijector.

    One backward pass gives one row of a Jacobian. So each point is repeated, once for each
    of its D outputs and once for its log-det.
    """

    def __init__(self, bijector, x, z, context):
        self._repeats = x[0].size + 1
        signature = [
            tf.TensorSpec([None, *shape], tf.float64)
            for shape in (
                [self._repeats],
                *(array.shape[1:] for array in (x, z, *context.values())),
            )
        ]
        function = functools.partial(_both_directions, bijector)
        self._function = tf.function(function, input_signature=signature, autograph=False)

    def __call__(self, x, z, context):
        """What `inverse_and_log_det(x)` and `forward_and_log_det(z)` are.

        Returns:
          Two dictionaries: the `value`, `log_det` and `jacobian` of each point, and the
          `gradients` of the sum of all values and log-dets by each trainable variable.
        """
        seeds = np.tile(np.eye(self._repeats), [len(x), 1])
        arrays = [np.repeat(a, self._repeats, axis=0) for a in (x, z, *context.values())]
        op_by_op = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(False)  # traced, whatever a test asks for
        try:
            both = self._function(seeds, *arrays)
        finally:
            tf.config.run_functions_eagerly(op_by_op)
        return [self._each_point(answers) for answers in both]

    def _each_point(self, answers):
        value, log_det, rows, gradients = answers
        size = self._repeats - 1
        return {
            "value": value[:: self._repeats],
            "log_det": log_det[:: self._repeats],
            "jacobian": np.reshape(rows, [-1, self._repeats, size])[:, :size],
            "gradients": gradients,
        }


def _both_directions(bijector, seeds, x, z, context=None):
    return (
        _derivatives(bijector, bijector.inverse_and_log_det, x, seeds, context),
        _derivatives(bijector, bijector.forward_and_log_det, z, seeds, context),
    )


def _derivatives(bijector, method, points, seeds, context):
    with tf.GradientTape() as tape:
        tape.watch(points)
        value, log_det = method(points, context=context)
    rows, *gradients = tape.gradient(
        [value, log_det],
        [points, *bijector.trainable_variables],
        output_gradients=[tf.reshape(seeds[:, :-1], tf.shape(value)), seeds[:, -1]],
    )
    return value, log_det, rows, gradients
