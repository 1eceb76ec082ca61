"""Gaussian mixtures whose draws are differentiable, component by component."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.serialization import Configured
from tfp_flows.distributions import draws

__all__ = ["GaussianMixture"]


class GaussianMixture(Configured, tfp.distributions.Distribution):
    """A mixture of Gaussians: the base of a flow whose target has several modes.

    ```none
    x = mean_k + F_k (scale_k e),   e ~ N(0, 1),   k ~ softmax(logits)
    ```

    Means, scales and logits are trained; the factors F are not, so that neither direction
    needs a solve.

    Args:
      means: `[K, D]`.
      factors: lower triangular factors of the covariances, `[K, D, D]`.
      logits: unnormalised log-weights, `[K]`.
      dtype: of draws.
      name: name of the distribution.
    """

    def __init__(
        self,
        means: npt.ArrayLike,
        factors: npt.ArrayLike,
        logits: npt.ArrayLike,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "gaussian_mixture",
    ) -> None:
        parameters = dict(locals())
        dtype = tf.as_dtype(dtype)
        factors = np.asarray(factors, np.float64)
        with tf.name_scope(name):
            self._means = tf.Variable(np.asarray(means), dtype=dtype, name="means")
            zeros = np.zeros(self._means.shape)
            self._log_scales = tf.Variable(zeros, dtype=dtype, name="log_scales")
            self._logits = tf.Variable(np.asarray(logits), dtype=dtype, name="logits")
        # `[K, D, D]`, transposed for rows.
        self._factors = np.swapaxes(factors, -1, -2)
        self._inverses = np.linalg.inv(self._factors)
        diagonals = np.abs(np.diagonal(factors, axis1=-2, axis2=-1))
        self._log_dets = np.log(diagonals).sum(axis=-1)
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def num_components(self) -> int:
        """Number of components, K."""
        return self._means.shape[0]

    @property
    def log_weights(self) -> tf.Tensor:
        """Log-probabilities of the components, `[K]`."""
        return tf.nn.log_softmax(self._logits)

    def of_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """Maps standard normal noise of each component, `[K, N, D]`, to its draws."""
        scaled = noise * tf.exp(self._log_scales)[:, None]
        return tf.matmul(scaled, self._cast(self._factors)) + self._means[:, None]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("means", "factors", "logits", "dtype", "name")
        return {name: self.parameters[name] for name in names}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return self._means.shape[1:]

    def _event_shape_tensor(self):
        return tf.constant(self._event_shape().as_list(), tf.int32)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.zeros([0], tf.int32)

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity()

    def _sample_n(self, n, seed=None):
        choice, noise = draws.split(draws.stateless(seed), 2)
        logits = tf.cast(self._logits, tf.float32)[None]
        chosen = tf.random.stateless_categorical(logits, n, choice)[0]
        e = draws.normal(tf.stack([n, self._means.shape[1]]), noise, self.dtype)
        scaled = e * tf.exp(tf.gather(self._log_scales, chosen))
        factors = tf.gather(self._cast(self._factors), chosen)
        return tf.einsum("nd,nde->ne", scaled, factors) + tf.gather(self._means, chosen)

    def _log_prob(self, x):
        z = tf.einsum(
            "...kd,kde->...ke", x[..., None, :] - self._means, self._cast(self._inverses)
        )
        z = z * tf.exp(-self._log_scales)
        log_dets = self._cast(self._log_dets) + tf.reduce_sum(self._log_scales, axis=-1)
        constant = 0.5 * z.shape[-1] * math.log(2.0 * math.pi)
        quadratic = -0.5 * tf.reduce_sum(z**2, axis=-1)
        terms = quadratic - log_dets - constant + self.log_weights
        return tf.reduce_logsumexp(terms, axis=-1)

    def _cast(self, array):
        return tf.constant(array, self.dtype)
