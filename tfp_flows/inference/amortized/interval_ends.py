"""Coordinates of parameters in intervals, with bends as narrow as posteriors."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_flows.inference.amortized.pairs import LEAST_SIMULATIONS, Pairs
from tfp_flows.inference.default_supports import SOFTNESS, is_interval
from tfp_flows.inference.support import JointSupport

_DEVIATIONS = 0.5  # softness of the ends, in local standard deviations of the parameter
_LEAST = 0.003  # least softness, in widths of the interval
_MOST_NUMBERS = 200  # of an observation, for which regressions take too long


def with_fitted_ends(
    support: JointSupport, pairs: Pairs, seed: int | None
) -> tuple[JointSupport, np.ndarray]:
    """Returns the support with narrower bends of intervals, and parameters in them.

    A coordinate is linear in its parameter, but bends near the ends of the interval, so
    that it reaches all real numbers. Within the bend, posteriors of equal width have
    different widths, and lines are curved: networks need more simulations there. So the
    bend is half as wide as posteriors are, if this is less than the default. Their width is
    the standard deviation about a mixture of linear regressions on the data
    (`residual_scales`). A wider bend than the default is better for some posteriors, and
    much worse for others (docs/tried_and_dropped.md).

    All parts keep their coordinates if observations have more than 200 numbers, or fewer
    than 100 simulations are finite.

    Args:
      support: the support, whose intervals are softly clipped.
      pairs: unconstrained parameters and data of simulations.
      seed: integer that determines the regressions; random if None.
    """
    # Here, so that a fit of one posterior does not load the room of densities.
    from tfp_flows.density.data import Data
    from tfp_flows.density.regressions import residual_scales

    bijectors = support.part_bijectors
    u, x = (np.asarray(part, np.float64) for part in pairs)
    is_finite = np.isfinite(u).all(axis=1) & ~np.isinf(x).any(axis=1)
    is_known = np.isfinite(x[is_finite]).any(axis=0)
    fits = is_finite.sum() >= LEAST_SIMULATIONS and 0 < is_known.sum() <= _MOST_NUMBERS
    if not fits or not any(map(is_interval, bijectors)):
        return support, pairs.u
    x = x[is_finite][:, is_known]
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    theta = support.bijector.forward(tf.constant(u, support.dtype))
    # Nearly linear in the parameters, from 0 to 1 in the interval.
    sharp = support.softly_clipped([_LEAST] * len(bijectors)).unconstrained(theta)
    widths = residual_scales(Data(sharp[is_finite], x), seed)
    sizes = [
        bijector.inverse_event_shape(part.shape[1:]).num_elements()
        for bijector, part in zip(bijectors, tf.nest.flatten(theta), strict=True)
    ]
    log_widths = np.split(np.log(widths), np.cumsum(sizes)[:-1])
    means = np.exp([np.mean(of_part) for of_part in log_widths])
    softness = np.clip(_DEVIATIONS * means, _LEAST, SOFTNESS)
    is_narrower = np.array([*map(is_interval, bijectors)]) & (softness < SOFTNESS)
    if not is_narrower.any():
        return support, pairs.u
    fitted = support.softly_clipped(softness.tolist())
    is_changed = np.repeat(is_narrower, sizes) & np.isfinite(u)
    return fitted, np.where(is_changed, fitted.unconstrained(theta), u)
