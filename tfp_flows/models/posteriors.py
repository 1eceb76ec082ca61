"""Families of posteriors: what an encoder's output says of the latents of a row.

A posterior has a `latent_size` L, wants `num_parameters` P from the encoder, and offers
`sample_and_log_prob` and `log_prob`. It owns only the weights of its flow, if any.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.distributions.draws import normal
from tfp_flows.distributions.draws import stateless

__all__ = ["DiagonalGaussian", "FlowPosterior", "FullGaussian"]


class Posterior(tf.Module):
    """What all posteriors share.

    Args:
      latent_size: number of latent variables, L.
      num_parameters: number of outputs of the encoder, P.
      dtype: of latents and densities.
      name: name of the posterior.
    """

    # Whether the density of a given point takes one pass of each network.
    scores_in_one_pass = True

    def __init__(self, latent_size, num_parameters, *, dtype, name):
        super().__init__(name=name)
        if latent_size < 1:
            raise ValueError(f"Expected `latent_size` of at least 1; got {latent_size}.")
        self.latent_size = int(latent_size)
        self.num_parameters = num_parameters
        self.dtype = tf.as_dtype(dtype)

    @classmethod
    def from_config(cls, config):
        """Builds the posterior that `config` describes."""
        return cls(**config)


class Gaussian(Posterior):
    """A Gaussian of the family that a subclass says: `z = mean + scale @ noise`."""

    def sample_and_log_prob(self, parameters, num_samples, seed):
        """Draws latents with their log-densities.

        Args:
          parameters: `[N, P]`, the encoder's output.
          num_samples: number of draws a row, K.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Latents, `[K, N, L]`, and log-densities in nats, `[K, N]`.
        """
        shape = [num_samples, tf.shape(parameters)[0], self.latent_size]
        noise = normal(shape, stateless(seed), self.dtype)
        z, log_det = self._from_noise(noise, parameters)
        return z, _standard_normal_log_prob(noise) - log_det

    def log_prob(self, z, parameters):
        """Returns log-densities in nats, `[K, N]`.

        Args:
          z: `[K, N, L]`.
          parameters: `[N, P]`, the encoder's output.
        """
        noise, log_det = self._to_noise(z, parameters)
        return _standard_normal_log_prob(noise) - log_det

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"latent_size": self.latent_size, "dtype": self.dtype, "name": self.name}


class DiagonalGaussian(Gaussian):
    """Independent normal latents.

    ```none
    z = mean + scale * noise,    mean, s = parameters,    scale = softplus(s + log(e - 1))
    ```

    Args:
      latent_size: number of latent variables, L.
      dtype: of latents and densities.
      name: name of the posterior.

    Raises:
      ValueError: if `latent_size` is below 1.
    """

    def __init__(self, latent_size, *, dtype=tf.float32, name="diagonal_gaussian"):
        super().__init__(latent_size, 2 * latent_size, dtype=dtype, name=name)

    def _from_noise(self, noise, parameters):
        mean, scale = self._split(parameters)
        return mean + scale * noise, tf.reduce_sum(tf.math.log(scale), axis=-1)

    def _to_noise(self, z, parameters):
        mean, scale = self._split(parameters)
        return (z - mean) / scale, tf.reduce_sum(tf.math.log(scale), axis=-1)

    def _split(self, parameters):
        mean, s = tf.split(parameters, 2, axis=-1)
        return mean, _positive(s)


class FullGaussian(Gaussian):
    """Normal latents with all their correlations.

    ```none
    z = mean + scale @ noise,    scale lower triangular, softplus(s + log(e - 1)) on its
                                 diagonal;  covariance = scale @ scale^T
    ```

    Args:
      latent_size: number of latent variables, L; the encoder has `L + L (L + 1) / 2`
        outputs.
      dtype: of latents and densities.
      name: name of the posterior.

    Raises:
      ValueError: if `latent_size` is below 1.
    """

    def __init__(self, latent_size, *, dtype=tf.float32, name="full_gaussian"):
        num_entries = latent_size * (latent_size + 1) // 2
        super().__init__(latent_size, latent_size + num_entries, dtype=dtype, name=name)

    def _from_noise(self, noise, parameters):
        mean, scale, log_det = self._split(parameters)
        # Once over all draws of a row: [N, L, L] @ [N, L, K].
        moved = tf.matmul(scale, tf.transpose(noise, [1, 2, 0]))
        return mean + tf.transpose(moved, [2, 0, 1]), log_det

    def _to_noise(self, z, parameters):
        mean, scale, log_det = self._split(parameters)
        centred = tf.transpose(z - mean, [1, 2, 0])
        noise = tf.linalg.triangular_solve(scale, centred, lower=True)
        return tf.transpose(noise, [2, 0, 1]), log_det

    def _split(self, parameters):
        mean, entries = parameters[:, : self.latent_size], parameters[:, self.latent_size :]
        matrix = tfp.math.fill_triangular(entries)
        diagonal = _positive(tf.linalg.diag_part(matrix))
        log_det = tf.reduce_sum(tf.math.log(diagonal), axis=-1)
        return mean, tf.linalg.set_diag(matrix, diagonal), log_det


class FlowPosterior(Posterior):
    """A flow, told by the encoder what row it is for, after a Gaussian posterior.

    ```none
    z[0] drawn from the Gaussian;      z = flow.forward(z[0]; context)
    log q(z) = log q(z[0]) - log |det d flow / d z[0]|
    ```

    The encoder's output is the parameters of the Gaussian, then the flow's context.

    Args:
      base: a `DiagonalGaussian` or `FullGaussian`.
      flow: a flow on vectors of `base.latent_size`, such as an `IAF` with a `context_size`,
        which samples in one pass. Any `tfp.bijectors.Bijector` is taken.
      name: name of the posterior.

    Raises:
      ValueError: if the flow samples one variable after another, as MAF does, or has state
        that is set from data, which a posterior has none of.

    Reference:
      Rezende, Mohamed (2015), Variational inference with normalizing flows.
      https://arxiv.org/abs/1505.05770
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      Algorithm 1. https://arxiv.org/abs/1606.04934
    """

    def __init__(self, base, flow, *, name="flow_posterior"):
        flow = _as_flow(flow)
        _check_flow(flow)
        super().__init__(
            base.latent_size,
            base.num_parameters + flow.context_size,
            dtype=base.dtype,
            name=name,
        )
        self.base = base
        self.flow = flow

    @property
    def scores_in_one_pass(self):
        """Whether the density of a given point takes one pass of each network."""
        return "inverse" not in self.flow.sequential_directions

    def sample_and_log_prob(self, parameters, num_samples, seed):
        """Draws latents with their log-densities, in one pass of the flow.

        Args:
          parameters: `[N, P]`, the encoder's output.
          num_samples: number of draws a row, K.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Latents, `[K, N, L]`, and log-densities in nats, `[K, N]`.
        """
        of_base, context = self._split(parameters)
        start, log_prob = self.base.sample_and_log_prob(of_base, num_samples, seed)
        z, log_det = self.flow.forward_and_log_det(start, context=context)
        return z, log_prob - log_det

    def log_prob(self, z, parameters):
        """Returns log-densities in nats, `[K, N]`; goes variable by variable under an IAF.

        Args:
          z: `[K, N, L]`.
          parameters: `[N, P]`, the encoder's output.
        """
        of_base, context = self._split(parameters)
        start, log_det = self.flow.inverse_and_log_det(z, context=context)
        return self.base.log_prob(start, of_base) + log_det

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"base": self.base, "flow": self.flow, "name": self.name}

    def _split(self, parameters):
        count = self.base.num_parameters
        context = parameters[:, count:] if self.flow.context_size else None
        return parameters[:, :count], context


def _as_flow(bijector):
    if isinstance(bijector, FlowBijector):
        return bijector
    chain = FlowChain([bijector])
    # An elementwise bijector acts on vectors here.
    return chain if chain.forward_min_event_ndims else TFPBijector(bijector, 1)


def _check_flow(flow):
    if "forward" in flow.sequential_directions:
        raise ValueError(
            f"Expected a `flow` that samples in one pass; got `{flow.name}`, of which "
            "every training step would draw one variable after another. Take an inverse "
            "one, as `IAF` is of `MAF`."
        )
    if flow.has_data_dependent_state:
        raise ValueError(
            f"Expected a `flow` without state that is set from data; got `{flow.name}`. "
            "Build it with standardize=False, batch_norm=False, act_norm=False."
        )


def _positive(s):
    """Any number to a positive one: 0 to 1."""
    return tf.math.softplus(s + math.log(math.e - 1.0))


def _standard_normal_log_prob(noise):
    size = noise.shape[-1]
    squares = tf.reduce_sum(noise**2, axis=-1)
    return -0.5 * (squares + size * math.log(2.0 * math.pi))
