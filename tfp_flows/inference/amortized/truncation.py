"""Densities of parameters given data, and the prior truncated to where one has mass."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.inputs import align_batch_axes
from tfp_flows.core.rows import by_parts
from tfp_flows.distributions import draws
from tfp_flows.distributions.mixture import Mixture
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
# Numbers of draws that estimate the probability of a region: for one context; for all
# contexts of a batch together; and the least number for each of them.
_NUM_OF_ONE, _NUM_OF_ALL, _NUM_AT_LEAST = 10_000, 100_000, 400
_MOST_TRIES = 20  # a row outside of the region is drawn again so often
_SEED = 17  # of the draws that estimate the probability of a region


class Conditioned(draws.SampleAndLogProb, tfd.Distribution):
    """A mixture of conditional distributions of rows, given fixed contexts.

    With a truncated prior, it is truncated to the prior's region R:

    ```none
    p(u) = mixture(u | context) / P(R),  P(R) = probability of R under the mixture
    ```

    The mixture has rows `[..., D]`, the context is `[*batch, C]`, and the dtype is that of
    the rows here. The prior is None if it is that of the model.
    """

    context_size = 0  # callers give no context

    def __init__(
        self,
        mixture: Mixture,
        context: np.ndarray | tf.Tensor,
        *,
        dtype: tf.DType,
        prior: TruncatedPrior | None = None,
    ) -> None:
        self._mixture, self.prior = mixture, prior
        self.context = tf.cast(context, mixture.dtype)
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name="conditioned",
        )

    def log_density(self, value: tf.Tensor) -> tf.Tensor:
        """Returns log-densities of rows, `[..., D]`, under the mixture, not truncated."""
        value = tf.cast(value, self._mixture.dtype)
        value, context = align_batch_axes(value, self.context, 1)
        return tf.cast(self._mixture.log_prob(value, context=context), self.dtype)

    def contains(self, value: tf.Tensor) -> tf.Tensor:
        """Whether rows, `[..., D]`, lie in the region of the prior, `[...]`."""
        if self.prior is None:
            return tf.ones(tf.shape(value)[:-1], tf.bool)
        return self.prior.contains(value)

    @functools.cached_property
    def region_probability(self) -> np.ndarray:
        """Probability of the truncated prior's region under the mixture, `[*batch]`.

        It is estimated from draws: its standard error is at most 0.005 for one context,
        and 0.025 for each of many.
        """
        with tf.init_scope():
            contexts = tf.reshape(self.context, [-1, self.context.shape[-1]])
            count = _NUM_OF_ONE
            if len(contexts) > 1:
                count = max(_NUM_AT_LEAST, min(count, _NUM_OF_ALL // len(contexts)))
            seed, probabilities = draws.stateless(_SEED), []
            for k, context in enumerate(contexts):
                repeated = tf.repeat(context[None], count, axis=0)
                rows = self._rows(repeated, draws.fold_in(seed, k))
                probabilities.append(np.mean(self.contains(rows)))
        return np.reshape(probabilities, self.context.shape[:-1])

    def _batch_shape(self):
        return self.context.shape[:-1]

    def _batch_shape_tensor(self):
        return tf.shape(self.context)[:-1]

    def _event_shape(self):
        return self._mixture.event_shape

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self.context)], axis=0)
        contexts = tf.reshape(tf.broadcast_to(self.context, shape), [-1, shape[-1]])
        seed = draws.stateless(seed)
        rows = self._rows(contexts, seed)
        if self.prior is not None:
            rows = self._moved_inside(rows, contexts, seed)
        return tf.reshape(rows, tf.concat([shape[:-1], self.event_shape], axis=0))

    def _rows(self, contexts, seed):
        rows = self._mixture.draw_rows(tf.shape(contexts)[0], seed, contexts)
        return tf.cast(rows, self.dtype)

    def _moved_inside(self, rows, contexts, seed):
        """Draws the rows that are outside of the region again, until they are inside."""

        def is_left(k, _, is_outside):
            return tf.reduce_any(is_outside) & (k < _MOST_TRIES)

        def again(k, rows, is_outside):
            place = tf.where(is_outside)
            chosen = tf.gather(contexts, place[:, 0])
            new = self._rows(chosen, draws.fold_in(seed, k))
            rows = tf.tensor_scatter_nd_update(rows, place, new)
            is_outside = tf.tensor_scatter_nd_update(is_outside, place, ~self.contains(new))
            return k + 1, rows, is_outside

        first = tf.constant(1), rows, ~self.contains(rows)
        return tf.while_loop(is_left, again, first)[1]

    def _log_prob(self, value):
        log_density = self.log_density(value)
        if self.prior is None:
            return log_density
        with np.errstate(divide="ignore"):
            log_share = tf.constant(np.log(self.region_probability), self.dtype)
        inside = self.contains(value) & tf.math.is_finite(log_share)
        return tf.where(inside, log_density - log_share, -np.inf)


@dataclasses.dataclass(eq=False)
class TruncatedPrior:
    """The prior in the region in which a round of simulations has its parameters.

    ```none
    region = {u in the region of the round before: log q(u | focus) >= threshold}
    ```

    Here q is the density of the round before, and the threshold is the quantile of 0.0005
    of its draws. In the region, the posterior of the observation in focus is proportional
    to that under the whole prior, so simulations need no correction. The posterior of any
    other observation is that under the truncated prior.

    Reference:
      Deistler, Gonçalves, Macke (2022), Truncated proposals for scalable and hassle-free
      simulation-based inference. https://arxiv.org/abs/2210.04815
    """

    previous: Any  # the `AmortizedPosterior` of the round before
    focus: np.ndarray  # the observation in focus as a row, `[K]`
    threshold: float  # least log q in the region, in nats
    share: float = math.nan  # probability of the region under the prior

    @classmethod
    def around(
        cls, previous: Any, focus: np.ndarray, source: Simulator, seed: int | None
    ) -> TruncatedPrior:
        """Returns the prior of the round after `previous`."""
        for_draws, for_prior = split_seed(seed, 2)
        posterior = previous.conditioned(focus)
        sample = posterior.sample(_NUM_DRAWS, seed=for_draws)
        log_densities = by_parts(posterior.log_density, sample, size=_ROWS_A_CALL)
        prior = cls(previous, focus, float(np.quantile(log_densities, _LEFT_OUT)))
        u = prior._prior_draws(source, _NUM_PRIOR, for_prior)
        prior.share = float(np.mean(prior.contains_rows(u)))
        if prior.share < _LEAST_SHARE:
            prior.share = float(np.mean(np.exp(prior._log_weights(sample, source))))
        return prior

    @classmethod
    def from_plain(cls, previous: Any, plain: dict[str, Any]) -> TruncatedPrior:
        """Returns the prior from the round before and the result of `to_plain`."""
        return cls(previous, **{**plain, "focus": np.asarray(plain["focus"])})

    def to_plain(self) -> dict[str, Any]:
        """Returns the fields without `previous` as plain values, for a file."""
        return {
            "focus": self.focus.tolist(),
            "threshold": self.threshold,
            "share": self.share,
        }

    @functools.cached_property
    def posterior(self) -> Conditioned:
        """The density q(u | focus) of the round before."""
        return self.previous.conditioned(self.focus)

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the prior in which all rounds simulated, of which the first is 1."""
        before = self.posterior.prior
        return (*((1.0,) if before is None else before.shares), self.share)

    def contains(self, u: tf.Tensor) -> tf.Tensor:
        """Whether unconstrained parameters, `[..., D]`, lie in the region, `[...]`."""
        log_density = self.posterior.log_density(u)
        return (log_density >= self.threshold) & self.posterior.contains(u)

    def contains_rows(self, u: np.ndarray) -> np.ndarray:
        """Returns `contains` of many rows, `[N, D]`, by parts, to bound the memory."""
        return by_parts(self.contains, u, size=_ROWS_A_CALL)

    def mass(self, row: np.ndarray) -> float:
        """Returns the probability that the posterior of an observation has in the region.

        It is a product over the rounds: the share of the draws in the region of a round
        that also lie in the next region.
        """
        posterior = self.previous.conditioned(row)
        sample = posterior.sample(_NUM_DRAWS, seed=0)
        before = posterior.prior
        earlier = 1.0 if before is None else before.mass(row)
        return earlier * float(np.mean(self.contains_rows(sample)))

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

    def _prior_draws(self, source, count, seed):
        (state,) = np.random.SeedSequence(seed).generate_state(1)
        parameters = source.parameters(count, int(state) % 2**30)
        return source.support.unconstrained(parameters)

    def _resampled(self, source, count, seed):
        sample = self.posterior.sample(_NUM_FOR_ONE * count, seed=seed)
        log_weights = self._log_weights(sample, source)
        weights = np.exp(log_weights - log_weights.max())
        weights /= weights.sum()
        rows = systematic_rows(weights, count, np.random.default_rng(seed))
        return np.asarray(sample, np.float64)[rows]

    def _log_weights(self, u, source):
        """Log-densities of the truncated prior less those of the posterior in focus."""
        log_q = by_parts(self.posterior.log_prob, u, size=_ROWS_A_CALL)
        return np.where(self.contains_rows(u), source.log_prior(u) - log_q, -np.inf)
