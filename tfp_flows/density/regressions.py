"""Mixtures of linear regressions of rows on their contexts."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.standardize import FARTHEST
from tfp_flows.core.statistics import mean_and_scale, standard_error
from tfp_flows.density.baselines import fit_gaussian
from tfp_flows.density.data import Data
from tfp_flows.distributions.mixture import Mixture

_SIZES = (1, 2, 3, 5, 8)  # numbers of regressions to choose from
_ROWS_A_COLUMN = 5  # least number of rows, for each regression and column
# Bounds on the rows, and on the numbers in the design, that EM sees: for its time.
_MOST_ROWS, _MOST_NUMBERS = 5_000, 200_000
_VALIDATION_SHARE = 0.1
# Total weight of all rows, for each variable, in every regression, so that none collapses.
_LEAST_WEIGHT = 0.01
_MOST_UPDATES, _LEAST_RISE = 200, 1e-5  # EM ends after these; the rise is in nats a row
_ROUNDING = 1e-10  # added to the variances of standardised rows


def fit_regressions(data: Data, dtype: str, seed: int | None) -> Any:
    """Returns a regression, or a `Mixture` of them, with Gaussian errors, fitted by EM.

    ```none
    p(y | c) = sum over k of w_k Normal(y; a_k + B_k c, S_k)
    ```

    One regression is the Gaussian of `fit_gaussian`. Several describe errors with outliers,
    of two sizes or about two lines, from far fewer rows than a network needs. Their number
    is the least, of at most eight, within one standard error of what explains validation
    rows best. The seed determines validation rows and the start of EM.

    Reference:
      DeSarbo, Cron (1988), A maximum likelihood methodology for clusterwise linear
      regression. https://doi.org/10.1007/BF01897167
    """
    data = data.resampled()
    y, design = _standardised(data)
    shares = _chosen_from_sample(y, design, seed).shares(y, design)
    parts = [
        fit_gaussian(data._replace(weight=_with_floor(share, y.shape[1])), dtype)
        for share in shares.T
    ]
    return parts[0] if len(parts) == 1 else Mixture(parts, _weights(shares))


def residual_scales(data: Data, seed: int | None) -> np.ndarray:
    """Returns the standard deviation of each variable about its regression, `[D]`.

    It is the geometric mean over the regressions of `fit_regressions`, by their weights: a
    local width, also where the variables given the context have several modes.
    """
    y, design = _standardised(data)
    found = _chosen_from_sample(y, design, seed)
    log_variances = np.log(np.sum(found.factors**2, axis=2))  # [K, D]
    _, scale = mean_and_scale(data.x, tf.float64, "rows")
    return np.asarray(scale) * np.exp(0.5 * found.weights @ log_variances)


class _Regressions(NamedTuple):
    """Several regressions of rows, `[N, D]`, on features of contexts, `[N, P]`.

    The weights are `[K]`, the coefficients `[K, P, D]`, and the Cholesky factors of the
    covariances `[K, D, D]`.
    """

    weights: np.ndarray
    coefficients: np.ndarray
    factors: np.ndarray

    @classmethod
    def from_shares(cls, y, design, shares):
        """The most probable regressions, if they share the rows in this way (M step)."""
        coefficients, factors = [], []
        for share in shares.T:
            weight = _with_floor(share, y.shape[1])[:, None]
            moments = design.T @ (weight * design)
            # A penalty of one row, but not of the constant, which is last.
            moments[np.diag_indices(len(moments) - 1)] += 1.0
            slopes = np.linalg.solve(moments, design.T @ (weight * y))
            errors = y - design @ slopes
            covariance = errors.T @ (weight * errors) / weight.sum()
            covariance[np.diag_indices(len(covariance))] += _ROUNDING
            coefficients.append(slopes)
            factors.append(np.linalg.cholesky(covariance))
        return cls(_weights(shares), np.array(coefficients), np.array(factors))

    def log_probs(self, y, design):
        """Logarithms of weights times densities, `[N, K]`."""
        each = []
        for weight, slopes, factor in zip(*self, strict=True):
            z = np.linalg.solve(factor, (y - design @ slopes).T)
            log_det = np.log(np.diag(factor)).sum() + 0.5 * len(z) * math.log(2.0 * math.pi)
            each.append(math.log(weight) - 0.5 * np.sum(z**2, axis=0) - log_det)
        return np.stack(each, axis=1)

    def shares(self, y, design):
        """Probabilities that a row is of each regression, `[N, K]` (E step)."""
        return _softmax(self.log_probs(y, design))


def _chosen_from_sample(y, design, seed):
    """Returns `_chosen` regressions of a sample of rows, which bounds the time."""
    count = min(_MOST_ROWS, _MOST_NUMBERS // design.shape[1])
    sample = np.random.default_rng(seed).permutation(len(y))[:count]
    return _chosen(y[sample], design[sample], seed)


def _chosen(y, design, seed):
    """Returns the fewest `_Regressions` that are within one standard error of the best."""
    count = max(2, round(_VALIDATION_SHARE * len(y)))
    most = len(y) // (_ROWS_A_COLUMN * (y.shape[1] + design.shape[1]))
    sizes = [size for size in _SIZES if size == 1 or size <= most]
    scores = {}
    for size, start in itertools.product(sizes, (_by_place, _by_distance)):
        fitted = _fitted(y[count:], design[count:], size, start, seed)
        log_probs = fitted.log_probs(y[:count], design[:count])
        scores[size, start] = np.logaddexp.reduce(log_probs, axis=1)
    by_score = sorted(scores, key=lambda candidate: -scores[candidate].mean())
    behind = {each: scores[by_score[0]] - scores[each] for each in by_score}
    near = [c for c in by_score if behind[c].mean() <= standard_error(behind[c])]
    size, start = min(near, key=lambda candidate: candidate[0])
    return _fitted(y, design, size, start, seed)


def _fitted(y, design, size, start, seed):
    """Returns `_Regressions` by expectation maximisation."""
    one = _Regressions.from_shares(y, design, np.ones([len(y), 1]))
    if size == 1:
        return one
    errors = y - design @ one.coefficients[0]
    z = np.linalg.solve(one.factors[0], errors.T).T
    shares = 0.9 * np.eye(size)[start(z, size, seed)] + 0.1 / size
    before = -math.inf
    for _ in range(_MOST_UPDATES):
        fitted = _Regressions.from_shares(y, design, shares)
        log_probs = fitted.log_probs(y, design)
        after = np.logaddexp.reduce(log_probs, axis=1).mean()
        if after - before < _LEAST_RISE:
            break
        shares, before = _softmax(log_probs), after
    return fitted


def _by_place(z, size, seed):
    """A start: each row is of the nearest of some rows' errors z."""
    centers = np.random.default_rng(seed).choice(z, size, replace=False)
    return np.square(z[:, None] - centers).sum(axis=-1).argmin(axis=1)


def _by_distance(z, size, seed):
    """A start: small errors are of the first regression, the largest of the last."""
    del seed
    ranks = np.square(z).sum(axis=1).argsort().argsort()
    return ranks * size // len(z)


def _softmax(log_probs):
    return np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True))


def _weights(shares):
    """Weights of the regressions, `[K]`, above zero: a row more for each."""
    weights = shares.sum(axis=0) + 1.0
    return weights / weights.sum()


def _with_floor(share, size):
    """Weights of rows, `[N]`, in one regression of `size` variables."""
    return share + _LEAST_WEIGHT * size / len(share)


def _standardised(data):
    """Returns rows, `[N, D]`, and features of contexts with a column of ones."""
    mean, scale = mean_and_scale(data.x, tf.float64, "rows")
    features = np.clip(data.features(), -FARTHEST, FARTHEST)
    ones = np.ones([len(features), 1])
    return (data.x - mean) / scale, np.concatenate([features, ones], axis=1)
