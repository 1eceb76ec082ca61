"""Correlations of rows, shrunk as far as the rows do not tell them."""

import numpy as np
import numpy.typing as npt

__all__ = ["correlation_factor"]

# Shares of the identity that are tried. The least one is that of rounding.
_SHARES = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
_NUM_PARTS = 5
# With so many rows a variable, correlations are known well enough.
_MANY_ROWS = 20


def correlation_factor(rows: npt.ArrayLike) -> np.ndarray:
    """Returns L, lower triangular, `L L^T` being the shrunk correlation matrix of `rows`.

    ```none
    L L^T = (1 - share) * correlation + share * identity + rounding * identity
    ```

    Where rows are few, the share is the least whose likelihood of left-out rows is, but for
    its standard error, the largest. Else it is zero. So L is regular for dependent and
    constant columns too, and for fewer rows than columns.

    Args:
      rows: `[N, D]`, of mean 0 and variance 1, or 0 where a column is constant.
    """
    rows = np.asarray(rows, np.float64)
    size = rows.shape[1]
    share = _share_of_identity(rows) if len(rows) < _MANY_ROWS * size else 0.0
    matrix = (1.0 - share) * _second_moments(rows) + share * np.eye(size)
    # In float32, rows of this size are rounded to about 1e-7.
    return np.linalg.cholesky(matrix + 1e-10 * np.eye(size))


def _second_moments(rows):
    matrix = rows.T @ rows / len(rows)
    return matrix + np.diag(np.diag(matrix) < 1e-6)  # 1 for a constant column


def _share_of_identity(rows):
    order = np.random.default_rng(0).permutation(len(rows))
    parts = [order[i::_NUM_PARTS] for i in range(min(_NUM_PARTS, len(rows)))]
    if len(parts) < 2:
        return 1.0
    likelihoods = np.concatenate([_left_out(rows, part) for part in parts], axis=1)
    best = likelihoods[np.argmax(likelihoods.mean(axis=1))]
    loss = best - likelihoods
    errors = loss.std(axis=1) / np.sqrt(len(rows))
    return _SHARES[np.argmax(loss.mean(axis=1) <= errors)]


def _left_out(rows, part):
    """Gaussian log-likelihoods of the rows `part`, given the others, for each share."""
    values, vectors = np.linalg.eigh(_second_moments(np.delete(rows, part, axis=0)))
    squares = (rows[part] @ vectors) ** 2
    variances = [(1.0 - share) * np.maximum(values, 0.0) + share for share in _SHARES]
    return np.stack([-0.5 * (squares / v + np.log(v)).sum(axis=1) for v in variances])
