"""Bijectors from all reals to the supports of distributions, where TFP's reach them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb

__all__ = ["check_reach", "default_support", "has_own_support"]

# TFP makes instances of these bases if a part is no composite tensor.
_REPEATED = (tfp.distributions.Sample.__mro__[1], tfp.distributions.Independent.__mro__[1])
_NUM_DRAWS = 256
_MOST_MISSED = 0.02  # rounding moves some
_LEAST = 1e-30  # below which draws of float32 have few digits, or none


def default_support(distribution: tfp.distributions.Distribution) -> Any:
    """Returns a bijector from all reals to the support; None if there is none.

    It is TFP's own, but that of Wishart distributions, which in TFP 0.25 takes a softplus
    twice: no Cholesky factor has less than log 2 on its diagonal. That of repeated
    distributions is that of one of them.
    """
    distribution = _of_one(distribution)
    if not has_own_support(distribution):
        return distribution.experimental_default_event_space_bijector()
    # A shift, which the default has, would leave out factors near zero.
    factor = tfb.FillScaleTriL(diag_bijector=tfb.Softplus(), diag_shift=None)
    is_factor = distribution.input_output_cholesky
    return factor if is_factor else tfb.Chain([tfb.CholeskyOuterProduct(), factor])


def has_own_support(distribution: tfp.distributions.Distribution) -> bool:
    """Whether `default_support` is another than TFP's."""
    return isinstance(_of_one(distribution), tfp.distributions.WishartLinearOperator)


def check_reach(distribution: tfp.distributions.Distribution, name: str) -> None:
    """Raises `ValueError`, with `name`, if the support does not reach some of 256 draws."""
    try:
        bijector = default_support(distribution)
        draws = distribution.sample(_NUM_DRAWS, seed=tf.constant([0, 0]))
        # A copy, which the bijector does not know as what it has inverted.
        unconstrained = tf.nest.map_structure(tf.identity, bijector.inverse(draws))
        found = bijector.forward(unconstrained)
    except Exception:  # no draws, or no inverse: nothing is known
        return
    pairs = zip(tf.nest.flatten(draws), tf.nest.flatten(found), strict=True)
    with np.errstate(invalid="ignore", over="ignore"):
        missed = max(_share_missed(*map(np.asarray, pair)) for pair in pairs)
    if missed > _MOST_MISSED:
        raise ValueError(
            "Expected `target` with parts whose default bijectors reach their supports; "
            f"that of {name}, {type(_of_one(distribution)).__name__.removeprefix('_')}, "
            f"misses {missed:.0%} of its draws, as TFP's of distributions on a sphere do. "
            "Give the event shape, a `support`, and the log-density as "
            "`target_log_prob_fn`."
        )


def _of_one(distribution):
    while isinstance(distribution, _REPEATED):
        distribution = distribution.distribution
    return distribution


def _share_missed(x, y):
    """Share of draws that come back elsewhere, of those away from the ends of floats."""
    x, y = (np.reshape(value, [len(value), -1]).astype(np.float64) for value in (x, y))
    size = np.abs(x)
    is_zero = np.all(x == 0.0, axis=0)  # as above the diagonal of a triangle
    is_inside = np.all(np.isfinite(x) & (is_zero | (size > _LEAST)), axis=1)
    error = np.max(np.abs(y - x), axis=1, initial=0.0)
    is_back = error <= 0.01 * np.max(size, axis=1, initial=0.0)
    return 1.0 - np.mean(is_back[is_inside]) if is_inside.any() else 0.0
