"""The probabilities of a VAE, apart from how it is trained."""

import collections
import math

import tensorflow as tf

from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.models import objectives

__all__ = ["Bound", "LatentVariableModel", "Terms"]

Bound = collections.namedtuple("Bound", ["elbo", "reconstruction", "kl"])
Bound.__doc__ = """Nats of each row, `[N]`: `elbo = reconstruction - kl`, by Monte Carlo."""

Terms = collections.namedtuple("Terms", ["log_likelihood", "kl"])
Terms.__doc__ = """Of K draws for each of N rows, in nats, `[K, N]`.

`log_likelihood` is log p(x | z), and `kl` is log q(z | x) - log p(z); the log-weights of
`objectives` are the first less the second.
"""


class LatentVariableModel:
    """Latents given rows, rows given latents, and both their densities.

    ```none
    q(z | x) = posterior(encoder(x)),      p(x, z) = likelihood(x; decoder(z)) prior(z)
    ```

    Args:
      encoder: a Keras layer from rows, `[N, *event]`, to the posterior's parameters.
      posterior: one of `posteriors`.
      decoder: a Keras layer from latents, `[N, L]`, to the likelihood's parameters.
      likelihood: one of `likelihoods`.
      prior: distribution of the latents.
    """

    def __init__(self, encoder, posterior, decoder, likelihood, prior):
        self.encoder = encoder
        self.posterior = posterior
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior

    def terms(self, x, num_samples, seed, *, training=False, **options):
        """Returns the `Terms` of K draws for each row; every network runs once.

        Args:
          x: `[N, *event]`.
          num_samples: number of draws a row, K.
          seed: a stateless seed.
          training: for dropout and batch statistics.
          **options: of `terms_given`.
        """
        return self.terms_given(
            self.encoder(x, training=training),
            x,
            num_samples,
            seed,
            training=training,
            **options,
        )

    def terms_given(
        self,
        parameters,
        x,
        num_samples,
        seed,
        *,
        training=False,
        through_sample_only=False,
        share=None,
    ):
        """Returns the `Terms` of rows that are encoded already.

        Args:
          parameters: `[N, P]`, what the encoder returns for `x`.
          x: `[N, *event]`.
          num_samples: number of draws a row, K.
          seed: a stateless seed.
          training: for dropout and batch statistics.
          through_sample_only: whether log q is that of `objectives.sticking_the_landing`.
          share: which rows of a larger batch these are, as of `SharedBatch`.
        """
        z, log_q = self.posterior.sample_and_log_prob(
            parameters, num_samples, seed, share=share
        )
        if through_sample_only:
            fixed = tf.stop_gradient(parameters)
            log_q = objectives.sticking_the_landing(
                lambda z: self.posterior.log_prob(z, fixed), z
            )
        outputs = self.decoded(z, training=training)
        kl = log_q - self._log_prior(z, training)
        return Terms(self.likelihood.log_prob(x, outputs), kl)

    def bound(self, x, num_samples, seed):
        """Returns the `Bound` of rows, `[N, *event]`, by K draws each."""
        terms = self.terms(x, num_samples, seed)
        reconstruction, kl = (tf.reduce_mean(term, axis=0) for term in terms)
        return Bound(reconstruction - kl, reconstruction, kl)

    def log_likelihood(self, x, num_samples, seed, *, at_once):
        """Estimates log p(x), `[N]`, of rows, `[N, *event]`, which are encoded once.

        Args:
          x: `[N, *event]`.
          num_samples: number of draws a row.
          seed: a stateless seed.
          at_once: number of draws a row in memory at a time.
        """
        parameters = self.encoder(x)

        def draw_log_weights(count, seed):
            terms = self.terms_given(parameters, x, count, seed)
            return terms.log_likelihood - terms.kl

        return objectives.importance_weighted_log_likelihood(
            draw_log_weights, num_samples, at_once=at_once, seed=seed
        )

    def latents(self, x, sample_shape, seed):
        """Draws latents, `[*sample_shape, N, L]`, of rows, `[N, *event]`."""
        count = math.prod(sample_shape)
        z, _ = self.posterior.sample_and_log_prob(self.encoder(x), count, seed)
        return tf.reshape(z, [*sample_shape, *tf.unstack(tf.shape(z)[1:])])

    def decoded(self, z, *, training=False):
        """Returns the decoder's output, `[..., *output]`, of latents, `[..., L]`."""
        rows = tf.reshape(z, [-1, self.posterior.latent_size])
        outputs = self.decoder(rows, training=training)
        shape = tf.concat([tf.shape(z)[:-1], outputs.shape[1:]], axis=0)
        known = [*z.shape[:-1], *outputs.shape[1:]]
        return tf.ensure_shape(tf.reshape(outputs, shape), known)

    def _log_prior(self, z, training):
        if training and isinstance(self.prior, FlowDistribution):
            return self.prior.log_prob(z, training=True)
        return self.prior.log_prob(z)
