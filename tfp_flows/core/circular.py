"""The argument `circular`: which variables are angles."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_array, check_size, refuse

_TURN = 2.0 * math.pi * (1.0 + 1e-3)  # radians, with room for rounding


def as_circular(
    circular: Sequence[int] | Sequence[bool] | None, event_size: int
) -> np.ndarray:
    """Returns booleans, `[event_size]`: which variables are angles in radians.

    They are given as indices, or as a boolean for each variable; None: there is no angle.
    """
    size = check_size("event_size", event_size)
    if circular is None:
        return np.zeros(size, bool)
    value = check_array("circular", circular)
    if value.dtype == bool and value.shape == (size,):
        return value
    is_empty = value.shape == (0,)
    is_list = value.ndim == 1 and value.dtype.kind in "iu"
    indices = value.tolist() if is_list else []
    is_known = all(-size <= i < size for i in indices)
    is_known = is_known and len({i % size for i in indices}) == len(indices)
    if not is_empty and not (is_list and is_known):
        words = f"a list of indices of {size} variables or of {size} booleans"
        refuse(f"`circular`, {words}", circular)
    result = np.zeros(size, bool)
    result[indices] = True
    return result


def warn_of_degrees(data: TensorLike, circular: np.ndarray, argument: str) -> None:
    """Warns if angles, `[..., D]`, and 0 span more than a turn, as degrees and hours do.

    Angles in radians from -pi to pi, or from 0 to 2 pi, span one turn. Tensors of a graph
    are not checked.
    """
    if not np.any(circular) or tf.is_symbolic_tensor(data):
        return
    angles = np.reshape(np.asarray(data), [-1, len(circular)])
    if not len(angles):
        return
    low, high = angles.min(axis=0), angles.max(axis=0)
    span = np.maximum(high, 0.0) - np.minimum(low, 0.0)
    for column in np.flatnonzero(circular & (span > _TURN)).tolist():
        warnings.warn(
            f"Expected `{argument}` with radians in the circular column {column}; "
            f"got numbers from {low[column]:g} to {high[column]:g}, more than one turn of "
            "2 pi. Convert degrees by numpy.deg2rad; radians are taken modulo 2 pi.",
            stacklevel=3,
        )
