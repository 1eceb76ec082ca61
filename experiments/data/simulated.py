"""Simulated data sets: shapes in the plane, and known densities."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import scipy

from experiments.data.columns import Column
from experiments.data.dataset import Dataset, Entry, context_fields

_PLANE_SIZES = (10_000, 2_000, 5_000)  # train, validation, test
_HEAVY_SIZE = 5
# Weight, means and concentrations of the two angles, for each part of the mixture.
_TORUS = (
    (0.4, (np.pi, 0.5), (8.0, 3.0)),
    (0.35, (0.0, -np.pi), (4.0, 12.0)),
    (0.25, (-1.5, 1.5), (20.0, 20.0)),
)


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
    # The square root spreads the points evenly along the arms.
    angle = 3.0 * np.pi * np.sqrt(rng.random(count))
    arm = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    radius = arm * angle / 3.0
    return _noisy(rng, radius[:, np.newaxis] * _on_circle(angle), 0.1)


def pinwheel(rng, count, *, num_blades=5):
    """Blades that bend more with the distance from the centre."""
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
    """Four concentric circles of equal density along each circle."""
    radius = rng.choice(4, size=count, p=np.arange(1, 5) / 10.0) + 1.0
    angle = 2.0 * np.pi * rng.random(count)
    return _noisy(rng, 0.75 * radius[:, np.newaxis] * _on_circle(angle), 0.08)


def _on_circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _noisy(rng, points, scale):
    return points + scale * rng.standard_normal(points.shape)


def _load_plane(draw, request):
    sets = [rows.astype(np.float32) for rows in _drawn(draw, _PLANE_SIZES, request.seed)]
    return Dataset(draw.__name__, *sets, column_names=("x", "y"))


def _drawn(draw, sizes, seed):
    """The results of `draw` for train, validation and test, by a generator each."""
    streams = np.random.default_rng(seed).spawn(len(sizes))
    return [draw(rng, size) for rng, size in zip(streams, sizes, strict=True)]


@dataclasses.dataclass(frozen=True)
class _Known:
    """A known density.

    Args:
      draw: function of a generator and a number N that returns rows, `[N, D]`, and their
        context, `[N, C]` or None.
      log_density: function of rows and their context that returns nats, `[N]`.
      columns: names of the variables.
      sizes: rows of train, validation and test.
      context_columns: names of the context.
      angles: indices of the variables that are angles, from -pi to pi.
    """

    draw: Callable
    log_density: Callable
    columns: tuple[str, ...]
    sizes: tuple[int, int, int]
    context_columns: tuple[str, ...] = ()
    angles: tuple[int, ...] = ()


def draw_two_modes(rng, count):
    """Returns y, and x; y has two modes, whose parameters depend on x."""
    x = rng.uniform(-2.0, 2.0, count)
    means, deviations, weights = _modes(x)
    mode = (rng.random(count) < weights[1]).astype(int)
    picked = np.arange(count)
    y = means[mode, picked] + deviations[mode, picked] * rng.standard_normal(count)
    return y[:, np.newaxis], x[:, np.newaxis].astype(np.float32)


def two_modes_log_density(y, x):
    """Returns log p(y | x)."""
    means, deviations, weights = _modes(x[:, 0])
    parts = scipy.stats.norm.logpdf(y[:, 0], means, deviations)
    return scipy.special.logsumexp(parts, b=weights, axis=0)


def _modes(x):
    """Means, standard deviations and weights of both modes, `[2, N]` each."""
    means = np.stack([-1.0 + 0.5 * np.cos(2.0 * x), 1.0 + 0.5 * np.sin(2.0 * x)])
    deviations = np.stack([0.2 + 0.05 * x**2, np.full_like(x, 0.3)])
    upper = scipy.special.expit(x)
    return means, deviations, np.stack([1.0 - upper, upper])


def draw_torus(rng, count):
    """Returns pairs of angles of a mixture of von Mises distributions, and no context."""
    parts = rng.choice(len(_TORUS), size=count, p=[weight for weight, _, _ in _TORUS])
    means, concentrations = (np.array([part[i] for part in _TORUS]) for i in (1, 2))
    return rng.vonmises(means[parts], concentrations[parts]), None


def torus_log_density(angles, context=None):
    """Returns the log-density of pairs of angles, periodic in both."""
    parts = [
        np.log(weight) + _von_mises(angles, np.array(means), np.array(concentrations))
        for weight, means, concentrations in _TORUS
    ]
    return scipy.special.logsumexp(parts, axis=0)


def _von_mises(angles, means, concentrations):
    # SciPy's density is not periodic.
    away = concentrations * (np.cos(angles - means) - 1.0)
    return np.sum(away - np.log(2.0 * np.pi * scipy.special.i0e(concentrations)), axis=1)


def draw_heavy_tails(degrees, rng, count):
    """Returns independent t variables and a normal one with the last as mean."""
    x = rng.standard_t(degrees, (count, _HEAVY_SIZE))
    x[:, -1] = x[:, -2] + rng.standard_normal(count)
    return x, None


def heavy_tails_log_density(degrees, x, context=None):
    """Returns the log-density of rows of `draw_heavy_tails`."""
    x = x.astype(np.float64)
    heavy = scipy.stats.t.logpdf(x[:, :-1], degrees).sum(axis=1)
    return heavy + scipy.stats.norm.logpdf(x[:, -1], x[:, -2])


def _heavy_tails(degrees):
    return _Known(
        functools.partial(draw_heavy_tails, degrees),
        functools.partial(heavy_tails_log_density, degrees),
        tuple(f"x[{i}]" for i in range(_HEAVY_SIZE)),
        (4_000, 2_000, 4_000),
    )


KNOWN = {
    "two_modes": _Known(
        draw_two_modes, two_modes_log_density, ("y",), (20_000, 4_000, 20_000), ("x",)
    ),
    "torus": _Known(
        draw_torus, torus_log_density, ("a", "b"), (10_000, 2_000, 5_000), angles=(0, 1)
    ),
    "heavy_tails_1": _heavy_tails(1),
    "heavy_tails_2": _heavy_tails(2),
}


def _load_known(name, known, request):
    drawn = _drawn(known.draw, known.sizes, request.seed)
    sets, contexts = zip(*drawn, strict=True)
    sets = [rows.astype(np.float32) for rows in sets]
    roles = [("modelled", name) for name in known.columns]
    roles += [("context", name) for name in known.context_columns]
    return Dataset(
        name,
        *sets,
        column_names=known.columns,
        columns=tuple(Column(n, role, "real", i) for i, (role, n) in enumerate(roles)),
        log_density=known.log_density,
        angles=known.angles,
        **context_fields(contexts),
    )


ENTRIES = {
    draw.__name__: Entry(functools.partial(_load_plane, draw), "drawn", _PLANE_SIZES, 2)
    for draw in (two_moons, eight_gaussians, two_spirals, pinwheel, checkerboard, rings)
}
ENTRIES |= {
    name: Entry(
        functools.partial(_load_known, name, known),
        "drawn, of a known density",
        known.sizes,
        len(known.columns),
    )
    for name, known in KNOWN.items()
}
