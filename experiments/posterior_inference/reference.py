"""The draws that a posterior is compared with."""

import dataclasses
import functools

import numpy as np

from experiments.posterior_inference.chains import windowed_nuts
from experiments.posterior_inference.posteriordb import find

__all__ = ["Reference", "exact", "nuts"]

_EXACT_DRAWS = 20000


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


def exact(entry):
    """Returns the `Reference` of a target that is a joint distribution as a whole."""
    draws = entry.build().sample(_EXACT_DRAWS, seed=(6, 0))
    return Reference(entry.rows(draws), "exact draws")


@functools.cache
def nuts(target, *, data_dir="", num_chains, num_draws, num_adaptation_steps, seed):
    """Returns the `Reference` of a target by name, one and the same for equal arguments.

    Args:
      target: name of a target, as `find` takes it.
      data_dir: folder with its data, where it needs one.
      num_chains: number of chains.
      num_draws: draws of each, after the adaptation.
      num_adaptation_steps: steps before.
      seed: integer.
    """
    chains = windowed_nuts(
        find(target, data_dir),
        num_chains=num_chains,
        num_draws=num_draws,
        num_adaptation_steps=num_adaptation_steps,
        seed=(1, seed),
    )
    return Reference(
        chains.rows,
        "NUTS",
        chains.r_hat,
        float(chains.effective_sizes.min()),
        chains.divergences,
    )
