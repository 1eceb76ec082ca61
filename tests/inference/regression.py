"""A regression of unequal units and strong correlations, whose posterior is known."""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Regression:
    """`target` is a pinned joint distribution; `mean` and `covariance` its posterior's."""

    target: object
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def deviations(self):
        """Standard deviations of the posterior, `[D]`."""
        return np.sqrt(np.diag(self.covariance))


def regression(dtype=tf.float32, seed=0, num_rows=200, noise=30.0):
    """An intercept of thousands, slopes of thousandths, correlations of .99.

    Args:
      dtype: of the model.
      seed: integer, for the data.
      num_rows: number of rows.
      noise: standard deviation of the errors, which the model knows.
    """
    rng = np.random.default_rng(seed)
    size = rng.normal(170.0, 8.0, size=num_rows)
    cost = 1e5 * (size + rng.normal(0.0, 1.0, size=num_rows))
    group = (rng.uniform(size=num_rows) < 0.4).astype(np.float64)
    design = np.stack([np.ones(num_rows), size, cost, group * size], axis=1)
    response = design @ [4000.0, -12.0, 2e-3, 0.3] + rng.normal(0.0, noise, num_rows)
    prior = np.array([1e4, 1e3, 1e-1, 1e2])
    precision = design.T @ design / noise**2 + np.diag(prior**-2.0)
    covariance = np.linalg.inv(precision)
    mean = covariance @ design.T @ response / noise**2

    def model():
        scales = tf.constant(prior, dtype)
        weights = yield tfd.MultivariateNormalDiag(tf.zeros(4, dtype), scales, name="w")
        location = tf.linalg.matvec(tf.constant(design, dtype), weights)
        errors = tfd.Normal(location, tf.constant(noise, dtype))
        yield tfd.Independent(errors, 1, name="y")

    pinned = tfd.JointDistributionCoroutineAutoBatched(model).experimental_pin(
        y=tf.constant(response, dtype)
    )
    return Regression(pinned, mean, covariance)
