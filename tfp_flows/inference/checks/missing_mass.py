"""Mass that a posterior lacks: where chains are stuck, and at further maxima."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tfp_flows.inference.checks.importance import mean_and_factor
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.target import is_rounding

if TYPE_CHECKING:
    from tfp_flows.inference.checks.chains import Chains
    from tfp_flows.inference.checks.importance import ImportanceSampler

__all__ = ["distinct", "log_mass", "from_group", "stuck_groups"]
_NUM_PROBES, _NUM_ROUNDED = 400, 32
# Mass that counts, in nats below the evidence, and how far the posterior must be below the
# target where that mass is.
_COUNTS, _UNDER = 5.0, 1.5
# Chains whose means differ by less than this, in standard deviations, are together.
_TOGETHER = 3.0


def stuck_groups(chains: Chains) -> list[list[int]]:
    """Returns chains that took no draw of the posterior, those in one place together."""
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


def from_group(chains: Chains, group: list[int]) -> Gaussian:
    """Returns the Gaussian of the draws of some chains."""
    rows = chains.draws[:, group].reshape(-1, chains.draws.shape[-1])
    return Gaussian(*mean_and_factor(rows))


def log_mass(
    evaluation: ImportanceSampler,
    gaussian: Gaussian,
    evidence: float,
    rng: np.random.Generator,
) -> tuple[bool, bool, float]:
    """Returns whether a Gaussian has mass that counts, whether q lacks it, and its log."""
    size = len(gaussian.mean)
    noise = rng.normal(size=(_NUM_PROBES, size))
    draws = gaussian.draw(noise)
    if is_rounding(evaluation.density, draws[:_NUM_ROUNDED]).mean() > 0.5:
        return False, False, -math.inf
    log_p, log_q = evaluation.at(draws)
    log_normal = -0.5 * (noise**2).sum(axis=1) - 0.5 * size * math.log(2.0 * math.pi)
    ratios = log_p - (log_normal - gaussian.log_scale)
    mass = float(np.logaddexp.reduce(ratios) - math.log(_NUM_PROBES))
    if not np.isfinite(evidence):
        return True, True, mass
    with np.errstate(invalid="ignore"):
        is_under = np.nanmedian(log_p - log_q) - evidence > _UNDER
    return mass > evidence - _COUNTS, bool(is_under), mass


def distinct(
    candidates: list[Gaussian], tested: list[tuple[bool, bool, float]]
) -> tuple[list[Gaussian], list[float]]:
    """Returns those of the candidates that are missing, each once, and their log-masses."""
    missing: list[Gaussian] = []
    masses = []
    for gaussian, (counts, is_under, mass) in zip(candidates, tested, strict=True):
        is_new = not any(_overlap(gaussian, other) for other in missing)
        if counts and is_under and is_new and np.isfinite(mass):
            missing.append(gaussian)
            masses.append(mass)
    return missing, masses


def _overlap(gaussian, other):
    """Whether two Gaussians are in one place, and about equally wide."""
    distances = gaussian.whiten(other.mean), other.whiten(gaussian.mean)
    width = abs(gaussian.log_scale - other.log_scale) / len(gaussian.mean)
    return max(map(np.linalg.norm, distances)) < 1.0 and width < 0.7
