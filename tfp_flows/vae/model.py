"""Variational autoencoders whose posterior and prior may be flows."""

from __future__ import annotations

import functools
import math
import os
import typing
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_instance,
    check_integer,
    check_members,
    check_number,
    require,
)
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.inputs import check_value
from tfp_flows.core.rows import (
    check_rows,
    initialize_part,
    rows_of_positive_weight,
    sample_of_rows,
)
from tfp_flows.core.statistics import check_finite
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.distribution_checks import refuse_batch
from tfp_flows.distributions.draws import as_shape, fold_in, split, stateless
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.networks.built_network import call_once, check_can_be_rebuilt
from tfp_flows.training.global_batch import GlobalBatch
from tfp_flows.training.model import LikelihoodModel, structure_lines
from tfp_flows.training.row_format import RowFormat, Rows
from tfp_flows.vae import objectives
from tfp_flows.vae.likelihoods import Likelihood
from tfp_flows.vae.posteriors import Posterior

# Latent vectors that `log_likelihood` decodes at a time.
_DECODED_AT_ONCE = 2**14
# Folded into seeds, so that training and validation draw different noise.
_TRAINING, _EVALUATION = 1, 2


@keras.saving.register_keras_serializable(package="tfp_flows")
class VAE(LikelihoodModel):
    """A variational autoencoder: an encoder infers latents, and a decoder rows from them.

    ```none
    posterior:  q(z | x) = posterior(encoder(x)),  z drawn with its density in one pass
    model:      p(x, z)  = likelihood(x; decoder(z)) * prior(z)
    elbo:       E_q[log p(x | z)] - E_q[log q(z | x) - log p(z)]  <=  log p(x)
    ```

    All of Keras's training applies: `compile` with any optimizer, `fit` on arrays or a
    `tf.data.Dataset` of rows, `sample_weight`, `validation_data`, callbacks, `jit_compile`,
    `steps_per_execution`, `save` to a `.keras` file. The metrics are `elbo`,
    `reconstruction` and `kl`, in nats per row; `loss` is the negative training objective
    and `val_loss` the negative bound, without warm-up and free bits. Weights multiply the
    nats of a row in each metric; in a dataset they come third: `(x, None, weight)`.

    Built in the scope of a `tf.distribute` strategy, with its parts, it trains as on one
    device: losses, gradients, their clipping, free bits and the draws of each row are those
    of the whole batch, even if its rows do not divide evenly among the replicas.

    Every number is a function of the weights and a seed: training draws depend on
    `optimizer.iterations`, draws of `evaluate` on the rows seen so far. So a resumed
    training equals one without a pause, and each epoch is validated on the same noise.

    Args:
      encoder: a Keras layer from rows, `[N, *event]`, to `[N, posterior.num_parameters]`.
      posterior: a `posteriors.DiagonalGaussian`, `FullGaussian`, or `AmortizedFlow`.
      decoder: a Keras layer from latents, `[N, latent_size]`, to `[N, *output]`, where the
        last axis holds `likelihood.num_parameters` for each entry of an event.
      likelihood: a `likelihoods.Bernoulli`, `DiscretizedLogistic`, or `Gaussian`.
      prior: distribution of the latents; a standard normal by default. A `FlowDistribution`
        is trained as well; take one with a density in one pass, as of MAF, unlike IAF.
      bound: function from log-weights, `[K, N]`, to the objective, `[N]`: `objectives.elbo`
        or `objectives.importance_weighted_bound`.
      num_samples: draws per row in training and `evaluate`, K.
      free_bits: nats per latent, lambda, that cost nothing; with `objectives.elbo` only.
        All latents are one group in equation 15 of Kingma et al. (2016): the divergence
        costs `max(lambda * latent_size, its mean over the batch)`, since that of a flow is
        no sum over latents. So one latent may use up the allowance of the others.
      sticking_the_landing: whether the gradient leaves out the term whose mean is zero;
        with `objectives.elbo` only, and not with an IAF, which scores given points slowly.
      seed: integer that determines the draws of training and `evaluate`.
      **kwargs: `name` of `keras.Model`.

    Raises:
      ValueError: if the parts' shapes or dtypes do not fit each other, the prior's density
        is sequential, or the options exclude each other; from methods, if rows have another
        shape or values outside the likelihood's support, or a number is below 1.

    >>> import keras
    >>> import tfp_flows
    >>> q, p = tfp_flows.posteriors.DiagonalGaussian(2), tfp_flows.likelihoods.Bernoulli(8)
    >>> vae = tfp_flows.VAE(keras.layers.Dense(2 * 2), q, keras.layers.Dense(8), p)
    >>> vae.log_likelihood([[0.0] * 8] * 3, num_samples=5).shape
    (3,)

    Reference:
      Kingma, Welling (2014), VAE. https://arxiv.org/abs/1312.6114
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
      https://arxiv.org/abs/1606.04934
      Chen et al. (2017), for flows as priors. https://arxiv.org/abs/1611.02731
    """

    saved_parts: tuple[str, ...] = (
        *("encoder", "posterior", "decoder", "likelihood", "prior", "bound"),
        *("num_samples", "free_bits", "sticking_the_landing", "seed"),
    )

    def __init__(
        self,
        encoder: keras.Layer,
        posterior: Posterior,
        decoder: keras.Layer,
        likelihood: Likelihood,
        *,
        prior: tfp.distributions.Distribution | None = None,
        bound: Callable = objectives.elbo,
        num_samples: int = 1,
        free_bits: float = 0.0,
        sticking_the_landing: bool = False,
        seed: int = 0,
        **kwargs: object,
    ) -> None:
        _check_kinds(encoder, posterior, decoder, likelihood, prior)
        if prior is None:
            prior = standard_normal(posterior.latent_size, dtype=posterior.dtype)
        check_callable("bound", bound, "a function such as `objectives.elbo`")
        check_integer("num_samples", num_samples)
        check_number("free_bits", free_bits, "of at least 0", lambda nats: nats >= 0)
        check_flag("sticking_the_landing", sticking_the_landing)
        check_integer("seed", seed, minimum=-(2**63))
        check = functools.partial(_check_values, likelihood)
        row_format = RowFormat(likelihood.event_shape, 0, posterior.dtype, check)
        super().__init__(row_format, posterior, prior, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self._set_untracked("posterior", posterior)
        self._set_untracked("prior", prior)
        self._set_untracked("_compiled", {})  # functions, by the `key` of `_in_batches`
        self.likelihood = likelihood
        self.bound = bound
        self.num_samples = num_samples
        self.free_bits = free_bits
        self.sticking_the_landing = sticking_the_landing
        self.seed = seed
        self._check_options()
        self._check_parts()
        self.kl_weight = self.add_weight(
            name="kl_weight", shape=(), initializer="ones", trainable=False
        )
        self._trackers = [
            keras.metrics.Mean(name=name, dtype=self._metric_dtype)
            for name in Bound._fields
        ]
        # The rows that `evaluate` has seen. Weights do not count: they may be tiny.
        self._set_untracked("_evaluated", keras.metrics.Sum(name="evaluated"))
        self.built = True

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
        x = tf.cast(x, self.posterior.dtype)
        with tf.init_scope():  # a function may be traced
            shape = as_shape(sample_shape).numpy().tolist()
        return self._draw(x, shape, seed)

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
        from_prior, from_rows = split(stateless(seed), 2)
        outputs = self._decode(self.prior.sample(num_samples, seed=from_prior))
        return self.likelihood.sample(outputs, from_rows)

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
            terms = self._terms(self._encode(rows), rows, num_samples, seed)
            return Bound.from_terms(terms)

        check_integer("num_samples", num_samples)
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
            parameters = self._encode(rows)  # once for all draws

            def draw_log_weights(count, seed):
                terms = self._terms(parameters, rows, count, seed)
                return terms.log_weights

            return objectives.importance_weighted_log_likelihood(
                draw_log_weights, num_samples, at_once=at_once, seed=seed
            )

        check_integer("num_samples", num_samples)
        check_integer("batch_size", batch_size)
        at_once = max(1, _DECODED_AT_ONCE // batch_size)
        key = ("log_likelihood", num_samples, at_once)
        return self._in_batches(key, estimate, x, seed, batch_size)

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Returns reconstructions, `[N, *event]`, of rows: see `reconstruct`."""
        x = tf.cast(self._row_format.from_inputs(inputs).x, self.compute_dtype)
        share = GlobalBatch(tf.shape(x)[0]).share
        return self.likelihood.mean(self._decode(self._draw(x, [], self.seed, share)))

    def nats_of_rows(
        self, rows: Rows, batch: GlobalBatch, *, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns "loss" and the fields of `Bound` of each row, `[n]`.

        A row gets the same noise as in the same global batch on one device.
        """
        terms = self._terms(
            self._encode(rows.x, training=training),
            rows.x,
            self.num_samples,
            self._next_seed(training, batch),
            training=training,
            share=batch.share,
        )
        if training:
            objective = self._objective(terms, rows, batch)
        else:
            objective = self.bound(terms.log_weights)
        return {"loss": -objective, **Bound.from_terms(terms)._asdict()}

    def reset_metrics(self) -> None:
        """Resets the metrics, and the count of rows that determines their draws."""
        super().reset_metrics()
        self._evaluated.reset_state()

    def summary(
        self,
        line_length: int | None = None,
        positions: list | None = None,
        print_fn: Callable | None = None,
        **kwargs: object,
    ) -> None:
        """Prints the networks as Keras does, then posterior and prior with their flows."""
        super().summary(line_length, positions, print_fn, **kwargs)
        for name in ("posterior", "prior"):
            for line in [f"{name}:", *structure_lines(getattr(self, name))]:
                (print_fn or print)(line)

    def export(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Writes the reconstruction of rows, `serve`, as `keras.Model.export` does."""
        shape, dtype = (None, *self.likelihood.event_shape), self._row_format.dtype.name
        kwargs.setdefault("input_signature", [keras.InputSpec(shape=shape, dtype=dtype)])
        super().export(filepath, *args, **kwargs)

    def get_config(self) -> dict:
        """Returns the parts and options as plain data."""
        check_can_be_rebuilt(self.encoder, tuple(self.likelihood.event_shape))
        check_can_be_rebuilt(self.decoder, (self.latent_size,))
        return super().get_config()

    def _terms(self, parameters, x, num_samples, seed, *, training=False, share=None):
        """Returns the `Terms` of `num_samples` draws for each row, `[K, N]`.

        The encoder has returned `parameters`, `[N, P]`; flows and decoder run once.
        """
        z, log_q = self.posterior.sample_and_log_prob(
            parameters, num_samples, seed, share=share
        )
        if training and self.sticking_the_landing:
            fixed = tf.stop_gradient(parameters)
            log_q = objectives.sticking_the_landing(
                lambda z: self.posterior.log_prob(z, fixed), z
            )
        outputs = self._decode(z, training=training)
        is_flow = training and isinstance(self.prior, FlowDistribution)
        log_prior = self.prior.log_prob(z, **({"training": True} if is_flow else {}))
        kl = (log_q - log_prior)[..., tf.newaxis]
        return Terms(self.likelihood.log_prob(x, outputs), kl)

    def _check_rows(self, x):
        """Raises `ValueError` unless rows `[N, *event]` are in the support."""
        check_rows(x, None, tf.TensorShape(self.likelihood.event_shape), 0, argument="x")
        _check_values(self.likelihood, np.asarray(x))

    def _draw(self, x, sample_shape, seed, share=None):
        """Draws latents, `[*sample_shape, N, L]`, of rows, `[N, *event]`."""
        parameters, count = self._encode(x), math.prod(sample_shape)
        z, _ = self.posterior.sample_and_log_prob(parameters, count, seed, share=share)
        return tf.reshape(z, [*sample_shape, *tf.unstack(tf.shape(z)[1:])])

    def _encode(self, x, *, training=False):
        """Returns the encoder's output, `[N, P]`, of rows, `[N, *event]`."""
        # A network may compute in another dtype, by the global policy of Keras.
        return tf.cast(self.encoder(x, training=training), self.posterior.dtype)

    def _decode(self, z, *, training=False):
        """Returns the decoder's output, `[..., *output]`, of latents, `[..., L]`."""
        outputs = self.decoder(tf.reshape(z, [-1, self.latent_size]), training=training)
        outputs = self._as_outputs(outputs, 1)
        shape = tf.concat([tf.shape(z)[:-1], outputs.shape[1:]], axis=0)
        known = [*z.shape[:-1], *outputs.shape[1:]]
        return tf.ensure_shape(tf.reshape(outputs, shape), known)

    def _as_outputs(self, outputs, batch_ndims):
        """The decoder's outputs as the likelihood takes them."""
        outputs = tf.cast(outputs, self.posterior.dtype)
        size = self.likelihood.num_parameters * self.likelihood.event_size
        shape = outputs.shape[batch_ndims:]
        if not math.prod(shape) == shape[-1] == size:
            return outputs
        # Axes of size 1 before the last one belong to the row, and are no batch.
        batch = tf.unstack(tf.shape(outputs)[:batch_ndims])
        return tf.reshape(outputs, [*batch, size])

    def _in_batches(
        self, key: tuple, function: Callable, x: TensorLike, seed: Any, batch_size: int
    ) -> Any:
        """Returns `function(rows, seed)` of all rows as arrays, some rows at a time.

        It is compiled once for each `key` and for batches of any length.
        """
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

    def _next_seed(self, training, batch):
        if training:
            return fold_in(fold_in(self.seed, _TRAINING), self.optimizer.iterations)
        # Each replica has counted its share of the rows.
        num_rows, num_replicas = self._evaluated.total, batch.num_replicas
        seed = fold_in(fold_in(self.seed, _EVALUATION), tf.round(num_rows * num_replicas))
        num_rows.assign_add(tf.cast(batch.count, num_rows.dtype) / num_replicas)
        return seed

    def _objective(self, terms, rows, batch):
        """The training objective of each row, `[n]`."""
        weight = tf.cast(self.kl_weight, terms.kl.dtype)
        if not self.free_bits:
            kl = tf.reduce_sum(terms.kl, axis=-1)
            return self.bound(terms.log_likelihood - weight * kl)
        kl = tf.reduce_mean(terms.kl, axis=0)
        minimum = self.free_bits * np.array(self._group_sizes)
        cost = objectives.free_bits_of_rows(kl, minimum, batch.mean(kl, rows.weight))
        return tf.reduce_mean(terms.log_likelihood, axis=0) - weight * cost

    @property
    def _group_sizes(self):
        """Latents of each of the J groups that have free bits of their own."""
        return [self.latent_size]

    @property
    def _is_initialized(self):
        return getattr(self.prior, "is_initialized", True)

    def _initialize(self, rows):
        rows = rows_of_positive_weight(rows.x, None, rows.weight)
        x, _, weight = sample_of_rows(rows, 2**14)
        initialize_part(self.prior, self.encode(x, seed=self.seed), None, weight)

    def _check_options(self):
        """Raises `ValueError` if options exclude each other."""
        needs_elbo = self.free_bits or self.sticking_the_landing
        words = "`bound` to be objectives.elbo with `free_bits` or `sticking_the_landing`"
        require(not needs_elbo or self.bound is objectives.elbo, words, self.bound)
        fits = not self.sticking_the_landing or self.posterior.scores_in_one_pass
        words = "a `posterior` that scores a given point in one pass"
        got = "one that solves for one variable after another in every training step"
        require(fits, f"{words} for `sticking_the_landing`", got)

    def _check_parts(self):
        """Builds the networks; raises `ValueError` if the parts do not fit each other."""
        likelihood, posterior = self.likelihood, self.posterior
        event_shape, num_outputs = tuple(likelihood.event_shape), posterior.num_parameters
        shape = call_once(self.encoder, event_shape, argument="encoder")
        got = f"outputs of shape {shape}"
        require(shape == (num_outputs,), f"`encoder` with {num_outputs} outputs", got)
        shape = call_once(self.decoder, (posterior.latent_size,), argument="decoder")
        num_outputs = likelihood.num_parameters * likelihood.event_size
        got = f"outputs of shape {shape}"
        fits = math.prod(shape) == num_outputs
        require(fits, f"`decoder` with {num_outputs} outputs", got)
        # Other axes, such as width before height, would put entries in wrong places.
        image = (*event_shape[:-1], likelihood.num_parameters * event_shape[-1])
        fits = len(shape) == 1 or len(shape) != len(image) or shape == image
        require(fits, f"`decoder` with outputs of shape {image}, or [{num_outputs}]", got)
        _check_prior(self.prior, posterior)


def _check_values(likelihood, x):
    """Raises `ValueError` if an array of rows has values outside the support."""
    check_finite(x, "x")
    likelihood.check(x)


def _check_kinds(encoder, posterior, decoder, likelihood, prior):
    """Raises `ValueError` if a part of a `VAE` has the wrong type."""
    words = "a DiagonalGaussian, FullGaussian or AmortizedFlow of `tfp_flows.posteriors`"
    check_instance("posterior", posterior, Posterior, words)
    for name, layer in (("encoder", encoder), ("decoder", decoder)):
        check_instance(name, layer, keras.layers.Layer, "a `keras.layers.Layer`")
    attributes = ("event_shape", "event_size", "num_parameters")
    members = (*attributes, "log_prob", "check", "mean", "sample")
    check_members("likelihood", likelihood, members, "one of `tfp_flows.likelihoods`")
    if prior is not None:
        words = "a `tfd.Distribution`, such as a `FlowDistribution`"
        check_members("prior", prior, ("log_prob", "event_shape", "dtype"), words)


def _check_prior(prior, posterior):
    shape, dtype = [posterior.latent_size], posterior.dtype
    is_vector = prior.event_shape == shape
    require(is_vector, f"a `prior` of event shape {shape}", prior.event_shape)
    refuse_batch("prior", prior)
    context_size = getattr(prior, "context_size", 0)
    require(not context_size, "a `prior` without a context", f"width {context_size}")
    words = f"a `prior` of {dtype.name}, as the posterior"
    require(prior.dtype == dtype, words, tf.as_dtype(prior.dtype).name)
    flow = getattr(prior, "bijector", None)
    is_slow = "inverse" in getattr(flow, "sequential_directions", ())
    why = "which solves for one variable after another in every training step"
    got = f"`{getattr(prior, 'name', '')}`, {why}"
    hint = " Take an inverse one: `MAF` is the inverse of `IAF`."
    require(not is_slow, "a `prior` that scores in one pass", got, hint)


class Bound(typing.NamedTuple):
    """Nats of each row, `[N]`: `elbo = reconstruction - kl`, by Monte Carlo."""

    elbo: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor

    @classmethod
    def from_terms(cls, terms: Terms) -> Bound:
        """Takes the means over the draws, and the sum over groups of latents."""
        kl = tf.reduce_mean(tf.reduce_sum(terms.kl, axis=-1), axis=0)
        reconstruction = tf.reduce_mean(terms.log_likelihood, axis=0)
        return cls(reconstruction - kl, reconstruction, kl)


class Terms(typing.NamedTuple):
    """Nats of K draws for each of N rows.

    `log_likelihood` is log p(x | z), `[K, N]`, and `kl` is log q(z | x) - log p(z) of each
    of J groups of latents, `[K, N, J]`. A `VAE` has one group.
    """

    log_likelihood: tf.Tensor
    kl: tf.Tensor

    @property
    def log_weights(self) -> tf.Tensor:
        """The log-weights of `objectives`, `[K, N]`."""
        return self.log_likelihood - tf.reduce_sum(self.kl, axis=-1)
