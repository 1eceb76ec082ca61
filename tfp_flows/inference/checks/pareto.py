"""Generalised Pareto distributions of tails, and importance weights smoothed by them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import require

_FEWEST_IN_TAIL = 5  # fewest weights to which a Pareto distribution is fitted
# Weight of the prior of the shape, in observations, and its centre.
_PRIOR_COUNT, _PRIOR_SHAPE = 10.0, 0.5


def pareto_smooth(log_weights: npt.ArrayLike) -> tuple[np.ndarray, float]:
    """Replaces the largest weights by quantiles of a generalised Pareto distribution.

    ```none
    M = ceil(min(S / 5, 3 sqrt(S)))                       the weights that are its tail
    w_(S - M + j) <- F^-1((j - 1/2) / M),  j = 1 .. M     at most the largest raw weight
    ```

    Args:
      log_weights: log-density of the target less that of the proposal, at draws of the
        proposal, `[S]`; -inf outside the target's support.

    Returns:
      The smoothed log-weights, `[S]`, and the shape k of the tail. The mean weight and
      expectations under the weights converge for k below 1, in practice below
      `pareto_k_threshold(S)`. k is -inf if all weights are equal, and inf if hardly any is
      positive.

    Raises:
      ValueError: if `log_weights` have several axes.

    >>> import numpy as np
    >>> import tfp_flows
    >>> z = np.random.default_rng(0).normal(size=10000)
    >>> # p = N(0, 1.29), q = N(0, 1)
    >>> _, k = tfp_flows.inference.pareto_smooth(0.2 * z**2)
    >>> 0.2 < k < 0.7
    True

    Reference:
      Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling.
      https://arxiv.org/abs/1507.02646
    """
    log_weights = np.asarray(log_weights, np.float64)
    require(log_weights.ndim == 1, "`log_weights` of shape [S]", log_weights.shape)
    largest = log_weights.max(initial=-np.inf)
    count = _size_of_tail(len(log_weights))
    if not np.isfinite(largest) or count < _FEWEST_IN_TAIL:
        return log_weights, math.inf
    order = np.argsort(log_weights, kind="stable")
    weights = np.exp(log_weights[order] - largest)
    cut, tail = weights[-count - 1], weights[-count:]
    if not cut > 0.0:  # nearly all weights are zero
        return log_weights, math.inf
    if not tail[-1] - cut > 1e-12:
        return log_weights, -math.inf
    k, scale = generalised_pareto(tail - cut)
    smoothed = log_weights.copy()
    quantiles = _quantiles((np.arange(count) + 0.5) / count, k, scale)
    smoothed[order[-count:]] = largest + np.log(np.minimum(cut + quantiles, 1.0))
    return smoothed, k


def top_of_tail(terms: np.ndarray) -> float:
    """Mean of the largest of `terms`, `[S]`, by the Pareto distribution of their tail.

    It is infinite for a shape k of 1 or more. The largest term of a sample is usually below
    this mean, further below for heavier tails, so a sum of S terms may lack this amount.
    """
    size = len(terms)
    count = _size_of_tail(size)
    tail = np.sort(np.partition(terms, size - count - 1)[size - count - 1 :])
    cut, largest = tail[0], tail[-1]
    if count < _FEWEST_IN_TAIL or not largest > cut * (1.0 + 1e-12):
        return float(largest)
    k, scale = generalised_pareto(tail[1:] - cut)
    if k >= 1.0:
        return math.inf
    rise = count**k / (1.0 - k) - 1.0
    mean = scale * (rise / k if abs(k) > 1e-9 else 1.0 + math.log(count))
    return float(cut + mean)


def pareto_k_threshold(size: int) -> float:
    """Returns the shape of the tail below which `size` weights can be relied on.

    ```none
    min(1 - 1 / log10(size), 0.7)
    ```
    """
    return min(1.0 - 1.0 / math.log10(max(size, 11)), 0.7)


def generalised_pareto(excess: npt.ArrayLike) -> tuple[float, float]:
    """Fits shape and scale of a generalised Pareto distribution to rising excesses, `[M]`.

    The shape is the mean under the profile posterior of `b = -k / scale`, shrunk a little
    towards 1/2, as in Pareto smoothing.

    Reference:
      Zhang, Stephens (2009), A new and efficient estimation method for the generalized
      Pareto distribution. https://doi.org/10.1198/tech.2009.08017
    """
    excess = np.maximum(np.asarray(excess, np.float64), 1e-300)
    size = len(excess)
    grid = 30 + int(math.sqrt(size))
    quartile = excess[max(int(size / 4.0 + 0.5) - 1, 0)]
    b = 1.0 - np.sqrt(grid / (np.arange(grid) + 0.5))
    b = b / (3.0 * quartile) + 1.0 / excess[-1]
    b = np.where(b == 0.0, 1e-9 / excess[-1], b)  # if three quarters of them are equal
    shapes = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = size * (np.log(-b / shapes) - shapes - 1.0)
    masses = np.exp(profile - profile.max())
    mean = float((masses * b).sum() / masses.sum())
    shape = float(np.log1p(-mean * excess).mean())
    scale = -shape / mean
    prior = _PRIOR_COUNT * _PRIOR_SHAPE
    return (size * shape + prior) / (size + _PRIOR_COUNT), scale


def _size_of_tail(size):
    return math.ceil(min(size / 5.0, 3.0 * math.sqrt(size)))


def _quantiles(p, shape, scale):
    if abs(shape) < 1e-9:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-shape * np.log1p(-p)) / shape
