"""Variational autoencoders whose posterior and prior may be flows."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.data_dependent_state import weight_keyword
from tfp_flows.core.rows import rows_that_count
from tfp_flows.core.rows import sample_of_rows
from tfp_flows.core.serialization import deserialize
from tfp_flows.core.serialization import serialize
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.draws import fold_in
from tfp_flows.models import objectives
from tfp_flows.models.gaussian_posteriors import Posterior
from tfp_flows.models.global_batch import GlobalBatch
from tfp_flows.models.keras_model import shared_variables
from tfp_flows.models.latent_variable_model import Bound
from tfp_flows.models.latent_variable_model import LatentVariableModel
from tfp_flows.models.likelihood_model import LikelihoodModel
from tfp_flows.models.likelihoods import Likelihood
from tfp_flows.models.row_arrays import check_finite
from tfp_flows.models.row_format import RowFormat
from tfp_flows.models.row_format import Rows
from tfp_flows.models.summary import structure_lines
from tfp_flows.models.vae_checks import check_kinds
from tfp_flows.models.vae_checks import check_options
from tfp_flows.models.vae_checks import check_parts
from tfp_flows.models.vae_checks import check_posterior
from tfp_flows.networks.built_network import call_once
from tfp_flows.networks.built_network import check_can_be_rebuilt

__all__ = ["VAE"]

# Folded into seeds, so that training does not see the draws that it is validated on.
_TRAINING, _EVALUATION = 1, 2


@keras.saving.register_keras_serializable(package="tfp_flows")
class VAE(LatentVariableModel, LikelihoodModel):
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
    nats of a row in each of them; those of a dataset come third: `(x, None, weight)`.

    Built in the scope of a `tf.distribute` strategy, with its parts, it trains as on one
    device: losses, gradients, their clipping, free bits and the draws of each row are those
    of the whole batch, even if its rows do not divide evenly among the replicas.

    Every number is a function of the weights and a seed: training draws depend on
    `optimizer.iterations`, those of `evaluate` on the rows seen so far. So a resumed
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

    saved_parts = (
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
        check_arguments({"sticking_the_landing": sticking_the_landing})
        check_posterior(posterior)
        check_kinds(encoder, decoder, likelihood, prior, bound, seed)
        super().__init__(dtype=posterior.dtype.name, **kwargs)
        if prior is None:
            prior = standard_normal(posterior.latent_size, dtype=posterior.dtype)
        self.encoder = encoder
        self.decoder = decoder
        # Not tracked by Keras, which would not find the variables of TFP objects.
        object.__setattr__(self, "posterior", posterior)
        object.__setattr__(self, "prior", prior)
        object.__setattr__(self, "_compiled", {})
        self.likelihood = likelihood
        self.bound = bound
        self.num_samples = num_samples
        self.free_bits = free_bits
        self.sticking_the_landing = sticking_the_landing
        self.seed = seed
        check_options(
            posterior,
            bound=bound,
            num_samples=num_samples,
            free_bits=free_bits,
            sticking_the_landing=sticking_the_landing,
        )
        encoded, decoded = (
            call_once(network, shape, argument=name)
            for name, network, shape in self._networks()
        )
        check_parts(encoded, posterior, decoded, likelihood, prior)
        self._shared_weights = shared_variables(posterior, prior)
        row_format = RowFormat(likelihood.event_shape, 0, posterior.dtype)
        object.__setattr__(self, "_row_format", row_format)
        self.kl_weight = self.add_weight(
            name="kl_weight", shape=(), initializer="ones", trainable=False
        )
        self._trackers = [
            keras.metrics.Mean(name=name, dtype=self._metric_dtype)
            for name in Bound._fields
        ]
        self.built = True

    def _networks(self):
        """Name, network and shape of a row of its input, of encoder and decoder."""
        yield "encoder", self.encoder, tuple(self.likelihood.event_shape)
        yield "decoder", self.decoder, (self.posterior.latent_size,)

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Returns reconstructions, `[N, *event]`, of rows: see `reconstruct`."""
        x = tf.cast(self._row_format.of_inputs(inputs).x, self.compute_dtype)
        share = GlobalBatch(tf.shape(x)[0]).share
        return self.likelihood.mean(self.decoder(self._draw(x, [], self.seed, share)))

    def nats_of_rows(
        self, rows: Rows, batch: GlobalBatch, *, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns "loss" and the fields of `Bound` of each row, `[n]`.

        The noise of a row is that in the same global batch on one device.
        """
        terms = self._terms(
            self.encoder(rows.x, training=training),
            rows.x,
            self.num_samples,
            self._next_seed(training, batch),
            training=training,
            through_sample_only=training and self.sticking_the_landing,
            share=batch.share,
        )
        if training:
            objective = self._objective(terms, rows, batch)
        else:
            objective = self.bound(terms.log_likelihood - terms.kl)
        return {"loss": -objective, **Bound.of_terms(terms)._asdict()}

    def initialize(self, x: object, *, sample_weight: object = None) -> None:
        """Sets data-dependent state of the prior from latents of `x`.

        Args:
          x: as in `fit`.
          sample_weight: `[N]`, as in `fit`: a row of weight 2 counts as two.
        """
        data = self._data(x, sample_weight, checked=True)
        self._check_and_initialize(data, initialize=True)

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

    def get_config(self) -> dict:
        """Returns the parts and options as plain data."""
        for _, network, shape in self._networks():
            check_can_be_rebuilt(network, shape)
        parts = {name: serialize(getattr(self, name)) for name in self.saved_parts}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> VAE:
        """Builds the model that `config` describes, with fresh weights."""
        parts = {k: deserialize(config[k]) for k in cls.saved_parts if k in config}
        return cls(**parts, name=config.get("name"))

    def _next_seed(self, training, batch):
        if training:
            return fold_in(fold_in(self.seed, _TRAINING), self.optimizer.iterations)
        # Each replica counts its share.
        count = tf.round(self._trackers[0].count * batch.num_replicas)
        return fold_in(fold_in(self.seed, _EVALUATION), count)

    def _objective(self, terms, rows, batch):
        """The training objective of each row, `[n]`."""
        weight = tf.cast(self.kl_weight, terms.kl.dtype)
        if not self.free_bits:
            return self.bound(terms.log_likelihood - weight * terms.kl)
        kl = tf.reduce_mean(terms.kl, axis=0)[:, tf.newaxis]
        minimum = self.free_bits * self.latent_size
        cost = objectives.free_bits_of_rows(kl, minimum, batch.mean(kl, rows.weight))
        return tf.reduce_mean(terms.log_likelihood, axis=0) - weight * cost

    @property
    def _is_initialized(self):
        return getattr(self.prior, "is_initialized", True)

    def _initialize(self, rows):
        rows = rows_that_count(rows.x, None, rows.weight)
        x, _, weight = sample_of_rows(rows, 2**14)
        given = weight_keyword(self.prior, weight)
        self.prior.initialize(self.encode(x, seed=self.seed), **given)

    def _arrays(self, rows):
        data = super()._arrays(rows)
        check_finite(data.rows.x, "x")
        self.likelihood.check(data.rows.x)
        return data
