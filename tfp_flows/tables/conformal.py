"""Split conformal prediction: how far intervals must reach to hold their level.

It is an idea of its own, which needs scores of calibration rows and no model.
"""

import math

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import check_number

_RANK_ROUNDING = 1e-9  # a product of floats may exceed an integer rank by this much


def conformal_distance(scores: npt.ArrayLike, level: float) -> float:
    """Returns the distance q that the score of a new row rarely exceeds.

    ```none
    q = the ceil((n + 1) level)-th smallest of n scores; infinite if there is none
    P(score of a new row <= q) >= level
    ```

    The probability is over all n + 1 rows, which must be exchangeable. It is below
    `level + 1 / (n + 1)` if no two scores are equal.

    >>> from tfp_flows.tables.conformal import conformal_distance
    >>> conformal_distance([0.1, 0.4, 0.2, 0.3], 0.6), conformal_distance([0.1, 0.4], 0.9)
    (0.3, inf)

    Args:
      scores: scores of the calibration rows, `[n]`, in any order; larger is stranger.
      level: probability, in (0, 1).

    Raises:
      ValueError: if `level` is out of its range.

    Reference:
      Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), Distribution-free predictive
      inference for regression. https://arxiv.org/abs/1604.04173
    """
    check_number("level", level, "in (0, 1)", lambda value: 0.0 < value < 1.0)
    in_order = np.sort(np.asarray(scores, np.float64))
    rank = math.ceil((len(in_order) + 1) * level - _RANK_ROUNDING)
    return float(in_order[rank - 1]) if rank <= len(in_order) else math.inf
