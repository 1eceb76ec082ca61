"""The prior, truncated to where the posterior of one observation has mass."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.rows import by_parts
from tfp_flows.inference.checks.importance import systematic_rows
from tfp_flows.networks.layer_arguments import split_seed

if TYPE_CHECKING:
    from tfp_flows.inference.amortized.simulator import Simulator

_LEFT_OUT = 5e-4  # share of the posterior in focus that each round leaves out
_NUM_DRAWS = 20_000  # draws of the posterior in focus, for its quantile and masses
_NUM_PRIOR = 50_000  # draws of the prior, for its share in the region
# Below this share of the prior, draws of the posterior are resampled instead, so many for
# each draw of the truncated prior.
_LEAST_SHARE, _NUM_FOR_ONE = 1e-3, 64
_ROWS_A_CALL = 16_384
_MOST_CANDIDATES = 65_536  # draws of the prior at once


class TruncatedPrior:
    """The prior in the region in which a round of simulations has its parameters.

    ```none
    region = {u in the region of the round before: log q(u | focus) >= threshold}
    ```

    Here q is the density of the round before, and the threshold is the quantile of 0.0005
    of its draws. In the region, the posterior of the observation in focus is proportional
    to that under the whole prior, so simulations need no correction. The posterior of any
    other observation is that under the truncated prior.

    `previous` is the `AmortizedPosterior` of the round before, and `focus` the observation
    as a row, `[K]`. The region has the probability `share` under the prior.

    Reference:
      Deistler, Gonçalves, Macke (2022), Truncated proposals for scalable and hassle-free
      simulation-based inference. https://arxiv.org/abs/2210.04815
    """

    def __init__(
        self, previous: Any, focus: np.ndarray, threshold: float, share: float = math.nan
    ) -> None:
        self.previous, self._focus = previous, focus
        self._threshold, self.share = threshold, share

    @classmethod
    def around(
        cls, previous: Any, focus: np.ndarray, source: Simulator, seed: int | None
    ) -> TruncatedPrior:
        """Returns the prior of the round after `previous`."""
        for_draws, for_prior = split_seed(seed, 2)
        posterior = previous.conditioned(focus)
        own = posterior.sample(_NUM_DRAWS, seed=for_draws)
        threshold = np.quantile(
            by_parts(posterior.log_density, own, size=_ROWS_A_CALL), _LEFT_OUT
        )
        found = cls(previous, focus, float(threshold))
        u = found._prior_draws(source, _NUM_PRIOR, for_prior)
        found.share = float(np.mean(found.contains_rows(u)))
        if found.share < _LEAST_SHARE:
            found.share = float(np.mean(np.exp(found._log_weights(own, source))))
        return found

    @classmethod
    def from_plain(cls, previous: Any, plain: dict[str, Any]) -> TruncatedPrior:
        """Returns the prior from the round before and the result of `to_plain`."""
        return cls(previous, **{**plain, "focus": np.asarray(plain["focus"])})

    def to_plain(self) -> dict[str, Any]:
        """Returns the fields without `previous` as plain values, for a file."""
        return {
            "focus": self._focus.tolist(),
            "threshold": self._threshold,
            "share": self.share,
        }

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the prior in which all rounds simulated, of which the first is 1."""
        before = self._posterior.prior
        return (*((1.0,) if before is None else before.shares), self.share)

    def log_density(self, u: tf.Tensor) -> tf.Tensor:
        """Returns log q(u | focus), `[...]`, of unconstrained parameters, `[..., D]`."""
        return self._posterior.log_density(u)

    def contains(self, u: tf.Tensor) -> tf.Tensor:
        """Whether unconstrained parameters, `[..., D]`, lie in the region, `[...]`."""
        return (self.log_density(u) >= self._threshold) & self._posterior.contains(u)

    def contains_rows(self, u: np.ndarray) -> np.ndarray:
        """Returns `contains` of many rows, `[N, D]`, by parts, to bound the memory."""
        return by_parts(self.contains, u, size=_ROWS_A_CALL)

    def mass(self, row: np.ndarray) -> float:
        """Returns the probability that the posterior of an observation has in the region.

        It is a product over the rounds: the share of the draws in the region of a round
        that also lie in the next region.
        """
        posterior = self.previous.conditioned(row)
        own = posterior.sample(_NUM_DRAWS, seed=0)
        before = posterior.prior
        earlier = 1.0 if before is None else before.mass(row)
        return earlier * float(np.mean(self.contains_rows(own)))

    def sample(self, source: Simulator, count: int, seed: int) -> np.ndarray:
        """Draws unconstrained parameters from the truncated prior, `[count, D]`.

        Draws of the prior are kept if they lie in the region. If the prior has less than
        0.001 of its probability there, draws of the posterior in focus are resampled by
        importance weights instead.
        """
        if self.share < _LEAST_SHARE:
            return self._resampled(source, count, seed)
        kept: list[np.ndarray] = []
        missing = count
        while missing > 0:
            rows = min(math.ceil(1.2 * missing / self.share) + 16, _MOST_CANDIDATES)
            u = self._prior_draws(source, rows, [seed, len(kept)])
            kept.append(u[self.contains_rows(u)])
            missing -= len(kept[-1])
        return np.concatenate(kept)[:count]

    @functools.cached_property
    def _posterior(self):
        return self.previous.conditioned(self._focus)

    def _prior_draws(self, source, count, seed):
        (own,) = np.random.SeedSequence(seed).generate_state(1)
        parameters = source.parameters(count, int(own) % 2**30)
        return source.support.unconstrained(parameters)

    def _resampled(self, source, count, seed):
        own = self._posterior.sample(_NUM_FOR_ONE * count, seed=seed)
        log_weights = self._log_weights(own, source)
        weights = np.exp(log_weights - log_weights.max())
        rng = np.random.default_rng(seed)
        rows = systematic_rows(weights / weights.sum(), count, rng.uniform(), rng)
        return np.asarray(own, np.float64)[rows]

    def _log_weights(self, own, source):
        """Log-densities of the truncated prior less those of the posterior in focus."""
        log_weights = source.log_prior(own) - by_parts(
            self._posterior.log_prob, own, size=_ROWS_A_CALL
        )
        return np.where(self.contains_rows(own), log_weights, -np.inf)
