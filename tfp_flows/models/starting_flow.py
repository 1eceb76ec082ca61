"""The flow that a fit starts from: the identity, over a Gaussian or a mixture of them."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.whiten import Whiten
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.distributions.laplace import Gaussian
from tfp_flows.flows.steps import coupling
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["starting_flow", "wide_scale"]

_MOST_OF_FULL_RANK = 500
_FEWEST_PAIRS, _MOST_PAIRS = 3, 5


def starting_flow(
    gaussians: list[Gaussian], log_masses: list[float], *, seed: int, dtype: tf.DType
) -> FlowDistribution:
    """Returns a distribution that is the mixture of `gaussians`, and that can be trained.

    ```none
    base -> couplings -> linear map, if there are no covariances -> shift and scale
         -> whitening -> x
    ```

    One Gaussian is whitened and the base is the standard normal; of several, the mean and
    covariance of the mixture are, and they are the base.
    """
    size = len(gaussians[0].mean)
    whole = gaussians[0] if len(gaussians) == 1 else _overall(gaussians, log_masses)
    whiten = _whiten(whole, dtype)
    steps = [whiten, ActNorm(size, dtype=dtype)]
    if whole.factor.ndim == 1 and size <= _MOST_OF_FULL_RANK:
        # Correlations that the whitening leaves; its solves take long to compile.
        steps.append(Invert(InvertibleLinear(size, dtype=dtype)))
    if size == 1:
        # One spline: XLA takes three times as long for two with networks between them.
        spline = RationalQuadraticSpline(num_bins=16, bound=6.0)
        steps.append(Elementwise(1, spline, dtype=dtype))
    else:
        steps += _couplings(size, seed, dtype)
    base = standard_normal(size, dtype=dtype)
    if len(gaussians) > 1:
        inner = [_inside(gaussian, whole) for gaussian in gaussians]
        means, factors = zip(*inner, strict=True)
        base = GaussianMixture(np.stack(means), np.stack(factors), log_masses, dtype=dtype)
    return FlowDistribution(base, FlowChain(steps))


def wide_scale(s: tf.Tensor) -> tf.Tensor:
    """`log_scale` between -5 and 5: a funnel's, of which one coupling has to do all."""
    return soft_bounded_scale(s, bound=5.0)


def _couplings(size, seed, dtype):
    """Pairs of affine couplings, masked by the digits of each variable's binary number.

    Any two of 2^5 variables differ in a digit, so that each depends on each other one
    directly, such as all effects of a hierarchy on their scale.
    """
    num_pairs = int(np.clip(np.ceil(np.log2(size)), _FEWEST_PAIRS, _MOST_PAIRS))
    steps = []
    for k, of_step in enumerate(split_seed(seed, 2 * num_pairs)):
        digit = k // 2 % max(int(np.ceil(np.log2(size))), 1)
        mask = (np.arange(size) >> digit) % 2 == k % 2
        network = functools.partial(
            MLP, hidden_units=(32, 32), activation="tanh", seed=of_step
        )
        options = {"context_size": 0, "dtype": dtype}
        steps.append(coupling(mask, Affine(wide_scale), network, **options))
    return steps


def _whiten(gaussian, dtype):
    size = len(gaussian.mean)
    if gaussian.factor.ndim == 1 and size > _MOST_OF_FULL_RANK:
        standardize = Standardize(size, dtype=dtype)
        mean, factor = gaussian.mean, gaussian.factor
        standardize.initialize(np.stack([mean - factor, mean + factor]))
        return standardize
    whiten = Whiten(size, dtype=dtype)
    whiten.assign(gaussian.mean, _full(gaussian))
    return whiten


def _full(gaussian):
    return gaussian.factor if gaussian.factor.ndim == 2 else np.diag(gaussian.factor)


def _overall(gaussians, log_masses):
    weights = np.exp(np.array(log_masses) - np.max(log_masses))
    # So that a small mode far away is within reach, too.
    weights = np.maximum(weights, 0.05)
    weights /= weights.sum()
    means = np.stack([gaussian.mean for gaussian in gaussians])
    mean = weights @ means
    columns = [
        np.sqrt(w) * np.column_stack([_full(g), g.mean - mean])
        for w, g in zip(weights, gaussians, strict=True)
    ]
    return Gaussian(mean, _triangular(np.concatenate(columns, axis=1)))


def _inside(gaussian, whole):
    """Mean and factor of a Gaussian in the coordinates in which `whole` is standard."""
    factor = np.linalg.solve(whole.factor, _full(gaussian))
    return whole.whiten(gaussian.mean), _triangular(factor)


def _triangular(factor):
    """L, lower triangular, with L L^T = F F^T of F, `[D, M]`.

    F F^T itself need not be positive definite to rounding: scales differ by 1e8 and more.
    """
    upper = np.asarray(np.linalg.qr(factor.T, mode="r"))
    return (upper * np.where(np.diag(upper) < 0.0, -1.0, 1.0)[:, None]).T
