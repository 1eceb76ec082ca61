"""Standardisation of vectors: of each variable alone, or by a covariance matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.positionwise import MeasuredOnce, Positionwise, multiply_rows
from tfp_flows.core.arguments import check_array, check_entries, require
from tfp_flows.core.context_standardizer import ContextStandardizer
from tfp_flows.core.statistics import (
    correlation_factor,
    ridge_slopes,
    warn_of_constants,
)

FARTHEST = 6.0  # standard deviations of a context, beyond which it is clipped


class _VectorStandardizer(MeasuredOnce):
    """A standardisation of vectors; a subclass may replace `_statistics`."""

    def __init__(self, event_size: int, **options: Any) -> None:
        super().__init__(event_size, **options)
        zeros = tf.zeros(event_size, self.dtype)
        self._mean = tf.Variable(zeros, trainable=False, name="mean")

    def _measure(self, data, weight):
        mean, scale = super()._measure(data, weight)
        rows = np.asarray(data)
        constant = np.flatnonzero(rows.min(axis=0) == rows.max(axis=0)).tolist()
        warn_of_constants(constant)
        return self._statistics(mean, scale, data, weight)

    def _statistics(self, mean, scale, data, weight):
        """Returns the two arguments of `_set`."""
        return mean, scale

    def _within_floats(self, deviations, unit):
        """Clips deviations to `dtype.max**0.8` units, at a log-cost of rows, `[N]`."""
        most = self.dtype.max**0.8 * unit
        beyond = tf.math.log(tf.maximum(tf.abs(deviations / most), 1.0))
        within = tf.clip_by_value(deviations, -most, most)
        return within, tf.reduce_sum(beyond, axis=-1)


class Standardize(_VectorStandardizer):
    """Zero mean and unit variance for each variable, by statistics of the data.

    ```none
    inverse:  x = (y - mean) / scale,   log_det = -sum(log(scale))
    forward:  y = x * scale + mean
    ```

    It is the identity until `initialize` has seen the training data. The inverse clips rows
    beyond 6e30 deviations (in float32), where later steps would overflow, and subtracts the
    logarithm of the clipped factor from the log-det.

    Args:
      event_size: number of variables, D.
      dtype: dtype of inputs and statistics.
      name: name of the bijector.

    >>> import tfp_flows
    >>> units = tfp_flows.Standardize(2)
    >>> units.initialize([[0.0, 10.0], [2.0, 50.0]])
    >>> units.inverse([[0.0, 10.0]]).numpy()
    array([[-1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        event_size: int,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "standardize",
    ) -> None:
        super().__init__(event_size, dtype=dtype, name=name)
        ones = tf.ones(event_size, self.dtype)
        self._scale = tf.Variable(ones, trainable=False, name="scale")

    def _set(self, mean, scale):
        self._mean.assign(mean)
        self._scale.assign(scale)

    def _forward_and_log_det(self, x, context, training):
        return x * self._scale + self._mean, self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        deviations, beyond = self._within_floats(y - self._mean, self._scale)
        return deviations / self._scale, -self._log_det(y) - beyond

    def _log_det(self, value):
        return self._sum_over_positions(tf.reduce_sum(tf.math.log(self._scale)), value)


class Decorrelate(_VectorStandardizer):
    """Zero mean and unit covariance, by statistics of the data.

    ```none
    inverse:  x = W (y - mean),        log_det = sum(log diag W)
    forward:  y = W^-1 x + mean,       covariance of the rows = W^-1 W^-T
    ```

    With a standard normal base, this is the Gaussian of the training rows, from which a
    flow starts. W is lower triangular: variable i is mapped given the variables before it.
    If rows are few, correlations are shrunk (`correlation_factor`). Collinear and constant
    columns are allowed. It is the identity until `initialize` has seen the data. Rows
    beyond 6e30 deviations are clipped as in `Standardize`.

    With a context c, the mean is `mean + B c`: with a standard normal base, this is the
    linear regression of the rows on their contexts (`ridge_slopes`). Contexts beyond six
    standard deviations are clipped.

    >>> import numpy as np
    >>> import tfp_flows
    >>> decorrelate = tfp_flows.Decorrelate(2)
    >>> x = np.random.default_rng(0).normal(size=(1000, 1)) * [1.0, 2.0] + [5.0, 0.0]
    >>> x[:, 1] += np.random.default_rng(1).normal(size=1000)
    >>> decorrelate.initialize(x)
    >>> np.abs(np.cov(decorrelate.inverse(x), rowvar=False, bias=True)).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Args:
      event_size: number of variables, D.
      context_size: width of the context, C; 0 if there is none.
      dtype: dtype of inputs and statistics.
      name: name of the bijector.
    """

    def __init__(
        self,
        event_size: int,
        *,
        context_size: int = 0,
        dtype: tf.DType | str = tf.float32,
        name: str = "decorrelate",
    ) -> None:
        super().__init__(event_size, context_size=context_size, dtype=dtype, name=name)
        check_entries("event_size", event_size, event_size)
        identity = tf.eye(event_size, dtype=self.dtype)
        # W and not its inverse: a product is faster than a solve for each batch.
        self._matrix = tf.Variable(identity, trainable=False, name="matrix")
        if self.context_size:
            self._standardizer = ContextStandardizer(self.context_size, self.dtype)
            slopes = tf.zeros([self.context_size, event_size], self.dtype)
            self._slopes = tf.Variable(slopes, trainable=False, name="slopes")

    @property
    def standardizes_context(self) -> bool:
        """Whether there is a context, which is standardised here."""
        return self.context_size > 0

    def _initialize(self, data, context, weight):
        if context is not None and not self.is_initialized:
            data = self._residuals(data, context, weight)
        super()._initialize(data, context, weight)

    def _initialize_inverted(self, data, context, weight):
        is_first = context is not None and not self.is_initialized
        if is_first:
            data = self._residuals(data, context, weight)
        super()._initialize_inverted(data, context, weight)
        if is_first:
            inverse = np.linalg.inv(np.tril(self._matrix.numpy()))
            self._slopes.assign(-self._slopes.numpy() @ inverse.T)

    def _residuals(self, data, context, weight):
        """Sets the slopes, and returns the residuals of the regression on contexts."""
        self._standardizer.initialize(context, weight=weight)
        features = self._features(tf.constant(context, self.dtype)).numpy()
        slopes, free = ridge_slopes(data, features, weight)
        self._slopes.assign(slopes)
        residuals = np.asarray(data, np.float64) - features @ slopes
        center = np.average(residuals, axis=0, weights=weight)
        return center + (residuals - center) / free

    def _features(self, context):
        return tf.clip_by_value(self._standardizer(context), -FARTHEST, FARTHEST)

    def _means(self, context):
        """The mean of all rows, `[D]`, or of each row given its context, `[N, D]`."""
        if context is None:
            return self._mean
        return self._mean + tf.linalg.matmul(self._features(context), self._slopes)

    def _statistics(self, mean, scale, data, weight):
        factor = scale[:, None] * correlation_factor(data, mean, scale, weight)
        return mean, np.linalg.inv(factor)

    def _inverted(self, mean, matrix):
        return -matrix @ mean, np.linalg.inv(matrix)

    def _set(self, mean, matrix):
        self._mean.assign(mean)
        self._matrix.assign(np.tril(matrix))

    def _forward_and_log_det(self, x, context, training):
        # Solved once for all rows, in float64, as in `InvertibleLinear`.
        matrix = tf.cast(self._lower(), tf.float64)
        identity = tf.eye(self._mean.shape[0], dtype=tf.float64)
        factor = tf.cast(tf.linalg.triangular_solve(matrix, identity), self.dtype)
        return multiply_rows(x, factor) + self._means(context), -self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        lower = self._lower()
        unit = 1.0 / tf.linalg.diag_part(lower)
        deviations, beyond = self._within_floats(y - self._means(context), unit)
        return multiply_rows(deviations, lower), self._log_det(y) - beyond

    def _lower(self):
        return tf.linalg.band_part(self._matrix, -1, 0)

    def _log_det(self, value):
        log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self._matrix)))
        return self._sum_over_positions(log_det, value)


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
      dtype: dtype of inputs and statistics.
      name: name of the bijector.
    """

    def __init__(
        self, event_size: int, *, dtype: tf.DType | str = tf.float32, name: str = "whiten"
    ) -> None:
        super().__init__(event_size, dtype=dtype, name=name)
        check_entries("event_size", event_size, event_size)
        zeros, identity = tf.zeros(event_size, self.dtype), tf.eye(event_size, dtype=dtype)
        self._mean = tf.Variable(zeros, trainable=False, name="mean")
        self._factor = tf.Variable(identity, trainable=False, name="factor")

    def assign(self, mean: TensorLike, factor: TensorLike) -> None:
        """Sets mean and covariance.

        Args:
          mean: `[D]`.
          factor: L, `[D, D]`, lower triangular with a positive diagonal.

        Raises:
          ValueError: if shapes do not fit, values are not finite, or L has another form.
        """
        numpy_dtype = self.dtype.as_numpy_dtype
        mean = check_array("mean", mean, numpy_dtype)
        factor = check_array("factor", factor, numpy_dtype)
        (size,) = self._mean.shape
        fits = mean.shape == (size,) and np.isfinite(mean).all()
        require(fits, f"finite `mean` of shape [{size}]", mean)
        fits = factor.shape == (size, size) and np.isfinite(factor).all()
        words = f"finite `factor` of shape [{size}, {size}], lower triangular with a"
        is_lower = fits and not np.triu(factor, 1).any() and (np.diag(factor) > 0).all()
        require(is_lower, f"{words} positive diagonal", factor)
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
