"""What can be the base of a flow."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_members
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["check_base"]

tfd = tfp.distributions

# Of which those are discrete whose dtype is a floating-point one, too.
_DISCRETE = (tfd.Bernoulli, tfd.Binomial, tfd.Categorical, tfd.Geometric, tfd.Multinomial)
_DISCRETE += (tfd.NegativeBinomial, tfd.OneHotCategorical, tfd.Poisson)
_DISCRETE += (tfd.QuantizedDistribution, tfd.Zipf, tfd.DirichletMultinomial, tfd.Skellam)
_DISCRETE += (tfd.BetaBinomial, tfd.FiniteDiscrete, tfd.DeterminantalPointProcess)
_DISCRETE += (tfd.Deterministic, tfd.VectorDeterministic, tfd.Empirical)
# Where a distribution that is made of another one holds it.
_INNER = ("distribution", "components_distribution")


def check_base(distribution, bijector):
    """Returns the bijector as a `FlowBijector`, to which the base is known to fit.

    Args:
      distribution: the base.
      bijector: any `tfp.bijectors.Bijector`.

    Raises:
      ValueError: if it is no distribution, or discrete, or of several tensors, another
        dtype, or events of another shape, or both are conditional with contexts of
        different widths.
    """
    members = ("log_prob", "event_shape", "dtype")
    check_members("distribution", distribution, members, "a `tfd.Distribution`")
    words = "a `tfp.bijectors.Bijector`"
    check_instance("bijector", bijector, tfp.bijectors.Bijector, words)
    if not isinstance(bijector, FlowBijector):
        bijector = FlowChain([bijector])
    if tf.nest.is_nested(distribution.dtype):
        raise ValueError(
            "Expected a `distribution` of one tensor under a flow; got the parts "
            f"{distribution.dtype} of {_name(distribution)}."
        )
    if is_discrete(distribution):
        raise ValueError(
            f"Expected a continuous `distribution` under `{bijector.name}`; got the "
            f"discrete {_name(distribution)}."
        )
    if bijector.dtype not in (None, distribution.dtype):
        raise ValueError(
            f"Expected a `distribution` of {bijector.dtype.name}, as `{bijector.name}`; "
            f"got {_name(distribution)} of {distribution.dtype.name}."
        )
    _check_event_shape(distribution, bijector)
    _check_context_sizes(distribution, bijector)
    return bijector


def is_discrete(distribution):
    """Whether a distribution is known to be discrete, itself or what it is made of."""
    if not tf.as_dtype(distribution.dtype).is_floating:
        return True
    if isinstance(distribution, _DISCRETE) or getattr(distribution, "is_discrete", False):
        return True
    inner = [getattr(distribution, name, None) for name in _INNER]
    inner += getattr(distribution, "components", ())
    return any(isinstance(d, tfd.Distribution) and is_discrete(d) for d in inner)


def _check_event_shape(distribution, bijector):
    shape, needed = distribution.event_shape, bijector.forward_min_event_ndims
    if tf.nest.is_nested(needed) or shape.rank is None:
        return
    if shape.rank < needed:
        raise ValueError(
            f"Expected a `distribution` whose events have {needed} axes, as those of "
            f"`{bijector.name}`; got event shape {shape.as_list()}."
        )
    expected = bijector._event_shapes["forward"]
    event = shape[shape.rank - needed :]
    if expected is not None and not event.is_compatible_with(expected):
        raise ValueError(
            f"Expected a `distribution` of events of shape {list(expected)}, as those of "
            f"`{bijector.name}`; got {_name(distribution)} of event shape "
            f"{shape.as_list()}."
        )


def _check_context_sizes(distribution, bijector):
    size = getattr(distribution, "context_size", 0)
    if size and bijector.context_size not in (0, size):
        raise ValueError(
            f"Expected one width of `context` for `{bijector.name}` and "
            f"`{distribution.name}`; got {bijector.context_size} and {size}."
        )


def _name(distribution):
    return f"`{distribution.name}` ({type(distribution).__name__.removeprefix('_')})"
