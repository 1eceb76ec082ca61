"""A search for mass that a posterior lacks: where chains are stuck, and modes on rays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tfp_flows.core.check import Check
from tfp_flows.inference.checks.chains import Chains
from tfp_flows.inference.checks.importance import ImportanceSampler, WeightedDraws
from tfp_flows.inference.initial_flow import Start
from tfp_flows.inference.modes import Gaussian, Modes, find_modes
from tfp_flows.inference.target import UnconstrainedDensity, is_rounding

# Starts of the search: broad draws, and draws of the largest weights.
_NUM_BROAD, _NUM_HEAVIEST = 56, 8
_BREADTHS = (2.0, 5.0, 15.0, 50.0)  # scales of broad draws; the posterior's is 1
_MOST_CENTRES = 3  # components of the posterior, the largest first, from which rays start
_KNOWN = 1.0  # nats; the posterior knows a point where the target exceeds it by less
# Number of draws of a Gaussian that estimate its mass, and that are tested for rounding.
_NUM_PROBES, _NUM_ROUNDED = 400, 32
_COUNTED_WITHIN = 5.0  # nats; mass counts if it is at most so far below the evidence
_UNDER = 1.5  # nats; the posterior lacks mass where it is so far below the target
_TOGETHER = 3.0  # standard deviations; chains with closer means form a group
# Rays start this many standard deviations from a centre, and end at the larger of two
# distances: in standard deviations, and in units of the unconstrained variables.
_NEAREST, _FARTHEST, _FARTHEST_UNITS = 0.5, 150.0, 50.0
# Number of points of all rays in random directions. The number on one ray depends on D, so
# that distances across and along rays are about equal.
_NUM_SCATTERED = 20_000
_NUM_RADII, _FEWEST_RADII = {1: 400, 2: 133, 3: 40, 4: 21}, 14
_NUM_DENSE_RADII = 56  # points of a ray along an axis or a diagonal, 11 % apart
_MOST_AXES, _MOST_DIAGONALS = 32, 32
_NUM_SHELLS = 14  # ranges of distance
_NUM_COMPARED = 8  # points of a shell that are compared with the posterior
_FROM_SHELL = 2  # points of a shell that are taken if the posterior lacks them
_MET = 0.95  # probability that a ray meets a mode as wide as `narrowest_modes` returns


def further_modes(
    sampler: ImportanceSampler,
    weighted: WeightedDraws,
    start: Start,
    rng: np.random.Generator,
) -> Modes:
    """Climbs from broad draws, the heaviest draws, draws of the prior, and along rays.

    Rays start from the centre of the draws, and of the components of the start.
    """
    density, gaussian, prior = sampler.density, weighted.gaussian, start.space.prior_draws
    evidence, components = weighted.log_evidence.value, start.gaussians

    def is_known(x):
        log_p, log_q = sampler.log_p_and_log_q(x)
        with np.errstate(invalid="ignore"):
            return log_p - log_q < evidence + _KNOWN

    centres = [gaussian, *(components[:_MOST_CENTRES] if len(components) > 1 else [])]
    heaviest = weighted.x[np.argsort(-weighted.log_weights)[:_NUM_HEAVIEST]]
    noise = rng.normal(size=(_NUM_BROAD, density.event_size))
    broad = gaussian.draw(noise * np.resize(_BREADTHS, [_NUM_BROAD, 1]))
    on_rays = points_on_rays(density, centres, prior, is_known, rng)
    starts = np.concatenate([broad, heaviest, prior, on_rays])
    return find_modes(density, starts, is_known=is_known)


def points_on_rays(
    density: UnconstrainedDensity,
    centres: Sequence[Gaussian],
    points: np.ndarray,
    is_known: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns points on rays from which climbs may reach unknown maxima, `[S, D]`.

    ```none
    x = mean + r L u,   |u| = 1,   r from 0.5 to 150 or more, in equal ratios
    ```

    The density is evaluated along rays from each centre: densely along axes, principal
    axes, diagonals and towards `points`, and sparsely in random directions. At each
    distance, the highest points and the points at which the density rises again are taken,
    unless they are known. A Gaussian of width w is higher than one of width 1 within an
    angle of about arcsin(w), at any distance.

    Rays from the first centre also go to `points`, `[P, D]`, for example draws of the
    prior. The posterior has the mass of points, `[N, D]`, that are known, `[N]`.
    """
    size, highest = density.event_size, []
    num_radii = _NUM_RADII.get(size, _FEWEST_RADII)
    count = max(_NUM_SCATTERED // (num_radii * len(centres)), 1)
    for k, centre in enumerate(centres):
        directed = _directed(centre, points if k == 0 else points[:0])
        scattered = centre.scaled(_scattered(size, count, rng))
        highest.append(_highest(density, centre, directed, _NUM_DENSE_RADII, is_known))
        highest.append(_highest(density, centre, scattered, num_radii, is_known))
    return np.unique(np.concatenate(highest), axis=0)


def narrowest_modes(size: int) -> tuple[float, float]:
    """Returns the widths of the narrowest modes that `points_on_rays` meets.

    The first width is along axes and diagonals, the second in other directions. Both are
    in standard deviations of the posterior from whose centre rays start.
    """
    num_radii = _NUM_RADII.get(size, _FEWEST_RADII)
    ratio = math.log(_FARTHEST / _NEAREST)
    along, dense = 0.5 * ratio / num_radii, 0.5 * ratio / _NUM_DENSE_RADII
    if size <= 2:
        across = 0.0 if size == 1 else math.pi * num_radii / _NUM_SCATTERED
        return min(dense, along), max(across, along)
    # The angle within which one of all rays lies with this probability.
    share = -math.log(1.0 - _MET) * num_radii / _NUM_SCATTERED
    angles = np.linspace(0.0, 0.5 * math.pi, 10_001)
    shares = np.cumsum(np.sin(angles) ** (size - 2))
    angle = angles[np.searchsorted(0.5 * shares / shares[-1], share)]
    return dense, max(float(np.sin(angle)), math.tanh(along))


def _directed(centre, points):
    """Directions along axes and diagonals and to points, 1 deviation long, `[N, D]`."""
    size = len(centre.mean)
    factor = centre.matrix
    scales = np.linalg.norm(factor, axis=1)
    axes = np.eye(size)[:_MOST_AXES]
    # Rows of Walsh's matrix: all signs equal, every second one, every second pair, ...
    rows = range(min(1 << (size - 1).bit_length(), _MOST_DIAGONALS))
    bits = [[(i & j).bit_count() for j in range(size)] for i in rows]
    signs = 1.0 - 2.0 * (np.array(bits) % 2)
    columns = factor.T[:_MOST_AXES]
    lines = np.concatenate([axes * scales, columns, signs * scales, signs[:1]])
    directions = np.concatenate([lines, -lines, points - centre.mean])
    lengths = centre.lengths(directions)
    is_usable = np.isfinite(lengths) & (lengths > 0.0)
    return directions[is_usable] / lengths[is_usable, None]


def _scattered(size, count, rng):
    """Unit vectors, `[N, D]`: equally spaced in the plane, and random in more variables."""
    if size == 1:
        return np.array([[-1.0], [1.0]])
    if size == 2:
        angles = 2.0 * np.pi * (np.arange(count) + rng.uniform()) / count
        return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    z = rng.normal(size=(count, size))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _highest(density, centre, directions, num_radii, is_known):
    """Points of rays that are high at their distance, or where the density rises again."""
    units = _FARTHEST_UNITS / np.maximum(np.linalg.norm(directions, axis=1), 1e-300)
    ratios = np.maximum(_FARTHEST, units) / _NEAREST
    radii = _NEAREST * ratios ** np.linspace(0.0, 1.0, num_radii)[:, None]  # [R, N]
    points = centre.mean + radii[..., None] * directions
    with np.errstate(all="ignore"):
        values = density.log_prob(points.reshape(-1, points.shape[-1]))
    values = np.where(np.isfinite(values), values, -np.inf).reshape(radii.shape)
    ahead = np.concatenate([values[1:], np.full_like(values[:1], -np.inf)])
    behind = np.concatenate([np.full_like(values[:1], np.inf), values[:-1]])
    peaks = np.where((values > behind) & (values >= ahead), values, -np.inf)
    candidates = []  # points of each shell, the highest first
    for heights in values, peaks:
        for rows in np.array_split(np.arange(num_radii), _NUM_SHELLS):
            flat = heights[rows].ravel()
            best = np.argsort(-flat)[:_NUM_COMPARED]
            best = best[np.isfinite(flat[best])]
            candidates.append(points[rows].reshape(len(flat), -1)[best])
    together = np.concatenate(candidates)
    if not len(together):
        return together
    known = np.split(is_known(together), np.cumsum([*map(len, candidates)])[:-1])
    pairs = zip(candidates, known, strict=True)
    return np.concatenate([x[~there][:_FROM_SHELL] for x, there in pairs])


def used_and_missing(
    sampler: ImportanceSampler,
    chains: Chains,
    modes: Modes,
    evidence: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Gaussian]]:
    """Returns which chains are in mass that counts, `[C]`, and mass that q lacks.

    Mass may be lacking where chains took no draw of q, and at modes. It counts in relation
    to the log-evidence.
    """
    groups, is_used = _stuck_groups(chains), chains.has_arrived.copy()
    gaussians = [Gaussian.from_draws(chains.draws_in(group)) for group in groups]
    gaussians += modes.gaussians
    missing: list[Gaussian] = []
    for k, gaussian in enumerate(gaussians):
        measured, counts, is_missing = _measured(sampler, gaussian, evidence, rng)
        if k < len(groups):
            is_used[groups[k]] &= counts
        if is_missing and not any(_overlap(measured, other) for other in missing):
            missing.append(measured)
    return is_used, missing


def _stuck_groups(chains):
    """Groups of chains that took no posterior draw, one group for each place."""
    stuck = np.flatnonzero(chains.has_arrived & (chains.jump_shares == 0.0))
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


def _measured(sampler, gaussian, evidence, rng):
    """A Gaussian with its mass, whether this counts, and whether the posterior lacks it."""
    size = len(gaussian.mean)
    noise = rng.normal(size=(_NUM_PROBES, size))
    draws = gaussian.draw(noise)
    if is_rounding(sampler.density, draws[:_NUM_ROUNDED]).mean() > 0.5:
        return gaussian, False, False
    log_p, log_q = sampler.log_p_and_log_q(draws)
    log_normal = -0.5 * (noise**2).sum(axis=1) - 0.5 * size * math.log(2.0 * math.pi)
    ratios = log_p - (log_normal - gaussian.log_det)
    mass = float(np.logaddexp.reduce(ratios) - math.log(_NUM_PROBES))
    gaussian = dataclasses.replace(gaussian, log_mass=mass)
    if not np.isfinite(evidence):
        return gaussian, True, math.isfinite(mass)
    with np.errstate(invalid="ignore"):
        is_under = np.nanmedian(log_p - log_q) - evidence > _UNDER
    counts = mass > evidence - _COUNTED_WITHIN
    return gaussian, counts, counts and bool(is_under) and math.isfinite(mass)


def _overlap(gaussian, other):
    """Whether two Gaussians have about the same place and width."""
    width = abs(gaussian.log_det - other.log_det) / len(gaussian.mean)
    return gaussian.distance(other) < 1.0 and width < 0.7


def missing_mass_check(missing: Sequence[Gaussian]) -> Check:
    """Checks that the search has found no mass that the posterior lacks."""
    advice = (
        f"{len(missing)} regions have mass that the posterior lacks. Try MCMC with many "
        "chains, or another seed."
    )
    return Check.at_most("regions with missing mass", float(len(missing)), 0.0, advice)
