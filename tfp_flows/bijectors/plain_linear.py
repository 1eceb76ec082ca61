"""A learned linear mixing of the variables, as one matrix without constraints."""

import tensorflow as tf

from tfp_flows.bijectors.invertible_linear import initial_matrix
from tfp_flows.bijectors.invertible_linear import multiply_rows
from tfp_flows.bijectors.positions import sum_over_positions
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["PlainLinear"]


class PlainLinear(FlowBijector):
    """Multiplies the last axis by a matrix that is itself the weight.

    ```none
    inverse:  x = W y,      log_det = log |det W| * (number of positions)
    forward:  y = W^-1 x
    ```

    The form of Glow's code. It costs a determinant a step, and nothing keeps W from
    becoming singular: `InvertibleLinear` is the safe form; this one is to compare with.

    Args:
      event_size: number of variables, D, or of channels.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      seed: W starts as a random rotation drawn from it; as the identity if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self, event_size, *, event_ndims=1, seed=None, dtype=tf.float32, name="plain_linear"
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        super().__init__(
            event_ndims=event_ndims,
            event_shape=[None] * (event_ndims - 1) + [event_size],
            is_constant_jacobian=True,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        matrix = tf.cast(initial_matrix(event_size, seed), self.dtype)
        self._matrix = tf.Variable(matrix, name="matrix")

    def matrix(self):
        """Returns W, `[D, D]`, of `x = W y`."""
        return tf.convert_to_tensor(self._matrix)

    def _inverse_and_log_det(self, y, context, training):
        return multiply_rows(y, self.matrix()), self._log_det(y)

    def _forward_and_log_det(self, x, context, training):
        inverse = tf.linalg.inv(tf.cast(self._matrix, tf.float64))
        return multiply_rows(x, tf.cast(inverse, self.dtype)), -self._log_det(x)

    def _log_det(self, value):
        # XLA has no determinant of a general matrix on CPUs; in float64 as in Glow's code.
        triangular = tf.linalg.qr(tf.cast(self._matrix, tf.float64)).r
        log_det = tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(triangular))))
        log_det = tf.cast(log_det, self.dtype)
        return sum_over_positions(log_det, value, self.forward_min_event_ndims)
