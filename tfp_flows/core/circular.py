"""Which variables are angles, as an argument says it."""

from collections.abc import Sequence

import numpy as np

from tfp_flows.core.arguments import check_array
from tfp_flows.core.arguments import check_integer

__all__ = ["as_circular"]


def as_circular(
    circular: Sequence[int] | Sequence[bool] | None, event_size: int
) -> np.ndarray:
    """Returns booleans, `[event_size]`: which variables are angles in radians.

    Args:
      circular: indices of variables, or a boolean for each; None if none is an angle.
      event_size: number of variables, D.

    Raises:
      ValueError: if an index is out of range or twice there, or there are not D booleans.
    """
    size = check_integer("event_size", event_size)
    value = (
        np.zeros(size, bool)
        if circular is None
        else check_array("circular", circular, None)
    )
    if value.dtype == bool and value.shape == (size,):
        return value
    is_empty = value.shape == (0,)
    is_list = value.ndim == 1 and value.dtype.kind in "iu"
    indices = value.tolist() if is_list else []
    is_known = all(-size <= i < size for i in indices)
    is_known = is_known and len({i % size for i in indices}) == len(indices)
    if not is_empty and not (is_list and is_known):
        raise ValueError(
            f"Expected `circular`, a list of indices of {size} variables or of {size} "
            f"booleans; got {circular!r}."
        )
    result = np.zeros(size, bool)
    result[indices] = True
    return result
