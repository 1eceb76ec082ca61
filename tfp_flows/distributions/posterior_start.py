"""The start of a posterior: a Gaussian that whitens its target."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.whiten import Whiten
from tfp_flows.distributions.joint_support import JointSupport
from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.distributions.laplace import NoMaximumError
from tfp_flows.distributions.laplace import laplace
from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["bound", "gradient_scale", "standard", "whitening"]

tfb = tfp.bijectors

_MAX_SIZE = 500
_NUM_DRAWS = 256
_NUM_STARTS = 3
_GRADIENT_ROUNDS = 16
# Two maxima both count from this distance on, in standard deviations, and up to this ratio
# of masses, in nats.
_DISTANCE = 3.0
_NEGLIGIBLE = 7.0
_FAILURES = (ValueError, TypeError, LookupError, NotImplementedError, tf.errors.OpError)


def whitening(
    target_log_prob: Callable, support: JointSupport, flow: tfp.bijectors.Bijector
) -> tfp.bijectors.Bijector:
    """Returns a bijector that maps an untrained `flow` near to the target.

    It is a `Whiten`, or a `Standardize` if the variables of the `JointSupport` are too many
    for a covariance. `target_log_prob` maps the parts, `[N, *event]` each, to `[N]`.
    """
    gaussian = _whitening_gaussian(target_log_prob, support)
    zero = tf.zeros([1, support.event_size], support.dtype)
    log_det = np.max(flow.forward_log_det_jacobian(zero, event_ndims=1))
    # The gates of an untrained IAF contract.
    contraction = np.exp(log_det / support.event_size)
    return _bijector(gaussian.mean, gaussian.factor / contraction, support.dtype)


def _bijector(mean, factor, dtype):
    if len(mean) > _MAX_SIZE:
        standardize = Standardize(len(mean), dtype=dtype)
        standardize.initialize(np.stack([mean - factor, mean + factor]))
        return standardize
    whiten = Whiten(len(mean), dtype=dtype)
    whiten.assign(mean, factor if factor.ndim == 2 else np.diag(factor))
    return whiten


def _whitening_gaussian(target_log_prob, support):
    """Laplace's approximation; or a diagonal Gaussian, with a warning that says why."""
    density = UnconstrainedDensity(target_log_prob, support)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_NUM_DRAWS, support.event_size))
    plain = standard(support.event_size)
    try:
        approximation = _laplace(density, rng)
        if bound(density, approximation, noise) >= bound(density, plain, noise):
            return approximation
        reason = "it is further from the target than the standard normal is"
    except _FAILURES as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    warnings.warn(
        f"No Laplace approximation of the target to start the posterior from: {reason}. "
        "Gradients scale each variable instead.",
        stacklevel=4,
    )
    try:
        return gradient_scale(density, noise)
    except _FAILURES:
        return plain


def _laplace(density, rng):
    """The approximation at the maximum of the largest mass, if no other is comparable."""
    size = density.event_size
    if size > _MAX_SIZE:
        raise NoMaximumError(f"its {size} variables are more than {_MAX_SIZE}")
    starts = np.concatenate([np.zeros([1, size]), rng.uniform(-2, 2, (_NUM_STARTS, size))])
    found, reasons = [], []
    for start in starts:
        try:
            found.append(laplace(density, start))
        except NoMaximumError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    masses = [_log_mass(density, gaussian) for gaussian in found]
    best = found[int(np.argmax(masses))]
    for gaussian, mass in zip(found, masses, strict=True):
        is_other = np.linalg.norm(best.whiten(gaussian.mean)) > _DISTANCE
        if is_other and mass > max(masses) - _NEGLIGIBLE:
            raise NoMaximumError("the target has several maxima")
    return best


def _log_mass(density, gaussian):
    return density.log_prob(gaussian.mean[None])[0] + gaussian.log_scale


def standard(size: int) -> Gaussian:
    """Returns the standard normal as a `Gaussian` of `size` variables."""
    return Gaussian(np.zeros(size), np.ones(size))


def bound(density: UnconstrainedDensity, gaussian: Gaussian, noise: np.ndarray) -> float:
    """Estimates the ELBO of a Gaussian from standard normal `noise`, `[N, D]`, in nats."""
    log_probs = density.log_prob(gaussian.draw(noise))
    if not np.isfinite(log_probs).all():
        return -np.inf
    return log_probs.mean() + gaussian.log_scale + 0.5 * (noise**2).sum(axis=1).mean()


def gradient_scale(density: UnconstrainedDensity, noise: np.ndarray) -> Gaussian:
    """Scales the standard normal, variable by variable, by gradients at its draws.

    ```none
    variance = sqrt(variance of draws / variance of gradients)
    mean     = mean of draws + variance * mean gradient
    ```

    It is exact for a Gaussian of independent variables, wherever the draws are. Otherwise
    it is repeated from its result, or with half the step, as long as that raises the ELBO;
    so the result is never worse than the standard normal.

    Args:
      density: an `UnconstrainedDensity`.
      noise: standard normal draws, `[N, D]`.

    Returns:
      A `Gaussian` whose factor is diagonal.
    """
    best = standard(density.event_size)
    highest = bound(density, best, noise)
    length = 1.0
    for _ in range(_GRADIENT_ROUNDS):
        proposed = _rescaled(density, best, noise, length)
        reached = bound(density, proposed, noise)
        if reached > highest:
            best, highest, length = proposed, reached, 1.0
        else:
            length *= 0.5
    return best


def _rescaled(density, gaussian, noise, length):
    draws = gaussian.draw(noise)
    gradients = density.gradient(draws)
    is_finite = np.isfinite(gradients).all(axis=1)
    if is_finite.sum() < 2:
        return gaussian
    draws, gradients = draws[is_finite], gradients[is_finite]
    spread, steepness = draws.std(axis=0), gradients.std(axis=0)
    is_curved = steepness > 0.0
    variance = np.where(is_curved, spread / np.where(is_curved, steepness, 1.0), spread**2)
    shift = draws.mean(axis=0) - gaussian.mean + variance * gradients.mean(axis=0)
    scale = gaussian.factor * (np.sqrt(variance) / gaussian.factor) ** length
    return Gaussian(gaussian.mean + length * shift, scale)
