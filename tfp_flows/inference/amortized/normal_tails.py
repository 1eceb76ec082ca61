"""Coordinates of parameters in which heavy tails of their prior are normal."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.inference.support import JointSupport, without_functions

_MOST_DRAWS = 4_000  # number of draws of the prior to which the maps are fitted
# Shapes that are tried: skewness, and the logarithm of the tailweight.
_SHAPES = tuple(itertools.product(np.linspace(-1.2, 1.2, 13), np.linspace(0.0, 1.4, 11)))
# Least gain in nats a draw above a normal distribution, and of all draws together.
_LEAST_GAIN, _LEAST_TOTAL = 0.02, 5.0
_QUANTILES = (0.158655, 0.5, 0.841345)  # of v = -1, 0 and 1
_UNCHANGED = (0.0, 1.0, 0.0, 1.0)  # location, scale, skewness, tailweight


def with_normal_tails(
    support: JointSupport, u: np.ndarray
) -> tuple[JointSupport, np.ndarray]:
    """Returns the support from coordinates with normal tails, and draws in them, `[N, D]`.

    ```none
    u_j = location + scale sinh_arcsinh(v_j; skewness, tailweight),   tailweight >= 1
    v_j ~ Normal(0, 1):  the most probable shape of some for draws u of the prior, `[N, D]`,
                         with location and scale by their quantiles
    ```

    The logarithm of a positive parameter whose density is finite at 0 has a heavy tail, for
    example. A flow with this tail for all data gives draws far out to parameters that the
    data determine. Entries keep their coordinates if no shape is more probable than a
    normal distribution, and so does a support that depends on other parameters, which files
    cannot hold. Draws that are not finite are not counted, and stay so.

    Reference:
      Jones, Pewsey (2009), Sinh-arcsinh distributions.
      https://doi.org/10.1093/biomet/asp053
    """
    try:
        bijector = without_functions(support.bijector)
    except ValueError:
        return support, u
    counted = u[np.isfinite(u).all(axis=1)][:_MOST_DRAWS]
    if not len(counted):
        return support, u
    maps = np.array([_most_probable(column) for column in counted.T])
    is_changed = (maps != _UNCHANGED).any(axis=1)
    if not is_changed.any():
        return support, u
    location, scale, skewness, tailweight = tf.constant(maps.T, support.dtype)
    bend = tfb.SinhArcsinh(skewness, tailweight)
    to_u = tfb.Chain([tfb.Shift(location), tfb.Scale(scale), bend])
    v = to_u.inverse(tf.constant(u, support.dtype)).numpy()
    mapped = dataclasses.replace(support, bijector=bijector).mapped(to_u)
    return mapped, np.where(is_changed, v, u)


def without_normal_tails(support: JointSupport) -> JointSupport:
    """Returns the support that `with_normal_tails` was given, from the one it returned."""
    first, *_, last = support.bijector.bijectors  # the last of others reshapes or splits
    is_mapped = isinstance(last, tfb.Chain)
    return dataclasses.replace(support, bijector=first) if is_mapped else support


def _most_probable(u):
    """Location, scale, skewness and tailweight of the most probable map for draws `[N]`."""
    low, center, high = np.quantile(u, _QUANTILES)
    if not low < center < high:
        return _UNCHANGED
    best, most = _UNCHANGED, -np.log(u.std()) - 0.5  # of a normal distribution
    most += max(_LEAST_GAIN, _LEAST_TOTAL / len(u))
    for skewness, log_tailweight in _SHAPES:
        tailweight = np.exp(log_tailweight)
        factor = 2.0 / np.sinh(np.arcsinh(2.0) * tailweight)
        ends = factor * np.sinh((np.arcsinh([-1.0, 0.0, 1.0]) + skewness) * tailweight)
        scale = (high - low) / (ends[2] - ends[0])
        location = center - scale * ends[1]
        y = (u - location) / (scale * factor)
        v = np.sinh(np.arcsinh(y) / tailweight - skewness)
        log_slope = 0.5 * np.log((1.0 + v**2) / (1.0 + y**2))
        log_slope -= np.log(tailweight * scale * factor)
        log_prob = np.mean(log_slope - 0.5 * v**2)
        if log_prob > most:
            best, most = (location, scale, skewness, tailweight), log_prob
    return best
