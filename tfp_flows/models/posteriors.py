"""Amortised posteriors of a `VAE`: an encoder returns the parameters of each row's.

A posterior has a `latent_size` L, takes `num_parameters` P from the encoder, and has the
methods `sample_and_log_prob` and `log_prob`. Its only weights are those of its flow.
"""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_members
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.distributions.distribution_checks import check_event_size
from tfp_flows.models.gaussian_posteriors import DiagonalGaussian
from tfp_flows.models.gaussian_posteriors import FullGaussian
from tfp_flows.models.gaussian_posteriors import Posterior

__all__ = ["AmortizedFlow", "DiagonalGaussian", "FullGaussian"]


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
      ValueError: if the flow is on vectors of another size or dtype, samples one variable
        after another, as MAF does, or has state that is set from data, which a posterior
        has none of.

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
        of_base, context = self._split(parameters)
        start, log_prob = self.base.sample_and_log_prob(
            of_base, num_samples, seed, share=share
        )
        z, log_det = self.flow.forward_and_log_det(start, context=context)
        return z, log_prob - log_det

    def log_prob(self, z: TensorLike, parameters: TensorLike) -> tf.Tensor:
        """Returns log-densities, `[K, N]`; one variable after another under an IAF."""
        of_base, context = self._split(parameters)
        start, log_det = self.flow.inverse_and_log_det(z, context=context)
        return self.base.log_prob(start, of_base) + log_det

    def get_config(self) -> dict:
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


def _check_flow(flow, base):
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
    if flow.dtype not in (None, base.dtype):
        raise ValueError(
            f"Expected a `flow` of {base.dtype.name}, as `base`; got `{flow.name}` of "
            f"{flow.dtype.name}."
        )
    check_event_size(flow, base.latent_size, "vectors of {} entries, as `base`")


def __getattr__(name: str) -> Any:
    if name == "FlowPosterior":
        warnings.warn(
            "`posteriors.FlowPosterior` is called `posteriors.AmortizedFlow` now.",
            FutureWarning,
            stacklevel=2,
        )
        return AmortizedFlow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
