"""The flow that a fit starts from: the identity, over a Gaussian or a mixture of them."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.whiten import Whiten
from tfp_flows.core.serialization import Configured
from tfp_flows.distributions import draws
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.flows.steps import coupling
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.modes import NoMaximumError
from tfp_flows.inference.modes import laplace
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.mlp import MLP
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = [
    "bound",
    "GaussianMixture",
    "gradient_scale",
    "standard",
    "starting_flow",
    "whitening",
]
_MOST_OF_FULL_RANK = 500
_FEWEST_PAIRS, _MOST_PAIRS = 3, 5


def starting_flow(
    gaussians: list[Gaussian], log_masses: list[float], *, seed: int, dtype: tf.DType
) -> FlowDistribution:
    """Returns a distribution that is the mixture of `gaussians`, and that can be trained.

    ```none
    base -> couplings -> linear map, if there are no covariances -> shift and scale
         -> whitening -> x
    ```

    One Gaussian is whitened and the base is the standard normal; of several, the mean and
    covariance of the mixture are, and they are the base.
    """
    size = len(gaussians[0].mean)
    whole = gaussians[0] if len(gaussians) == 1 else _overall(gaussians, log_masses)
    whiten = _whiten(whole, dtype)
    steps = [whiten, ActNorm(size, dtype=dtype)]
    if whole.factor.ndim == 1 and size <= _MOST_OF_FULL_RANK:
        # Correlations that the whitening leaves; its solves take long to compile.
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
        base = GaussianMixture(np.stack(means), np.stack(factors), log_masses, dtype=dtype)
    return FlowDistribution(base, FlowChain(steps))


def wide_scale(s: tf.Tensor) -> tf.Tensor:
    """`log_scale` between -5 and 5: a funnel's, of which one coupling has to do all."""
    return soft_bounded_scale(s, bound=5.0)


def _couplings(size, seed, dtype):
    """Pairs of affine couplings, masked by the digits of each variable's binary number.

    Any two of 2^5 variables differ in a digit, so that each depends on each other one
    directly, such as all effects of a hierarchy on their scale.
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


def _whiten(gaussian, dtype):
    size = len(gaussian.mean)
    if gaussian.factor.ndim == 1 and size > _MOST_OF_FULL_RANK:
        standardize = Standardize(size, dtype=dtype)
        mean, factor = gaussian.mean, gaussian.factor
        standardize.initialize(np.stack([mean - factor, mean + factor]))
        return standardize
    whiten = Whiten(size, dtype=dtype)
    whiten.assign(gaussian.mean, _full(gaussian))
    return whiten


def _full(gaussian):
    return gaussian.factor if gaussian.factor.ndim == 2 else np.diag(gaussian.factor)


def _overall(gaussians, log_masses):
    weights = np.exp(np.array(log_masses) - np.max(log_masses))
    # So that a small mode far away is within reach, too.
    weights = np.maximum(weights, 0.05)
    weights /= weights.sum()
    means = np.stack([gaussian.mean for gaussian in gaussians])
    mean = weights @ means
    columns = [
        np.sqrt(w) * np.column_stack([_full(g), g.mean - mean])
        for w, g in zip(weights, gaussians, strict=True)
    ]
    return Gaussian(mean, _triangular(np.concatenate(columns, axis=1)))


def _inside(gaussian, whole):
    """Mean and factor of a Gaussian in the coordinates in which `whole` is standard."""
    factor = np.linalg.solve(whole.factor, _full(gaussian))
    return whole.whiten(gaussian.mean), _triangular(factor)


def _triangular(factor):
    """L, lower triangular, with L L^T = F F^T of F, `[D, M]`.

    F F^T itself need not be positive definite to rounding: scales differ by 1e8 and more.
    """
    upper = np.asarray(np.linalg.qr(factor.T, mode="r"))
    return (upper * np.where(np.diag(upper) < 0.0, -1.0, 1.0)[:, None]).T


class GaussianMixture(Configured, tfp.distributions.Distribution):
    """A mixture of Gaussians: the base of a flow whose target has several modes.

    ```none
    x = mean_k + F_k (scale_k e),   e ~ N(0, 1),   k ~ softmax(logits)
    ```

    Means, scales and logits are trained; the factors F are not, so that neither direction
    needs a solve.

    Args:
      means: `[K, D]`.
      factors: lower triangular factors of the covariances, `[K, D, D]`.
      logits: unnormalised log-weights, `[K]`.
      dtype: of draws.
      name: name of the distribution.
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

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("means", "factors", "logits", "dtype", "name")
        return {name: self.parameters[name] for name in names}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return self._means.shape[1:]

    def _event_shape_tensor(self):
        return tf.constant(self._event_shape().as_list(), tf.int32)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.zeros([0], tf.int32)

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


tfb = tfp.bijectors

_MAX_SIZE = 500
_NUM_DRAWS = 256
_NUM_STARTS = 3
_GRADIENT_ROUNDS = 16
# Two maxima both count from this distance on, in standard deviations, and up to this ratio
# of masses, in nats.
_DISTANCE = 3.0
_NEGLIGIBLE = 7.0
_FAILURES = (ValueError, TypeError, LookupError, NotImplementedError, tf.errors.OpError)


def whitening(
    target_log_prob: Callable, support: JointSupport, flow: tfp.bijectors.Bijector
) -> tfp.bijectors.Bijector:
    """Returns a bijector that maps an untrained `flow` near to the target.

    It is a `Whiten`, or a `Standardize` if the variables of the `JointSupport` are too many
    for a covariance. `target_log_prob` maps the parts, `[N, *event]` each, to `[N]`.
    """
    gaussian = _whitening_gaussian(target_log_prob, support)
    zero = tf.zeros([1, support.event_size], support.dtype)
    log_det = np.max(flow.forward_log_det_jacobian(zero, event_ndims=1))
    # The gates of an untrained IAF contract.
    contraction = np.exp(log_det / support.event_size)
    return _bijector(gaussian.mean, gaussian.factor / contraction, support.dtype)


def _bijector(mean, factor, dtype):
    if len(mean) > _MAX_SIZE:
        standardize = Standardize(len(mean), dtype=dtype)
        standardize.initialize(np.stack([mean - factor, mean + factor]))
        return standardize
    whiten = Whiten(len(mean), dtype=dtype)
    whiten.assign(mean, factor if factor.ndim == 2 else np.diag(factor))
    return whiten


def _whitening_gaussian(target_log_prob, support):
    """Laplace's approximation; or a diagonal Gaussian, with a warning that says why."""
    density = UnconstrainedDensity(target_log_prob, support)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_NUM_DRAWS, support.event_size))
    plain = standard(support.event_size)
    try:
        approximation = _laplace(density, rng)
        if bound(density, approximation, noise) >= bound(density, plain, noise):
            return approximation
        reason = "it is further from the target than the standard normal is"
    except _FAILURES as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    warnings.warn(
        f"No Laplace approximation of the target to start the posterior from: {reason}. "
        "Gradients scale each variable instead.",
        stacklevel=4,
    )
    try:
        return gradient_scale(density, noise)
    except _FAILURES:
        return plain


def _laplace(density, rng):
    """The approximation at the maximum of the largest mass, if no other is comparable."""
    size = density.event_size
    if size > _MAX_SIZE:
        raise NoMaximumError(f"its {size} variables are more than {_MAX_SIZE}")
    starts = np.concatenate([np.zeros([1, size]), rng.uniform(-2, 2, (_NUM_STARTS, size))])
    found, reasons = [], []
    for start in starts:
        try:
            found.append(laplace(density, start))
        except NoMaximumError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    masses = [_log_mass(density, gaussian) for gaussian in found]
    best = found[int(np.argmax(masses))]
    for gaussian, mass in zip(found, masses, strict=True):
        is_other = np.linalg.norm(best.whiten(gaussian.mean)) > _DISTANCE
        if is_other and mass > max(masses) - _NEGLIGIBLE:
            raise NoMaximumError("the target has several maxima")
    return best


def _log_mass(density, gaussian):
    return density.log_prob(gaussian.mean[None])[0] + gaussian.log_scale


def standard(size: int) -> Gaussian:
    """Returns the standard normal as a `Gaussian` of `size` variables."""
    return Gaussian(np.zeros(size), np.ones(size))


def bound(density: UnconstrainedDensity, gaussian: Gaussian, noise: np.ndarray) -> float:
    """Estimates the ELBO of a Gaussian from standard normal `noise`, `[N, D]`, in nats."""
    log_probs = density.log_prob(gaussian.draw(noise))
    if not np.isfinite(log_probs).all():
        return -np.inf
    return log_probs.mean() + gaussian.log_scale + 0.5 * (noise**2).sum(axis=1).mean()


def gradient_scale(density: UnconstrainedDensity, noise: np.ndarray) -> Gaussian:
    """Scales the standard normal, variable by variable, by gradients at its draws.

    ```none
    variance = sqrt(variance of draws / variance of gradients)
    mean     = mean of draws + variance * mean gradient
    ```

    It is exact for a Gaussian of independent variables, wherever the draws are. Otherwise
    it is repeated from its result, or with half the step, as long as that raises the ELBO;
    so the result is never worse than the standard normal.

    Args:
      density: an `UnconstrainedDensity`.
      noise: standard normal draws, `[N, D]`.

    Returns:
      A `Gaussian` whose factor is diagonal.
    """
    best = standard(density.event_size)
    highest = bound(density, best, noise)
    length = 1.0
    for _ in range(_GRADIENT_ROUNDS):
        proposed = _rescaled(density, best, noise, length)
        reached = bound(density, proposed, noise)
        if reached > highest:
            best, highest, length = proposed, reached, 1.0
        else:
            length *= 0.5
    return best


def _rescaled(density, gaussian, noise, length):
    draws = gaussian.draw(noise)
    gradients = density.gradient(draws)
    is_finite = np.isfinite(gradients).all(axis=1)
    if is_finite.sum() < 2:
        return gaussian
    draws, gradients = draws[is_finite], gradients[is_finite]
    spread, steepness = draws.std(axis=0), gradients.std(axis=0)
    is_curved = steepness > 0.0
    variance = np.where(is_curved, spread / np.where(is_curved, steepness, 1.0), spread**2)
    shift = draws.mean(axis=0) - gaussian.mean + variance * gradients.mean(axis=0)
    scale = gaussian.factor * (np.sqrt(variance) / gaussian.factor) ** length
    return Gaussian(gaussian.mean + length * shift, scale)
