"""What a fit starts from: Gaussians, and the flow that is the identity over them."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.standardize import Standardize, Whiten
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.serialization import Configured
from tfp_flows.distributions import draws
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.flows.steps import coupling
from tfp_flows.inference.budget import Budget
from tfp_flows.inference.modes import Gaussian, find_modes, triangular
from tfp_flows.inference.reparametrisation import FitSpace
from tfp_flows.inference.target import UnconstrainedDensity
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.mlp import MLP
from tfp_flows.transformers.affine import Affine, soft_bounded_scale
from tfp_flows.transformers.spline import RationalQuadraticSpline

MOST_OF_FULL_RANK = 500  # largest number of variables whose correlations are modelled
_FEWEST_PAIRS, _MOST_PAIRS = 3, 5  # numbers of pairs of couplings
_LEAST_WEIGHT = 0.05  # least weight of a component in the moments that are whitened
MOST_COMPONENTS = 8  # largest number of Gaussians of a mixture
_NUM_NOISE = 256  # draws from which the ELBO of a Gaussian is estimated
_GRADIENT_ROUNDS = 16  # rounds of `gradient_scale`
_MAX_CLUSTERINGS = 25  # largest number of rounds of k-means
_SHARE_OF_SEARCH = 0.3  # share of the wall time for the search for maxima


@dataclasses.dataclass(frozen=True)
class Start:
    """The start of a round of a fit."""

    space: FitSpace  # of its coordinates
    gaussians: list[Gaussian]  # components of the base
    ends: np.ndarray  # where searches for maxima ended, `[S, D]`
    words: str  # for the report
    index: int = 0  # of the round


def first_start(
    space: FitSpace, starts: np.ndarray, budget: Budget, rng: np.random.Generator
) -> Start:
    """Returns Gaussians at the density's maxima, or one that is scaled by gradients."""

    def is_over():
        return not budget.has_left(1.0 - _SHARE_OF_SEARCH)

    density = space.density
    modes, plain = find_modes(density, starts, is_over), standard(density.event_size)
    budget.num_gradients += modes.num_gradients
    gaussians, words = modes.gaussians, f"{len(modes.gaussians)} Gaussians"
    if not gaussians and is_over():
        budget.end()
        gaussians, words = [plain], "a standard normal, as time was short"
    elif len(gaussians) < 2:
        noise = rng.normal(size=(_NUM_NOISE, density.event_size))
        lowest, words = elbo(density, plain, noise), "a Laplace approximation"
        if not gaussians or elbo(density, gaussians[0], noise) < lowest:
            budget.num_gradients += _GRADIENT_ROUNDS * _NUM_NOISE
            gaussians = [gradient_scale(density, noise)]
            words = "a Gaussian scaled by gradients"
    return Start(space, gaussians, modes.ends, f"couplings over {words}")


def clusters(x: np.ndarray, count: int, rng: np.random.Generator) -> list[Gaussian]:
    """Divides draws, `[N, D]`, by k-means, and returns the Gaussian of each part.

    Masses are shares of the draws. There are `count` parts at most; those of at most D
    draws are left out.

    Reference:
      Arthur, Vassilvitskii (2007), k-means++: the advantages of careful seeding.
      https://dl.acm.org/doi/10.5555/1283383.1283494
    """
    whole = Gaussian.from_draws(x)
    z = whole.whiten(x)
    centres = z[rng.integers(len(z), size=1)]
    for _ in range(count - 1):
        nearest = _distances(z, centres).min(axis=1)
        chosen = rng.choice(len(z), p=nearest / nearest.sum()) if nearest.any() else 0
        centres = np.concatenate([centres, z[chosen : chosen + 1]])
    for _ in range(_MAX_CLUSTERINGS):
        part = _distances(z, centres).argmin(axis=1)
        for k in range(count):
            if (part == k).any():
                centres[k] = z[part == k].mean(axis=0)
    rows = [x[part == k] for k in range(count)]
    rows = [row for row in rows if len(row) > x.shape[1]] or [x]
    return [
        dataclasses.replace(Gaussian.from_draws(row), log_mass=np.log(len(row) / len(x)))
        for row in rows
    ]


def _distances(z, centres):
    return ((z[:, None] - centres) ** 2).sum(axis=-1)


def standard(size: int) -> Gaussian:
    """Returns the standard normal as a `Gaussian` of `size` variables."""
    return Gaussian(np.zeros(size), np.ones(size))


def elbo(density: UnconstrainedDensity, gaussian: Gaussian, noise: np.ndarray) -> float:
    """Estimates the ELBO of a Gaussian from standard normal `noise`, `[N, D]`, in nats."""
    log_probs = density.log_prob(gaussian.draw(noise))
    if not np.isfinite(log_probs).all():
        return -np.inf
    return log_probs.mean() + gaussian.log_det + 0.5 * (noise**2).sum(axis=1).mean()


def gradient_scale(density: UnconstrainedDensity, noise: np.ndarray) -> Gaussian:
    """Scales the standard normal, variable by variable, by gradients at `[N, D]` draws.

    ```none
    variance = sqrt(variance of draws / variance of gradients)
    mean     = mean of draws + variance * mean gradient
    ```

    It is exact for a Gaussian of independent variables. Otherwise it is repeated from its
    result, or with half the step, while that raises the ELBO, so the result is never worse
    than the standard normal. The factor is diagonal.
    """
    best = standard(density.event_size)
    highest = elbo(density, best, noise)
    length = 1.0
    for _ in range(_GRADIENT_ROUNDS):
        proposed = _rescaled(density, best, noise, length)
        reached = elbo(density, proposed, noise)
        if reached > highest:
            best, highest, length = proposed, reached, 1.0
        else:
            length *= 0.5
    return best


def _rescaled(density, gaussian, noise, length):
    x = gaussian.draw(noise)
    gradients = density.gradient(x)
    is_finite = np.isfinite(gradients).all(axis=1)
    if is_finite.sum() < 2:
        return gaussian
    x, gradients = x[is_finite], gradients[is_finite]
    spread, steepness = x.std(axis=0), gradients.std(axis=0)
    is_curved = steepness > 0.0
    variance = np.where(is_curved, spread / np.where(is_curved, steepness, 1.0), spread**2)
    shift = x.mean(axis=0) - gaussian.mean + variance * gradients.mean(axis=0)
    scale = gaussian.factor * (np.sqrt(variance) / gaussian.factor) ** length
    return Gaussian(gaussian.mean + length * shift, scale)


def starting_flow(
    gaussians: list[Gaussian], *, seed: int, dtype: tf.DType
) -> FlowDistribution:
    """Returns a distribution that is the mixture of `gaussians`, and that can be trained.

    ```none
    base -> couplings -> linear map, if there are no covariances -> shift and scale
         -> whitening -> x
    ```

    With one Gaussian, the whitening maps to it and the base is the standard normal. With
    several, the whitening has the moments of the mixture, and the base is the mixture.
    """
    size = len(gaussians[0].mean)
    whole = gaussians[0] if len(gaussians) == 1 else _overall(gaussians)
    whiten = whitening_bijector(whole, dtype)
    steps = [whiten, ActNorm(size, dtype=dtype).without_rows()]
    if whole.factor.ndim == 1 and size <= MOST_OF_FULL_RANK:
        # Models the correlations, which a diagonal whitening leaves.
        steps.append(Invert(InvertibleLinear(size, dtype=dtype)))
    if size == 1:
        # One spline: XLA takes three times as long for two with networks between them.
        spline = RationalQuadraticSpline(num_bins=16, bound=6.0)
        steps.append(Elementwise(1, spline, dtype=dtype))
    else:
        steps += _couplings(size, seed, dtype)
    base = standard_normal(size, dtype=dtype)
    if len(gaussians) > 1:
        inner = [_inside(gaussian, whole) for gaussian in gaussians]
        means, factors = zip(*inner, strict=True)
        logits = [gaussian.log_mass for gaussian in gaussians]
        base = GaussianMixture(np.stack(means), np.stack(factors), logits, dtype=dtype)
    return FlowDistribution(base, FlowChain(steps))


def wide_scale(s: tf.Tensor) -> tf.Tensor:
    """Bounds `log_scale` between -5 and 5, wide enough for a funnel in one coupling."""
    return soft_bounded_scale(s, bound=5.0)


def _couplings(size, seed, dtype):
    """Pairs of affine couplings whose masks are binary digits of the variables' numbers.

    Any two of 2^5 variables differ in a digit, so each depends directly on each other one,
    for example all effects of a hierarchy on their scale.
    """
    num_pairs = int(np.clip(np.ceil(np.log2(size)), _FEWEST_PAIRS, _MOST_PAIRS))
    steps = []
    for k, from_step in enumerate(split_seed(seed, 2 * num_pairs)):
        digit = k // 2 % max(int(np.ceil(np.log2(size))), 1)
        mask = (np.arange(size) >> digit) % 2 == k % 2
        network = functools.partial(
            MLP, hidden_units=(32, 32), activation="tanh", seed=from_step
        )
        options = {"context_size": 0, "dtype": dtype}
        steps.append(coupling(mask, Affine(wide_scale), network, **options))
    return steps


def whitening_bijector(gaussian: Gaussian, dtype: tf.DType) -> FlowBijector:
    """Returns the bijector that maps the standard normal to a Gaussian."""
    size = len(gaussian.mean)
    if gaussian.factor.ndim == 1 and size > MOST_OF_FULL_RANK:
        standardize = Standardize(size, dtype=dtype)
        mean, factor = gaussian.mean, gaussian.factor
        standardize.initialize(np.stack([mean - factor, mean + factor]))
        return standardize
    whiten = Whiten(size, dtype=dtype)
    whiten.assign(gaussian.mean, gaussian.matrix)
    return whiten


def _overall(gaussians):
    """The Gaussian with the moments of a mixture."""
    log_masses = np.array([gaussian.log_mass for gaussian in gaussians])
    weights = np.exp(log_masses - log_masses.max())
    # A small mode far away has to be within reach, too.
    weights = np.maximum(weights, _LEAST_WEIGHT)
    weights /= weights.sum()
    means = np.stack([gaussian.mean for gaussian in gaussians])
    mean = weights @ means
    columns = [
        np.sqrt(w) * np.column_stack([g.matrix, g.mean - mean])
        for w, g in zip(weights, gaussians, strict=True)
    ]
    return Gaussian(mean, triangular(np.concatenate(columns, axis=1)))


def _inside(gaussian, whole):
    """Mean and factor of a Gaussian in the coordinates in which `whole` is standard."""
    factor = np.linalg.solve(whole.factor, gaussian.matrix)
    return whole.whiten(gaussian.mean), triangular(factor)


class GaussianMixture(Configured, tfp.distributions.Distribution):
    """A mixture of Gaussians: the base of a flow whose target has several modes.

    ```none
    x = mean_k + F_k (scale_k e),   e ~ N(0, 1),   k ~ softmax(logits)
    ```

    Means, scales and logits are trained. The factors F are constant, so that neither
    direction needs a solve.

    Means are `[K, D]`, the lower triangular factors of the covariances `[K, D, D]`, and
    unnormalised log-weights, `logits`, `[K]`.
    """

    def __init__(
        self,
        means: npt.ArrayLike,
        factors: npt.ArrayLike,
        logits: npt.ArrayLike,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "gaussian_mixture",
    ) -> None:
        parameters = dict(locals())
        dtype = tf.as_dtype(dtype)
        factors = np.asarray(factors, np.float64)
        with tf.name_scope(name):
            self._means = tf.Variable(np.asarray(means), dtype=dtype, name="means")
            zeros = np.zeros(self._means.shape)
            self._log_scales = tf.Variable(zeros, dtype=dtype, name="log_scales")
            self._logits = tf.Variable(np.asarray(logits), dtype=dtype, name="logits")
        # `[K, D, D]`, transposed for rows.
        self._factors = np.swapaxes(factors, -1, -2)
        self._inverses = np.linalg.inv(self._factors)
        diagonals = np.abs(np.diagonal(factors, axis1=-2, axis2=-1))
        self._log_dets = np.log(diagonals).sum(axis=-1)
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def num_components(self) -> int:
        """Number of components, K."""
        return self._means.shape[0]

    @property
    def log_weights(self) -> tf.Tensor:
        """Log-probabilities of the components, `[K]`."""
        return tf.nn.log_softmax(self._logits)

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """Maps standard normal noise of each component, `[K, N, D]`, to its draws."""
        scaled = noise * tf.exp(self._log_scales)[:, None]
        return tf.matmul(scaled, self._cast(self._factors)) + self._means[:, None]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return self._means.shape[1:]

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity()

    def _sample_n(self, n, seed=None):
        choice, noise = draws.split(draws.stateless(seed), 2)
        logits = tf.cast(self._logits, tf.float32)[None]
        chosen = tf.random.stateless_categorical(logits, n, choice)[0]
        e = draws.normal(tf.stack([n, self._means.shape[1]]), noise, self.dtype)
        scaled = e * tf.exp(tf.gather(self._log_scales, chosen))
        factors = tf.gather(self._cast(self._factors), chosen)
        return tf.einsum("nd,nde->ne", scaled, factors) + tf.gather(self._means, chosen)

    def _log_prob(self, x):
        z = tf.einsum(
            "...kd,kde->...ke", x[..., None, :] - self._means, self._cast(self._inverses)
        )
        z = z * tf.exp(-self._log_scales)
        log_dets = self._cast(self._log_dets) + tf.reduce_sum(self._log_scales, axis=-1)
        constant = 0.5 * z.shape[-1] * math.log(2.0 * math.pi)
        quadratic = -0.5 * tf.reduce_sum(z**2, axis=-1)
        terms = quadratic - log_dets - constant + self.log_weights
        return tf.reduce_logsumexp(terms, axis=-1)

    def _cast(self, array):
        return tf.constant(array, self.dtype)
