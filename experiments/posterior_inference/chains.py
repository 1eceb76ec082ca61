"""Chains of NUTS, with a mass matrix or through a posterior's flow, and their cost."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows


class Lengths(NamedTuple):
    """Number of chains, draws of each, and adaptation steps of each before the draws."""

    num_chains: int
    num_draws: int
    num_adaptation_steps: int

    @classmethod
    def shared(cls, settings):
        """Returns the lengths of chains that share `settings.num_draws`."""
        draws = -(-settings.num_draws // settings.num_chains)
        return cls(settings.num_chains, draws, settings.num_adaptation_steps)


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws of chains and their cost.

    Attributes:
      draws: `[draws, chains, D]`.
      num_gradients: evaluations of the target's gradient by all chains, without the
        adaptation.
      divergences: share of the steps that diverged.
      adaptation_gradients: evaluations of the gradient in the adaptation.
    """

    draws: np.ndarray
    num_gradients: int
    divergences: float
    adaptation_gradients: int = 0

    @property
    def effective_sizes(self):
        """Effective sample size of each variable, `[D]`, of all chains together."""
        return tfp.mcmc.effective_sample_size(
            self.draws, filter_beyond_positive_pairs=True, cross_chain_dims=1
        ).numpy()

    @property
    def r_hat(self):
        """Potential scale reduction, the largest of all variables."""
        found = tfp.mcmc.potential_scale_reduction(self.draws, split_chains=True)
        return float(found.numpy().max())

    @property
    def rows(self):
        """The draws of all chains, `[N, D]`."""
        return self.draws.reshape(-1, self.draws.shape[-1])


def windowed_nuts(entry, lengths, *, seed):
    """Returns the `Chains` of a target's parameters.

    Step size and mass matrix adapt in windows, on the unconstrained space.
    """

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def sample():
        return tfp.experimental.mcmc.windowed_adaptive_nuts(
            lengths.num_draws,
            entry.build(),
            n_chains=lengths.num_chains,
            num_adaptation_steps=lengths.num_adaptation_steps,
            discard_tuning=False,
            seed=seed,
            **entry.observed,
        )

    parts, trace = sample()
    return _chains(entry.rows, parts, trace["n_steps"], trace["diverging"], lengths)


def flow_nuts(posterior, entry, to_rows, lengths, *, precondition=True, seed):
    """Returns the `Chains` of NUTS in the latent space of a flow, started at its draws.

    The step size is adapted, the mass matrix is the identity. `to_rows` is a function from
    parts, `[N, *event]` each, to the rows of the chains. Without `precondition`, NUTS runs
    in the unconstrained space.
    """
    num_adaptation_steps = lengths.num_adaptation_steps
    kernel = tfp_flows.neutra_kernel(
        entry.pinned().unnormalized_log_prob,
        posterior,
        make_kernel=functools.partial(
            tfp_flows.inference.adaptive_nuts, num_adaptation_steps=num_adaptation_steps
        ),
        precondition=precondition,
    )
    start = posterior.sample(lengths.num_chains, seed=seed)

    def trace(_, results):
        nuts = results.inner_results.inner_results
        return nuts.leapfrogs_taken, nuts.has_divergence

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def sample():
        return tfp.mcmc.sample_chain(
            lengths.num_draws + num_adaptation_steps,
            start,
            kernel=kernel,
            trace_fn=trace,
            seed=(4, seed),
        )

    parts, (leapfrogs, diverged) = sample()
    return _chains(to_rows, parts, leapfrogs, diverged, lengths)


def _chains(to_rows, parts, leapfrogs, diverged, lengths):
    kept = slice(lengths.num_adaptation_steps, None)
    merged = tf.nest.map_structure(
        lambda part: np.reshape(part[kept], [-1, *part.shape[2:]]), parts
    )
    leapfrogs, diverged = np.asarray(leapfrogs), np.asarray(diverged)
    draws = np.asarray(to_rows(merged))
    return Chains(
        draws.reshape(*leapfrogs[kept].shape, -1),
        int(leapfrogs[kept].sum()),
        float(np.mean(diverged[kept])),
        int(leapfrogs[: lengths.num_adaptation_steps].sum()),
    )
