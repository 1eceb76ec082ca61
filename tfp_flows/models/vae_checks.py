"""Checks of the parts and options of a `VAE`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_callable
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_members
from tfp_flows.core.arguments import check_number
from tfp_flows.models import objectives
from tfp_flows.models.gaussian_posteriors import Posterior

if TYPE_CHECKING:
    from tfp_flows.models.likelihoods import Likelihood

__all__ = [
    "check_kinds",
    "check_options",
    "check_parts",
    "check_posterior",
]


def check_options(
    posterior: Posterior,
    *,
    bound: Callable,
    num_samples: int,
    free_bits: float,
    sticking_the_landing: bool,
) -> None:
    """Raises `ValueError` if options of a `VAE` are out of range or exclude each other."""
    check_integer("num_samples", num_samples)
    check_number("free_bits", free_bits, "of at least 0", lambda nats: nats >= 0)
    if bound is not objectives.elbo and (free_bits or sticking_the_landing):
        raise ValueError(
            "Expected `bound` to be objectives.elbo with `free_bits` or "
            f"`sticking_the_landing`; got {bound}."
        )
    if sticking_the_landing and not posterior.scores_in_one_pass:
        raise ValueError(
            "Expected a `posterior` that scores a given point in one pass for "
            "`sticking_the_landing`; got one of which every training step would solve "
            "for one variable after another."
        )


def check_posterior(posterior: Any) -> None:
    """Raises `ValueError` unless `posterior` is a `Posterior`."""
    if not isinstance(posterior, Posterior):
        raise ValueError(
            "Expected a `posterior` of `tfp_flows.posteriors`: a DiagonalGaussian, "
            f"FullGaussian or AmortizedFlow; got {posterior!r}."
        )


def check_kinds(
    encoder: Any, decoder: Any, likelihood: Any, prior: Any, bound: Any, seed: Any
) -> None:
    """Raises `ValueError` if an argument of a `VAE` has the wrong type."""
    for name, layer in (("encoder", encoder), ("decoder", decoder)):
        check_instance(name, layer, keras.layers.Layer, "a `keras.layers.Layer`")
    words = "one of `tfp_flows.likelihoods`"
    members = ("event_shape", "num_parameters", "log_prob")
    check_members("likelihood", likelihood, members, words)
    if prior is not None:
        words = "a `tfd.Distribution`, such as a `FlowDistribution`"
        check_members("prior", prior, ("log_prob", "event_shape", "dtype"), words)
    check_callable("bound", bound, "a function such as `objectives.elbo`")
    check_integer("seed", seed, minimum=-(2**63))


def check_parts(
    encoded: tuple,
    posterior: Posterior,
    decoded: tuple,
    likelihood: Likelihood,
    prior: tfd.Distribution,
) -> None:
    """Raises `ValueError` if the parts of a `VAE` do not fit each other.

    Args:
      encoded: shape of a row of the encoder's output.
      posterior: that of the `VAE`.
      decoded: shape of a row of the decoder's output.
      likelihood: that of the `VAE`.
      prior: that of the `VAE`.
    """
    _check_outputs("encoder", encoded, posterior.num_parameters)
    size = likelihood.num_parameters * likelihood.event_size
    _check_outputs("decoder", decoded, size)
    _check_prior(prior, posterior)


def _check_prior(prior, posterior):
    if prior.event_shape != [posterior.latent_size]:
        raise ValueError(
            f"Expected a `prior` of event shape [{posterior.latent_size}]; got "
            f"{prior.event_shape}."
        )
    if prior.dtype != posterior.dtype:
        raise ValueError(
            f"Expected a `prior` of {posterior.dtype.name}, as the posterior; got "
            f"{tf.as_dtype(prior.dtype).name}."
        )
    flow = getattr(prior, "bijector", None)
    if "inverse" in getattr(flow, "sequential_directions", ()):
        raise ValueError(
            f"Expected a `prior` that scores in one pass; got `{prior.name}`, of which "
            "every training step would solve for one variable after another. Take an "
            "inverse one, as `MAF` is of `IAF`."
        )


def _check_outputs(name, shape, size):
    if math.prod(shape) != size or (name == "encoder" and len(shape) != 1):
        raise ValueError(
            f"Expected `{name}` with {size} outputs; got outputs of shape {shape}."
        )
