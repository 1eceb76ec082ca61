"""The map from a Gaussian of known mean and covariance to the standard normal."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.linear import multiply_rows
from tfp_flows.bijectors.positionwise import Positionwise

__all__ = ["Whiten"]


class Whiten(Positionwise):
    """Maps a Gaussian of known mean and covariance to the standard normal.

    ```none
    inverse:  x = L^-1 (y - mean)
    forward:  y = L x + mean,      log_det = sum(log diag L),      covariance = L L^T
    ```

    It is the identity until `assign`. Neither `initialize` nor training changes it; it is
    saved with the weights.

    >>> import tfp_flows
    >>> whiten = tfp_flows.bijectors.Whiten(2, dtype="float64")
    >>> whiten.assign([1000.0, 0.0], [[10.0, 0.0], [0.5, 0.25]])
    >>> whiten.forward([[0.0, 0.0], [1.0, 1.0]]).numpy().tolist()
    [[1000.0, 0.0], [1010.0, 0.75]]

    Args:
      event_size: number of variables, D.
      dtype: of inputs and statistics.
      name: name of the bijector.
    """

    def __init__(
        self, event_size: int, *, dtype: tf.DType | str = tf.float32, name: str = "whiten"
    ) -> None:
        parameters = dict(locals())
        super().__init__(event_size, dtype=dtype, parameters=parameters, name=name)
        zeros, identity = tf.zeros(event_size, self.dtype), tf.eye(event_size, dtype=dtype)
        self._mean = tf.Variable(zeros, trainable=False, name="mean")
        self._factor = tf.Variable(identity, trainable=False, name="factor")

    def assign(self, mean: TensorLike, factor: TensorLike) -> None:
        """Sets mean and covariance.

        Args:
          mean: `[D]`.
          factor: L, `[D, D]`, lower triangular with a positive diagonal.

        Raises:
          ValueError: if shapes do not fit, values are not finite, or L is not of that form.
        """
        numpy_dtype = self.dtype.as_numpy_dtype
        mean, factor = np.asarray(mean, numpy_dtype), np.asarray(factor, numpy_dtype)
        (size,) = self._mean.shape
        if mean.shape != (size,) or not np.isfinite(mean).all():
            raise ValueError(f"Expected finite `mean` of shape [{size}]; got {mean}.")
        is_factor = (
            factor.shape == (size, size)
            and np.isfinite(factor).all()
            and (np.triu(factor, 1) == 0).all()
            and (np.diag(factor) > 0).all()
        )
        if not is_factor:
            raise ValueError(
                f"Expected finite `factor` of shape [{size}, {size}], lower triangular "
                f"with a positive diagonal; got {factor}."
            )
        self._mean.assign(mean)
        self._factor.assign(factor)

    def _forward_and_log_det(self, x, context, training):
        factor = tf.linalg.band_part(self._factor, -1, 0)
        return multiply_rows(x, factor) + self._mean, self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        x = tf.linalg.triangular_solve(self._factor, tf.transpose(y - self._mean))
        return tf.transpose(x), -self._log_det(y)

    def _log_det(self, value):
        log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self._factor)))
        return self._sum_over_positions(log_det, value)
