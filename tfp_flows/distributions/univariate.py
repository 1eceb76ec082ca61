"""Distribution functions and quantiles of distributions of one variable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.composite import context_for
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.inputs import check_context

_HALVINGS = 48  # of an interval in the search for quantiles: float64's digits
# The base that TFP instantiates if a part of the distribution is no composite tensor.
_TRANSFORMED = tfd.TransformedDistribution.__mro__[1]

_OPPOSITE = {
    "cdf": "survival_function",
    "survival_function": "cdf",
    "log_cdf": "log_survival_function",
    "log_survival_function": "log_cdf",
}
# Values below and above the support.
_ENDS = {
    "cdf": (0.0, 1.0),
    "survival_function": (1.0, 0.0),
    "log_cdf": (-np.inf, 0.0),
    "log_survival_function": (0.0, -np.inf),
}


def refuse_several_variables(distribution: tfd.Distribution, function: str) -> None:
    """Raises `NotImplementedError` if events have several entries, or are angles."""
    shape = distribution.event_shape
    bijector = getattr(distribution, "bijector", None)
    if bijector is not None and not getattr(bijector, "is_monotone", True):
        raise NotImplementedError(
            f"Expected a bijector that rises or falls on all of the line for `{function}`; "
            f"got `{bijector.name}`, which maps a circle."
        )
    if tf.nest.is_nested(shape) or shape.num_elements() != 1:
        raise NotImplementedError(
            f"Expected a distribution of one variable for `{function}`; got "
            f"`{distribution.name}` of event shape {shape}. {_estimate(function)}"
        )


def bisect(
    is_below: Callable[[tf.Tensor], Any], low: TensorLike, high: TensorLike
) -> tf.Tensor:
    """Returns the least points for which `is_below` is False, by halving intervals.

    The function is True below some point; intervals run from `low` to `high`.
    """

    def halve(low, high):
        middle = 0.5 * (low + high)
        below = is_below(middle)
        return tf.where(below, middle, low), tf.where(below, high, middle)

    ends = tf.convert_to_tensor(low), tf.convert_to_tensor(high)
    return tf.while_loop(
        lambda *_: True, halve, ends, maximum_iterations=_HALVINGS, parallel_iterations=1
    )[1]


def _estimate(function):
    """Says how to estimate a statistic of several variables from draws."""
    draws = "`draws = distribution.sample(10_000)`"
    if function == "quantile":
        return (
            f"Estimate that of each variable from {draws}: "
            "`tfp.stats.percentile(draws, 50.0, axis=0)`."
        )
    return (
        "Estimate the joint `cdf`, the probability that each variable is at most that of "
        f"`value`, by the share of such draws: {draws}, "
        "`np.mean(np.all(draws <= value, axis=-1), axis=0)`. `survival_function` is one "
        "minus it."
    )


def evaluate(
    distribution: Any,
    function: str,
    value: TensorLike,
    context: TensorLike | None = None,
) -> tf.Tensor:
    """Returns "cdf" or another of `_ENDS` at `value`, `[..., *event]`, as `[...]`.

    The context is that of a conditional distribution.
    """
    refuse_several_variables(distribution, function)
    context = _checked_context(distribution, context)
    if isinstance(distribution, _TRANSFORMED):
        return _evaluate_transformed(distribution, function, value, context)
    if isinstance(distribution, tfd.Independent):
        result = evaluate(distribution.distribution, function, value)
        return _drop_axes(result, _num_own_axes(distribution))
    if isinstance(distribution, tfd.Sample):
        ndims = distribution.distribution.event_shape.rank
        value = _drop_axes(value, _num_own_axes(distribution), before=ndims)
        return evaluate(distribution.distribution, function, value)
    method = _method(distribution, function)
    return method(value, **_keywords(distribution, context))


def quantile(
    distribution: Any, probability: TensorLike, context: TensorLike | None = None
) -> tf.Tensor:
    """Returns quantiles, `[..., *event]`, of a probability, `[...]`; else as `evaluate`."""
    refuse_several_variables(distribution, "quantile")
    context = _checked_context(distribution, context)
    probability = tf.cast(probability, distribution.dtype)
    if isinstance(distribution, _TRANSFORMED):
        lower, upper = _at_quartiles(distribution, context)
        probability = tf.where(lower <= upper, probability, 1.0 - probability)
        return _forward_quantile(distribution, probability, context)
    if isinstance(distribution, tfd.Independent):
        probability = _add_axes(probability, _num_own_axes(distribution))
        return quantile(distribution.distribution, probability)
    if isinstance(distribution, tfd.Sample):
        ndims = distribution.distribution.event_shape.rank
        value = quantile(distribution.distribution, probability)
        return _add_axes(value, _num_own_axes(distribution), before=ndims)
    method = _method(distribution, "quantile")
    return method(probability, **_keywords(distribution, context))


def _method(distribution, name):
    method = getattr(distribution, name, None)
    if method is None:
        raise NotImplementedError(
            f"Expected a distribution with `{name}`; got {type(distribution).__name__}."
        )
    return method


def _evaluate_transformed(distribution, function, y, context):
    base = distribution.distribution
    y = tf.convert_to_tensor(y, distribution.dtype)
    x, cannot_occur = _inverse(distribution, y, context)
    lower, upper = _at_quartiles(distribution, context)
    is_rising = lower <= upper
    somewhere = quantile(base, tf.constant(0.25, base.dtype), context_for(base, context))

    def from_base(function, where):
        # Discarded results are computed at a finite point, so no NaN reaches a gradient.
        points = tf.where(_add_axes(where, base.event_shape.rank), x, somewhere)
        return evaluate(base, function, points, context_for(base, context))

    inside = tf.where(
        is_rising,
        from_base(function, is_rising),
        from_base(_OPPOSITE[function], ~is_rising),
    )
    y = _drop_axes(y, distribution.event_shape.rank)
    # Bijectors of TFP return NaN outside their range.
    x = _drop_axes(x, base.event_shape.rank)
    cannot_occur = cannot_occur | tf.math.is_nan(x)
    below, above = (tf.constant(end, inside.dtype) for end in _ENDS[function])
    outside = tf.where(y < tf.minimum(lower, upper), below, above)
    outside = tf.where(tf.math.is_nan(y), y, outside)
    # The quartiles are NaN if the context is.
    outside = tf.where(tf.math.is_nan(lower), lower, outside)
    return tf.where(cannot_occur, outside, inside)


def _inverse(distribution, y, context):
    """Returns latents, `[..., *event]`, and whether `y` is outside the support, `[...]`."""
    base, bijector = distribution.distribution, distribution.bijector
    if not isinstance(bijector, FlowBijector):
        return bijector.inverse(y), False
    x, log_det = bijector.inverse_and_log_det(y, context=context_for(bijector, context))
    extra = base.event_shape.rank - bijector.forward_min_event_ndims
    return x, tf.equal(_drop_axes(log_det, extra), -np.inf)


def _at_quartiles(distribution, context):
    """The base's lower and upper quartile after the bijector, `[...]`."""
    return [
        _drop_axes(
            _forward_quantile(distribution, tf.constant(p, distribution.dtype), context),
            distribution.event_shape.rank,
        )
        for p in (0.25, 0.75)
    ]


def _forward_quantile(distribution, probability, context):
    base, bijector = distribution.distribution, distribution.bijector
    x = quantile(base, probability, context_for(base, context))
    return bijector.forward(x, **_keywords(bijector, context))


def _checked_context(distribution, context):
    size = getattr(distribution, "context_size", 0)
    return check_context(context, size, distribution.dtype, distribution.name)


def _keywords(part, context):
    return {"context": context} if getattr(part, "context_size", 0) else {}


def _num_own_axes(distribution):
    """Number of event axes that `tfd.Independent` and `tfd.Sample` add."""
    return distribution.event_shape.rank - distribution.distribution.event_shape.rank


def _drop_axes(value, count, before=0):
    axes = [-i - before - 1 for i in range(count)]
    return tf.squeeze(value, axes) if axes else value


def _add_axes(value, count, before=0):
    for _ in range(count):
        value = tf.expand_dims(value, -before - 1)
    return value


class OneVariable:
    """The distribution functions of a transformed distribution of one variable.

    Every bijector of one variable is monotone, except on a circle. If it rises, the first
    forms hold, and if it falls, the second:

    ```none
    cdf(y)      = base.cdf(x) or base.survival_function(x),    x = bijector^-1(y)
    quantile(p) = bijector(base.quantile(p or 1 - p))
    ```

    Mixed into a `tfd.TransformedDistribution`.
    """

    _cdf = functools.partialmethod(evaluate, "cdf")
    _log_cdf = functools.partialmethod(evaluate, "log_cdf")
    _survival_function = functools.partialmethod(evaluate, "survival_function")
    _log_survival_function = functools.partialmethod(evaluate, "log_survival_function")
    _quantile = quantile
