"""Weighted draws of a target, from a posterior and two broad t distributions."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.check import Check
from tfp_flows.core.compiled import graph_function
from tfp_flows.inference.checks.pareto import (
    pareto_k_threshold,
    pareto_smooth,
    top_of_tail,
)
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.target import (
    UnconstrainedDensity,
    in_batches,
    joined,
    without_rounding,
)

BATCH_SIZE = 2000  # draws of one batch
_BROAD_SHARE = 0.05  # weight of each broad t distribution in the mixture
_BROAD_SCALE = 1.5  # scale of these distributions, relative to the posterior's
_MOST_NUMBERS = 4_000_000  # largest number of entries of all weighted draws
FEWEST_RELIABLE_DRAWS = 400
_EVEN = 0.5  # least share of effective draws of even weights
_MOST_UNKNOWN = 0.005  # largest share of draws with an unreliable density
# Largest standard errors of moments: of means, in standard deviations, and of the
# logarithms of standard deviations.
_MEAN_ERROR, _DEVIATION_ERROR = 0.1 / 3.0, 0.05 / 3.0
# Names of checks that may fail again after another round of a fit.
MOMENTS, UNKNOWN_DENSITY = "error of moments / tolerance", "draws of unknown density"
_MOST_NAMES = 5  # number of variables that a reason names
# Largest effects of the weights on moments, in the same units as the errors above.
MEAN_CHANGE, DEVIATION_CHANGE = 0.05, 0.03
_GAP = 0.05  # largest gap between log-evidence and ELBO, in nats


class Estimate(NamedTuple):
    """A number, and its standard error."""

    value: float
    error: float


@dataclasses.dataclass(frozen=True)
class WeightedDraws:
    """Draws of a mixture of a posterior q and two broad t distributions."""

    x: np.ndarray  # `[S, D]`; the first `num_from_q` are draws of q
    log_p: np.ndarray  # log-densities under the target, `[S]`; -inf if not finite
    log_q: np.ndarray  # log-densities under q, `[S]`
    log_weights: np.ndarray  # log-densities under the target less the mixture's, `[S]`
    smoothed: np.ndarray  # log-weights after Pareto smoothing, which sum to 1, `[S]`
    pareto_k: float  # shape of their tail
    num_from_q: int
    unknown_share: float  # share of these where `log_p` was NaN, +inf or rounding noise
    entries: np.ndarray  # the draws as entries of the target's parts, `[S, E]`

    @property
    def ratios(self) -> np.ndarray:
        """Log-densities of the target less those of q, at draws of q, `[num_from_q]`."""
        return (self.log_p - self.log_q)[: self.num_from_q]

    @property
    def from_q(self) -> np.ndarray:
        """The draws of q, `[num_from_q, D]`."""
        return self.x[: self.num_from_q]

    @property
    def is_light(self) -> bool:
        """Whether the tail of the weights is light enough to rely on them."""
        return self.pareto_k < pareto_k_threshold(len(self.x))

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Weights that sum to 1, `[S]`."""
        return np.exp(self.smoothed)

    def resampled(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns draws by their weights, with replacement, `[count, D]`."""
        shares = self.weights / self.weights.sum()
        return self.x[rng.choice(len(self.x), count, p=shares)]

    @functools.cached_property
    def moments(self) -> WeightedMoments:
        """Moments of the weighted `entries`."""
        return weighted_moments(self.entries, self.weights)

    @functools.cached_property
    def gaussian(self) -> Gaussian:
        """The Gaussian with the moments of the draws of q."""
        return Gaussian.from_draws(self.from_q)

    @property
    def ess(self) -> float:
        """Effective number of draws."""
        return float(1.0 / (self.weights**2).sum()) if self.weights.sum() > 0.5 else 0.0

    @property
    def are_reliable(self) -> bool:
        """Whether the weights are even enough to rely on them."""
        return self.is_light and self.ess >= FEWEST_RELIABLE_DRAWS

    @property
    def log_evidence(self) -> Estimate:
        """Log of the mean weight."""
        largest = self.log_weights.max(initial=-np.inf)
        if not np.isfinite(largest):
            return Estimate(-math.inf, math.inf)
        weights = np.exp(self.log_weights - largest)
        mean = weights.mean()
        error = weights.std() / (math.sqrt(len(weights)) * mean)
        return Estimate(float(largest + np.log(mean)), float(error))

    @property
    def elbo(self) -> Estimate:
        """Mean log-ratio at the draws of q."""
        ratios = self.ratios
        if not np.isfinite(ratios).all():
            return Estimate(-math.inf, math.inf)
        error = ratios.std() / math.sqrt(len(ratios))
        return Estimate(float(ratios.mean()), float(error))


class ImportanceSampler:
    """Draws of a posterior and log-densities, in batches of one size.

    `flatten` maps unconstrained draws, `[S, D]`, to the entries of the target's parts,
    `[S, E]`. Tracing the posterior is faster for many batches.

    Attributes:
      density: the `UnconstrainedDensity` of the target.
      log_q: the posterior's log-density, a function from `[N, D]` to `[N]`.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        distribution: tfd.Distribution,
        flatten: Callable = np.asarray,
        *,
        batch_size: int = BATCH_SIZE,
        is_traced: bool = True,
    ) -> None:
        self.density, self._flatten, self._batch_size = density, flatten, batch_size
        draw = functools.partial(distribution.experimental_sample_and_log_prob, batch_size)
        self._draw, self.log_q = (
            graph_function(function) if is_traced else function
            for function in (lambda seed: draw(seed=seed), distribution.log_prob)
        )

    def log_p_and_log_q(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities at points `[N, D]`: of the target, -inf if not finite, and of q."""
        log_p = self.density.log_prob(x)
        (log_q,) = in_batches(lambda x: [self.log_q(x)], x, dtype=self.density.dtype)
        return np.where(np.isfinite(log_p), log_p, -np.inf), log_q

    def weighted_until_known(self, counts: Sequence[int], seed: int) -> WeightedDraws:
        """Returns weighted draws: the first of rising `counts` that determine the moments.

        Even weights with a heavy tail are drawn in larger numbers, too, since the shape of
        the tail is estimated from few of them.
        """
        most = max(counts[0], _MOST_NUMBERS // self.density.event_size)
        for count in counts:
            weighted = self.weighted(min(count, most), seed)
            is_even = weighted.ess > _EVEN * len(weighted.x)
            is_light = weighted.is_light
            are_enough = weighted.moments.are_known if is_light else not is_even
            if are_enough:
                break
        return weighted

    def weighted(self, count: int, seed: int) -> WeightedDraws:
        """Returns `count` draws of the mixture with their weights.

        Reference:
          Owen, Zhou (2000), Safe and effective importance sampling.
          https://doi.org/10.1080/01621459.2000.10473909
        """
        num_broad = int(_BROAD_SHARE * count)
        num_from_q = count - 2 * num_broad
        batches = range(math.ceil(num_from_q / self._batch_size))
        pieces = [self._draw(tf.constant([seed % 2**31, i], tf.int32)) for i in batches]
        from_q, log_q = joined(pieces, num_from_q)
        log_p = self.density.log_prob(from_q)
        gaussian = Gaussian.from_draws(from_q)
        broad = Gaussian(gaussian.mean, _BROAD_SCALE * gaussian.factor)
        broad_draws = _broad_draws(broad, num_broad, np.random.default_rng([seed, 6]))
        pairs = zip(
            (from_q, log_p, log_q),
            (broad_draws, *self.log_p_and_log_q(broad_draws)),
            strict=True,
        )
        x, log_p, log_q = map(np.concatenate, pairs)
        log_broad = math.log(_BROAD_SHARE) + np.logaddexp(*_log_broad(broad, x))
        log_mixed = np.logaddexp(math.log1p(-2.0 * _BROAD_SHARE) + log_q, log_broad)
        log_p = without_rounding(self.density, x, log_p, log_mixed)
        is_unknown = np.isnan(log_p) | (log_p == np.inf)
        log_p = np.where(np.isfinite(log_p), log_p, -np.inf)
        log_weights = log_p - log_mixed
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
        smoothed, k = pareto_smooth(log_weights)
        if np.isfinite(smoothed).any():
            smoothed = smoothed - np.logaddexp.reduce(smoothed)
        return WeightedDraws(
            x,
            log_p,
            log_q,
            log_weights,
            smoothed,
            pareto_k=k,
            num_from_q=num_from_q,
            unknown_share=float(is_unknown[:num_from_q].mean()),
            entries=self._flatten(x),
        )


def _broad_draws(gaussian, count, rng):
    """Draws of two t distributions of 2 degrees of freedom, `count` of each.

    All variables of the first have one common scale; those of the second have their own.
    """
    size = len(gaussian.mean)
    noise = rng.normal(size=(2, count, size))
    # Half a chi-squared number of 2 degrees is an exponential one.
    joint = np.broadcast_to(rng.exponential(size=(count, 1)), (count, size))
    separate = rng.exponential(size=(count, size))
    z = noise / np.sqrt(np.stack([joint, separate]))
    return gaussian.draw(z.reshape(-1, size))


def _log_broad(gaussian, x):
    """Log-densities of the two distributions of `_broad_draws`, `[S]` each."""
    size = len(gaussian.mean)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = gaussian.whiten(x) ** 2
    power = 0.5 * size + 1.0
    constant = math.lgamma(power) - 0.5 * size * math.log(2.0 * math.pi)
    joint = constant - power * np.log1p(0.5 * squares.sum(axis=1))
    separate = -1.5 * np.log(squares + 2.0).sum(axis=1)
    return joint - gaussian.log_det, separate - gaussian.log_det


def systematic_rows(
    weights: np.ndarray, count: int, rng: np.random.Generator, shift: float | None = None
) -> np.ndarray:
    """Returns indices of `count` draws, each as often as its weight, `[S]`, says.

    A uniform random number, `shift` or the first of `rng`, decides about fractions. The
    order is random, since ArviZ, for example, computes autocorrelations along draws.
    """
    shift = rng.uniform() if shift is None else shift
    total = np.cumsum(weights)
    points = (shift + np.arange(count)) / count * total[-1]
    rows = np.minimum(np.searchsorted(total, points, side="right"), len(total) - 1)
    return rng.permutation(rows)


@dataclasses.dataclass(frozen=True)
class WeightedMoments:
    """Means and standard deviations of variables, `[E]`, with errors."""

    mean: np.ndarray
    deviation: np.ndarray
    mean_error: np.ndarray  # standard errors, in standard deviations
    # Standard errors of logarithms, plus the variance that unseen draws may add.
    deviation_error: np.ndarray

    @property
    def unknown(self) -> np.ndarray:
        """Indices of variables with three standard errors above 0.1 deviations, or 5 %."""
        is_known = self.mean_error <= _MEAN_ERROR
        is_known &= self.deviation_error <= _DEVIATION_ERROR
        return np.flatnonzero(~is_known)  # also where an error is NaN

    @property
    def are_known(self) -> bool:
        """Whether the moments of all variables are known."""
        return not len(self.unknown)


def weighted_moments(x: np.ndarray, weights: np.ndarray) -> WeightedMoments:
    """Returns the moments of draws, `[S, E]`, whose `weights`, `[S]`, sum to 1.

    ```none
    mean = sum_s w_s x_s,          error^2 = sum_s w_s^2 (x_s - mean)^2
    v = sum_s w_s (x_s - mean)^2,  error^2 = sum_s w_s^2 ((x_s - mean)^2 - v)^2
    ```

    The ESS depends on the weights alone. If a few draws of a tail carry a moment, only
    these errors show it. If weights in the tail are large, a standard error is too small,
    since most samples lack the largest weights.
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


def entries_that_vary(entries: np.ndarray) -> np.ndarray:
    """Returns which columns of `[S, E]` vary, `[E]`, without regard to NaN.

    Entries that the support fixes, such as the zeros of a triangular matrix, do not vary.
    """
    return np.nanmax(entries, axis=0) > np.nanmin(entries, axis=0)


def pareto_k_check(weighted: WeightedDraws) -> Check:
    """Checks that the tail of the weights is light."""
    k, threshold = weighted.pareto_k, pareto_k_threshold(len(weighted.x))
    advice = (
        f"The weights' tail has Pareto k {k:.2f}, not below {threshold:.2f}: the "
        "posterior's tails are lighter than the target's, or it is far from the target. "
        "Try a larger budget, other parameters (such as non-centred ones), or MCMC."
    )
    return Check("Pareto k", k, threshold, weighted.is_light, advice)


def ess_check(weighted: WeightedDraws) -> Check:
    """Checks that the effective number of weighted draws is large enough."""
    ess, fewest = weighted.ess, FEWEST_RELIABLE_DRAWS
    advice = (
        f"Only {ess:.0f} weighted draws are effective, below {fewest}. Try a larger "
        "budget, other parameters, or MCMC."
    )
    passed = ess >= fewest if weighted.is_light else None
    return Check("effective draws", ess, fewest, passed, advice)


def moments_check(weighted: WeightedDraws, names: Sequence[str] = ()) -> Check:
    """Checks that the weighted draws determine means and standard deviations."""
    moments = weighted.moments
    mean_error, deviation_error = moments.mean_error.max(), moments.deviation_error.max()
    unknown = moments.unknown
    shown = [names[i] if names else f"entry {i}" for i in unknown[:_MOST_NAMES]]
    shown += ["..."] if len(unknown) > _MOST_NAMES else []
    error = float(max(mean_error / _MEAN_ERROR, deviation_error / _DEVIATION_ERROR))
    advice = (
        f"{len(weighted.x)} weighted draws tell means and standard deviations of "
        f"{', '.join(shown)} to {mean_error:.3f} standard deviations and "
        f"{100.0 * deviation_error:.1f} % only, as tails are heavy or draws of them rare. "
        "Try other parameters, or MCMC, and quantiles instead of moments."
    )
    passed = moments.are_known if weighted.are_reliable else None
    return Check(MOMENTS, error, 1.0, passed, advice)


def known_density_check(weighted: WeightedDraws) -> Check:
    """Checks that the target has a reliable density at nearly all draws."""
    advice = (
        f"At {100.0 * weighted.unknown_share:.1f} % of the posterior's draws, the target's "
        "log-density is NaN, +inf or rounding alone. Try float64, proper priors for all "
        "variables, or other parameters."
    )
    return Check.at_most(UNKNOWN_DENSITY, weighted.unknown_share, _MOST_UNKNOWN, advice)


def unweighted_draws_check(weighted: WeightedDraws) -> Check:
    """Checks that draws are right without their weights."""
    name = "effect of weights / tolerance"
    if not np.isfinite(weighted.ratios).all():
        advice = "Some draws are outside the target's support; use `resample`."
        return Check(name, math.inf, 1.0, False, advice, resampling_helps=True)
    varies, moments = entries_that_vary(weighted.entries), weighted.moments
    unweighted = weighted.entries[: weighted.num_from_q, varies]
    deviation = np.maximum(moments.deviation[varies], 1e-30)
    with np.errstate(all="ignore"):  # the deviation of few draws may be 0
        shifts = np.abs(unweighted.mean(axis=0) - moments.mean[varies]) / deviation
        changes = np.abs(np.log(unweighted.std(axis=0) / deviation))
    shift, change = shifts.max(initial=0.0), changes.max(initial=0.0)
    gap = weighted.log_evidence.value - weighted.elbo.value
    has_equal_moments = shift <= MEAN_CHANGE and change <= DEVIATION_CHANGE
    if has_equal_moments:
        advice = f"The ELBO is {gap:.2f} nats below the log-evidence; use `resample`."
    else:
        advice = (
            f"Weights move a mean by {shift:.2f} standard deviations, or a standard "
            f"deviation by {100.0 * math.expm1(min(change, 700.0)):.0f} %; use `resample`."
        )
    effect = float(max(shift / MEAN_CHANGE, change / DEVIATION_CHANGE, gap / _GAP))
    passed = bool(has_equal_moments and not gap > _GAP)
    return Check(name, effect, 1.0, passed, advice, resampling_helps=True)
