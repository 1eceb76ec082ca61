"""Amortised posteriors of a `VAE`: an encoder returns the parameters for each row.

A posterior has a `latent_size` L, takes `num_parameters` P from the encoder, and has the
methods `sample_and_log_prob` and `log_prob`. Its only weights are those of its flow.
"""

from __future__ import annotations

import abc
import math

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.core.arguments import (
    check_dtype,
    check_instance,
    check_integer,
    check_members,
    check_name,
    check_size,
    require,
)
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.inputs import check_value
from tfp_flows.core.serialization import ConfiguredByAttributes
from tfp_flows.distributions.distribution_checks import check_event_size
from tfp_flows.distributions.draws import normal, stateless

__all__ = ["AmortizedFlow", "DiagonalGaussian", "FullGaussian", "Posterior"]

_LEAST = -80.0  # the softplus of lower numbers would be subnormal


class Posterior(ConfiguredByAttributes, tf.Module, abc.ABC):
    """A family of distributions of latents, whose parameters an encoder returns.

    Args:
      latent_size: number of latent variables, L.
      num_parameters: number of outputs of the encoder, P.
      dtype: dtype of latents and densities.
      name: name of the posterior; None derives it from the class.

    >>> from tfp_flows import posteriors
    >>> isinstance(posteriors.FullGaussian(3), posteriors.Posterior)
    True
    """

    # Whether the density of a given point takes one pass of each network.
    scores_in_one_pass = True

    def __init__(
        self,
        latent_size: int,
        num_parameters: int,
        *,
        dtype: tf.DType | str,
        name: str | None,
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
          share: `(start, count)`, the place of the rows in a larger batch; they get the
            draws of that place. None if the rows are the whole batch.

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

    def _noise(self, num_samples, num_rows, seed, share):
        """Standard normal numbers, `[K, N, L]`, of N rows that may be part of a batch."""
        check_integer("num_samples", num_samples, minimum=0)
        start, count = share or (0, num_rows)
        shape = [num_samples, count, self.latent_size]
        noise = normal(shape, stateless(seed), self.dtype)
        return noise[:, start : start + num_rows] if share else noise

    def _checked(self, parameters):
        """The parameters as a tensor, since other widths would broadcast."""
        shape = tf.TensorShape([self.num_parameters])
        parameters = check_value(parameters, "parameters", 1, shape, self.dtype)
        words = f"`parameters` of shape [N, {self.num_parameters}]"
        require(parameters.shape.rank == 2, words, parameters.shape)
        return parameters


class _Gaussian(Posterior):
    """A Gaussian posterior, `z = mean + scale @ noise`; a subclass computes the scale.

    Subclasses have `_num_scales(latent_size)`; `_split(parameters)`, which returns mean,
    scale and log-determinant of the scale; and the products `_times` and `_solve` of the
    scale and its inverse with draws `[K, N, L]`.
    """

    def __init__(
        self,
        latent_size: int,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str | None = None,
    ) -> None:
        check_size("latent_size", latent_size)
        check_dtype("dtype", dtype)
        check_name("name", name)
        num_parameters = latent_size + self._num_scales(latent_size)
        super().__init__(latent_size, num_parameters, dtype=dtype, name=name)

    def sample_and_log_prob(
        self,
        parameters: TensorLike,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws latents with their log-densities: see `Posterior`."""
        parameters = self._checked(parameters)
        noise = self._noise(num_samples, tf.shape(parameters)[0], seed, share)
        mean, scale, log_det = self._split(parameters)
        return mean + self._times(scale, noise), normal_log_prob(noise) - log_det

    def log_prob(self, z: TensorLike, parameters: TensorLike) -> tf.Tensor:
        """Returns log-densities, `[K, N]`: see `Posterior`."""
        parameters = self._checked(parameters)
        shape = tf.TensorShape([parameters.shape[0], self.latent_size])
        z = check_value(z, "z", 2, shape, self.dtype)
        mean, scale, log_det = self._split(parameters)
        return normal_log_prob(self._solve(scale, z - mean)) - log_det


class DiagonalGaussian(_Gaussian):
    """Independent normal latents.

    ```none
    z = mean + scale * noise,    mean, s = parameters,    scale = softplus(s + log(e - 1))
    ```

    Args:
      latent_size: number of latent variables, L.
      dtype: dtype of latents and densities.
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

    def _num_scales(self, latent_size):
        return latent_size

    def _split(self, parameters):
        mean, s = tf.split(parameters, 2, axis=-1)
        scale = positive(s)
        return mean, scale, tf.reduce_sum(tf.math.log(scale), axis=-1)

    def _times(self, scale, noise):
        return scale * noise

    def _solve(self, scale, centred):
        return centred / scale


class FullGaussian(_Gaussian):
    """Normal latents with all their correlations.

    ```none
    z = mean + scale @ noise,    scale lower triangular, softplus(s + log(e - 1)) on its
                                 diagonal;  covariance = scale @ scale^T
    ```

    Args:
      latent_size: number of latent variables, L; the encoder has `L + L (L + 1) / 2`
        outputs.
      dtype: dtype of latents and densities.
      name: name of the posterior.

    Raises:
      ValueError: if `latent_size` is below 1.

    >>> from tfp_flows import posteriors
    >>> posteriors.FullGaussian(3).num_parameters  # of the encoder, for each row
    9
    """

    def _num_scales(self, latent_size):
        return latent_size * (latent_size + 1) // 2

    def _split(self, parameters):
        mean, entries = parameters[:, : self.latent_size], parameters[:, self.latent_size :]
        matrix = tfp.math.fill_triangular(entries)
        # XLA cannot compile the gradient of `set_diag` for batches of unknown length.
        is_diagonal = tf.eye(self.latent_size, dtype=tf.bool)
        scale = tf.where(is_diagonal, positive(matrix), matrix)
        log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(scale)), axis=-1)
        return mean, scale, log_det

    def _times(self, scale, noise):
        # One product for all draws of a row: [N, L, L] @ [N, L, K].
        moved = tf.matmul(scale, tf.transpose(noise, [1, 2, 0]))
        return tf.transpose(moved, [2, 0, 1])

    def _solve(self, scale, centred):
        centred = tf.transpose(centred, [1, 2, 0])
        noise = tf.linalg.triangular_solve(scale, centred, lower=True)
        return tf.transpose(noise, [2, 0, 1])


class AmortizedFlow(Posterior):
    """A flow after a Gaussian posterior, with a context that the encoder returns.

    A part of a `VAE`; `flow_posterior` returns the posterior of a joint distribution.

    ```none
    z[0] drawn from the Gaussian;      z = flow.forward(z[0]; context)
    log q(z) = log q(z[0]) - log |det d flow / d z[0]|
    ```

    The encoder's output is the parameters of the Gaussian, then the flow's context.

    Args:
      base: a `DiagonalGaussian` or `FullGaussian`.
      flow: a flow on vectors of `base.latent_size`, such as an `IAF` with a `context_size`,
        which samples in one pass; or any `tfp.bijectors.Bijector`.
      name: name of the posterior.

    Raises:
      ValueError: if the flow has another size or dtype, samples one variable after another,
        as MAF does, or has data-dependent state, since a posterior has no data.

    >>> import tfp_flows
    >>> from tfp_flows import posteriors
    >>> flow = tfp_flows.IAF(2, context_size=8, num_steps=1, seed=0)
    >>> posteriors.AmortizedFlow(posteriors.DiagonalGaussian(2), flow).num_parameters
    12

    Reference:
      Rezende, Mohamed (2015), Variational inference with normalizing flows.
      https://arxiv.org/abs/1505.05770
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      Algorithm 1. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        base: Posterior,
        flow: tfp.bijectors.Bijector,
        *,
        name: str = "amortized_flow",
    ) -> None:
        words = "a `DiagonalGaussian` or `FullGaussian`"
        check_members("base", base, ("latent_size", "sample_and_log_prob"), words)
        words = "a `tfp.bijectors.Bijector`"
        check_instance("flow", flow, tfp.bijectors.Bijector, words)
        flow = _as_flow(flow)
        _check_flow(flow, base)
        super().__init__(
            base.latent_size,
            base.num_parameters + flow.context_size,
            dtype=base.dtype,
            name=name,
        )
        self.base = base
        self.flow = flow

    @property
    def scores_in_one_pass(self) -> bool:  # type: ignore[override]  # elsewhere a constant
        """Whether the density of a given point takes one pass of each network."""
        return "inverse" not in self.flow.sequential_directions

    def sample_and_log_prob(
        self,
        parameters: TensorLike,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws latents with their log-densities, in one pass: see `Posterior`."""
        from_base, context = self._split(parameters)
        start, log_prob = self.base.sample_and_log_prob(
            from_base, num_samples, seed, share=share
        )
        z, log_det = self.flow.forward_and_log_det(start, context=context)
        return z, log_prob - log_det

    def log_prob(self, z: TensorLike, parameters: TensorLike) -> tf.Tensor:
        """Returns log-densities, `[K, N]`; one variable after another under an IAF."""
        from_base, context = self._split(parameters)
        start, log_det = self.flow.inverse_and_log_det(z, context=context)
        return self.base.log_prob(start, from_base) + log_det

    def _split(self, parameters):
        parameters, count = self._checked(parameters), self.base.num_parameters
        context = parameters[:, count:] if self.flow.context_size else None
        return parameters[:, :count], context


def _as_flow(bijector):
    if isinstance(bijector, FlowBijector):
        return bijector
    chain = FlowChain([bijector])
    # An elementwise bijector acts on vectors here.
    return chain if chain.forward_min_event_ndims else TFPBijector(bijector, 1)


def _check_flow(flow, base):
    name, is_fast = f"`{flow.name}`", "forward" not in flow.sequential_directions
    got = f"{name}, which draws one variable after another in every training step"
    hint = " Take an inverse one: `IAF` is the inverse of `MAF`."
    require(is_fast, "a `flow` that samples in one pass", got, hint)
    words = "a `flow` without state that is set from data"
    hint = " Build it with standardize=False, batch_norm=False, act_norm=False."
    require(not flow.has_data_dependent_state, words, name, hint)
    dtype = base.dtype if flow.dtype is None else flow.dtype
    words = f"a `flow` of {base.dtype.name}, as `base`"
    require(dtype == base.dtype, words, f"{name} of {dtype.name}")
    check_event_size(flow, base.latent_size, "vectors of {} entries, as `base`")


def positive(s: tf.Tensor) -> tf.Tensor:
    """Maps any number to a positive one of at least 1e-35, and 0 to 1."""
    return tf.math.softplus(tf.maximum(s, _LEAST) + math.log(math.e - 1.0))


def normal_log_prob(noise: tf.Tensor) -> tf.Tensor:
    """Log-density of a standard normal, `[K, N]`, of noise, `[K, N, L]`."""
    squares = tf.reduce_sum(noise**2, axis=-1)
    return -0.5 * (squares + noise.shape[-1] * math.log(2.0 * math.pi))
