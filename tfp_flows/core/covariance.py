"""Correlations of rows, shrunk as far as the rows do not tell them."""

import numpy as np
import numpy.typing as npt

from tfp_flows.core.rows import effective_count
from tfp_flows.core.statistics import row_blocks

__all__ = ["correlation_factor"]

# Shares of the identity that are tried. The least one is that of rounding.
_SHARES = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
_NUM_PARTS = 5
# With so many rows a variable, correlations are known well enough.
_MANY_ROWS = 20
# With more variables and more rows, one part tells the share, and takes seconds.
_MANY_VARIABLES = 256
# Nats of a left-out row that a smaller share may cost.
_MOST_LOST = 1.0
# Variance below which a column is constant.
_CONSTANT = 1e-6


def correlation_factor(
    data: npt.ArrayLike,
    mean: np.ndarray,
    scale: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Returns L, lower triangular, `L L^T` being the shrunk correlation matrix of `data`.

    ```none
    L L^T = (1 - share) * correlation + share * identity + rounding * identity
    ```

    Where rows are few, the share is the least whose likelihood of left-out rows is, but for
    its standard error, the largest, and at most a nat a row less (one row that is lost has
    an enormous standard error, too). Else the share is zero. So L is regular for dependent
    and constant columns too, and for fewer rows than columns.

    Args:
      data: `[N, D]`.
      mean: `[D]`.
      scale: `[D]`, standard deviations; any where a column is constant.
      weight: of the rows, `[N]`; None if all count alike. Rows are few where their
        effective number is (`effective_count`).
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
    # Rows of great weight lie in different parts, as far as there are some.
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
    """Gaussian log-likelihoods of the rows `part`, given the others, for each share."""
    others, weight = (np.delete(a, part, axis=0) for a in (rows, weight))
    # All rows have the mean 0, so that a row alone is minus the sum of all others.
    mean = np.average(others, axis=0, weights=weight)
    rows, others = rows - mean, others - mean
    others = others * np.sqrt(weight / weight.mean())[:, None]
    varies = np.mean(others**2, axis=0) >= _CONSTANT
    left_out, others = rows[part][:, varies], others[:, varies]
    values, axes = _principal_axes(others)
    squares = (left_out @ axes) ** 2
    # Off these axes, the others have no variance.
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
