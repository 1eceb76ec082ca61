"""The recalibration of a fitted distribution, by rows that its members have not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.rows import effective_count, tensors_of_parts
from tfp_flows.tables.distribution import TableDistribution

# Prior mean, for many members, and deviation of the recalibration weights. On twenty tables
# of R's packages, measured weights were 0.13 to 0.43 (docs/results.md).
_PRIOR_MEAN, _PRIOR_DEVIATION = 0.3, 0.1
_MOST_WEIGHT = 0.9  # largest absolute weight


def recalibrate(
    distribution: TableDistribution,
    x: np.ndarray,
    context: np.ndarray | None,
    weights: npt.ArrayLike,
) -> None:
    """Sets the recalibration weights (`NumberConditionals`) of a fitted distribution.

    ```none
    u_m = F_m(y) of n rows that member m is not trained on
    var(mean of u_m) = var(u_m) - mean over rows of (variance of u_m over the members)
    w = 30 (1/12 - var(mean of u_m)),   the share of Beta(2, 2) with that variance
    ```

    The weights are shrunk towards `0.3 (1 - 1/M)`, their prior mean, with a prior standard
    deviation of 0.1; the measured w has one of `sqrt(5 / n)`. The u of integers are
    randomised. Numbers at atoms do not count.

    Args:
      distribution: the distribution.
      x: entries of the validation rows, `[N, K + D]`.
      context: their context, `[N, C]`; None if there is none.
      weights: weights of the rows for each member, `[N, M]`; 0 for rows of its training.
        The number n is Kish's effective number of rows.
    """
    if not distribution.features.num_numbers:
        return
    rows = tensors_of_parts(x, context)
    parts = [_squares_and_spread(distribution, *part) for part in rows]
    squares, spread, is_present = map(np.concatenate, zip(*parts, strict=True))
    used = np.asarray(weights, np.float64)[..., None] * is_present[:, None]  # [N, M, D]
    used_by_any = used.max(axis=1)
    mean_square = _weighted_mean(squares, used, axis=(0, 1))
    disagreement = _weighted_mean(spread, used_by_any, axis=0)
    measured = 30.0 * (1.0 / 12.0 - mean_square + disagreement)
    prior_mean = _PRIOR_MEAN * (1.0 - 1.0 / distribution.num_members)
    # Ratio of the variances of the prior and of the measured weight.
    counts = [effective_count(w[w > 0.0], 0) for w in used_by_any.T]
    ratio = np.array(counts) * _PRIOR_DEVIATION**2 / 5.0
    found = (prior_mean + ratio * measured) / (1.0 + ratio)
    is_circle = distribution.features.maps.is_circle
    found = np.where(is_circle, 0.0, np.clip(found, -_MOST_WEIGHT, _MOST_WEIGHT))
    distribution.recalibrate(found.tolist())


def _weighted_mean(values, weights, axis):
    """The mean over axes; 0 if all weights are."""
    total = weights.sum(axis=axis)
    return np.sum(values * weights, axis=axis) / np.where(total > 0.0, total, 1.0)


def _squares_and_spread(distribution, x, context):
    """Returns `(u - 1/2)^2`, `[n, M, D]`; variance over members, and presence, `[n, D]`."""
    members, is_present = distribution.evaluate_numbers(x, context)
    middle, width = 0.5 * (members.below + members.up_to), members.up_to - members.below
    squares = (middle - 0.5) ** 2 + width**2 / 12.0
    spread = tf.math.reduce_variance(middle, axis=1)
    spread += tf.math.reduce_variance(width, axis=1) / 12.0
    return squares.numpy(), spread.numpy(), is_present.numpy()
