"""Check of the posterior of one observation by data simulated with its own draws."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_flows.core.check import Check

NAME = "change of mean by simulations, s.d."
# Largest change of a mean. A little below 1, since the estimate has an error of about 0.1.
_MOST_CHANGE = 0.8
_FEWEST = 100  # simulations
_PER_COMPONENT = 20  # simulations for each component of the data in the regression
_PENALTY = 1e-3  # of the regression, for each simulation
_LEAST_SPREAD = 0.1  # standard deviation of the normal scores of a number that varies
_LEAST_VARIANCE = 1e-6  # of normal scores of parameters along an axis
_LIKELY = 0.8  # quantile of likelihoods; larger ones count as this


def mean_check(
    u: np.ndarray, log_likelihood: np.ndarray, seen: np.ndarray, observed: np.ndarray
) -> Check:
    """Checks whether simulations would move the posterior's mean of a parameter.

    ```none
    u_i ~ q(u | x_o),   x_i ~ p(x | u_i)           the posterior's draws, and data with them
    L(u) = q(u | x_o) / p(u)                       the likelihood, if q is right
    mean of u given x_o once more, prior q(u | x_o)
        expected = sum_i L(u_i) u_i / sum_i L(u_i)
        predicted by a linear regression of u_i on x_i and squares of x_i - median, which
        leaves a share R of the variance
    change of the mean = (predicted - expected) / (1 - R)
    ```

    The last line is exact for normal distributions and a flat prior: the observation pulls
    the mean of a right posterior nowhere, and that of a wrong one by a share 1 - R of the
    way. If q is right, R is at most a half, unless the prior tells more than the data.
    Where R is larger, the regression has missed what data tell, and a change counts less,
    by a factor of `4 (1 - R)^2`. So a posterior of several modes is hardly judged.

    Draws, data and squares are taken as normal scores, since a regression suits normal
    numbers.

    Args:
      u: draws of unconstrained parameters, `[N, D]`.
      log_likelihood: logarithms of L(u), up to a constant, `[N]`.
      seen: features of the data simulated with them, `[N, S]`.
      observed: features of the observation, `[S]`.

    Reference:
      Beaumont, Zhang, Balding (2002), Approximate Bayesian computation in population
      genetics, on regressions of parameters on data simulated near an observation.
      https://doi.org/10.1093/genetics/162.4.2025
    """
    is_finite = np.isfinite(log_likelihood) & np.isfinite(seen).all(axis=1)
    u, log_likelihood, seen = u[is_finite], log_likelihood[is_finite], seen[is_finite]
    if len(u) < _FEWEST:
        advice = (
            f"Only {len(u)} of {len(is_finite)} simulations with draws of this posterior "
            "are finite, so it is a guess. Simulate more, or mend the simulator."
        )
        return Check(NAME, np.nan, _MOST_CHANGE, False, advice)
    scores = _normal_scores(u, u)
    z, axes = _uncorrelated(scores)
    predicted, left = _regression(z, *_components(seen, observed))
    likely = np.quantile(log_likelihood, _LIKELY)
    weights = np.exp(np.minimum(log_likelihood - likely, 0.0))
    expected = weights @ z / weights.sum()
    shares, turn = np.linalg.eigh(left)
    told = np.clip(1.0 - shares, 0.0, 1.0)  # 1 - R along axes of the errors
    factors = np.where(told > 0.5, 1.0 / np.maximum(told, 0.5), 4.0 * told)
    moved = (predicted - expected) @ turn * factors
    change = np.abs(moved @ turn.T @ axes) / scores.std(axis=0)
    worst = int(np.argmax(change))
    advice = (
        "Data simulated with draws of this posterior show that its mean of unconstrained "
        f"parameter {worst} is off by about {change[worst]:.1f} standard deviations. Fit "
        "with `focus` on this observation, or simulate more."
    )
    return Check.at_most(NAME, float(change[worst]), _MOST_CHANGE, advice)


def _normal_scores(known, values):
    """Normal quantiles of the ranks of values, `[M, K]`, among known ones, `[N, K]`."""
    count, ranks = len(known), np.empty(values.shape)
    for j, column in enumerate(np.sort(known, axis=0).T):
        below = np.searchsorted(column, values[:, j], "left")
        ranks[:, j] = 0.5 * (below + np.searchsorted(column, values[:, j], "right"))
    return tf.math.ndtri(np.clip(ranks, 0.5, count - 0.5) / count).numpy()


def _uncorrelated(rows):
    """Returns z with unit covariance, and a matrix: rows, `[N, D]`, are mean + z @ it."""
    centred = rows - rows.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(centred.T).reshape(rows.shape[1], -1))
    deviations = np.sqrt(np.maximum(values, _LEAST_VARIANCE))
    return centred @ axes / deviations, deviations[:, None] * axes.T


def _components(seen, observed):
    """Returns principal components of data and their squares, `[N, K]` and `[K]`."""
    x = np.concatenate([seen, observed[None]])
    x = np.concatenate([x, (x - np.median(seen, axis=0)) ** 2], axis=1)
    x = _normal_scores(x[:-1], x)
    x = x[:, x[:-1].std(axis=0) > _LEAST_SPREAD]
    x = x - x[:-1].mean(axis=0)
    _, axes = np.linalg.eigh(x[:-1].T @ x[:-1])
    x = x @ axes[:, -(len(seen) // _PER_COMPONENT) :]
    return x[:-1], x[-1]


def _regression(z, x, observed):
    """Returns the mean of z given `observed`, `[D]`, and the covariance of its errors."""
    normal = x.T @ x + _PENALTY * len(x) * np.eye(x.shape[1])
    slopes = np.linalg.solve(normal, x.T @ z)
    errors = z - x @ slopes
    return observed @ slopes, errors.T @ errors / (len(x) - x.shape[1])
