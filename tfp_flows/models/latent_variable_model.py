"""A latent-variable model: draws, bounds and likelihoods, apart from training."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.compiled_call import graph_function
from tfp_flows.core.inputs import check_value
from tfp_flows.core.rows import check_rows
from tfp_flows.distributions.draws import fold_in
from tfp_flows.distributions.draws import split
from tfp_flows.distributions.draws import stateless
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.models import objectives
from tfp_flows.models.gaussian_posteriors import Posterior
from tfp_flows.models.likelihoods import Likelihood

__all__ = ["Bound", "LatentVariableModel", "Terms"]

# Latent vectors that are decoded at a time by `log_likelihood`.
_DECODED_AT_ONCE = 2**14


class Bound(typing.NamedTuple):
    """Nats of each row, `[N]`: `elbo = reconstruction - kl`, by Monte Carlo."""

    elbo: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor

    @classmethod
    def of_terms(cls, terms: Terms) -> Bound:
        """The bound by the mean over the draws."""
        reconstruction, kl = (tf.reduce_mean(term, axis=0) for term in terms)
        return cls(reconstruction - kl, reconstruction, kl)


class Terms(typing.NamedTuple):
    """Of K draws for each of N rows, in nats, `[K, N]`.

    `log_likelihood` is log p(x | z), and `kl` is log q(z | x) - log p(z); the log-weights
    of `objectives` are the first less the second.
    """

    log_likelihood: tf.Tensor
    kl: tf.Tensor


class LatentVariableModel:
    """Latents given rows, rows given latents, and both their densities.

    ```none
    q(z | x) = posterior(encoder(x)),      p(x, z) = likelihood(x; decoder(z)) prior(z)
    ```

    Mixed into a model that sets the five parts as attributes.
    """

    encoder: keras.Layer
    posterior: Posterior
    decoder: keras.Layer
    likelihood: Likelihood
    prior: tfp.distributions.Distribution
    _compiled: dict  # functions by what they compute

    @property
    def latent_size(self) -> int:
        """Number of latent variables, L."""
        return self.posterior.latent_size

    def encode(
        self,
        x: TensorLike,
        sample_shape: int | Sequence[int] = (),
        *,
        seed: int | TensorLike = 0,
    ) -> tf.Tensor:
        """Draws latents of rows.

        Args:
          x: `[N, *event]`.
          sample_shape: shape of the draw.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          `[*sample_shape, N, latent_size]`.
        """
        self._check_rows(x)
        x = tf.convert_to_tensor(x, self.posterior.dtype)
        return self._draw(x, np.atleast_1d(sample_shape).astype(int).tolist(), seed)

    def decode(self, z: TensorLike) -> tf.Tensor:
        """Returns the expected rows, `[..., *event]`, of latents, `[..., latent_size]`."""
        shape, dtype = tf.TensorShape([self.latent_size]), self.posterior.dtype
        return self.likelihood.mean(self._decode(check_value(z, "z", 1, shape, dtype)))

    def reconstruct(self, x: TensorLike, *, seed: int | TensorLike = 0) -> tf.Tensor:
        """Returns the expected rows given one draw of latents of `x`, `[N, *event]`."""
        return self.decode(self.encode(x, seed=seed))

    def sample(self, num_samples: int, *, seed: int | TensorLike = 0) -> tf.Tensor:
        """Draws rows, `[num_samples, *event]`; `decode(prior.sample())` is their means."""
        check_integer("num_samples", num_samples)
        of_prior, of_rows = split(stateless(seed), 2)
        outputs = self._decode(self.prior.sample(num_samples, seed=of_prior))
        return self.likelihood.sample(outputs, of_rows)

    def elbo(
        self,
        x: TensorLike,
        *,
        num_samples: int = 1,
        seed: int | TensorLike = 0,
        batch_size: int = 1000,
    ) -> Bound:
        """Returns the `Bound` of each row as arrays, `[N]`, in nats.

        Args:
          x: `[N, *event]`.
          num_samples: draws a row.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          batch_size: rows at a time, with draws of their own.
        """

        def bound(rows, seed):
            return Bound.of_terms(self._terms(self.encoder(rows), rows, num_samples, seed))

        return self._in_batches(("elbo", num_samples), bound, x, seed, batch_size)

    def log_likelihood(
        self,
        x: TensorLike,
        num_samples: int = 512,
        *,
        seed: int | TensorLike = 0,
        batch_size: int = 100,
    ) -> np.ndarray:
        """Estimates log p(x) of each row from below, by importance sampling.

        Args:
          x: `[N, *event]`.
          num_samples: draws a row, K; any number, as they are taken in turn.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          batch_size: rows at a time, with draws of their own.

        Returns:
          Array of nats, `[N]`: the importance-weighted bound of K draws.
        """

        def estimate(rows, seed):
            parameters = self.encoder(rows)  # once for all draws

            def draw_log_weights(count, seed):
                terms = self._terms(parameters, rows, count, seed)
                return terms.log_likelihood - terms.kl

            return objectives.importance_weighted_log_likelihood(
                draw_log_weights, num_samples, at_once=at_once, seed=seed
            )

        check_integer("batch_size", batch_size)
        at_once = max(1, _DECODED_AT_ONCE // batch_size)
        key = ("log_likelihood", num_samples, at_once)
        return self._in_batches(key, estimate, x, seed, batch_size)

    def _terms(
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
        """Returns the `Terms` of `num_samples` draws for each row, `[K, N]`.

        The encoder has returned `parameters`, `[N, P]`; flows and decoder run once.
        With `through_sample_only`, log q is that of `objectives.sticking_the_landing`.
        """
        z, log_q = self.posterior.sample_and_log_prob(
            parameters, num_samples, seed, share=share
        )
        if through_sample_only:
            fixed = tf.stop_gradient(parameters)
            log_q = objectives.sticking_the_landing(
                lambda z: self.posterior.log_prob(z, fixed), z
            )
        outputs = self._decode(z, training=training)
        is_flow = training and isinstance(self.prior, FlowDistribution)
        log_prior = self.prior.log_prob(z, **({"training": True} if is_flow else {}))
        return Terms(self.likelihood.log_prob(x, outputs), log_q - log_prior)

    def _check_rows(self, x):
        """Raises `ValueError` unless rows `[N, *event]` are in the support."""
        check_rows(x, None, tf.TensorShape(self.likelihood.event_shape), 0, argument="x")
        self.likelihood.check(np.asarray(x))

    def _draw(self, x, sample_shape, seed, share=None):
        """Draws latents, `[*sample_shape, N, L]`, of rows, `[N, *event]`."""
        parameters, count = self.encoder(x), math.prod(sample_shape)
        z, _ = self.posterior.sample_and_log_prob(parameters, count, seed, share=share)
        return tf.reshape(z, [*sample_shape, *tf.unstack(tf.shape(z)[1:])])

    def _decode(self, z, *, training=False):
        """Returns the decoder's output, `[..., *output]`, of latents, `[..., L]`."""
        outputs = self.decoder(tf.reshape(z, [-1, self.latent_size]), training=training)
        shape = tf.concat([tf.shape(z)[:-1], outputs.shape[1:]], axis=0)
        known = [*z.shape[:-1], *outputs.shape[1:]]
        return tf.ensure_shape(tf.reshape(outputs, shape), known)

    def _in_batches(
        self, key: tuple, function: Callable, x: TensorLike, seed: Any, batch_size: int
    ) -> Any:
        """Returns `function(rows, seed)` of all rows as arrays, some rows at a time.

        It is compiled once for each `key` and for batches of any length.
        """
        check_integer("num_samples", key[1])
        check_integer("batch_size", batch_size)
        self._check_rows(x)
        dtype = self.posterior.dtype
        if key not in self._compiled:
            rows = tf.TensorSpec([None, *self.likelihood.event_shape], dtype)
            signature = [rows, tf.TensorSpec([2], tf.int32)]
            self._compiled[key] = graph_function(function, input_signature=signature)
        x = np.asarray(x, dtype.as_numpy_dtype)
        results = [
            self._compiled[key](x[start : start + batch_size], fold_in(seed, start))
            for start in range(0, len(x), batch_size)
        ]
        return tf.nest.map_structure(
            lambda *parts: np.concatenate([part.numpy() for part in parts]), *results
        )
