"""A search for mass that a posterior lacks: where chains are stuck, and further modes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfp_flows.core.check import Check
from tfp_flows.inference.checks.chains import Chains
from tfp_flows.inference.checks.importance import ImportanceSampler, WeightedDraws
from tfp_flows.inference.checks.rays import points_on_rays
from tfp_flows.inference.modes import Gaussian, Modes, find_modes
from tfp_flows.inference.target import is_rounding

# Starts of the search, and how much broader than the posterior they are.
_NUM_BROAD, _NUM_HEAVIEST = 56, 8
_BREADTHS = (2.0, 5.0, 15.0, 50.0)
# Components of the posterior with the largest mass, from which rays start, too.
_MOST_CENTRES = 3
# The posterior knows a point if the target exceeds it there by less than this, in nats.
_KNOWN = 1.0
# Number of draws of a Gaussian that estimate its mass, and that are tested for rounding.
_NUM_PROBES, _NUM_ROUNDED = 400, 32
# Mass counts if it is at most so many nats below the evidence. The posterior lacks it if
# the posterior is so many nats below the target.
_COUNTS, _UNDER = 5.0, 1.5
# Chains whose means differ by less than this, in standard deviations, form a group.
_TOGETHER = 3.0


def further_modes(
    sampler: ImportanceSampler,
    weighted: WeightedDraws,
    components: Sequence[Gaussian],
    prior: np.ndarray,
    rng: np.random.Generator,
) -> Modes:
    """Climbs from broad draws, the heaviest draws, draws of the prior, and along rays.

    Rays start from the centre of the draws, and of the `components` that the posterior
    started from. `prior` are draws, `[P, D]`.
    """
    density, gaussian = sampler.density, weighted.gaussian
    evidence = weighted.log_evidence[0]

    def is_known(x):
        log_p, log_q = sampler.at(x)
        with np.errstate(invalid="ignore"):
            return log_p - log_q < evidence + _KNOWN

    centres = [gaussian, *(components[:_MOST_CENTRES] if len(components) > 1 else [])]
    heaviest = weighted.x[np.argsort(-weighted.log_weights)[:_NUM_HEAVIEST]]
    noise = rng.normal(size=(_NUM_BROAD, density.event_size))
    broad = gaussian.draw(noise * np.resize(_BREADTHS, [_NUM_BROAD, 1]))
    on_rays = points_on_rays(density, centres, prior, is_known, rng)
    starts = np.concatenate([broad, heaviest, prior, on_rays])
    return find_modes(density, starts, is_known=is_known)


def stuck_groups(chains: Chains) -> list[list[int]]:
    """Returns groups of chains that took no posterior draw, one group for each place."""
    stuck = np.flatnonzero(chains.has_arrived & (chains.jumps == 0.0))
    groups: list[list[int]] = []
    spread = chains.draws.std(axis=0)  # [C, D]
    centre = chains.draws.mean(axis=0)
    for chain in stuck:
        for group in groups:
            width = np.maximum(spread[group].mean(axis=0), spread[chain])
            distance = np.abs(centre[group].mean(axis=0) - centre[chain])
            if (distance < _TOGETHER * np.maximum(width, 1e-12)).all():
                group.append(int(chain))
                break
        else:
            groups.append([int(chain)])
    return groups


class Region(NamedTuple):
    """A region of the target.

    Attributes:
      gaussian: its Gaussian, with its mass.
      counts: whether its mass counts.
      is_missing: whether the posterior lacks it.
    """

    gaussian: Gaussian
    counts: bool
    is_missing: bool


def measured(
    sampler: ImportanceSampler,
    gaussian: Gaussian,
    evidence: float,
    rng: np.random.Generator,
) -> Region:
    """Returns a Gaussian as a `Region`, by draws of it."""
    size = len(gaussian.mean)
    noise = rng.normal(size=(_NUM_PROBES, size))
    draws = gaussian.draw(noise)
    if is_rounding(sampler.density, draws[:_NUM_ROUNDED]).mean() > 0.5:
        return Region(gaussian, counts=False, is_missing=False)
    log_p, log_q = sampler.at(draws)
    log_normal = -0.5 * (noise**2).sum(axis=1) - 0.5 * size * math.log(2.0 * math.pi)
    ratios = log_p - (log_normal - gaussian.log_scale)
    mass = float(np.logaddexp.reduce(ratios) - math.log(_NUM_PROBES))
    gaussian = dataclasses.replace(gaussian, log_mass=mass)
    if not np.isfinite(evidence):
        return Region(gaussian, counts=True, is_missing=math.isfinite(mass))
    with np.errstate(invalid="ignore"):
        is_under = np.nanmedian(log_p - log_q) - evidence > _UNDER
    counts = mass > evidence - _COUNTS
    return Region(gaussian, counts, counts and bool(is_under) and math.isfinite(mass))


def distinct(regions: Sequence[Region]) -> list[Gaussian]:
    """Returns the Gaussians of missing regions, each place once."""
    missing: list[Gaussian] = []
    for gaussian, _, is_missing in regions:
        if is_missing and not any(_overlap(gaussian, other) for other in missing):
            missing.append(gaussian)
    return missing


def _overlap(gaussian, other):
    """Whether two Gaussians have about the same place and width."""
    width = abs(gaussian.log_scale - other.log_scale) / len(gaussian.mean)
    return gaussian.distance(other) < 1.0 and width < 0.7


def check_missing_mass(missing: Sequence[Gaussian]) -> Check:
    """Checks that the search has found no mass that the posterior lacks."""
    return Check(
        "regions with missing mass",
        float(len(missing)),
        0.0,
        not missing,
        f"{len(missing)} regions have mass that the posterior lacks. Try MCMC with many "
        "chains, or another seed.",
    )
