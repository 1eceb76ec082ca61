"""Mean and standard deviation of data, safe where a variable is constant."""

import numpy as np

from tfp_flows.core.resolution import check_resolution

__all__ = ["mean_and_scale"]


def mean_and_scale(data, dtype, argument="data"):
    """Mean and standard deviation of the last axis's entries over all other axes.

    Computed in float64: the sums of a million float32 rows lose digits.

    Args:
      data: `[N, ..., C]`.
      dtype: of the results.
      argument: what an error calls the data.

    Returns:
      Arrays of shape `[C]`. The scale is 1 where the data are constant to rounding.

    Raises:
      ValueError: if `data` has no rows, or values that are not finite, or such that `dtype`
        cannot tell them apart.
    """
    data = np.asarray(data)
    if data.size == 0:
        raise ValueError(f"Expected `{argument}` with at least one row; got {data.shape}.")
    axes = tuple(range(data.ndim - 1))
    mean = data.mean(axis=axes, dtype=np.float64)
    scale = data.std(axis=axes, dtype=np.float64)
    if not np.isfinite(scale).all():
        columns = np.flatnonzero(~np.isfinite(scale)).tolist()
        raise ValueError(
            f"Expected finite `{argument}`; got NaN or infinity in entries {columns} of "
            "the last axis."
        )
    check_resolution(data, dtype, "data")
    rounding = 10.0 * np.finfo(data.dtype).eps if data.dtype.kind == "f" else 0.0
    scale = np.where(scale <= rounding * np.abs(mean), 1.0, scale)
    numpy_dtype = dtype.as_numpy_dtype
    return mean.astype(numpy_dtype), scale.astype(numpy_dtype)
