"""Weighted draws: an importance sample of a target by a posterior and broad t's."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfp_flows.core.xla_or_graph import Compiled
from tfp_flows.distributions.pareto_smoothing import pareto_smooth
from tfp_flows.models.rounding import without_rounding

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["Evaluation", "WeightedDraws", "student"]

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
    def effective(self) -> float:
        """Effective number of draws."""
        return float(1.0 / (self.weights**2).sum()) if self.weights.sum() > 0.5 else 0.0

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


class Evaluation:
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
        of_wide = self.at(wide)
        everything = np.concatenate([x, wide])
        log_p = np.concatenate([log_p, of_wide[0]])
        log_q = np.concatenate([log_q, of_wide[1]])
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
        return x, self.density.of_tensor(x), log_q


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
