"""Learned linear mixings of variables, or of the channels of each pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.permutation import check_permutation
from tfp_flows.bijectors.positionwise import Positionwise, multiply_rows
from tfp_flows.core.arguments import check_entries, check_seed, require


class InvertibleLinear(Positionwise):
    """Multiplies the last axis by a matrix that can never become singular.

    ```none
    W = P L (U + diag(sign * exp(log_diagonal)))
    inverse:  x = W y,      log_det = sum(log_diagonal) * (number of positions)
    forward:  y = W^-1 x,   by two triangular solves for W^-1
    ```

    P is a fixed permutation, L unit lower and U strictly upper triangular; the signs are
    fixed. The product is the direction that training of a density needs, since a matrix
    product is cheaper than two solves.

    Args:
      event_size: number of variables, D, or of channels.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      seed: W starts as a random rotation drawn from it; as the identity if None.
      permutation: permutation of 0 to D - 1 that W starts as; None: see `seed`.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `permutation` is not a permutation, or `seed` is given too.

    >>> import tfp_flows
    >>> mixing = tfp_flows.InvertibleLinear(2)
    >>> mixing.forward([[1.0, 2.0]]).numpy()  # the identity, until it is trained
    array([[1., 2.]], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        event_size: int,
        *,
        event_ndims: int = 1,
        seed: int | None = None,
        permutation: npt.ArrayLike | None = None,
        dtype: tf.DType | str = tf.float32,
        name: str = "invertible_linear",
    ) -> None:
        check_seed("seed", seed)
        super().__init__(event_size, event_ndims=event_ndims, dtype=dtype, name=name)
        order, lower, upper = _lu(_initial_matrix(event_size, seed, permutation))
        diagonal = np.diag(upper)
        ones = np.ones([event_size, event_size], self.dtype.as_numpy_dtype)
        self._below, self._above = np.tril(ones, -1), np.triu(ones, 1)
        self._identity = np.eye(event_size, dtype=ones.dtype)
        # One variable, since each costs time in a training step of a deep flow: L below the
        # diagonal, U above it, and the log-diagonal on it.
        packed = np.tril(lower, -1) + np.triu(upper, 1) + np.diag(np.log(np.abs(diagonal)))
        self._lower_upper = tf.Variable(tf.cast(packed, self.dtype), name="lower_upper")
        sign = tf.cast(np.sign(diagonal), self.dtype)
        self._sign = tf.Variable(sign, trainable=False, name="sign")
        self._order = tf.Variable(order.astype(np.int32), trainable=False, name="order")

    def matrix(self) -> tf.Tensor:
        """Returns W, `[D, D]`, of `x = W y`."""
        lower, upper, _ = self._factors()
        return self._matrix_of(lower, upper)

    def _matrix_of(self, lower, upper):
        # A matrix product: the gradient of a gather would be slower.
        permutation = tf.one_hot(self._order, len(self._identity), dtype=self.dtype)
        return permutation @ lower @ upper

    def _inverse_and_log_det(self, y, context, training):
        lower, upper, log_det = self._factors()
        x = multiply_rows(y, self._matrix_of(lower, upper))
        return x, self._sum_over_positions(log_det, y)

    def _forward_and_log_det(self, x, context, training):
        # Computed once for all rows, in float64, which is cheap for a small matrix.
        *factors, log_det = self._factors()
        lower, upper = (tf.cast(factor, tf.float64) for factor in factors)
        size = len(self._identity)
        inverse = tf.transpose(tf.one_hot(self._order, size, dtype=tf.float64))
        inverse = tf.linalg.triangular_solve(lower, inverse)
        inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
        y = multiply_rows(x, tf.cast(inverse, self.dtype))
        return y, self._sum_over_positions(-log_det, x)

    def _factors(self):
        """Returns L, U with its diagonal, and the log-det of their product."""
        packed = tf.convert_to_tensor(self._lower_upper)
        log_diagonal = tf.linalg.diag_part(packed)
        diagonal = tf.linalg.diag(self._sign * tf.exp(log_diagonal))
        lower = packed * self._below + self._identity
        return lower, packed * self._above + diagonal, tf.reduce_sum(log_diagonal)


class InvertibleConv1x1(FlowChain):
    """Mixes the channels of each pixel by one matrix, an `InvertibleLinear`.

    Its log-det is `H * W` times that of the matrix. The authors' code trains the matrix
    itself, without the LU form, as `tfb.ScaleMatvecLinearOperator` of TFP does.

    Args:
      event_size: number of channels, C.
      seed: the matrix starts as a random rotation drawn from it; as the identity if None.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    >>> import numpy as np
    >>> import tfp_flows
    >>> mixing = tfp_flows.bijectors.InvertibleConv1x1(6, seed=0)  # starts as a rotation
    >>> bool(abs(mixing.forward_and_log_det(np.zeros([1, 4, 4, 6]))[1][0]) < 1e-4)
    True

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        event_size: int,
        *,
        seed: int = 0,
        dtype: tf.DType | str = tf.float32,
        name: str = "invertible_conv_1x1",
    ) -> None:
        linear = InvertibleLinear(event_size, event_ndims=3, seed=seed, dtype=dtype)
        super().__init__([linear], name=name)


def _initial_matrix(event_size, seed, permutation):
    """Returns the identity, a permutation, or a uniformly drawn rotation."""
    check_entries("event_size", event_size, event_size)
    if permutation is not None:
        require(seed is None, "one of `seed` and `permutation`", "both")
        return np.eye(event_size)[check_permutation(permutation, event_size)]
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
