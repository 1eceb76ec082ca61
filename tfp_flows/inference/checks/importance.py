"""Weighted draws: an importance sample of a target by a posterior and broad t's."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.core.compiled import Compiled
from tfp_flows.inference.target import without_rounding

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.inference.target import UnconstrainedDensity

__all__ = [
    "ImportanceSampler",
    "generalised_pareto",
    "pareto_k_threshold",
    "pareto_smooth",
    "top_of_tail",
    "weighted_moments",
    "WeightedDraws",
    "WeightedMoments",
]
_ROWS = 2000
_DEGREES = 2.0
# Share of each broad distribution, and its scale beside the posterior's.
_SHARE, _SCALE = 0.05, 1.5
# Rows for each variable with which correlations are known.
_MANY = 50


@dataclasses.dataclass(frozen=True)
class WeightedDraws:
    """Draws of a posterior q, and of a mixture of it with two broad t distributions.

    Attributes:
      x: draws of the mixture, `[S, D]`; the first `count` are draws of q.
      log_p: log-densities under the target, `[S]`; -inf where they are not finite.
      log_q: under q, `[S]`.
      log_weights: those of the target less those of the mixture, `[S]`.
      smoothed: log-weights after Pareto smoothing, which sum to 1, `[S]`.
      pareto_k: shape of their tail.
      count: number of draws of q.
      unknown: share of the draws of q at which the target's log-density is NaN, +inf
        or rounding alone.
    """

    x: np.ndarray
    log_p: np.ndarray
    log_q: np.ndarray
    log_weights: np.ndarray
    smoothed: np.ndarray
    pareto_k: float
    count: int
    unknown: float

    @property
    def ratios(self) -> np.ndarray:
        """Log-densities of the target less those of q, at the draws of q."""
        return (self.log_p - self.log_q)[: self.count]

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Weights that sum to 1, `[S]`."""
        return np.exp(self.smoothed)

    @property
    def ess(self) -> float:
        """Effective number of draws."""
        return float(1.0 / (self.weights**2).sum()) if self.weights.sum() > 0.5 else 0.0

    @functools.cached_property
    def lacking(self) -> float:
        """Share of the mass that draws of their tail may lack; infinite from k of 1 on."""
        return top_of_tail(self.weights)

    @property
    def log_evidence(self) -> tuple[float, float]:
        """Log of the mean weight, and its standard error."""
        largest = self.log_weights.max(initial=-np.inf)
        if not np.isfinite(largest):
            return -math.inf, math.inf
        weights = np.exp(self.log_weights - largest)
        mean = weights.mean()
        error = weights.std() / (math.sqrt(len(weights)) * mean)
        return float(largest + np.log(mean)), float(error)

    @property
    def elbo(self) -> tuple[float, float]:
        """Mean log-ratio at the draws of q, and its standard error."""
        ratios = self.ratios
        if not np.isfinite(ratios).all():
            return -math.inf, math.inf
        return float(ratios.mean()), float(ratios.std() / math.sqrt(len(ratios)))


class ImportanceSampler:
    """Draws of a posterior and log-densities, in batches of one size.

    Args:
      density: an `UnconstrainedDensity`.
      distribution: a `FlowDistribution`.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        distribution: FlowDistribution,
        rows: int = _ROWS,
    ) -> None:
        self.density, self.distribution, self._rows = density, distribution, rows
        self.event_size = density.event_size
        self._draw = Compiled(
            lambda seed: self._with_target(
                *distribution.sample_and_log_prob(rows, seed=seed)
            ),
            by_xla=False,
        )
        self._at = Compiled(
            lambda x: self._with_target(x, distribution.log_prob(x)), by_xla=False
        )

    def draws(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns draws, `[N, D]`, and their densities under target and posterior."""
        batches = range(math.ceil(count / self._rows))
        pieces = [self._draw(tf.constant([seed, i])) for i in batches]
        return _joined(pieces, count)

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns log-densities of points, `[N, D]`: of the target, -inf for NaN, and q."""
        pieces = []
        for start in range(0, len(x), self._rows):
            rows = np.minimum(np.arange(start, start + self._rows), len(x) - 1)
            pieces.append(self._at(tf.constant(x[rows], self.density.dtype)))
        _, log_p, log_q = _joined(pieces, len(x))
        return np.where(np.isfinite(log_p), log_p, -np.inf), log_q

    def weighted(self, count: int, seed: int) -> WeightedDraws:
        """Draws `count` times from the mixture, and weights the draws.

        Reference:
          Owen, Zhou (2000), Safe and effective importance sampling.
          https://doi.org/10.1080/01621459.2000.10473909
        """
        rng = np.random.default_rng([seed, 1])
        broad = int(_SHARE * count)
        x, log_p, log_q = self.draws(count - 2 * broad, seed)
        mean, factor = mean_and_factor(x)
        factor = _SCALE * factor
        size = x.shape[1]
        families = (_joint, _separate)
        wide = np.concatenate(
            [student(rng, broad, size, f is _joint) @ factor.T + mean for f in families]
        )
        from_wide = self.at(wide)
        everything = np.concatenate([x, wide])
        log_p = np.concatenate([log_p, from_wide[0]])
        log_q = np.concatenate([log_q, from_wide[1]])
        z = np.linalg.solve(factor, (everything - mean).T).T
        log_det = np.log(np.abs(np.diag(factor))).sum()
        log_wide = [math.log(_SHARE) + family(z) - log_det for family in families]
        log_mixed = np.logaddexp(math.log1p(-2.0 * _SHARE) + log_q, np.logaddexp(*log_wide))
        log_p = without_rounding(self.density, everything, log_p, log_mixed)
        unknown = float((np.isnan(log_p) | (log_p == np.inf))[: len(x)].mean())
        log_p = np.where(np.isfinite(log_p), log_p, -np.inf)
        log_weights = log_p - log_mixed
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
        smoothed, k = pareto_smooth(log_weights)
        if np.isfinite(smoothed).any():
            smoothed = smoothed - np.logaddexp.reduce(smoothed)
        return WeightedDraws(
            everything, log_p, log_q, log_weights, smoothed, k, len(x), unknown
        )

    def _with_target(self, x, log_q):
        return x, self.density.from_tensor(x), log_q


def mean_and_factor(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and triangular factor of the covariance of rows, `[N, D]`, that are finite."""
    x = x[np.isfinite(x).all(axis=1)]
    count, size = x.shape
    if not count:
        return np.zeros(size), np.eye(size)
    mean = x.mean(axis=0)
    deviations = np.maximum(x.std(axis=0), 1e-30)
    correlation = np.atleast_2d(np.cov((x - mean) / deviations, rowvar=False, bias=True))
    # A few rows say more about variances than about correlations.
    share = size / (count + size) if count < _MANY * size else 0.0
    for ridge in (share, share + 1e-12, share + 1e-6, 1.0):
        mixed = (1.0 - ridge) * correlation + ridge * np.eye(size)
        try:
            return mean, deviations[:, None] * np.linalg.cholesky(mixed)
        except np.linalg.LinAlgError:
            continue
    return mean, np.diag(deviations)


def student(rng: np.random.Generator, count: int, size: int, is_joint: bool) -> np.ndarray:
    """Draws of a t distribution of 2 degrees, `[N, D]`, with joint or separate tails."""
    chi = rng.chisquare(_DEGREES, (count, 1 if is_joint else size)) / _DEGREES
    return rng.normal(size=(count, size)) / np.sqrt(chi)


def _joint(z):
    size = z.shape[1]
    return _log_t((z**2).sum(axis=1), size)


def _separate(z):
    return _log_t(z**2, 1).sum(axis=1)


def _log_t(square, size):
    total = _DEGREES + size
    constant = math.lgamma(0.5 * total) - math.lgamma(0.5 * _DEGREES)
    constant -= 0.5 * size * math.log(_DEGREES * math.pi)
    return constant - 0.5 * total * np.log1p(square / _DEGREES)


def _joined(pieces, count):
    return tuple(
        np.concatenate([p.numpy().astype(np.float64) for p in piece])[:count]
        for piece in zip(*pieces, strict=True)
    )


_MEAN_ERROR, _DEVIATION_ERROR = 0.1 / 3.0, 0.05 / 3.0


@dataclasses.dataclass(frozen=True)
class WeightedMoments:
    """Moments of each of E variables, with errors.

    Attributes:
      mean: `[E]`.
      deviation: standard deviation, `[E]`.
      mean_error: standard error of the mean, in standard deviations, `[E]`.
      deviation_error: error of the logarithm of the standard deviation, `[E]`: the standard
        error, and what the variance may lack as draws of its tail are few.
    """

    mean: np.ndarray
    deviation: np.ndarray
    mean_error: np.ndarray
    deviation_error: np.ndarray

    @property
    def unknown(self) -> np.ndarray:
        """Indices of variables with three standard errors above .1 deviations, or 5 %."""
        is_known = self.mean_error <= _MEAN_ERROR
        is_known &= self.deviation_error <= _DEVIATION_ERROR
        return np.flatnonzero(~is_known)  # also where an error is NaN

    @property
    def are_known(self) -> bool:
        """Whether all are."""
        return not len(self.unknown)


def weighted_moments(x: np.ndarray, weights: np.ndarray) -> WeightedMoments:
    """Returns the moments of draws, `[S, E]`, whose `weights`, `[S]`, sum to 1.

    ```none
    mean = sum_s w_s x_s,          error^2 = sum_s w_s^2 (x_s - mean)^2
    v = sum_s w_s (x_s - mean)^2,  error^2 = sum_s w_s^2 ((x_s - mean)^2 - v)^2
    ```

    The effective number of draws is that of weights alone. Where a few draws of a tail
    carry a moment, only these errors say so; and where weights in the tail are large, a
    standard error says too little, as most samples lack the largest of them.
    """
    w = weights[:, None]
    x = np.where(w > 0.0, x, 0.0)
    mean = (w * x).sum(axis=0)
    squares = (x - mean) ** 2
    variance = np.maximum((w * squares).sum(axis=0), 1e-300)
    error = np.sqrt((w**2 * squares).sum(axis=0) / variance)
    from_variance = np.sqrt((w**2 * (squares - variance) ** 2).sum(axis=0)) / variance
    lacking = np.array([top_of_tail(terms) for terms in (w * squares).T]) / variance
    return WeightedMoments(mean, np.sqrt(variance), error, 0.5 * (from_variance + lacking))


_FEWEST = 5
# Weight of the prior of the shape, in observations, and its centre.
_PRIOR_COUNT, _PRIOR_SHAPE = 10.0, 0.5


def pareto_smooth(log_weights: ArrayLike) -> tuple[np.ndarray, float]:
    """Replaces the largest weights by quantiles of a generalised Pareto distribution.

    ```none
    M = ceil(min(S / 5, 3 sqrt(S)))                       the weights that are its tail
    w_(S - M + j) <- F^-1((j - 1/2) / M),  j = 1 .. M     at most the largest raw weight
    ```

    Args:
      log_weights: `[S]`, of draws of the proposal: the log-density of the target less that
        of the proposal. Draws outside the target's support have -inf.

    Returns:
      The smoothed log-weights, `[S]`, and the shape k of the tail. The mean weight and
      expectations under the weights converge for k below 1, in practice below
      `pareto_k_threshold(S)`. It is -inf for weights that are all alike, and inf for
      weights of which hardly any is positive.

    >>> import numpy as np
    >>> import tfp_flows
    >>> z = np.random.default_rng(0).normal(size=10000)
    >>> _, k = tfp_flows.pareto_smooth(0.2 * z**2)  # of p = N(0, 1.29), q = N(0, 1)
    >>> 0.2 < k < 0.7
    True

    Reference:
      Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling.
      https://arxiv.org/abs/1507.02646
    """
    log_weights = np.asarray(log_weights, np.float64)
    largest = log_weights.max(initial=-np.inf)
    size = len(log_weights)
    count = math.ceil(min(size / 5.0, 3.0 * math.sqrt(size)))
    if not np.isfinite(largest):
        return log_weights, math.inf
    order = np.argsort(log_weights, kind="stable")
    weights = np.exp(log_weights[order] - largest)
    cut, tail = weights[-count - 1], weights[-count:]
    if count < _FEWEST or not cut > 0.0:  # nearly all weights are zero
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

    It is infinite from k of 1 on. The largest term of a sample is mostly below it, the more
    so the heavier the tail: this is what a sum of so many terms may lack.
    """
    size = len(terms)
    count = math.ceil(min(size / 5.0, 3.0 * math.sqrt(size)))
    tail = np.sort(np.partition(terms, size - count - 1)[size - count - 1 :])
    cut, largest = tail[0], tail[-1]
    if count < _FEWEST or not largest > cut * (1.0 + 1e-12):
        return float(largest)
    k, scale = generalised_pareto(tail[1:] - cut)
    if k >= 1.0:
        return math.inf
    rise = count**k / (1.0 - k) - 1.0
    mean = scale * (rise / k if abs(k) > 1e-9 else 1.0 + math.log(count))
    return float(cut + mean)


def pareto_k_threshold(size: int) -> float:
    """The greatest shape of the tail with which `size` weights can be relied on.

    ```none
    min(1 - 1 / log10(size), 0.7)
    ```
    """
    return min(1.0 - 1.0 / math.log10(max(size, 11)), 0.7)


def generalised_pareto(excess: npt.ArrayLike) -> tuple[float, float]:
    """Fits shape k and scale of a generalised Pareto distribution.

    The shape is the mean under the profile posterior of `b = -k / scale`, drawn a little
    towards 1/2, as for Pareto smoothing.

    Args:
      excess: ascending amounts beyond the cut, `[M]`, not negative.

    Returns:
      Shape and scale.

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
    shapes = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = size * (np.log(-b / shapes) - shapes - 1.0)
    masses = np.exp(profile - profile.max())
    mean = float((masses * b).sum() / masses.sum())
    shape = float(np.log1p(-mean * excess).mean())
    scale = -shape / mean
    prior = _PRIOR_COUNT * _PRIOR_SHAPE
    return (size * shape + prior) / (size + _PRIOR_COUNT), scale


def _quantiles(p, shape, scale):
    if abs(shape) < 1e-9:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-shape * np.log1p(-p)) / shape
