"""Correlation matrices with cross-validated shrinkage towards the identity."""

import numpy as np
import numpy.typing as npt

from tfp_flows.core.rows import effective_count
from tfp_flows.core.statistics import row_blocks

# Candidate shares of the identity, in proportion. The least one is about rounding.
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
    row, since outliers have a large standard error. For many rows the share is zero. L is
    regular for dependent and constant columns, and for fewer rows than columns.

    Args:
      data: `[N, D]`.
      mean: `[D]`.
      scale: standard deviations, `[D]`; arbitrary for a constant column.
      weight: weights of the rows, `[N]`; None if all weights are equal. The
        effective number of rows counts (`effective_count`).
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
