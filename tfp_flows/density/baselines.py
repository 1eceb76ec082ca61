"""Simple densities beside which a fitted one is judged."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.core.statistics import mean_and_scale
from tfp_flows.density.data import Data
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.flow_distribution import FlowDistribution

_SIZES = (1, 2, 3, 5, 8, 12, 20)  # components of mixtures of Gaussians
_MOST_ROWS = 10_000  # training rows of the mixture of Gaussians and of the kernels
_BANDWIDTHS = np.logspace(-1.5, 0.5, 9)  # bandwidths of kernels in standard deviations
_DEGREES = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # degrees of freedom of a Student's t


def fit_gaussian(data: Data, dtype: str) -> FlowDistribution:
    """Returns the Gaussian of rows, around a linear regression on their contexts."""
    size = data.x.shape[1]
    linear = Decorrelate(size, context_size=data.context_size, dtype=dtype)
    distribution = FlowDistribution(standard_normal(size, dtype=dtype), linear)
    distribution.initialize(data.x, context=data.context, sample_weight=data.weight)
    return distribution


def gaussian(train: Data, test: Data) -> np.ndarray:
    """Returns log-densities, `[n]`, of test rows under the Gaussian of training rows."""
    return _log_probs(fit_gaussian(train, "float64"), test)


def _log_probs(fitted, data):
    return data.by_parts(lambda x, context: fitted.log_prob(x, context=context))


def student(train: Data, test: Data) -> np.ndarray:
    """Returns log-densities, `[n]`, of test rows under a Student's t of each column.

    The Gaussian of the training rows first decorrelates the columns. Their medians, and the
    medians of distances from these, set location and scale, which outliers hardly change.
    """
    fitted = fit_gaussian(train, "float64")
    z, z_test = (
        data.by_parts(lambda x, context: fitted.bijector.inverse(x, context=context))
        for data in (train.resampled().first(_MOST_ROWS), test)
    )
    middle = np.median(z, axis=0)
    spread = np.median(np.abs(z - middle), axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)  # more than half of a column is equal
    zero = np.float64(0.0)
    candidates = np.array(_DEGREES)
    quartiles = tfd.StudentT(candidates, zero, 1.0).quantile(0.75).numpy()

    def log_probs(rows, index):
        scale = spread / quartiles[index]
        return tfd.StudentT(candidates[index], middle, scale).log_prob(rows).numpy()

    fits = [log_probs(z, [k]).sum(axis=0) for k in range(len(candidates))]
    best = np.argmax(fits, axis=0)
    gains = log_probs(z_test, best) - tfd.Normal(zero, 1.0).log_prob(z_test).numpy()
    return _log_probs(fitted, test) + gains.sum(axis=1)


def from_scikit_learn(train: Data, test: Data) -> dict[str, np.ndarray]:
    """Returns log-densities, `[n]`, of test rows under two more densities, by name.

    There are none with a context, or without scikit-learn.
    """
    try:
        from sklearn.mixture import GaussianMixture
        from sklearn.neighbors import KernelDensity
        from threadpoolctl import threadpool_limits  # which scikit-learn imports, too
    except ImportError:
        return {}
    if train.context is not None:
        return {}
    train = train.resampled().first(_MOST_ROWS)  # rows are in random order
    x, x_test = (np.asarray(data.x, np.float64) for data in (train, test))
    mean, scale = mean_and_scale(x, tf.float64, "rows")
    z, z_test = (x - mean) / scale, (x_test - mean) / scale
    count = max(len(z) // 10, 1)
    z_train, z_validation = z[count:], z[:count]

    def best(candidates):
        """Scores of the candidate under which validation rows are most probable."""
        fitted = (candidate.fit(z_train) for candidate in candidates)
        chosen = max(fitted, key=lambda candidate: candidate.score(z_validation))
        return chosen.fit(z).score_samples(z_test) - np.log(scale).sum()

    sizes = [k for k in _SIZES if k == 1 or 5 * k * z.shape[1] <= len(z)]
    mixtures = [GaussianMixture(k, reg_covar=1e-4, random_state=0) for k in sizes]
    # A relative error of 0.001 is one of 0.001 nats.
    kernels = [KernelDensity(bandwidth=h, rtol=1e-3) for h in _BANDWIDTHS]
    with threadpool_limits(1):  # many threads are slow on few rows or busy processors
        return {"mixture of Gaussians": best(mixtures), "kernel density": best(kernels)}
