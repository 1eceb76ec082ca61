"""Short Markov chains that check a posterior: local steps, and draws of its own."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfp_flows.core.compiled import Compiled
from tfp_flows.distributions import draws

if TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.inference.target import UnconstrainedDensity

__all__ = ["Chains", "CheckChains", "rank_r_hat"]
_WARM_UP, _KEPT, _LEAPFROGS = 80, 50, 6
_ACCEPTANCE = 0.8
# A chain whose log-density still rises by this many nats has not arrived anywhere.
_RISE = 3.0


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws of chains that started far apart.

    Attributes:
      draws: `[T, C, D]`, unconstrained.
      log_ratios: log-density of the target less that of the posterior, `[T, C]`.
      jumps: share of the posterior's draws that each chain took, `[C]`.
      is_settled: whether a draw is of the chain's own density, `[T, C]`: of a chain that
        started far out, none before the first draw of the posterior that it took, if any.
      has_arrived: whether the log-density of a chain does not rise any more, `[C]`.
      num_gradients: evaluations of the target's gradient.
    """

    draws: np.ndarray
    log_ratios: np.ndarray
    jumps: np.ndarray
    is_settled: np.ndarray
    has_arrived: np.ndarray
    num_gradients: int


class CheckChains:
    """Hamiltonian Monte Carlo whose second half also proposes draws of the posterior.

    ```none
    local:  leapfrog steps on coordinates in which the posterior has unit covariance
    global: x' ~ q,  taken with probability min(1, p(x') q(x) / (p(x) q(x')))
    ```

    A chain that finds mass which the posterior q lacks takes none of its draws.

    Args:
      density: an `UnconstrainedDensity`.
      distribution: q, a `FlowDistribution`.
      by_xla: whether XLA can compile the density.

    Reference:
      Gabrie, Rotskoff, Vanden-Eijnden (2022), Adaptive Monte Carlo augmented with
      normalizing flows. https://arxiv.org/abs/2105.12603
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        distribution: FlowDistribution,
        by_xla: bool = True,
    ) -> None:
        self._density, self._distribution = density, distribution
        self._run = Compiled(self._sample, by_xla=by_xla and density.has_loop)

    @property
    def num_proposals(self) -> int:
        """Draws of the posterior that a chain is offered."""
        return _KEPT

    def run(
        self,
        starts: np.ndarray,
        factor: np.ndarray,
        proposals: np.ndarray,
        proposal_ratios: np.ndarray,
        seed: int,
        num_far: int = 0,
    ) -> Chains:
        """Runs the chains.

        Args:
          starts: `[C, D]`.
          factor: of the posterior's covariance, `[D, D]`.
          proposals: draws of the posterior, `[T, C, D]`.
          proposal_ratios: their log-ratios, `[T, C]`.
          seed: of the noise.
          num_far: number of chains, the first, that start far out.
        """
        cast = functools.partial(tf.constant, dtype=self._density.dtype)
        arguments = map(cast, (starts, factor, proposals, proposal_ratios))
        results = self._run(*arguments, draws.stateless(seed))
        x, log_p, log_ratios, taken = (r.numpy().astype(np.float64) for r in results)
        has_jumped = np.cumsum(taken, axis=0) - taken > 0.0
        is_near = np.arange(taken.shape[1]) >= num_far
        third = len(x) // 3
        jumps = taken.mean(axis=0)
        is_settled = has_jumped | is_near | (jumps == 0.0)
        with np.errstate(invalid="ignore"):  # of chains outside the support
            rise = np.median(log_p[-third:], axis=0) - np.median(log_p[:third], axis=0)
            has_arrived = (jumps > 0.0) | (rise < _RISE + 2.0 * log_p[-third:].std(axis=0))
        has_arrived &= np.isfinite(log_p).all(axis=0)
        num_gradients = (_WARM_UP + _KEPT) * _LEAPFROGS * len(starts)
        return Chains(x, log_ratios, jumps, is_settled, has_arrived, num_gradients)

    def _sample(self, x, factor, proposals, proposal_ratios, seed):
        dtype = x.dtype
        log_p, slope = self._density.value_and_gradient(x)
        log_step = tf.fill(tf.shape(log_p), tf.constant(np.log(0.1), dtype))
        kept = [tf.TensorArray(dtype, _KEPT) for _ in range(4)]

        def warm(i, x, log_p, slope, log_step):
            noise = draws.fold_in(seed, i)
            step = tf.exp(log_step)
            x, log_p, slope, acceptance = self._local(x, log_p, slope, step, factor, noise)
            rate = 2.0 * tf.cast(i + 4, dtype) ** -0.6
            log_step += tf.clip_by_value(rate * (acceptance - _ACCEPTANCE), -1.0, 1.0)
            return i + 1, x, log_p, slope, log_step

        start = (0, x, log_p, slope, log_step)
        _, *state, log_step = tf.while_loop(lambda i, *_: i < _WARM_UP, warm, start)

        def keep(i, x, log_p, slope, *kept):
            noise, jump = draws.split(draws.fold_in(seed, _WARM_UP + i), 2)
            step = tf.exp(log_step)
            x, log_p, slope, _ = self._local(x, log_p, slope, step, factor, noise)
            ratio = log_p - self._distribution.log_prob(x)
            u = draws.uniform(tf.shape(ratio), jump, dtype)
            is_taken = tf.math.log(u) < proposal_ratios[i] - ratio
            values = (x, log_p, ratio, tf.cast(is_taken, dtype))
            written = [a.write(i, v) for a, v in zip(kept, values, strict=True)]
            x = tf.where(is_taken[:, None], proposals[i], x)
            return i + 1, x, *self._density.value_and_gradient(x), *written

        _, _, _, _, *kept = tf.while_loop(lambda i, *_: i < _KEPT, keep, (0, *state, *kept))
        return [array.stack() for array in kept]

    def _local(self, x, log_p, slope, step, factor, seed):
        """One trajectory; a value that is not finite refuses it."""
        from_momentum, from_choice, from_length = draws.split(seed, 3)
        momentum = draws.normal(tf.shape(x), from_momentum, x.dtype)
        length = 0.6 + 0.8 * draws.uniform(tf.shape(step), from_length, x.dtype)
        step = (step * length)[:, None]

        def leap(i, y, momentum, _, slope):
            momentum += 0.5 * step * tf.matmul(slope, factor)
            y += step * tf.matmul(momentum, factor, transpose_b=True)
            value, slope = self._density.value_and_gradient(y)
            momentum += 0.5 * step * tf.matmul(slope, factor)
            return i + 1, y, momentum, value, slope

        _, y, moved, value, new_slope = tf.while_loop(
            lambda i, *_: i < _LEAPFROGS, leap, (0, x, momentum, log_p, slope)
        )
        change = value - log_p - 0.5 * tf.reduce_sum(moved**2 - momentum**2, axis=-1)
        is_finite = tf.math.is_finite(change) & tf.reduce_all(
            tf.math.is_finite(new_slope), axis=-1
        )
        acceptance = tf.where(is_finite, tf.exp(tf.minimum(change, 0.0)), 0.0)
        is_taken = draws.uniform(tf.shape(step)[:1], from_choice, x.dtype) < acceptance
        chosen = is_taken[:, None]
        return (
            tf.where(chosen, y, x),
            tf.where(is_taken, value, log_p),
            tf.where(chosen, new_slope, slope),
            acceptance,
        )


def rank_r_hat(groups: np.ndarray) -> float:
    """Compares groups of equally many draws, variable by variable.

    ```none
    z = Phi^-1((rank - 3/8) / (S + 1/4)),   R = sqrt((n - 1) / n + B / (n W))
    ```

    with the variance B / n between the groups' means and W within groups; once for the
    draws and once for their distances from the median, which tell of the spread.

    Args:
      groups: `[G, n, D]`.

    Returns:
      The largest R-hat of all variables; 1 where all groups agree.

    Reference:
      Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Rank-normalization, folding, and
      localization. https://arxiv.org/abs/1903.08008
    """
    flat = groups.reshape(-1, groups.shape[-1])
    folded = np.abs(groups - np.median(flat, axis=0))
    return float(max(_r_hat(_normal_scores(groups)), _r_hat(_normal_scores(folded))))


def _normal_scores(groups):
    flat = groups.reshape(-1, groups.shape[-1])
    ranks = np.argsort(np.argsort(flat, axis=0, kind="stable"), axis=0) + 1.0
    return tf.math.ndtri((ranks - 0.375) / (len(flat) + 0.25)).numpy().reshape(groups.shape)


def _r_hat(z):
    count = z.shape[1]
    within = z.var(axis=1, ddof=1).mean(axis=0)
    between = z.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((count - 1.0) / count + between / np.maximum(within, 1e-12)).max()
