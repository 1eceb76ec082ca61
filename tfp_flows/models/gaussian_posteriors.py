"""Gaussian posteriors, and the protocol of all families of posteriors."""

from __future__ import annotations

import abc
import math

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.distributions.draws import normal
from tfp_flows.distributions.draws import stateless

__all__ = ["DiagonalGaussian", "FullGaussian", "Posterior"]


class Posterior(tf.Module, abc.ABC):
    """A family of distributions of latents, whose parameters an encoder returns.

    Args:
      latent_size: number of latent variables, L.
      num_parameters: number of outputs of the encoder, P.
      dtype: of latents and densities.
      name: name of the posterior.

    >>> from tfp_flows import posteriors
    >>> isinstance(posteriors.FullGaussian(3), posteriors.Posterior)
    True
    """

    # Whether the density of a given point takes one pass of each network.
    scores_in_one_pass = True

    def __init__(
        self, latent_size: int, num_parameters: int, *, dtype: tf.DType | str, name: str
    ) -> None:
        super().__init__(name=name)
        self.latent_size = int(latent_size)
        self.num_parameters = num_parameters
        self.dtype = tf.as_dtype(dtype)

    @abc.abstractmethod
    def sample_and_log_prob(
        self,
        parameters: tf.Tensor,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws latents with their log-densities, in one pass.

        Args:
          parameters: `[N, P]`, the encoder's output.
          num_samples: number of draws a row, K.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          share: `(start, count)`, the place of the rows in a larger batch, whose draws
            they have then; None if they are all of it.

        Returns:
          Latents, `[K, N, L]`, and log-densities in nats, `[K, N]`.
        """

    @abc.abstractmethod
    def log_prob(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Returns log-densities in nats, `[K, N]`.

        Args:
          z: `[K, N, L]`.
          parameters: `[N, P]`, the encoder's output.
        """

    @classmethod
    def from_config(cls, config: dict) -> Posterior:
        """Builds the posterior that `config` describes."""
        return cls(**config)


class _Gaussian(Posterior):
    """A Gaussian of the family of a subclass: `z = mean + scale @ noise`."""

    def sample_and_log_prob(
        self,
        parameters: TensorLike,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws latents with their log-densities: see `Posterior`."""
        num_rows = tf.shape(parameters)[0]
        start, count = share or (0, num_rows)
        shape = [num_samples, count, self.latent_size]
        noise = normal(shape, stateless(seed), self.dtype)
        if share:
            noise = noise[:, start : start + num_rows]
        z, log_det = self._from_noise(noise, parameters)
        return z, _standard_normal_log_prob(noise) - log_det

    def log_prob(self, z: TensorLike, parameters: TensorLike) -> tf.Tensor:
        """Returns log-densities, `[K, N]`: see `Posterior`."""
        noise, log_det = self._to_noise(z, parameters)
        return _standard_normal_log_prob(noise) - log_det

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"latent_size": self.latent_size, "dtype": self.dtype, "name": self.name}


class DiagonalGaussian(_Gaussian):
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

    >>> import numpy as np
    >>> from tfp_flows import posteriors
    >>> family = posteriors.DiagonalGaussian(2)
    >>> z, log_q = family.sample_and_log_prob(np.zeros([3, 4], "float32"), 5, seed=0)
    >>> family.num_parameters, z.shape, log_q.shape
    (4, TensorShape([5, 3, 2]), TensorShape([5, 3]))
    """

    def __init__(
        self,
        latent_size: int,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "diagonal_gaussian",
    ) -> None:
        check_arguments(locals())
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


class FullGaussian(_Gaussian):
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

    >>> from tfp_flows import posteriors
    >>> posteriors.FullGaussian(3).num_parameters  # of the encoder, for each row
    9
    """

    def __init__(
        self,
        latent_size: int,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "full_gaussian",
    ) -> None:
        check_arguments(locals())
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
        # Not `set_diag`, whose gradient XLA cannot compile for batches of any length.
        is_diagonal = tf.eye(self.latent_size, dtype=tf.bool)
        scale = tf.where(is_diagonal, _positive(matrix), matrix)
        log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(scale)), axis=-1)
        return mean, scale, log_det


def _positive(s):
    """Any number to a positive one: 0 to 1."""
    return tf.math.softplus(s + math.log(math.e - 1.0))


def _standard_normal_log_prob(noise):
    size = noise.shape[-1]
    squares = tf.reduce_sum(noise**2, axis=-1)
    return -0.5 * (squares + size * math.log(2.0 * math.pi))
