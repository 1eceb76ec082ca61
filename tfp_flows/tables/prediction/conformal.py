"""Conformal intervals: calibration rows, which no training sees, and their scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import check_share, require
from tfp_flows.tables.cells import is_missing
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.prediction.prediction import predict
from tfp_flows.tables.row_codec import RowCodec
from tfp_flows.tables.training import held_out

_RANK_ROUNDING = 1e-9  # a product of floats may exceed an integer rank by this much


def calibration_rows(
    codec: RowCodec, num_rows: int, share: float, seed: int | None
) -> npt.NDArray[np.bool_]:
    """Draws which rows are kept for calibration, booleans `[N]`.

    Raises:
      ValueError: if the modelled columns are not one column of numbers on a line.
    """
    kinds = {name: column.kind for name, column in codec.columns.items()}
    codecs = codec.codecs.values()
    are_on_line = all(c.has_number and c.column.kind != "periodic" for c in codecs)
    words = "one modelled column, of numbers on a line, for `calibration_split`"
    require(len(kinds) == 1 and are_on_line, words, kinds)
    return held_out(num_rows, 1, share, seed)[:, 0]


def calibration_scores(
    distribution: TableDistribution,
    codec: RowCodec,
    frame: Frame,
    context: np.ndarray | None,
    is_kept: npt.NDArray[np.bool_],
) -> np.ndarray:
    """Returns the scores of the rows of a frame that are kept, in increasing order.

    The score is `Prediction.distance_from_median`. Rows with a missing cell have none. The
    entries of the context are `context`, `[N, C]`; which rows are kept, `is_kept`, `[N]`.
    """
    (name,) = codec.names
    y = frame.take([name])[name]
    is_kept = is_kept & ~is_missing(y)
    prediction = predict(distribution, codec, frame, context, is_kept)
    return np.sort(prediction.distance_from_median(y[is_kept]))


def conformal_distance(scores: npt.ArrayLike, level: float) -> float:
    """Returns the distance q that the score of a new row exceeds with 1 - `level` at most.

    ```none
    q = the ceil((n + 1) level)-th smallest of n scores; infinite if there is none
    ```

    The probability is over all n + 1 rows, which must be exchangeable. It is below
    `level + 1 / (n + 1)` if no two scores are equal.

    Reference:
      Vovk, Gammerman, Shafer (2005), Algorithmic learning in a random world.

    >>> from tfp_flows.tables.prediction.conformal import conformal_distance
    >>> conformal_distance([0.1, 0.4, 0.2, 0.3], 0.6), conformal_distance([0.1, 0.4], 0.9)
    (0.3, inf)
    """
    check_share("level", level)
    in_order = np.sort(np.asarray(scores, np.float64))
    rank = math.ceil((len(in_order) + 1) * level - _RANK_ROUNDING)
    return float(in_order[rank - 1]) if rank <= len(in_order) else math.inf
