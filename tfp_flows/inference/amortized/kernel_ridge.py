"""The point of expected coverage: a prediction of the parameters from the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST_KNOWN = 1_000  # simulations of the regression, whose time grows with the cube
_FAR = 5.0  # standard deviations; numbers further out lie there
_PENALTIES = np.logspace(-3.0, 4.0, 15)  # of the regression, from which it chooses
_LEAST_ERROR = 1e-6  # of a prediction, in standard deviations


class KernelRidge:
    """Kernel ridge regression of unconstrained parameters on data.

    ```none
    v = all u_i and u_i u_j,  u standardised      data may tell a size, and not the sign
    v(x) = sum over n of k(x, x_n) a_n,  k(x, y) = (1 + mean over columns of x y)^2
    distance of u from the prediction = sum over j of ((v_j - v_j(x)) / error_j)^2
    ```

    Errors are those of simulations that are left out, one by one. The penalty of each `v_j`
    is that of the least error. Where data tell nothing, the prediction is near the mean.

    Args:
      u: unconstrained parameters, `[N, D]`.
      views: what is seen of the data, `[N, K]` each, such as its numbers and a summary of
        them. In `k`, the means over the columns of each view are added: a view of many
        columns does not hide one of few.

    Reference:
      Rasmussen, Williams (2006), Gaussian Processes for Machine Learning, section 5.4.2:
      predictions of rows that are left out.
    """

    def __init__(self, u: np.ndarray, views: Sequence[np.ndarray]) -> None:
        self._scale_of_u = _center_and_scale(u)
        self._scale_of_views = [_center_and_scale(view) for view in views]
        self._known = self._inputs([view[:_MOST_KNOWN] for view in views])
        v = self._products(u[:_MOST_KNOWN])
        self._mean, deviation = _center_and_scale(v)
        values, axes = np.linalg.eigh(_kernel(self._known, self._known))
        along = axes.T @ ((v - self._mean) / deviation)
        errors, weights_by_penalty = [], []
        for penalty in _PENALTIES:
            inverse = 1.0 / (np.maximum(values, 0.0) + penalty)
            weights = axes @ (inverse[:, None] * along)
            left_out = weights / (axes**2 @ inverse)[:, None]
            errors.append(np.sqrt(np.mean(left_out**2, axis=0)))
            weights_by_penalty.append(weights)
        best, j = np.argmin(errors, axis=0), np.arange(v.shape[1])
        weights = np.stack(weights_by_penalty)[best, :, j].T
        self._weights = weights * deviation
        self._error = np.maximum(np.stack(errors)[best, j], _LEAST_ERROR) * deviation

    def __call__(self, views: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the predictions v(x), `[N, V]`, from data with these views."""
        return _kernel(self._inputs(views), self._known) @ self._weights + self._mean

    def distances(self, u: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Returns distances of parameters, `[N, D]`, from predictions, `[N]`."""
        return np.sum(((self._products(u) - point) / self._error) ** 2, axis=-1)

    def _inputs(self, views):
        pairs = zip(views, self._scale_of_views, strict=True)
        near = [_near(view, *scale) / np.sqrt(view.shape[1]) for view, scale in pairs]
        return np.concatenate(near, axis=1)

    def _products(self, u):
        u = _near(u, *self._scale_of_u)
        i, j = np.triu_indices(u.shape[1])
        return np.concatenate([u, u[:, i] * u[:, j]], axis=1)


def _kernel(x, y):
    return (1.0 + x @ y.T) ** 2


def _center_and_scale(x):
    scale = x.std(axis=0)
    return x.mean(axis=0), np.where(scale > 0.0, scale, 1.0)


def _near(x, center, scale):
    return np.clip((x - center) / scale, -_FAR, _FAR)
