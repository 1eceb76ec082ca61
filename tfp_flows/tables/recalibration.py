"""The weights of pools of members, measured on rows that these were not trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.tables.mixed_rows import MixedRows

__all__ = ["recalibrate"]

# Before any row is seen: the weight of many members, and the deviation of that guess.
_USUAL, _DEVIATION = 0.3, 0.1
_MOST = 0.9
_ROWS_A_CALL = 4096


def recalibrate(
    rows: MixedRows,
    x: np.ndarray,
    context: np.ndarray | None,
    is_used: npt.NDArray[np.bool_],
) -> None:
    """Sets the weights of the `NumberPool` of fitted rows.

    ```none
    u_m = F_m(y) of rows that member m is not trained on, of which there are n
    var(mean of u_m) = var(u_m) - mean over rows of (variance of u_m over the members)
    w = 30 (1/12 - var(mean of u_m)),   which is Beta(2, 2)'s share of that variance
    ```

    Drawn towards `0.3 (1 - 1/M)`, as if that were the mean of many tables whose weights
    deviate by 0.1; the measured w does by `sqrt(5 / n)`. Of integers the u are randomised.

    Args:
      rows: whose weights are set.
      x: cells, `[N, K + D]`.
      context: `[N, C]`; None where there is none.
      is_used: which members are judged by which rows, booleans `[N, M]`.
    """
    if not rows.cells.num_numbers:
        return
    parts = [
        _of_rows(rows, x[part], None if context is None else context[part])
        for part in _slices(len(x))
    ]
    squares, spread, is_present = map(np.concatenate, zip(*parts, strict=True))
    used = is_used[..., None] & is_present[:, None]  # [N, M, D]
    mean_square = np.sum(squares * used, axis=(0, 1)) / np.maximum(used.sum(axis=(0, 1)), 1)
    disagreement = np.sum(spread * is_present, axis=0) / np.maximum(
        is_present.sum(axis=0), 1
    )
    measured = 30.0 * (1.0 / 12.0 - mean_square + disagreement)
    count = used.any(axis=1).sum(axis=0)
    usual = _USUAL * (1.0 - 1.0 / rows.num_members)
    certain = count * _DEVIATION**2 / 5.0
    weights = (usual + certain * measured) / (1.0 + certain)
    weights = np.where(rows.cells.maps.is_circle, 0.0, np.clip(weights, -_MOST, _MOST))
    rows.recalibrate(weights.tolist())


def _of_rows(rows, x, context):
    """Squares of u - 1/2, `[N, M, D]`; their variances over members, and which count."""
    x = tf.constant(x)
    each, is_present = rows.numbers.evaluate(x, rows.features_of_context(x, context))
    middle, width = 0.5 * (each.below + each.up_to), each.up_to - each.below
    squares = (middle - 0.5) ** 2 + width**2 / 12.0
    spread = tf.math.reduce_variance(middle, axis=1)
    spread += tf.math.reduce_variance(width, axis=1) / 12.0
    return squares.numpy(), spread.numpy(), is_present.numpy()


def _slices(count):
    return [slice(first, first + _ROWS_A_CALL) for first in range(0, count, _ROWS_A_CALL)]
