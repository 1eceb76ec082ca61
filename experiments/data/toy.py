"""Densities in the plane, drawn from a seed."""

import functools

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry

_SIZES = (10_000, 2_000, 5_000)  # train, validation, test


def two_moons(rng, count):
    """Two interleaved half circles."""
    angle = np.pi * rng.random(count)
    upper = rng.random(count) < 0.5
    x = np.where(upper, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return _noisy(rng, np.stack([x, y], axis=1), 0.1)


def eight_gaussians(rng, count):
    """Eight normal distributions on a circle."""
    angle = rng.integers(8, size=count) * np.pi / 4.0
    return _noisy(rng, 2.0 * _on_circle(angle), 0.2)


def two_spirals(rng, count):
    """Two arms that wind around each other one and a half times."""
    # The root of a uniform variable spreads the points evenly along the arms.
    angle = 3.0 * np.pi * np.sqrt(rng.random(count))
    arm = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    radius = arm * angle / 3.0
    return _noisy(rng, radius[:, np.newaxis] * _on_circle(angle), 0.1)


def pinwheel(rng, count, *, num_blades=5):
    """Blades that bend more the further out they reach."""
    radius = 1.0 + 0.3 * rng.standard_normal(count)
    across = 0.1 * rng.standard_normal(count)
    turn = rng.integers(num_blades, size=count) * 2.0 * np.pi / num_blades
    angle = turn + 0.25 * np.exp(radius)
    along, sideways = _on_circle(angle), _on_circle(angle + np.pi / 2.0)
    return 2.0 * (radius[:, np.newaxis] * along + across[:, np.newaxis] * sideways)


def checkerboard(rng, count):
    """The black squares of a board of four by four, each of side one."""
    column = rng.integers(4, size=count)
    row = 2 * rng.integers(2, size=count) + column % 2
    return np.stack([column, row], axis=1) - 2.0 + rng.random((count, 2))


def rings(rng, count):
    """Four concentric circles, as dense on each, so that larger ones hold more points."""
    radius = rng.choice(4, size=count, p=np.arange(1, 5) / 10.0) + 1.0
    angle = 2.0 * np.pi * rng.random(count)
    return _noisy(rng, 0.75 * radius[:, np.newaxis] * _on_circle(angle), 0.08)


def _on_circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _noisy(rng, points, scale):
    return points + scale * rng.standard_normal(points.shape)


def _load(draw, request):
    streams = np.random.default_rng(request.seed).spawn(len(_SIZES))
    sets = [draw(rng, n).astype(np.float32) for rng, n in zip(streams, _SIZES, strict=True)]
    return Dataset(draw.__name__, *sets, column_names=("x", "y"))


ENTRIES = {
    draw.__name__: Entry(functools.partial(_load, draw), "drawn", _SIZES, 2)
    for draw in (two_moons, eight_gaussians, two_spirals, pinwheel, checkerboard, rings)
}
