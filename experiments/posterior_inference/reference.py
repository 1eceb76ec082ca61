"""Long chains of NUTS, the draws that a surrogate posterior is compared with."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.posteriordb import find

__all__ = ["Reference", "nuts"]


@dataclasses.dataclass(frozen=True)
class Reference:
    """Draws to compare with, and of own chains what says whether they can be trusted.

    Attributes:
      draws: `[N, D]`, of all chains, in the parts' own units.
      origin: what made them.
      r_hat: potential scale reduction, the largest of all variables.
      effective_size: effective sample size, the smallest of all variables.
      divergences: share of the steps that diverged.
    """

    draws: np.ndarray
    origin: str
    r_hat: float | None = None
    effective_size: float | None = None
    divergences: float | None = None


@functools.cache
def nuts(target, *, data_dir="", num_chains, num_draws, num_adaptation_steps, seed):
    """Returns the `Reference` of a target by name, one and the same for equal arguments.

    Step size and mass matrix adapt in windows, on the unconstrained space.

    Args:
      target: name of a target, as `find` takes it.
      data_dir: folder with its data, where it needs one.
      num_chains: number of chains.
      num_draws: draws of each, after the adaptation.
      num_adaptation_steps: steps before.
      seed: integer.
    """
    entry = find(target, data_dir)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def sample():
        return tfp.experimental.mcmc.windowed_adaptive_nuts(
            num_draws,
            entry.build(),
            n_chains=num_chains,
            num_adaptation_steps=num_adaptation_steps,
            seed=(1, seed),
            **entry.observed,
        )

    parts, trace = sample()
    rows = entry.rows(tf.nest.map_structure(_merge_first_axes, parts))
    chains = rows.reshape(num_draws, num_chains, -1)
    return Reference(
        rows,
        "NUTS",
        float(tfp.mcmc.potential_scale_reduction(chains, split_chains=True).numpy().max()),
        float(_effective_size(chains).min()),
        float(np.mean(trace["diverging"])),
    )


def _merge_first_axes(part):
    return np.reshape(part, [-1, *part.shape[2:]])


def _effective_size(chains):
    return tfp.mcmc.effective_sample_size(
        chains, filter_beyond_positive_pairs=True, cross_chain_dims=1
    ).numpy()
