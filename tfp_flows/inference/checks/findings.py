"""Measurements of a posterior: weighted draws, Markov chains, a search for missing mass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.checks.chains import (
    NUM_CONTINUED,
    UNCOVERED_MASS,
    CheckChains,
    UncoveredBounds,
    r_hat_with_draws,
    uncovered_mass,
)
from tfp_flows.inference.checks.importance import (
    BATCH_SIZE,
    ImportanceSampler,
    WeightedDraws,
)
from tfp_flows.inference.checks.missing_mass import further_modes, used_and_missing
from tfp_flows.inference.initial_flow import Start
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.target import UnconstrainedDensity

# Numbers of weighted draws; the first one that determines the moments is taken.
_NUMBERS_OF_DRAWS = 20_000, 100_000, 400_000
_FEWEST_DRAWS = 256
_FEWEST_EFFECTIVE = 1000  # least ESS at which weighted draws are preferred to chains
_NUM_GRADIENTS = 150_000  # sum for chains, search and the fewest weighted draws


@dataclasses.dataclass(frozen=True)
class Findings:
    """Measurements of a posterior."""

    weighted: WeightedDraws
    r_hat: float = math.nan  # NaN if hardly a chain arrived
    # Share of the chains' draws where the posterior has far too little mass, and bounds of
    # its effects on expectations.
    uncovered_mass: float = math.nan
    uncovered_bounds: UncoveredBounds | None = None
    missing: Sequence[Gaussian] = ()  # of mass that the posterior lacks
    # Draws of the chains that arrived where mass is, `[M, D]`.
    chain_draws: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0, 0]))
    num_gradients: int = 0
    complete: bool = True  # whether there was time for chains and a search for modes
    seconds_needed: float = 0.0  # for these, about, if not complete; 0 if not known

    @property
    def is_near_target(self) -> bool:
        """Whether weighted draws are near the target, even if moments are not known."""
        return self.weighted.is_light and self.weighted.ess >= _FEWEST_EFFECTIVE

    def likely_draws(self, rng: np.random.Generator) -> np.ndarray:
        """Returns draws near to the target's, `[N, D]`: by weights, or from chains."""
        if self.weighted.ess < _FEWEST_EFFECTIVE:
            return rng.permutation(self.chain_draws)
        return self.weighted.resampled(len(self.weighted.x), rng)


def seconds_of_checks(density: UnconstrainedDensity) -> float:
    """Returns about the wall time of `examine`, without compilation."""
    return _NUM_GRADIENTS * density.seconds_of_gradient


def examine(
    start: Start,
    distribution: FlowDistribution,
    *,
    seed: int,
    seconds: float = math.inf,
    by_xla: bool = True,
    show: Callable[[str, float], None] = lambda *_: None,
) -> Findings:
    """Measures a posterior by its weights, by Markov chains and by a search for modes.

    It is the distribution after training from a start. If the wall time that is left,
    `seconds`, is too short, only weights are measured. `show` takes words for what is being
    done, and the share that is done.
    """
    density, flatten = start.space.density, start.space.support.entries
    show("checking weighted draws", 0.0)
    rng = np.random.default_rng([seed, 2])
    if seconds < seconds_of_checks(density):
        return _weights_alone(start, distribution, seed, seconds)
    sampler = ImportanceSampler(density, distribution, flatten)
    spare_gradients = seconds / max(density.seconds_of_gradient, 1e-12) - _NUM_GRADIENTS
    fewest, *larger = _NUMBERS_OF_DRAWS
    counts = [fewest, *(count for count in larger if count < spare_gradients)]
    weighted = sampler.weighted_until_known(counts, seed)
    show("checking Markov chains", 0.3)
    runner = CheckChains(density, sampler.log_q, by_xla)
    chains = runner.first_chains(weighted, start.ends, seed, rng)
    show("searching for further modes", 0.7)
    modes = further_modes(sampler, weighted, start, rng)
    num_gradients = chains.num_gradients + modes.num_gradients
    evidence = weighted.log_evidence.value
    is_used, missing = used_and_missing(sampler, chains, modes, evidence, rng)
    mass, bounds = uncovered_mass(chains, is_used, weighted, flatten)
    if mass > UNCOVERED_MASS and spare_gradients < NUM_CONTINUED * chains.num_gradients:
        bounds = None  # there is no time to know
    elif mass > UNCOVERED_MASS:
        show("continuing Markov chains", 0.9)
        longer = runner.continued(chains, is_used, weighted, seed, rng)
        num_gradients += longer.num_gradients
        later, later_bounds = uncovered_mass(longer, longer.has_arrived, weighted, flatten)
        mass, bounds = max(mass, later), later_bounds or bounds
    return Findings(
        weighted,
        r_hat=r_hat_with_draws(chains, is_used, weighted, rng),
        uncovered_mass=mass,
        uncovered_bounds=bounds,
        missing=missing,
        chain_draws=chains.draws_in(is_used),
        num_gradients=num_gradients,
    )


def _weights_alone(start, distribution, seed, seconds):
    """Returns the findings of as many weighted draws as there is time for."""
    density, flatten = start.space.density, start.space.support.entries
    # The fewest draws, if there was no time to measure the seconds of one.
    affordable = 0.5 * seconds / (density.seconds_of_gradient or math.inf)
    count = int(np.clip(affordable, _FEWEST_DRAWS, _NUMBERS_OF_DRAWS[0]))
    batch_size = min(count, BATCH_SIZE)
    sampler = ImportanceSampler(density, distribution, flatten, batch_size=batch_size)
    weighted = sampler.weighted_until_known([count], seed)
    return Findings(weighted, complete=False, seconds_needed=seconds_of_checks(density))
