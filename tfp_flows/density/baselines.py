"""Simple densities beside which a fitted one is judged."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.statistics import correlation_factor, mean_and_scale
from tfp_flows.density.data import Data

_SIZES = (1, 2, 3, 5, 8, 12, 20)  # components of mixtures of Gaussians
_MOST_ROWS = 10_000  # training rows of the mixture of Gaussians and of the kernels
_BANDWIDTHS = np.logspace(-1.5, 0.5, 9)  # bandwidths of kernels in standard deviations


def gaussian(train: Data, test: Data) -> np.ndarray:
    """Returns log-densities, `[n]`, of test rows under a Gaussian of the training rows.

    With a context, its mean is the linear regression on the context.
    """
    x, rest = (np.asarray(data.x, np.float64) for data in (train, test))
    if train.context is not None:
        contexts = (train.context, test.context)
        design, given = (_design(context, train.context) for context in contexts)
        slopes = np.linalg.lstsq(design, x, rcond=None)[0]
        x, rest = x - design @ slopes, rest - given @ slopes
    mean, scale = mean_and_scale(x, tf.float64, "rows")
    factor = scale[:, None] * correlation_factor(x, mean, scale)
    return tfp.distributions.MultivariateNormalTriL(mean, factor).log_prob(rest).numpy()


def others(train: Data, test: Data) -> dict[str, np.ndarray]:
    """Returns log-densities, `[n]`, of test rows under further densities, by name.

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
    x = np.asarray(train.x[:_MOST_ROWS], np.float64)  # rows are in random order
    mean, scale = mean_and_scale(x, tf.float64, "rows")
    x, rest = (x - mean) / scale, (np.asarray(test.x, np.float64) - mean) / scale
    count = max(len(x) // 10, 1)
    fitted, judged = x[count:], x[:count]

    def best(candidates):
        """Scores of the candidate under which validation rows are most probable."""
        chosen = max((c.fit(fitted) for c in candidates), key=lambda c: c.score(judged))
        return chosen.fit(x).score_samples(rest) - np.log(scale).sum()

    sizes = [k for k in _SIZES if k == 1 or 5 * k * x.shape[1] <= len(x)]
    mixtures = [GaussianMixture(k, reg_covar=1e-4, random_state=0) for k in sizes]
    # A relative error of 0.001 is one of 0.001 nats.
    kernels = [KernelDensity(bandwidth=h, rtol=1e-3) for h in _BANDWIDTHS]
    with threadpool_limits(1):  # many threads are slow on few rows or busy processors
        return {"mixture of Gaussians": best(mixtures), "kernel density": best(kernels)}


def _design(context, train):
    """Contexts, standardised by the training ones, and a column of ones."""
    mean, scale = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    standard = (context - mean) / np.where(scale > 0.0, scale, 1.0)
    return np.concatenate([standard, np.ones([len(context), 1])], axis=1)
