"""Checks of the bases, rows and indices of distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_instance, check_members, require
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import check_rows, rows_of_positive_weight

# Discrete distributions, which may have a floating-point dtype.
_DISCRETE = (
    *(tfd.Bernoulli, tfd.Binomial, tfd.Categorical, tfd.Geometric, tfd.Multinomial),
    *(tfd.NegativeBinomial, tfd.OneHotCategorical, tfd.Poisson, tfd.Skellam, tfd.Zipf),
    *(tfd.QuantizedDistribution, tfd.DirichletMultinomial, tfd.BetaBinomial),
    *(tfd.FiniteDiscrete, tfd.DeterminantalPointProcess, tfd.Deterministic),
    *(tfd.VectorDeterministic, tfd.Empirical),
)
# Distributions on the line, which are not periodic.
_ON_THE_LINE = (
    *(tfd.Normal, tfd.Logistic, tfd.Laplace, tfd.StudentT),
    *(tfd.MultivariateNormalDiag, tfd.MultivariateNormalTriL),
)
# Attributes that hold the parts of a distribution.
_INNER = ("distribution", "components_distribution")


def check_base(
    distribution: tfd.Distribution, bijector: tfp.bijectors.Bijector
) -> FlowBijector:
    """Returns the bijector as a `FlowBijector`, or raises `ValueError`.

    The base must be a continuous distribution of one tensor, of the bijector's dtype, event
    shape and width of context.
    """
    members = ("log_prob", "event_shape", "dtype")
    check_members("distribution", distribution, members, "a `tfd.Distribution`")
    words = "a `tfp.bijectors.Bijector`"
    check_instance("bijector", bijector, tfp.bijectors.Bijector, words)
    stock = None if isinstance(bijector, FlowBijector) else bijector
    bijector = bijector if stock is None else FlowChain([stock])
    is_one, name = not tf.nest.is_nested(distribution.dtype), _name(distribution)
    words = "a `distribution` of one tensor under a flow"
    require(is_one, words, f"the parts {distribution.dtype} of {name}")
    refuse_discrete(distribution, f"under `{bijector.name}`")
    if bijector.dtype is not None:
        words = f"a `distribution` of {bijector.dtype.name}, as `{bijector.name}`"
        got = f"{name} of {distribution.dtype.name}"
        require(bijector.dtype == distribution.dtype, words, got)
    _check_event_shape(distribution, bijector)
    # Parts with a context cannot be traced without one.
    parts = () if stock is None else (stock, *stock.submodules)
    if parts and not any(getattr(part, "context_size", 0) for part in parts):
        _check_takes_events(distribution, stock)
    _check_circles(distribution, bijector)
    _check_context_sizes(distribution, bijector)
    return bijector


def is_discrete(distribution: tfd.Distribution) -> bool:
    """Whether a distribution, or a part of it, is known to be discrete."""
    if not tf.as_dtype(distribution.dtype).is_floating:
        return True
    if isinstance(distribution, _DISCRETE) or getattr(distribution, "is_discrete", False):
        return True
    inner = [getattr(distribution, name, None) for name in _INNER]
    inner += getattr(distribution, "components", ())
    return any(isinstance(d, tfd.Distribution) and is_discrete(d) for d in inner)


def refuse_batch(argument: str, distribution: Any) -> None:
    """Refuses several distributions, since each row would get another one, by its place.

    A distribution of unknown batch shape passes.
    """
    batch = getattr(distribution, "batch_shape", None)
    is_one = not isinstance(batch, tf.TensorShape) or batch.num_elements() in (None, 1)
    require(is_one, f"a `{argument}` without batch axes", batch)


def refuse_discrete(distribution: Any, place: str) -> None:
    """Refuses a distribution that is known to be discrete; `place` may be "under `maf`"."""
    got = f"the discrete {_name(distribution)}"
    require(not is_discrete(distribution), f"a continuous `distribution` {place}", got)


def vector_size(distribution: Any) -> int:
    """Returns D of a distribution of vectors, `[D]`; refuses anything else."""
    members = ("log_prob", "sample", "event_shape", "dtype")
    check_members("distribution", distribution, members, "one of rows")
    shape = distribution.event_shape
    is_vector = shape.rank == 1 and shape.is_fully_defined()
    words = "a `distribution` of vectors of a known size"
    require(is_vector, words, f"events of {shape}")
    return shape[0]


def check_rows_of(
    distribution: tfd.Distribution,
    data: TensorLike,
    context: TensorLike | None = None,
    sample_weight: TensorLike | None = None,
) -> tuple:
    """Returns data, contexts and weights of the rows whose weight is above zero.

    Rows that are no events of `distribution`, or have density zero, are refused. The shape
    alone is checked of a `tf.TensorSpec`, and nothing if events are several tensors.
    """
    event_shape = getattr(distribution, "event_shape", tf.TensorShape(None))
    if not isinstance(event_shape, tf.TensorShape):
        return rows_of_positive_weight(data, context, sample_weight)
    context_size = getattr(distribution, "context_size", 0)
    data = check_rows(data, context, event_shape, context_size)
    data, context, weight = rows_of_positive_weight(data, context, sample_weight)
    if hasattr(distribution, "check_support") and not isinstance(data, tf.TensorSpec):
        distribution.check_support(data)
    return data, context, weight


def check_event_size(flow: tfp.bijectors.Bijector, size: int, events: str) -> None:
    """Raises `ValueError` unless `flow` maps vectors of `size` entries to such vectors.

    `events` describes the vectors in the error, with `{}` in place of `size`.
    """
    expected = f"Expected a `flow` on {events.format(size)}; got `{flow.name}`"
    try:
        shape = flow.forward_event_shape([size])
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error
    if shape != [size]:
        raise ValueError(f"{expected}, which maps them to shape {shape}.")


def check_slices(slices: Any, batch_shape: tf.TensorShape, name: str) -> None:
    """Raises `ValueError` if there are more indices `slices` than batch axes."""
    indices = [s for s in _listed(slices) if s is not Ellipsis and s is not tf.newaxis]
    rank, count = batch_shape.rank, len(indices)
    words = f"at most {rank} indices of `{name}`, whose batch shape is {batch_shape}"
    require(count <= rank, words, count)


def refuse_slices(slices: Any, name: str) -> None:
    """Raises `ValueError` unless `slices` is `...`, since there are no batch axes."""
    has_none = all(s is Ellipsis for s in _listed(slices))
    words = f"no indices of `{name}`, which has no batch axes (`tfd.BatchBroadcast` adds"
    require(has_none, f"{words} them)", slices)


def _check_event_shape(distribution, bijector):
    shape, needed = distribution.event_shape, bijector.forward_min_event_ndims
    if tf.nest.is_nested(needed) or shape.rank is None:
        return
    name, got = bijector.name, f"event shape {shape.as_list()}"
    words = f"a `distribution` whose events have {needed} axes, as those of `{name}`"
    require(shape.rank >= needed, words, got)
    expected = bijector._event_shapes["forward"]
    if expected is not None:
        fits = shape[shape.rank - needed :].is_compatible_with(expected)
        words = f"a `distribution` of events of shape {list(expected)}, as those of"
        require(fits, f"{words} `{name}`", f"{_name(distribution)} of {got}")


def _check_takes_events(distribution, bijector):
    """Refuses events that a stock bijector, whose shapes may be unknown, does not map."""
    shape, needed = distribution.event_shape, bijector.forward_min_event_ndims
    if tf.nest.is_nested(needed) or not shape.is_fully_defined():
        return
    expected = f"Expected a `distribution` of events that `{bijector.name}` maps"
    got = f"got {_name(distribution)} of event shape {shape.as_list()}"
    rows = tf.TensorSpec([1, *shape], distribution.dtype)
    forward = tf.function(lambda x: bijector.forward(x), autograph=False)
    try:
        after = forward.get_concrete_function(rows).output_shapes
    except (ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{expected}; {got}: {reason}") from error
    event = bijector.forward_event_shape(shape)
    if isinstance(after, tf.TensorShape) and not after[1:].is_compatible_with(event):
        raise ValueError(f"{expected} to events of shape {event}; {got}, for {after[1:]}.")


def _check_circles(distribution, bijector):
    """Refuses a base on the line where a flow says that variables are on a circle."""
    columns = np.flatnonzero(getattr(bijector, "is_circular", ())).tolist()
    inner = distribution
    while isinstance(inner, (tfd.Independent, tfd.Sample)):
        inner = inner.distribution
    is_on_line = columns and isinstance(inner, _ON_THE_LINE)
    place = f"in columns {columns} of `{bijector.name}`, as `circular_base` is"
    words = f"a `distribution` that is uniform on a circle {place}"
    require(not is_on_line, words, _name(distribution))


def _check_context_sizes(distribution, bijector):
    flow_size, base_size = bijector.context_size, getattr(distribution, "context_size", 0)
    words = f"one width of `context` for `{bijector.name}` and {_name(distribution)}"
    is_one = len({flow_size, base_size} - {0}) < 2
    require(is_one, words, f"{flow_size} and {base_size}")


def _name(distribution):
    kind = type(distribution).__name__.removeprefix("_")
    return f"`{getattr(distribution, 'name', kind)}` ({kind})"


def _listed(slices):
    return slices if isinstance(slices, tuple) else (slices,)
