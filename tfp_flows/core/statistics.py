"""Statistics of data: means, scales that are safe for constants, shrunk correlations."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import effective_count, parts_of_rows

# Below this many float spacings, variation is rounding noise.
_FEWEST_ROUNDINGS = 4.0
# Factor of safety to the smallest and largest floats, since the flow multiplies numbers.
_SPARE = 100.0
# Bytes of a block of rows in float64, since a large array has no room for a copy.
_BYTES_OF_BLOCK = 2**26
# Candidate shares of the identity, and candidate penalties of the ridge regression.
_SHARES = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
_NUM_PARTS = 5  # folds of the cross-validation
# Rows per variable above which correlations are not shrunk.
_MANY_ROWS = 20
# Above this number of variables (and with more rows), one fold is enough and takes seconds.
_MANY_VARIABLES = 256
# Largest loss in nats per left-out row for a smaller share.
_MOST_LOST = 1.0
# Variance below which a column is constant.
_CONSTANT = 1e-6


def standard_error(values: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Returns the standard error of the mean of values, `[n]`, perhaps with weights."""
    count = len(values)
    share = np.ones(count) / count if weight is None else weight / weight.sum()
    errors = share * (values - share @ values)
    return float(np.sqrt(errors @ errors * count / (count - 1)))


def weighted_median(values: np.ndarray, weight: np.ndarray | None) -> float:
    """Returns the median of values, `[n]`; with weights, the least with half of them."""
    if weight is None:
        return float(np.median(values))
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order[np.searchsorted(total, 0.5 * total[-1])]])


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Returns ranks from 1 of values, `[n]`; equal ones share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[place]


def mean_and_scale(
    data: npt.ArrayLike,
    dtype: tf.DType,
    argument: str = "data",
    *,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each entry of the last axis, `[C]`.

    They are computed in float64: sums of a million float32 rows lose digits. The scale is 1
    where the data are constant to rounding. Data without rows, with values that are not
    finite, or with a variation that `dtype` does not resolve are refused.
    """
    data = np.asarray(data)
    require(data.size > 0, f"`{argument}` with at least one row", data.shape)
    axes, positions = tuple(range(data.ndim - 1)), data[0].size / data.shape[-1]
    count = positions * (len(data) if weight is None else weight.sum())

    def weighted_sum(function):
        blocks = row_blocks(data, weight)
        return sum((w * function(rows)).sum(axis=axes) for rows, w in blocks)

    # Distances from the first row are exactly zero for a constant.
    first = data.reshape(-1, data.shape[-1])[0].astype(np.float64)
    mean = first + weighted_sum(lambda rows: rows - first) / count
    scale = np.sqrt(weighted_sum(lambda rows: (rows - mean) ** 2) / count)
    columns = np.flatnonzero(~np.isfinite(scale)).tolist()
    got = f"NaN or infinity in entries {columns} of the last axis"
    require(not columns, f"finite `{argument}`", got)
    check_resolution(data, dtype, argument)
    rounding = 10.0 * np.finfo(data.dtype).eps if data.dtype.kind == "f" else 0.0
    scale = np.where(scale <= rounding * np.abs(mean), 1.0, scale)
    numpy_dtype = dtype.as_numpy_dtype
    return mean.astype(numpy_dtype), scale.astype(numpy_dtype)


def check_finite(
    data: npt.ArrayLike, argument: str = "data", *, is_batch: bool = False
) -> None:
    """Raises `ValueError`, with the first row, if rows have NaN or infinity.

    With `is_batch`, it says that rows are counted in their batch.
    """
    array = np.asarray(data)
    if array.dtype.kind in "biu" or not array.size:
        return
    # Minimum and maximum are NaN if one value is.
    if np.isfinite(array.min()) and np.isfinite(array.max()):
        return
    rows = array.reshape(len(array), -1)
    bad = np.argwhere(~np.isfinite(rows))
    row, entry = bad[0]
    place = f"row {row} of a batch" if is_batch else f"row {row}"
    raise ValueError(
        f"Expected finite `{argument}`; got {rows[row, entry]} in {place} "
        f"(such values: in {len(np.unique(bad[:, 0]))} of {len(rows)} rows)."
    )


def warn_of_constants(columns: Sequence[int]) -> None:
    """Warns of the `columns` of the argument `data` that are constant, if there are any."""
    if columns:
        warnings.warn(
            f"Columns {columns} of `data` are constant; their density has no "
            "meaningful scale and they are left unscaled.",
            stacklevel=4,
        )


def row_blocks(
    data: np.ndarray, weight: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields rows of `data`, `[N, ...]`, in float64, at most 64 MiB or one row at a time.

    Their weights come with them: `[n, 1, ...]`, or 1 if `weight` is None.
    """
    size = max(_BYTES_OF_BLOCK // (8 * max(data[0].size, 1)), 1)
    for rows, part in parts_of_rows(data, weight, size=size):
        axes = [-1] + [1] * (rows.ndim - 1)
        yield rows.astype(np.float64), np.ones([]) if part is None else part.reshape(axes)


def check_resolution(data: npt.ArrayLike, dtype: tf.DType, argument: str) -> None:
    """Refuses data whose variation is lost when they are rounded to `dtype`.

    The standard deviation of an entry of the last axis must not be below a few roundings of
    its largest value. Values must be in the range of `dtype`, and vary by more than its
    smallest numbers. Data already rounded to `dtype` pass, since rounded data look
    constant.
    """
    data = np.asarray(data)
    rounding = np.finfo(dtype.as_numpy_dtype).eps
    data_rounding = np.finfo(data.dtype).eps if data.dtype.kind == "f" else 0.0
    if data.dtype.kind not in "fiu" or not data.size:
        return
    data = data[:, None] if data.ndim == 1 else data
    axes = tuple(range(data.ndim - 1))
    low, high = (np.asarray(f(axis=axes), np.float64) for f in (data.min, data.max))
    largest = np.maximum(np.abs(low), np.abs(high))
    _check_range(argument, low, high, dtype)
    if data_rounding >= rounding:
        return
    least = _FEWEST_ROUNDINGS * rounding * largest
    # Smaller deviations are rounding errors of the data's own dtype.
    noise = 10.0 * data_rounding * largest
    # A lower bound on the deviation from the range, which is cheap.
    smallest_deviation = (high - low) / np.sqrt(4.0 * data[..., 0].size)
    for column in np.flatnonzero((high > low) & (smallest_deviation < least)):
        deviation = data[..., column].std(dtype=np.float64)
        if noise[column] < deviation < least[column]:
            _refuse_rounding(argument, column, deviation, largest[column], dtype)


def _check_range(argument, low, high, dtype):
    """Refuses numbers near the limits of `dtype`, where they or their inverses are lost.

    The caller refuses NaN and infinity.
    """
    limits = np.finfo(dtype.as_numpy_dtype)
    least, most = _SPARE * limits.tiny, limits.max / _SPARE
    size, spread = np.maximum(np.abs(low), np.abs(high)), high - low
    is_beyond = np.isfinite(size) & (size > most)
    is_beyond |= (spread > 0.0) & (spread < least)
    for column in np.flatnonzero(is_beyond):
        raise ValueError(
            f"Expected `{argument}` within the range of {dtype.name}, {least:.3g} to "
            f"{most:.3g}; got column {column} (of the last axis) from "
            f"{low[column]:.6g} to {high[column]:.6g}. Scale it, or use "
            'dtype="float64" for the model and all its parts.'
        )


def _refuse_rounding(argument, column, deviation, largest, dtype):
    raise ValueError(
        f"Expected `{argument}` whose values {dtype.name} can tell apart; got column "
        f"{column} (of the last axis) with a standard deviation of {deviation:.3g} at a "
        f"size of {largest:.6g}, where {dtype.name} rounds to "
        f"{np.spacing(dtype.as_numpy_dtype(largest)):.3g}. Subtract an offset from it, or "
        'use dtype="float64" for the model and all its parts.'
    )


def correlation_factor(
    data: npt.ArrayLike,
    mean: np.ndarray,
    scale: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Returns a lower triangular L such that `L L^T` is the shrunk correlation matrix.

    ```none
    L L^T = (1 - share) * correlation + share * identity + rounding * identity
    ```

    For few rows, the share is chosen by cross-validation: the least share whose likelihood
    of left-out rows is within one standard error of the largest, and within one nat per
    row, since outliers have a large standard error. For many rows the share is zero. With
    weights, `effective_count` says how many rows there are. L is regular for dependent and
    constant columns, and for fewer rows than columns.
    """
    data = np.asarray(data)
    count, size = data.shape
    share = 0.0
    if effective_count(weight, count) < _MANY_ROWS * size:
        share = _share_of_identity((data.astype(np.float64) - mean) / scale, weight)
    blocks = (((rows - mean) / scale, w) for rows, w in row_blocks(data, weight))
    total = count if weight is None else weight.sum()
    moments = sum(rows.T @ (w * rows) for rows, w in blocks) / total
    moments += np.diag(np.diag(moments) < _CONSTANT)  # 1 for a constant column
    matrix = (1.0 - share) * moments + share * np.eye(size)
    # In float32, rows of this size are rounded to about 1e-7.
    return np.linalg.cholesky(matrix + 1e-10 * np.eye(size))


def ridge_slopes(
    data: npt.ArrayLike, context: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Returns slopes, `[C, D]`, of the linear regression of data on contexts, and a share.

    Generalised cross-validation chooses the penalty of the ridge regression. The slopes are
    zero if no penalty predicts better. The share is the number of residual degrees of
    freedom per row: residuals divided by it have the variance of the errors on new rows.
    Contexts are standardised.

    Reference:
      Golub, Heath, Wahba (1979), Generalized cross-validation as a method for choosing a
      good ridge parameter. https://doi.org/10.1080/00401706.1979.10489751
    """
    rows, features = np.asarray(data, np.float64), np.asarray(context, np.float64)
    count = effective_count(weight, len(rows))
    share = np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64)
    share = (share / share.sum())[:, None]
    rows = rows - (share * rows).sum(axis=0)
    features = features - (share * features).sum(axis=0)
    variances = (share * rows**2).sum(axis=0)
    variances = np.where(variances > 0.0, variances, 1.0)
    values, axes = np.linalg.eigh(features.T @ (share * features))
    values = np.maximum(values, 0.0)[:, None]
    along_axes = axes.T @ (features.T @ (share * rows))
    best, best_free, least = np.zeros_like(along_axes), 1.0, float(rows.shape[1])
    for penalty in _SHARES:
        slopes = along_axes / (values + penalty)
        explained = (2.0 * along_axes - values * slopes) * slopes
        free = 1.0 - (1.0 + np.sum(values / (values + penalty))) / count
        if free <= 0.0:
            continue
        error = np.sum(1.0 - explained.sum(axis=0) / variances) / free**2
        if error < least:
            best, best_free, least = slopes, free, error
    return axes @ best, float(best_free)


def _share_of_identity(rows, weight):
    # Rows of large weight are spread over the folds.
    order = np.random.default_rng(0).permutation(len(rows))
    if weight is None:
        weight = np.ones(len(rows))
    else:
        order = order[np.argsort(-weight[order], kind="stable")]
    parts = [order[i::_NUM_PARTS] for i in range(min(_NUM_PARTS, len(rows)))]
    if len(parts) < 3:
        return 1.0
    if len(rows) > rows.shape[1] > _MANY_VARIABLES:
        parts = parts[:1]
    likelihoods = np.concatenate([_left_out(rows, weight, p) for p in parts], axis=1)
    left_out = weight[np.concatenate(parts)]
    best = likelihoods[np.argmax(np.average(likelihoods, axis=1, weights=left_out))]
    loss = best - likelihoods
    mean = np.average(loss, axis=1, weights=left_out)
    variance = np.average((loss - mean[:, None]) ** 2, axis=1, weights=left_out)
    errors = np.sqrt(variance / effective_count(left_out, len(left_out)))
    return _SHARES[np.argmax(mean <= np.minimum(errors, _MOST_LOST))]


def _left_out(rows, weight, part):
    """Returns log-likelihoods of the rows `part`, given the others, for each share."""
    others, weight = (np.delete(a, part, axis=0) for a in (rows, weight))
    # All rows together have mean 0, so the mean of the others reveals a left-out row.
    mean = np.average(others, axis=0, weights=weight)
    rows, others = rows - mean, others - mean
    others = others * np.sqrt(weight / weight.mean())[:, None]
    varies = np.mean(others**2, axis=0) >= _CONSTANT
    left_out, others = rows[part][:, varies], others[:, varies]
    values, axes = _principal_axes(others)
    squares = (left_out @ axes) ** 2
    # Orthogonal to these axes, the other rows have no variance.
    num_off = others.shape[1] - len(values)
    off = np.maximum((left_out**2).sum(axis=1) - squares.sum(axis=1), 0.0)
    likelihoods = []
    for share in _SHARES:
        variances = (1.0 - share) * np.maximum(values, 0.0) + share
        sums = (squares / variances + np.log(variances)).sum(axis=1)
        likelihoods.append(-0.5 * (sums + off / share + num_off * np.log(share)))
    return np.stack(likelihoods)


def _principal_axes(rows):
    """Returns variances, and orthonormal axes as columns, on which all `rows` lie."""
    if len(rows) >= rows.shape[1]:
        return np.linalg.eigh(rows.T @ rows / len(rows))
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    return lengths**2 / len(rows), axes.T
