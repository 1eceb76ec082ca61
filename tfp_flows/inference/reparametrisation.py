"""The coordinates of a fit: those where a funnel is straight, or heavy tails are light."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.flows.steps import coupling
from tfp_flows.inference.checks.pareto import generalised_pareto
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.parts import named_parts
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity
from tfp_flows.transformers.affine import Affine, soft_bounded_scale
from tfp_flows.transformers.tail import Tail

_FEWEST = 1000  # draws
_MOST_ROWS, _MOST_VARIABLES = 4000, 60  # draws and variables of maps of scales
_LEAST_SLOPE = 0.15  # change of a log-scale with a deviation of another variable
_LEAST_GAIN, _LEAST_STEP = 0.25, 0.05  # nats that a map, and a variable in it, gains
_MOST_SEEN = 6  # largest number of variables that scales of others depend on
_SHARE_OF_TAIL = 0.05  # share of the draws in a tail
_LEAST_TAIL, _MOST_TAIL = 0.12, 1.0  # shapes of a heavy tail
_MARGIN = 0.05  # addition to the shape
_QUARTILE = 0.6744897501960817  # the third quartile of the standard normal


@dataclasses.dataclass(frozen=True)
class Reparametrisation:
    """A fixed map from new coordinates u to the unconstrained variables x.

    ```none
    x = centre + width * y
    y_i = sinh-like tail of v_i, with a weight for each side        where tails are heavy
    v_i = u_i exp(b_i + B_i u_seen) + a_i + A_i u_seen              where scales depend on
    v_i = u_i                                                       others; else
    ```
    """

    centre: np.ndarray  # `[D]`
    width: np.ndarray  # `[D]`
    tails: np.ndarray  # weights of the lower and the upper tail, `[2, D]`; 0 if light
    moves: np.ndarray  # whether a scale depends on variables that do not move, `[D]`
    kernel: np.ndarray  # A above B, transposed, `[num_seen, 2 num_moved]`
    bias: np.ndarray  # a and b, `[2 num_moved]`

    @property
    def words(self) -> str:
        """The kind of map, in words for the report."""
        named = {"scales that depend on others": self.moves.any()}
        named["heavy tails"] = self.tails.any()
        return " and ".join(name for name, is_used in named.items() if is_used)

    def bijector(self, dtype: tf.DType) -> FlowBijector:
        """Returns the map from u to x."""
        standardize = Standardize(len(self.centre), dtype=dtype)
        ends = self.centre - self.width, self.centre + self.width
        standardize.initialize(np.stack(ends))
        steps: list[FlowBijector] = [standardize]
        is_heavy = self.tails.any(axis=0)
        if is_heavy.any():
            tails = Elementwise(int(is_heavy.sum()), Tail(), dtype=dtype)
            lower, upper = Tail.raw_weights(self.tails[:, is_heavy])
            nothing = np.zeros_like(lower)  # shift and log-scale
            tails.variables[0].assign(np.concatenate([nothing, nothing, lower, upper]))
            steps.append(tails if is_heavy.all() else Partial(~is_heavy, tails))
        if self.moves.any():
            options = {"context_size": 0, "dtype": dtype}
            step = coupling(~self.moves, Affine(steep_scale), keras.layers.Dense, **options)
            kernel, bias = step.variables
            kernel.assign(self.kernel)
            bias.assign(self.bias)
            steps.append(step)
        return FlowChain(steps)


def steep_scale(s: tf.Tensor) -> tf.Tensor:
    """Bounds `log_scale` between -20 and 20; it is nearly s between -5 and 5."""
    return soft_bounded_scale(s, bound=20.0)


class FitSpace:
    """A density in coordinates u, which are the unconstrained variables x or mapped to x.

    Attributes:
      density: the `UnconstrainedDensity` of u.
      support: the `JointSupport` from u to the parts.
      coordinates: the `Reparametrisation` from u to x; None if u is x.
      prior_draws: draws of the target's prior that have a finite u, `[P, D]`.
    """

    def __init__(self, density: UnconstrainedDensity, support: JointSupport) -> None:
        self.density, self.support = density, support
        self.coordinates: Reparametrisation | None = None
        self.prior_draws = np.zeros([0, density.event_size])
        self._map: FlowBijector | None = None

    def mapped(self, coordinates: Reparametrisation) -> FitSpace:
        """Returns the space of other coordinates of x, given the space of x."""
        to_x = coordinates.bijector(self.density.dtype)
        space = FitSpace(self.density.mapped(to_x), self.support.mapped(to_x))
        space.coordinates, space._map = coordinates, to_x
        space.prior_draws = space.from_unconstrained(self.prior_draws)
        return space

    def from_unconstrained(self, x: np.ndarray) -> np.ndarray:
        """Maps x to u, `[N, D]`, without those that have no finite u."""
        if self._map is None or not len(x):
            return x
        u = self._map.inverse(tf.constant(x, self.density.dtype)).numpy().astype(float)
        return u[np.isfinite(u).all(axis=1)]

    def unconstrained(self, u: np.ndarray) -> np.ndarray:
        """Maps u to x, `[N, D]`."""
        if self._map is None or not len(u):
            return u
        return self._map.forward(tf.constant(u, self.density.dtype)).numpy().astype(float)

    def entry_names(self) -> list[str]:
        """Returns the names of the entries of all parts."""
        return [
            name + "".join(f"[{i}]" for i in index)
            for name, part in named_parts(self.support.one_draw()).items()
            for index in np.ndindex(part.shape[1:])
        ]

    def variable_names(self, draws: np.ndarray) -> list[str]:
        """Returns the name of the entry that each variable of `[N, D]` moves most."""
        u = Gaussian.from_draws(draws).mean
        moved = u + np.diag(1e-2 + 1e-2 * np.abs(u))
        rows = self.support.entries(np.concatenate([u[None], moved]))
        moves = np.abs(rows[1:] - rows[0]) / (np.abs(rows[0]) + 1e-30)
        names = self.entry_names()
        return [names[k] for k in np.nan_to_num(moves).argmax(axis=1)]

    def distribution_from_u(self, distribution: FlowDistribution) -> FlowDistribution:
        """Maps a distribution of u to that of x."""
        if self._map is None:
            return distribution
        chain = FlowChain([self._map, *distribution.bijector.bijectors])
        return FlowDistribution(distribution.distribution, chain)


def reparametrise(x: np.ndarray) -> Reparametrisation | None:
    """Finds coordinates in which draws, `[N, D]`, are more like a Gaussian's.

    A tail is heavy if a generalised Pareto distribution of the last twentieth of the draws
    has a shape above 0.12. A scale depends on other variables if the squared residuals of a
    regression on these do. Variables that others depend on are added greedily, each time
    the one that raises the likelihood of a Gaussian in the new coordinates most.

    Returns:
      The map; None if no map clearly improves the fit, or draws are few.

    Reference:
      Harvey (1976), Estimating regression models with multiplicative heteroscedasticity.
      https://doi.org/10.2307/1913974
      Betancourt, Girolami (2013), Hamiltonian Monte Carlo for hierarchical models.
      https://arxiv.org/abs/1312.0906
    """
    size = x.shape[1]
    if len(x) < _FEWEST:
        return None
    lower, centre, upper = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    width = np.maximum((upper - lower) / (2.0 * _QUARTILE), 1e-30)
    y = (x - centre) / width
    moves, kernel, bias = _map_of_scales(y[:_MOST_ROWS])
    tails = np.zeros([2, size])
    if not moves.any():
        shapes = np.stack([_tail_shapes(-y), _tail_shapes(y)])
        is_heavy = (shapes > _LEAST_TAIL).any(axis=0)
        # Rather too heavy than too light tails, so that weights of draws are bounded.
        heavier = np.clip(1.25 * shapes, 0.0, _MOST_TAIL) + _MARGIN
        tails = np.where(is_heavy, heavier, 0.0)
        # Keeps the quartiles.
        weight = np.where(is_heavy, tails.mean(axis=0), 1.0)
        narrowed = width * _QUARTILE * weight / np.expm1(weight * np.log(2.0))
        width = np.where(is_heavy, narrowed, width)
    if not (moves.any() or tails.any()):
        return None
    return Reparametrisation(centre, width, tails, moves, kernel, bias)


def _tail_shapes(y):
    """Shapes of the upper tails of all columns."""
    count = math.ceil(_SHARE_OF_TAIL * len(y))
    top = np.sort(y, axis=0)[-count - 1 :]
    return np.array([generalised_pareto(t[1:] - t[0])[0] for t in top.T])


def _map_of_scales(y):
    """The `moves`, `kernel` and `bias` of a `Reparametrisation`, for draws, `[N, D]`."""
    size = y.shape[1]
    nothing = np.zeros(size, bool), np.zeros([0, 0]), np.zeros(0)
    if not 2 <= size <= _MOST_VARIABLES:
        return nothing
    start = best = _log_likelihood(y, 0.0)
    seen: list[int] = []
    best_map = nothing
    while len(seen) < min(_MOST_SEEN, size - 1):
        tried = [_with_seen(y, [*seen, j]) for j in range(size) if j not in seen]
        value, chosen, candidate = max(tried, key=lambda t: t[0])
        if value < best + _LEAST_STEP:
            break
        best, best_map, seen = value, candidate, chosen
    return best_map if best > start + _LEAST_GAIN else nothing


def _with_seen(y, seen):
    """Log-likelihood of a Gaussian after the map by `seen` variables, these, and the map.

    The map is that of `_map_of_scales`; None if no variable's scale depends on these.
    """
    z = np.column_stack([np.ones(len(y)), y[:, seen]])
    rest = np.setdiff1d(np.arange(y.shape[1]), seen)
    means, scales = _regress(z, y[:, rest])
    slopes = np.abs(scales[1:]) * y[:, seen].std(axis=0)[:, None]
    is_moved = (slopes > _LEAST_SLOPE).any(axis=0)
    if not is_moved.any():
        return -np.inf, seen, None
    moved, means, scales = rest[is_moved], means[:, is_moved], scales[:, is_moved]
    log_scale = z @ scales
    u = y.copy()
    u[:, moved] = (y[:, moved] - z @ means) * np.exp(-log_scale)
    # Variables that neither move nor move others are inputs with weights of 0.
    moves = np.zeros(y.shape[1], bool)
    moves[moved] = True
    passing = np.flatnonzero(~moves)
    kernel = np.zeros([len(passing), 2 * len(moved)])
    kernel[np.searchsorted(passing, seen)] = np.hstack([means[1:], scales[1:]])
    bias = np.concatenate([means[0], scales[0]])
    return _log_likelihood(u, log_scale.sum(axis=1).mean()), seen, (moves, kernel, bias)


def _regress(z, y):
    """Weights of z in the mean, and in the log-scale, of each column of y."""
    scales = np.zeros([z.shape[1], y.shape[1]])
    for _ in range(3):
        means = _least_squares(z, y, scales)
        squares = (y - z @ means) ** 2
        # The logarithm of a squared normal has mean -1.27.
        logs = np.log(squares + 1e-6 * squares.mean(axis=0)) + 1.27
        scales = 0.5 * np.linalg.lstsq(z, logs, rcond=None)[0]
    return means, scales


def _least_squares(z, y, scales):
    """Weights of z in the mean of each column, whose rows have their own scales."""
    weights = np.exp(-2.0 * np.clip(z @ scales, -10.0, 10.0))
    squares = np.einsum("nk,ne,nl->ekl", z, weights, z, optimize=True)
    products = np.einsum("nk,ne->ek", z, weights * y)
    ridge = 1e-9 * np.trace(squares, axis1=1, axis2=2)[:, None, None] * np.eye(z.shape[1])
    return np.linalg.solve(squares + ridge, products[..., None])[..., 0].T


def _log_likelihood(u, log_det):
    """Log-likelihood of a Gaussian with the moments of u, without constants."""
    covariance = np.atleast_2d(np.cov(u, rowvar=False))
    _, value = np.linalg.slogdet(covariance + 1e-9 * np.eye(len(covariance)))
    return -0.5 * value - log_det
