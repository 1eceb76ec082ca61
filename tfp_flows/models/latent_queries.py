"""What one asks a variational autoencoder for: latents, rows, bounds."""

import numpy as np
import tensorflow as tf

from tfp_flows.core.inputs import check_value
from tfp_flows.distributions.draws import split
from tfp_flows.distributions.draws import stateless
from tfp_flows.models.row_batches import RowFunction
from tfp_flows.models.vae_checks import check_counts
from tfp_flows.models.vae_checks import check_rows

__all__ = ["LatentQueries"]

# Latent vectors that are decoded at a time by `log_likelihood`.
_DECODED_AT_ONCE = 2**14


class LatentQueries:
    """Methods of a `VAE` that need no training: draws, and what they say of rows."""

    def encode(self, x, sample_shape=(), *, seed=0):
        """Draws latents of rows.

        Args:
          x: `[N, *event]`.
          sample_shape: shape of the draw.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          `[*sample_shape, N, latent_size]`.
        """
        check_rows(x, self.likelihood)
        x = tf.convert_to_tensor(x, self.compute_dtype)
        return self._probabilities.latents(
            x, np.atleast_1d(sample_shape).astype(int).tolist(), seed
        )

    def decode(self, z):
        """Returns the expected rows, `[..., *event]`, of latents, `[..., latent_size]`."""
        z = check_value(z, "z", 1, tf.TensorShape([self.latent_size]), self.compute_dtype)
        return self.likelihood.mean(self._probabilities.decoded(z))

    def reconstruct(self, x, *, seed=0):
        """Returns the expected rows given one draw of latents of `x`, `[N, *event]`."""
        return self.decode(self.encode(x, seed=seed))

    def sample(self, num_samples, *, seed=0):
        """Draws rows, `[num_samples, *event]`; `decode(prior.sample())` is their means."""
        check_counts(num_samples=num_samples)
        of_prior, of_rows = split(stateless(seed), 2)
        outputs = self._probabilities.decoded(self.prior.sample(num_samples, seed=of_prior))
        return self.likelihood.sample(outputs, of_rows)

    def elbo(self, x, *, num_samples=1, seed=0, batch_size=1000):
        """Returns the `Bound` of each row as arrays, `[N]`, in nats.

        Args:
          x: `[N, *event]`.
          num_samples: draws a row.
          seed: integer.
          batch_size: rows at a time.
        """
        check_counts(num_samples=num_samples, batch_size=batch_size)
        check_rows(x, self.likelihood)
        evaluate = self._row_function(self._probabilities.bound, num_samples)
        return evaluate(x, seed=seed, batch_size=batch_size)

    def log_likelihood(self, x, num_samples=512, *, seed=0, batch_size=100):
        """Estimates log p(x) of each row from below, by importance sampling.

        Args:
          x: `[N, *event]`.
          num_samples: draws a row, K; any number, as they are taken in turn.
          seed: integer.
          batch_size: rows at a time.

        Returns:
          Array of nats, `[N]`: the importance-weighted bound of K draws.
        """
        check_counts(num_samples=num_samples, batch_size=batch_size)
        check_rows(x, self.likelihood)
        at_once = max(1, _DECODED_AT_ONCE // batch_size)
        evaluate = self._row_function(
            self._probabilities.log_likelihood, num_samples, at_once=at_once
        )
        return evaluate(x, seed=seed, batch_size=batch_size)

    def _row_function(self, method, num_samples, **kwargs):
        """The compiled form of `method(rows, num_samples, seed, **kwargs)`."""
        key = (method.__name__, num_samples, *kwargs.values())
        if key not in self._row_functions:
            self._row_functions[key] = RowFunction(
                lambda rows, seed: method(rows, num_samples, seed, **kwargs),
                self.likelihood.event_shape,
                self.compute_dtype,
            )
        return self._row_functions[key]
