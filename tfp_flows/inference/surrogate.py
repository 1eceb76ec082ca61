"""Surrogate posteriors: flows over the parts of joint distributions."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.core.arguments import (
    check_dtype,
    check_each,
    check_flag,
    check_instance,
    check_name,
    require,
)
from tfp_flows.core.inputs import check_event_shape
from tfp_flows.core.rows import initialize_part
from tfp_flows.core.serialization import rebuild_copy
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.distribution_checks import check_event_size, refuse_slices
from tfp_flows.distributions.draws import SampleAndLogProb
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.moments import Moments
from tfp_flows.distributions.univariate import OneVariable
from tfp_flows.flows.iaf import IAF
from tfp_flows.flows.made import MADE
from tfp_flows.flows.maf import MAF
from tfp_flows.flows.nice import NICE
from tfp_flows.flows.real_nvp import RealNVP
from tfp_flows.inference.checks.importance import systematic_rows
from tfp_flows.inference.initial_flow import (
    MOST_OF_FULL_RANK,
    elbo,
    gradient_scale,
    standard,
    whitening_bijector,
)
from tfp_flows.inference.modes import Gaussian, NoMaximumError, find_modes
from tfp_flows.inference.parts import check_parts
from tfp_flows.inference.support import described, outside_support, support_and_density
from tfp_flows.inference.target import UnconstrainedDensity

_FLOWS = {"iaf": IAF, "made": MADE, "maf": MAF, "nice": NICE, "real_nvp": RealNVP}
_NUM_DRAWS = 256  # draws from which the ELBO of a start is estimated
_NUM_STARTS = 3  # random ones, of the search for maxima
_NEGLIGIBLE = 7.0  # nats; a maximum of so much less mass than another is left out
_ROUNDING = 1e-3  # error of a support's round trip, relative to the part's largest number
# Errors of a density that cannot be differentiated twice.
_FAILURES = (ValueError, TypeError, LookupError, NotImplementedError, tf.errors.OpError)


class FlowPosterior(SampleAndLogProb, OneVariable, Moments, tfd.TransformedDistribution):
    """A flow over the parts of a joint distribution, as `flow_posterior` returns it.

    A `tf.train.Checkpoint` of it holds the flow's weights. If the target has variables,
    which TensorFlow may refuse to save, checkpoint `posterior.distribution`.
    `copy.deepcopy` copies the flow over the same support. `pickle` works unless the
    support of one part of the target depends on another part. (The posterior of a `VAE` is
    another class, `posteriors.AmortizedFlow`.)

    ```none
    x = flow(base sample) [D],    parts = support(x)
    log_prob(parts) = flow.log_prob(x) - log |det d support / dx (x)|
    ```

    Outside the support, the log-density is -inf.

    Args:
      distribution: `FlowDistribution` of the unconstrained vector x, `[D]`.
      support: bijector from x to the parts.
      name: name of the distribution.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> support = {"rate": tfp.bijectors.Exp(), "effects": tfp.bijectors.Identity()}
    >>> posterior = tfp_flows.flow_posterior({"rate": [], "effects": [3]}, support=support)
    >>> posterior.sample(5, seed=1)["effects"].shape
    TensorShape([5, 3])
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        support: tfb.Bijector,
        *,
        name: str = "flow_posterior",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        check_instance("support", support, tfb.Bijector, "a `tfp.bijectors.Bijector`")
        super().__init__(
            distribution,
            support,
            # All keywords, for example `context`, belong to the flow.
            kwargs_split_fn=lambda kwargs: (kwargs, {}),
            parameters=parameters,
            name=name,
        )
        if not support.variables:
            # It is not tracked, since checkpoints cannot hold the parts of some targets.
            del self._bijector
            object.__setattr__(self, "_bijector", support)

    @property
    def support(self) -> tfb.Bijector:
        """Bijector from the unconstrained vector to the parts."""
        return self.bijector

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self.distribution.context_size

    def initialize(
        self,
        draws: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets location and scale to those of `draws`, for example from the prior.

        Args:
          draws: parts with a leading axis of N draws, for example `target.sample(N)`.
          context: `[N, context_size]`, if the flow is conditional.
          sample_weight: weights of the draws, `[N]`.
        """
        check_parts("draws", draws, self.event_shape)
        x = self.bijector.inverse(draws)
        initialize_part(self.distribution, x, context, sample_weight)

    def __getitem__(self, slices: Any) -> FlowPosterior:
        refuse_slices(slices, self.name)
        return self

    def __deepcopy__(self, memo: dict) -> FlowPosterior:
        arguments = self._arguments()
        arguments["distribution"] = copy.deepcopy(self.distribution, memo)
        if not self.support.variables:
            return type(self)(support=self.support, **arguments)
        return _rebuild(type(self), arguments, *described(self.support, self.name))

    def __reduce__(self) -> tuple:
        plain = described(self.support, self.name)
        return _rebuild, (type(self), self._arguments(), *plain)

    def _arguments(self):
        """The constructor's arguments without the support."""
        return {"distribution": self.distribution, "name": self.name}

    def _resampled(self, x, weights, n, seed):
        """Parts of n of the unconstrained draws, `[S, D]`, by their weights, `[S]`."""
        words = "a posterior with draws inside the target's support"
        require(weights.sum() > 0.0, words, "weights that are all 0")
        rows = systematic_rows(weights, n, np.random.default_rng(seed))
        return self.support.forward(tf.constant(x[rows], self.distribution.dtype))

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _call_log_prob(self, value, name, **kwargs):
        check_parts("value", value, self.event_shape)  # TFP's error names no part
        return super()._call_log_prob(value, name, **kwargs)

    def _log_prob(self, value, **kwargs):
        # New tensors, since TFP's cache of draws would cut the gradient.
        self._check_shapes(value)
        parts = tf.nest.map_structure(tf.identity, value)
        x = self.support.inverse(parts)
        # Bijectors return NaN outside their range, and infinity at its ends.
        is_inside = tf.reduce_all(tf.math.is_finite(x), axis=-1)
        x = tf.where(is_inside[..., None], x, tf.zeros([], x.dtype))
        is_inside &= _are_reached(parts, self.support, x)
        log_det = self.support.forward_log_det_jacobian(x, event_ndims=1)
        inside = self.distribution.log_prob(x, **kwargs) - log_det
        outside = outside_support(parts, self.event_shape, inside.dtype)
        return tf.where(is_inside, inside, outside)

    def _check_shapes(self, value):
        parts = map(tf.nest.flatten, (value, self.event_shape))
        for part, event in zip(*parts, strict=True):
            check_event_shape(part.shape, "value", event.rank, event)


def _are_reached(parts, bijector, x):
    """Whether vectors, `[..., D]`, map to these parts, up to rounding, `[...]`.

    A part of more numbers than its vector may lie off its support where the inverse is
    finite: shares that do not sum to 1, or a matrix that is not symmetric.
    """
    is_reached, batch = tf.ones(tf.shape(x)[:-1], tf.bool), x.shape.rank - 1
    sizes = [part.shape[batch:].num_elements() for part in tf.nest.flatten(parts)]
    if None not in sizes and sum(sizes) == x.shape[-1]:
        return is_reached
    images = bijector.forward(x)
    for part, image in zip(*map(tf.nest.flatten, (parts, images)), strict=True):
        axes = list(range(batch, image.shape.rank))
        error = tf.reduce_max(tf.abs(part - image), axis=axes)
        is_reached &= error <= _ROUNDING * tf.reduce_max(tf.abs(image), axis=axes)
    return is_reached


def _rebuild(kind, arguments, support, values):
    return kind(support=rebuild_copy(support, values), **arguments)


def flow_posterior(
    target: object,
    flow: str | Callable | tfb.Bijector = IAF,
    *,
    support: object = None,
    full_rank: bool = True,
    whiten: bool = True,
    target_log_prob_fn: Callable | None = None,
    dtype: tf.DType | str = tf.float32,
    name: str = "flow_posterior",
    **flow_options: object,
) -> FlowPosterior:
    """A trainable posterior for `target`: a flow, mapped to the target's support.

    ```none
    base -> flow -> linear map -> shift and scale -> whitening -> x
    x -> split, reshape, constrain -> parts
    ```

    Its samples have the structure of the target's, so that it can be trained by
    `tfp.vi.fit_surrogate_posterior`:

    ```python
    posterior = tfp_flows.flow_posterior(pinned, num_steps=4, hidden_units=(32, 32), seed=0)
    decay = keras.optimizers.schedules.CosineDecay(1e-2, 3000)
    tfp.vi.fit_surrogate_posterior(
        pinned.unnormalized_log_prob,
        posterior,
        optimizer=keras.optimizers.Adam(decay, global_clipnorm=10.0),
        num_steps=3000,
        sample_size=256,
        trainable_variables=posterior.trainable_variables,
        jit_compile=True,
    )
    ```

    It starts as Laplace's approximation: the normal distribution at the maximum of the
    target's density on the unconstrained space, with the covariance of its curvature there.
    So training does not depend on units and correlations of the variables. If there is no
    maximum, or several, or the approximation is worse than the standard normal (for example
    for a funnel), a warning says so, and gradients scale each variable instead. Mean and
    covariance are saved with the weights.

    Without a density, with a context, or with `whiten=False`, it starts as the base on the
    unconstrained space, apart from the gates of IAF.

    Args:
      target: a joint distribution, pinned or not, or any other `tfd.Distribution`, with
        its own default bijectors as constraints; or an event shape, or a structure of
        event shapes, with the constraints `support`.
      flow: constructor of a flow on vectors, for example `IAF`, or its name: "iaf",
        "real_nvp", "maf", "made" or "nice"; or a bijector on vectors of the target's size.
        IAF and the couplings sample in one pass.
      support: bijectors from all reals to the support of each part, as in `fit_posterior`,
        if `target` is an event shape; None leaves a part unconstrained.
      full_rank: whether a linear map follows the flow, so that every Gaussian of the
        unconstrained space is among the posteriors.
      whiten: whether the posterior starts at the target's Laplace approximation.
      target_log_prob_fn: unnormalised log-density for this start, a function of the parts
        of a draw; by default that of the distribution `target`.
      dtype: dtype of the parts, if `target` is an event shape.
      name: name of the distribution.
      **flow_options: arguments of the constructor: `num_steps`, `hidden_units`,
        `context_size`, `seed` and so on. `standardize` is False by default.

    Returns:
      A `FlowPosterior`, whose `distribution` is the flow on the unconstrained vector.

    Raises:
      ValueError: if `target` has batch axes, parts that are not continuous, or several
        dtypes; if `flow` is unknown or has another event size; or if an option comes with a
        bijector.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> gamma = tfp.distributions.Sample(tfp.distributions.Gamma(2.0, 1.0), 2)
    >>> model = tfp.distributions.JointDistributionNamed({"rates": gamma})
    >>> posterior = tfp_flows.flow_posterior(model, num_steps=1, seed=0, whiten=False)
    >>> posterior.sample(5, seed=1)["rates"].shape
    TensorShape([5, 2])

    Reference:
      Rezende, Mohamed (2015), VI with flows. https://arxiv.org/abs/1505.05770
    """
    check_each(check_flag, full_rank=full_rank, whiten=whiten)
    check_dtype("dtype", dtype)
    check_name("name", name)
    support, target_log_prob_fn = support_and_density(
        target, support, target_log_prob_fn, dtype
    )
    size, dtype = support.event_size, support.dtype
    built = _build(flow, size, dtype, flow_options)
    check_event_size(built, size, "vectors of the target's {} entries")
    steps = [ActNorm(size, dtype=dtype).without_rows()]
    if full_rank:
        # Inverted, so that sampling takes products and no solves.
        steps.append(Invert(InvertibleLinear(size, dtype=dtype)))
    steps.append(built)
    has_context = bool(getattr(built, "context_size", 0))
    if whiten and target_log_prob_fn is not None and not has_context:
        steps.insert(0, _whitening(target_log_prob_fn, support, built))
    base = standard_normal(size, dtype=dtype)
    flow = FlowDistribution(base, FlowChain(steps))
    return FlowPosterior(flow, support.bijector, name=name)


def _build(flow, size, dtype, options):
    """The bijector on vectors of `size` from a bijector, a name or a constructor."""
    if isinstance(flow, tfb.Bijector):
        require(not options, "no options with a built `flow`", options)
        return flow
    constructor: Any = _FLOWS.get(flow) if isinstance(flow, str) else flow
    words = f"`flow`, one of {sorted(_FLOWS)}, a constructor, or a bijector"
    require(callable(constructor), words, repr(flow))
    if "standardize" in inspect.signature(constructor).parameters:
        options = {"standardize": False, **options}  # there are no data to standardise by
    return constructor(size, dtype=dtype, **options)


def _whitening(target_log_prob, support, flow):
    """A bijector that maps an untrained flow near to the target."""
    gaussian = _whitening_gaussian(target_log_prob, support)
    zero = tf.zeros([1, support.event_size], support.dtype)
    log_det = np.max(flow.forward_log_det_jacobian(zero, event_ndims=1))
    # The gates of an untrained IAF contract.
    contraction = np.exp(log_det / support.event_size)
    inner = Gaussian(gaussian.mean, gaussian.factor / contraction)
    return whitening_bijector(inner, support.dtype)


def _whitening_gaussian(target_log_prob, support):
    """Laplace's approximation; or a diagonal Gaussian, with a warning that says why."""
    density = UnconstrainedDensity(target_log_prob, support)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_NUM_DRAWS, support.event_size))
    plain = standard(support.event_size)
    try:
        approximation = _largest_mode(density, rng)
        if elbo(density, approximation, noise) >= elbo(density, plain, noise):
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


def _largest_mode(density, rng):
    """The Gaussian at the maximum of the largest mass; refuses one of several like it."""
    size = density.event_size
    if size > MOST_OF_FULL_RANK:
        raise NoMaximumError(f"its {size} variables are more than {MOST_OF_FULL_RANK}")
    starts = np.concatenate([np.zeros([1, size]), rng.uniform(-2, 2, (_NUM_STARTS, size))])
    gaussians = find_modes(density, starts).gaussians  # the largest mass first
    if not gaussians:
        raise NoMaximumError("no maximum with a negative definite Hessian was found")
    largest, *others = gaussians
    if others and others[0].log_mass > largest.log_mass - _NEGLIGIBLE:
        raise NoMaximumError("the target has several maxima")
    return largest
