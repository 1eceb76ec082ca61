"""A learned linear mixing of the variables, in LU form."""

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_bijector import FlowBijector

__all__ = ["InvertibleLinear"]


class InvertibleLinear(FlowBijector):
    """Multiplies the last axis by a matrix that can never become singular.

    ```none
    W = P L (U + diag(sign * exp(log_diagonal)))
    inverse:  x = W y,      log_det = sum(log_diagonal) * (number of positions)
    forward:  y = W^-1 x,   by two triangular solves
    ```

    P is a fixed permutation, L unit lower and U strictly upper triangular; the signs are
    fixed. The product is the direction that training of a density needs, since a matrix
    product is cheaper than two solves.

    Args:
      event_size: number of variables, D.
      seed: W starts as a random rotation drawn from it; as the identity if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self, event_size, *, seed=None, dtype=tf.float32, name="invertible_linear"
    ):
        parameters = dict(locals())
        super().__init__(
            event_ndims=1,
            event_shape=[event_size],
            is_constant_jacobian=True,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        order, lower, upper = _lu(_initial_matrix(event_size, seed))
        diagonal = np.diag(upper)

        def variable(value, name, trainable=True):
            return tf.Variable(tf.cast(value, self.dtype), trainable=trainable, name=name)

        self._lower = variable(np.tril(lower, -1), "lower")
        self._upper = variable(np.triu(upper, 1), "upper")
        self._log_diagonal = variable(np.log(np.abs(diagonal)), "log_diagonal")
        self._sign = variable(np.sign(diagonal), "sign", trainable=False)
        self._order = tf.Variable(order.astype(np.int32), trainable=False, name="order")

    def matrix(self):
        """Returns W, `[D, D]`, of `x = W y`."""
        lower, upper = self._factors()
        return tf.gather(lower @ upper, self._order)

    def _inverse_and_log_det(self, y, context, training):
        x = tf.linalg.matmul(_rows(y), self.matrix(), transpose_b=True)
        return tf.reshape(x, tf.shape(y)), self._log_det(y)

    def _forward_and_log_det(self, x, context, training):
        lower, upper = self._factors()
        # W y = x  <=>  L (U y) = P^T x, for all rows at once as columns.
        columns = tf.gather(tf.transpose(_rows(x)), tf.math.invert_permutation(self._order))
        columns = tf.linalg.triangular_solve(lower, columns)
        columns = tf.linalg.triangular_solve(upper, columns, lower=False)
        return tf.reshape(tf.transpose(columns), tf.shape(x)), -self._log_det(x)

    def _factors(self):
        lower = tf.linalg.band_part(self._lower, -1, 0)
        lower = tf.linalg.set_diag(lower, tf.ones_like(self._log_diagonal))
        upper = tf.linalg.band_part(self._upper, 0, -1)
        upper = tf.linalg.set_diag(upper, self._sign * tf.exp(self._log_diagonal))
        return lower, upper

    def _log_det(self, value):
        return tf.fill(tf.shape(value)[:-1], tf.reduce_sum(self._log_diagonal))


def _rows(value):
    return tf.reshape(value, [-1, value.shape[-1]])


def _initial_matrix(event_size, seed):
    if seed is None:
        return np.eye(event_size)
    gaussian = np.random.default_rng(seed).normal(size=(event_size, event_size))
    rotation, upper = np.linalg.qr(gaussian)
    return rotation * np.sign(np.diag(upper))  # uniform over all rotations


def _lu(matrix):
    """Returns `order, lower, upper` with `matrix == (lower @ upper)[order]`."""
    lower_upper, pivots = (t.numpy() for t in tf.linalg.lu(matrix))
    lower = np.tril(lower_upper, -1) + np.eye(len(matrix))
    return np.argsort(pivots), lower, np.triu(lower_upper)
