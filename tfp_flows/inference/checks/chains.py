"""Markov chains that check a posterior: R-hat, and mass that the posterior lacks."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.check import Check
from tfp_flows.core.compiled import XLAIfPossible, graph_function
from tfp_flows.core.statistics import mean_ranks
from tfp_flows.distributions import draws
from tfp_flows.inference.checks.importance import (
    DEVIATION_CHANGE,
    MEAN_CHANGE,
    WeightedDraws,
    entries_that_vary,
)
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.target import UnconstrainedDensity

_NUM_CHAINS = 128
_NUM_FAR = 14  # chains that start far from the draws
_FAR = 3.0, 3.0, 10.0, 30.0  # their distances, in standard deviations
_NUM_ENDS = 10  # chains that start where searches for modes ended
_WARM_UP, _KEPT = 80, 50  # steps of a chain before its draws are kept, and after that
_LEAPFROGS = 6  # leapfrog steps of a step of HMC
_ACCEPTANCE = 0.8  # mean acceptance probability that the step size adapts to
_RISE = 3.0  # nats; a chain whose log-density rises by more has not arrived anywhere
_NUM_GROUPS = 4  # groups of chains that R-hat compares
_MOST_R_HAT = 1.05
UNCOVERED_MASS = 0.0015  # mass up to this is within the error of its estimate
NUM_CONTINUED = 4  # continuations of chains, which reach the posterior's tails late
_SEED_OF_CONTINUED = 104_729  # a prime that keeps the seeds of continued chains apart
_PROBABILITY = 0.01  # largest error of probabilities by weighted draws


@dataclasses.dataclass(frozen=True)
class Chains:
    """Unconstrained draws of C chains that started far apart, T draws each."""

    draws: np.ndarray  # `[T, C, D]`
    log_ratios: np.ndarray  # log-densities of the target less the posterior's, `[T, C]`
    jump_shares: np.ndarray  # share of the posterior's draws that each chain took, `[C]`
    # Whether a draw belongs to the chain's stationary density, `[T, C]`: if it started far
    # out, after the first posterior draw that it took, or always if it took none.
    is_settled: np.ndarray
    has_arrived: np.ndarray  # whether the log-density of a chain no longer rises, `[C]`
    num_gradients: int

    def draws_in(self, chosen: Any) -> np.ndarray:
        """Returns all draws of the chains that an index chooses, `[M, D]`."""
        return self.draws[:, chosen].reshape(-1, self.draws.shape[-1])


class CheckChains:
    """Hamiltonian Monte Carlo whose second half also proposes draws of the posterior.

    ```none
    local:  leapfrog steps on coordinates in which the posterior has unit covariance
    global: x' ~ q,  taken with probability min(1, p(x') q(x) / (p(x) q(x')))
    ```

    A chain in mass that the posterior q lacks takes none of the draws of q. `log_q` is the
    log-density of q, a function of `[C, D]`.

    Reference:
      Gabrie, Rotskoff, Vanden-Eijnden (2022), Adaptive Monte Carlo augmented with
      normalizing flows. https://arxiv.org/abs/2105.12603
    """

    def __init__(
        self, density: UnconstrainedDensity, log_q: Callable, by_xla: bool = True
    ) -> None:
        self._density, self._log_q = density, log_q
        self._run = XLAIfPossible(self._sample, by_xla=by_xla and density.has_loop)

    def first_chains(
        self,
        weighted: WeightedDraws,
        ends: np.ndarray,
        seed: int,
        rng: np.random.Generator,
    ) -> Chains:
        """Runs chains from points far out, draws of q, and ends of searches, `[S, D]`.

        The seed is that of the chains; `rng` draws starts and proposals.
        """
        gaussian, far = weighted.gaussian, np.resize(_FAR, _NUM_FAR)[:, None]
        noise = rng.normal(size=(_NUM_FAR, len(gaussian.mean))) * far
        points = ends[rng.permutation(len(ends))[:_NUM_ENDS]]
        points = np.concatenate([gaussian.draw(noise), points])
        points = points[np.isfinite(self._density.log_prob(points))]
        near = weighted.from_q[rng.integers(weighted.num_from_q, size=_NUM_CHAINS)]
        starts = np.concatenate([points, near])[:_NUM_CHAINS]
        proposals, ratios = _proposals(weighted, rng)
        return self.run(starts, gaussian, proposals, ratios, seed, len(points))

    def continued(
        self,
        chains: Chains,
        is_used: np.ndarray,
        weighted: WeightedDraws,
        seed: int,
        rng: np.random.Generator,
    ) -> Chains:
        """Returns further draws of the chains that are used, `[C]`, and have settled."""
        ends = chains.draws[-1, is_used & chains.is_settled[-1]]
        starts = ends[np.resize(rng.permutation(len(ends)), _NUM_CHAINS)]
        pieces = []
        for _ in range(NUM_CONTINUED):
            seed += _SEED_OF_CONTINUED
            proposals, ratios = _proposals(weighted, rng)
            pieces.append(self.run(starts, weighted.gaussian, proposals, ratios, seed))
            starts = pieces[-1].draws[-1]
        names = ("draws", "log_ratios", "is_settled")
        joined = {n: np.concatenate([getattr(piece, n) for piece in pieces]) for n in names}
        num_gradients = sum(piece.num_gradients for piece in pieces)
        return dataclasses.replace(pieces[-1], num_gradients=num_gradients, **joined)

    def run(
        self,
        starts: np.ndarray,
        gaussian: Gaussian,
        proposals: np.ndarray,
        proposal_ratios: np.ndarray,
        seed: int,
        num_far: int = 0,
    ) -> Chains:
        """Runs chains from `starts`, `[C, D]`, of which the first `num_far` are far out.

        The posterior has the moments of `gaussian`. Its draws `proposals`, `[T, C, D]`,
        have log-ratios `[T, C]`.
        """
        cast = functools.partial(tf.constant, dtype=self._density.dtype)
        rows = proposals.reshape(-1, proposals.shape[-1])
        z = gaussian.whiten(starts), gaussian.whiten(rows).reshape(proposals.shape)
        arguments = map(cast, (gaussian.mean, gaussian.factor, *z, proposal_ratios))
        results = self._run(*arguments, draws.stateless(seed))
        x, log_p, log_ratios, jumped = (r.numpy().astype(np.float64) for r in results)
        has_jumped = np.cumsum(jumped, axis=0) - jumped > 0.0
        is_near = np.arange(jumped.shape[1]) >= num_far
        third = len(x) // 3
        jump_shares = jumped.mean(axis=0)
        is_settled = has_jumped | is_near | (jump_shares == 0.0)
        with np.errstate(invalid="ignore"):  # chains may be outside the support
            rise = np.median(log_p[-third:], axis=0) - np.median(log_p[:third], axis=0)
            is_still = rise < _RISE + 2.0 * log_p[-third:].std(axis=0)
        has_arrived = (jump_shares > 0.0) | is_still
        has_arrived &= np.isfinite(log_p).all(axis=0)
        num_gradients = (_WARM_UP + _KEPT) * _LEAPFROGS * len(starts)
        return Chains(x, log_ratios, jump_shares, is_settled, has_arrived, num_gradients)

    def _sample(self, mean, factor, z, proposals, proposal_ratios, seed):
        def unconstrained(z):
            return mean + tf.matmul(z, factor, transpose_b=True)

        @tf.custom_gradient  # the target's gradient is traced once
        def log_prob(z):
            value, slope = self._density.value_and_gradient(unconstrained(z))

            def gradient(upstream, variables=None):
                by_z = upstream[:, None] * tf.matmul(slope, factor)
                # A map to other coordinates has variables; no chain needs their gradients.
                return by_z if variables is None else (by_z, [None] * len(variables))

            return value, gradient

        from_warm_up, seed = draws.split(seed, 2)
        kernel, z, adapted = _warm_up(log_prob, z, from_warm_up)
        hmc = kernel.inner_kernel

        def keep(i, z, *arrays):
            noise, jump = draws.split(draws.fold_in(seed, i), 2)
            before = adapted._replace(inner_results=hmc.bootstrap_results(z))
            z, results = kernel.one_step(z, before, seed=noise)
            log_p = results.inner_results.accepted_results.target_log_prob
            x = unconstrained(z)
            ratio = log_p - self._log_q(x)
            u = draws.uniform(tf.shape(ratio), jump, z.dtype)
            is_taken = tf.math.log(u) < proposal_ratios[i] - ratio
            values = (x, log_p, ratio, tf.cast(is_taken, z.dtype))
            written = [a.write(i, v) for a, v in zip(arrays, values, strict=True)]
            return i + 1, tf.where(is_taken[:, None], proposals[i], z), *written

        arrays = [tf.TensorArray(z.dtype, _KEPT) for _ in range(4)]
        start = 0, z, *arrays
        _, _, *arrays = tf.while_loop(lambda i, *_: i < _KEPT, keep, start)
        return [array.stack() for array in arrays]


def _proposals(weighted, rng):
    """Draws of q for each step of each chain, `[T, C, D]`, and their log-ratios."""
    rows = rng.integers(weighted.num_from_q, size=(_KEPT, _NUM_CHAINS))
    return weighted.from_q[rows], weighted.ratios[rows]


def _warm_up(log_prob, z, seed):
    """Returns a kernel, and the states and kernel results after its warm-up from `z`."""
    step_sizes = tf.fill([tf.shape(z)[0], 1], tf.constant(0.1, z.dtype))
    hmc = tfp.mcmc.HamiltonianMonteCarlo(log_prob, step_sizes, _LEAPFROGS)
    kernel = _TracedOnce(hmc, _WARM_UP, target_accept_prob=_ACCEPTANCE)
    warmed = tfp.mcmc.sample_chain(
        1,
        z,
        kernel=kernel,
        num_burnin_steps=_WARM_UP - 1,
        trace_fn=None,
        return_final_kernel_results=True,
        seed=seed,
    )
    return kernel, warmed.all_states[-1], warmed.final_kernel_results


class _TracedOnce(tfp.mcmc.DualAveragingStepSizeAdaptation):
    """A kernel with one trace of a step, for the warm-up and the steps after it."""

    @functools.cached_property
    def one_step(self):
        return graph_function(super().one_step)


def r_hat_with_draws(
    chains: Chains, is_used: np.ndarray, weighted: WeightedDraws, rng: np.random.Generator
) -> float:
    """Returns R-hat between groups of used chains and groups of weighted draws."""
    used = np.flatnonzero(is_used)
    group_size = len(used) // _NUM_GROUPS
    if group_size < 2 or not weighted.ess > 1.0:
        return math.nan
    used = rng.permutation(used)[: _NUM_GROUPS * group_size]
    size = chains.draws.shape[-1]
    from_chains = chains.draws[:, used].transpose(1, 0, 2).reshape(_NUM_GROUPS, -1, size)
    count = from_chains.shape[0] * from_chains.shape[1]
    groups = weighted.resampled(count, rng).reshape(from_chains.shape)
    return rank_r_hat(np.concatenate([from_chains, groups]))


def rank_r_hat(groups: np.ndarray) -> float:
    """Compares groups of equally many draws, variable by variable.

    ```none
    z = Phi^-1((rank - 3/8) / (S + 1/4)),   R = sqrt((n - 1) / n + B / (n W))
    ```

    B / n is the variance between the groups' means and W the variance within groups. It is
    computed for the draws, `[G, n, D]`, and for their distances from the median, which show
    the spread. The largest R-hat of all variables is returned; 1 if all groups agree.

    Reference:
      Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Rank-normalization, folding, and
      localization. https://arxiv.org/abs/1903.08008
    """
    flat = groups.reshape(-1, groups.shape[-1])
    folded = np.abs(groups - np.median(flat, axis=0))
    return float(max(_r_hat(groups), _r_hat(folded)))


def _r_hat(groups):
    flat, count = groups.reshape(-1, groups.shape[-1]), groups.shape[1]
    # Chains and weighted draws repeat values.
    ranks = np.stack([mean_ranks(column) for column in flat.T], axis=1)
    z = tf.math.ndtri((ranks - 0.375) / (len(flat) + 0.25)).numpy().reshape(groups.shape)
    within = z.var(axis=1, ddof=1).mean(axis=0)
    between = z.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((count - 1.0) / count + between / np.maximum(within, 1e-12)).max()


@dataclasses.dataclass(frozen=True)
class UncoveredBounds:
    """Bounds on errors of expectations by weighted draws, which lack the uncovered mass."""

    probability: float  # of any event: the uncovered mass plus two standard errors
    mean: float  # of any variable, in standard deviations
    deviation: float  # of the logarithm of any standard deviation

    @property
    def are_harmless(self) -> bool:
        """Whether all errors are small enough for draws by weights."""
        is_close = self.mean <= MEAN_CHANGE and self.deviation <= DEVIATION_CHANGE
        return is_close and self.probability <= _PROBABILITY


def uncovered_mass(
    chains: Chains, is_used: np.ndarray, weighted: WeightedDraws, flatten: Callable
) -> tuple[float, UncoveredBounds | None]:
    """Returns how much more mass chains have beyond the draws of q than weighted draws.

    Points beyond them have a larger ratio of target to q than all draws of q. Chains that
    are in the posterior's mass are used, booleans `[C]`. `flatten` maps unconstrained
    draws, `[N, D]`, to the entries of the parts, `[N, E]`. There are no bounds if the mass
    is 0 or not known.
    """
    if not is_used.any():
        return math.nan, None
    most = weighted.ratios[np.isfinite(weighted.ratios)].max(initial=-np.inf)
    is_counted = is_used & chains.is_settled
    is_beyond = is_counted & (chains.log_ratios > most)
    share = float(is_beyond.sum() / max(is_counted.sum(), 1))
    with np.errstate(invalid="ignore"):
        is_known = weighted.log_p - weighted.log_q > most
    weights = weighted.weights[is_known]
    known_share = float(weights.sum())
    uncovered = share - known_share
    if not uncovered > 0.0:
        return 0.0, None
    # If chains stay beyond the draws of q, their last third has the largest share there.
    late = len(is_counted) - len(is_counted) // 3
    bounds = (_upper_bound(is_beyond[t:], is_counted[t:]) for t in (0, late))
    bound = max(bounds) - known_share
    entries, moments = weighted.entries, weighted.moments
    varies = entries_that_vary(entries)
    mean, deviation = moments.mean[varies], moments.deviation[varies]
    beyond = (flatten(chains.draws[is_beyond])[:, varies] - mean) / deviation
    known = (entries[is_known][:, varies] - mean) / deviation
    # Expectations by chains beyond the draws of q, and by weights elsewhere.
    rest = (1.0 - share) / max(1.0 - known_share, 1e-9)
    equal = np.full(len(beyond), 1.0 / is_counted.sum())
    shift = equal @ beyond - rest * (weights @ known)
    square = equal @ beyond**2 + rest * (1.0 - weights @ known**2)
    change = 0.5 * np.log(np.maximum(square - shift**2, 1e-30))
    # Scales the effects from the estimate of the mass to its bound.
    effects = (np.abs(x).max() * bound / uncovered for x in (shift, change))
    return uncovered, UncoveredBounds(bound, *map(float, effects))


def _upper_bound(is_beyond, is_counted):
    """Share of draws, `[T, C]`, plus two standard errors from the spread of chains."""
    shares = is_beyond.sum(axis=0) / max(is_counted.sum() / is_counted.shape[1], 1.0)
    return float(shares.mean() + 2.0 * shares.std() / math.sqrt(len(shares)))


def r_hat_check(r_hat: float, complete: bool, seconds_needed: float) -> Check:
    """Checks that Markov chains, if there was time for them, agree with the weighted draws.

    R-hat is NaN if hardly a chain arrived. Chains and the search for maxima take about
    `seconds_needed`; 0 if not known.
    """
    if not complete:
        minutes = seconds_needed / 60.0
        alone = f": these alone take about {minutes:.1f} minutes" if minutes else ""
        advice = (
            "There was no time for Markov chains and a search for maxima, without which "
            f"nothing is reliable. Try a larger `max_minutes`{alone}."
        )
    elif math.isnan(r_hat):
        advice = (
            "Hardly any of the Markov chains that check the posterior reached a stationary "
            "density. Try other parameters, or MCMC."
        )
    else:
        advice = (
            f"Markov chains and weighted draws differ: R-hat {r_hat:.3f}, above "
            f"{_MOST_R_HAT}. Try MCMC with many chains."
        )
    return Check(
        "R-hat with chains", r_hat, _MOST_R_HAT, complete and r_hat <= _MOST_R_HAT, advice
    )


def uncovered_mass_check(mass: float, bounds: UncoveredBounds | None) -> Check:
    """Checks that the posterior has mass wherever chains go, by `uncovered_mass`."""
    words = (
        f"Of the draws of Markov chains, {100.0 * mass:.2f} % are where the posterior has "
        "far too little mass."
    )
    advice, is_harmless = "Try another seed, or MCMC with many chains.", False
    if bounds is not None and bounds.are_harmless:
        is_harmless = True
        advice = (
            f"Use `resample`: probabilities may be off by {bounds.probability:.3f}, means "
            f"by {bounds.mean:.3f} standard deviations, and standard deviations by "
            f"{100.0 * np.expm1(bounds.deviation):.1f} %, beside what `ess` tells."
        )
    name, passed = "uncovered mass", not mass > UNCOVERED_MASS
    return Check(name, mass, UNCOVERED_MASS, passed, f"{words} {advice}", is_harmless)
