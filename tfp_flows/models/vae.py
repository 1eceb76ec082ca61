"""Variational autoencoders whose posterior and prior may be flows."""

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.serialization import deserialize
from tfp_flows.bijectors.serialization import serialize
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.draws import fold_in
from tfp_flows.distributions.draws import split
from tfp_flows.distributions.draws import stateless
from tfp_flows.models import objectives
from tfp_flows.models.fitting import first_rows
from tfp_flows.models.fitting import num_replicas
from tfp_flows.models.fitting import refuse_missing
from tfp_flows.models.fitting import with_stop_on_nan
from tfp_flows.models.latent_variable_model import Bound
from tfp_flows.models.latent_variable_model import LatentVariableModel
from tfp_flows.models.row_batches import RowFunction
from tfp_flows.models.shared_variable import SharedVariable
from tfp_flows.models.vae_checks import check_options
from tfp_flows.models.vae_checks import check_parts
from tfp_flows.models.vae_checks import check_rows

__all__ = ["VAE"]

# What draws are for: training must not see those that it is validated on.
_TRAINING, _EVALUATION = 1, 2

# Latent vectors that are decoded at a time by `log_likelihood`.
_DECODED_AT_ONCE = 2**14


@keras.saving.register_keras_serializable(package="tfp_flows")
class VAE(keras.Model):
    """Latents that an encoder infers and a decoder explains the data by.

    ```none
    posterior:  q(z | x) = posterior(encoder(x)),  z drawn with its density in one pass
    model:      p(x, z)  = likelihood(x; decoder(z)) * prior(z)
    elbo:       E_q[log p(x | z)] - E_q[log q(z | x) - log p(z)]  <=  log p(x)
    ```

    All of Keras's training applies: `compile` with any optimizer, `fit` on arrays or a
    `tf.data.Dataset` of rows, `validation_data`, callbacks, `jit_compile`,
    `steps_per_execution`, `save` to a `.keras` file. The metrics are `elbo`,
    `reconstruction` and `kl`, in nats a row; `loss` is the negative training objective and
    `val_loss` the negative bound, without warm-up and free bits.

    Every number is a function of the weights and a seed: training draws depend on
    `optimizer.iterations`, those of `evaluate` on the rows seen so far. So a resumed
    training goes on as if it had never stopped, and each epoch is validated on the same
    noise.

    Args:
      encoder: a Keras layer from rows, `[N, *event]`, to `[N, posterior.num_parameters]`.
      posterior: a `posteriors.DiagonalGaussian`, `FullGaussian`, or `FlowPosterior`.
      decoder: a Keras layer from latents, `[N, latent_size]`, to `[N, *output]`, where the
        last axis holds `likelihood.num_parameters` for each entry of an event.
      likelihood: a `likelihoods.Bernoulli`, `DiscretizedLogistic`, or `Gaussian`.
      prior: distribution of the latents; a standard normal by default. A `FlowDistribution`
        is trained, too; a MAF scores in one pass, as training needs.
      bound: what is maximised, of log-weights `[K, N]`: `objectives.elbo` or
        `objectives.importance_weighted_bound`.
      num_samples: draws a row in training and `evaluate`, K.
      free_bits: nats a latent below which the mean divergence of all latents, as one group,
        costs nothing; with `objectives.elbo` only.
      sticking_the_landing: whether the gradient leaves out the term whose mean is zero;
        with `objectives.elbo` only, and not with an IAF, whose density of a given point is
        sequential.
      seed: integer that determines the draws of training and `evaluate`.
      **kwargs: `name` of `keras.Model`.

    Raises:
      ValueError: if the parts' shapes do not fit each other, or the options exclude each
        other; from methods, if rows have another shape, or values that the likelihood
        cannot explain.

    Reference:
      Kingma, Welling (2014), Auto-encoding variational Bayes.
      https://arxiv.org/abs/1312.6114
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
      https://arxiv.org/abs/1606.04934
      Chen et al. (2017), Variational lossy autoencoder (a flow as prior).
      https://arxiv.org/abs/1611.02731
    """

    def __init__(
        self,
        encoder,
        posterior,
        decoder,
        likelihood,
        *,
        prior=None,
        bound=objectives.elbo,
        num_samples=1,
        free_bits=0.0,
        sticking_the_landing=False,
        seed=0,
        **kwargs,
    ):
        super().__init__(dtype=posterior.dtype.name, **kwargs)
        if prior is None:
            prior = standard_normal(posterior.latent_size, dtype=posterior.dtype)
        self.encoder = encoder
        self.decoder = decoder
        # Not tracked by Keras, which would not find the variables of TFP objects.
        object.__setattr__(self, "posterior", posterior)
        object.__setattr__(self, "prior", prior)
        object.__setattr__(self, "_row_functions", {})
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
        _build(encoder, likelihood.event_shape)
        _build(decoder, (posterior.latent_size,))
        check_parts(encoder, posterior, decoder, likelihood, prior)
        object.__setattr__(
            self,
            "_probabilities",
            LatentVariableModel(encoder, posterior, decoder, likelihood, prior),
        )
        self._shared_weights = [
            SharedVariable(variable)
            for variable in (*posterior.variables, *prior.variables)
        ]
        self.kl_weight = self.add_weight(
            name="kl_weight", shape=(), initializer="ones", trainable=False
        )
        self._trackers = [keras.metrics.Mean(name=name) for name in Bound._fields]
        self.built = True

    @property
    def latent_size(self):
        """Number of latent variables, L."""
        return self.posterior.latent_size

    def call(self, inputs, training=False):
        """Returns reconstructions, `[N, *event]`, of rows: see `reconstruct`."""
        return self.likelihood.mean(
            self.decoder(self._probabilities.latents(inputs, [], self.seed))
        )

    def train_step(self, data):
        """One gradient step."""
        x = self._rows_of(data)
        weights = self.trainable_weights
        seed = fold_in(fold_in(self.seed, _TRAINING), self.optimizer.iterations)
        with tf.GradientTape() as tape:
            terms = self._probabilities.terms(
                x,
                self.num_samples,
                seed,
                training=True,
                through_sample_only=self.sticking_the_landing,
            )
            loss = -self._objective(terms) / num_replicas()
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, weights)
        refuse_missing(gradients, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._measured(loss * num_replicas(), terms)

    def test_step(self, data):
        """Measures a batch."""
        x = self._rows_of(data)
        seed = fold_in(fold_in(self.seed, _EVALUATION), self._trackers[0].count)
        terms = self._probabilities.terms(x, self.num_samples, seed)
        log_weights = terms.log_likelihood - terms.kl
        return self._measured(-tf.reduce_mean(self.bound(log_weights)), terms)

    def fit(self, x=None, y=None, **kwargs):
        """Trains as `keras.Model.fit` does, and returns its history.

        Before the first step, data-dependent state of the prior's flow is set from latents
        of training rows. Training stops on a loss that is not finite (`StopOnNaN`).

        Args:
          x: `[N, *event]`, or a `tf.data.Dataset` of such batches, of which the first rows
            are checked.
          y: must be None: a VAE has no targets.
          **kwargs: as of `keras.Model.fit`.

        Raises:
          ValueError: if `y` is given, or the likelihood cannot explain `x`.
        """
        if y is not None:
            raise ValueError("Expected no targets `y`; got some.")
        check_rows(x, self.likelihood)
        if not getattr(self.prior, "is_initialized", True):
            self.initialize(x)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras's default only makes it warn
        kwargs["callbacks"] = with_stop_on_nan(kwargs.get("callbacks"))
        return super().fit(x, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """Returns loss and metrics in nats a row, as `keras.Model.evaluate`."""
        # During `fit`, Keras hands over an iterator of its own.
        if isinstance(x, (np.ndarray, tf.Tensor)):
            check_rows(x, self.likelihood)
        return super().evaluate(x, y, **kwargs)

    def initialize(self, x):
        """Sets data-dependent state of the prior from latents of `x`, as of `fit`."""
        rows = first_rows(x) if isinstance(x, tf.data.Dataset) else np.asarray(x)[: 2**14]
        self.prior.initialize(self.encode(rows, seed=self.seed))

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
        return self.likelihood.mean(self._probabilities.decoded(tf.convert_to_tensor(z)))

    def reconstruct(self, x, *, seed=0):
        """Returns the expected rows given one draw of latents of `x`, `[N, *event]`."""
        return self.decode(self.encode(x, seed=seed))

    def sample(self, num_samples, *, seed=0):
        """Draws rows, `[num_samples, *event]`; `decode(prior.sample())` is their means."""
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
        at_once = max(1, _DECODED_AT_ONCE // batch_size)
        check_rows(x, self.likelihood)
        evaluate = self._row_function(
            self._probabilities.log_likelihood, num_samples, at_once=at_once
        )
        return evaluate(x, seed=seed, batch_size=batch_size)

    def get_config(self):
        """Returns the parts and options as plain data."""
        names = ("encoder", "posterior", "decoder", "likelihood", "prior", "bound")
        names += ("num_samples", "free_bits", "sticking_the_landing", "seed")
        return {
            **super().get_config(),
            **{name: serialize(getattr(self, name)) for name in names},
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model that `config` describes; its weights are loaded apart."""
        name = config.get("name")
        parts = {k: v for k, v in config.items() if k not in ("name", "dtype", "trainable")}
        return cls(**{k: deserialize(v) for k, v in parts.items()}, name=name)

    def _rows_of(self, data):
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        return tf.cast(x, self.compute_dtype)  # Keras hands arrays on in its own dtype

    def _objective(self, terms):
        """What a training step maximises, a scalar."""
        weight = tf.cast(self.kl_weight, terms.kl.dtype)
        if not self.free_bits:
            return tf.reduce_mean(self.bound(terms.log_likelihood - weight * terms.kl))
        kl = tf.reduce_mean(terms.kl, axis=0)[:, tf.newaxis]
        kl = objectives.free_bits(kl, self.free_bits * self.latent_size)
        return tf.reduce_mean(terms.log_likelihood) - weight * kl

    def _measured(self, loss, terms):
        count = tf.shape(terms.kl)[1]
        reconstruction, kl = (tf.reduce_mean(term) for term in terms)
        values = (reconstruction - kl, reconstruction, kl)
        self._loss_tracker.update_state(loss, sample_weight=count)
        for tracker, value in zip(self._trackers, values, strict=True):
            tracker.update_state(value, sample_weight=count)
        return self.get_metrics_result()

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


def _build(layer, event_shape):
    if not layer.built:
        layer.build((None, *event_shape))
