"""A VAE whose evidence, posterior and bounds are known in closed form."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfd = tfp.distributions

LATENT_SIZE, EVENT_SIZE, NOISE = 2, 5, 0.7


class LinearGaussian:
    """`x = W z + b + NOISE * e`, with the VAE of this model at its true posterior.

    Attributes:
      model: the `VAE`, float64.
      x: `[N, 5]`, rows drawn from it.
      evidence: `[N]`, log p(x).
    """

    def __init__(self, num_rows=4, **options):
        rng = np.random.default_rng(0)
        self.weights = rng.normal(size=(LATENT_SIZE, EVENT_SIZE))
        self.bias = rng.normal(size=EVENT_SIZE)
        covariance = self.weights.T @ self.weights + NOISE**2 * np.eye(EVENT_SIZE)
        marginal = tfd.MultivariateNormalTriL(self.bias, np.linalg.cholesky(covariance))
        self.x = marginal.sample(num_rows, seed=(0, 1)).numpy()
        self.evidence = marginal.log_prob(self.x).numpy()
        posterior = tff.posteriors.FullGaussian(LATENT_SIZE, dtype=tf.float64)
        self.model = tff.VAE(
            _dense(*self._encoder_weights()),
            posterior,
            _dense(*self._decoder_weights()),
            tff.likelihoods.Gaussian(EVENT_SIZE, min_scale=0.0),
            **options,
        )

    def move_posterior(self, amount=0.12):
        """Makes the encoder's posterior another than the true one."""
        rng = np.random.default_rng(1)
        for weight in self.model.encoder.trainable_weights:
            weight.assign_add(amount * rng.normal(size=weight.shape))
        return self

    def log_weights(self, num_samples, seed):
        """Log-weights of the rows, `[K, N]`."""
        parameters = self.model.encoder(self.x)
        seed = tf.constant([seed, 7])
        terms = self.model._terms(parameters, self.x, num_samples, seed)
        return terms.log_likelihood - terms.kl

    def true_elbo(self):
        """`evidence - KL(q || true posterior)`, `[N]`, differentiable by the encoder."""
        parameters = self.model.encoder(self.x)
        mean, scale, _ = self.model.posterior._split(parameters)
        q = tfd.MultivariateNormalTriL(mean, scale)
        mean, covariance = self._true_posterior()
        p = tfd.MultivariateNormalTriL(mean, np.linalg.cholesky(covariance))
        return self.evidence - tfd.kl_divergence(q, p)

    def _true_posterior(self):
        precision = np.eye(LATENT_SIZE) + self.weights @ self.weights.T / NOISE**2
        covariance = np.linalg.inv(precision)
        return (self.x - self.bias) @ self.weights.T @ covariance / NOISE**2, covariance

    def _encoder_weights(self):
        _, covariance = self._true_posterior()
        kernel = self.weights.T @ covariance / NOISE**2
        scale = np.linalg.cholesky(covariance)
        scale[np.diag_indices(LATENT_SIZE)] = _inverse_softplus(np.diag(scale)) - np.log(
            np.e - 1.0
        )
        entries = tfp.math.fill_triangular_inverse(scale).numpy()
        bias = np.concatenate([-self.bias @ kernel, entries])
        return np.pad(kernel, [(0, 0), (0, len(entries))]), bias

    def _decoder_weights(self):
        scales = np.full(EVENT_SIZE, _inverse_softplus(NOISE))
        kernel = np.pad(self.weights, [(0, 0), (0, EVENT_SIZE)])
        return kernel, np.concatenate([self.bias, scales])


def _dense(kernel, bias):
    layer = keras.layers.Dense(len(bias), dtype="float64")
    layer.build((None, len(kernel)))
    layer.set_weights([kernel, bias])
    return layer


def _inverse_softplus(y):
    return np.log(np.expm1(y))
