"""Predictive distributions of scikit-learn's regressors: densities, and intervals."""

import warnings

import numpy as np
from scipy import stats
from sklearn import base
from sklearn import exceptions
from sklearn import gaussian_process
from sklearn import preprocessing

from experiments.predictions.baselines import boosted
from experiments.predictions.baselines import process
from experiments.predictions.quantile_scores import LEVELS

__all__ = ["NormalPrediction", "QuantilePrediction", "predictions"]

# The kernel is fitted to so many rows, and the process conditioned on so many.
_KERNEL_ROWS, _PROCESS_ROWS = 1000, 6000
# Share of a wide normal, so that no row has a density of nearly zero.
_WIDE_SHARE, _WIDTH = 0.01, 2.0
_LEAST = 1e-12


class NormalPrediction:
    """Normal distributions, one a row.

    Args:
      mean: `[N]`.
      deviation: `[N]`.
    """

    def __init__(self, mean, deviation):
        self._normal = stats.norm(mean, deviation)

    def log_prob(self, y, is_integer=False):
        """Returns nats, `[N]`; of integers, of the probability of y - 1/2 to y + 1/2."""
        if not is_integer:
            return self._normal.logpdf(y)
        bins = self.cdf(y + 0.5) - self.cdf(y - 0.5)
        return np.log(np.maximum(bins, _LEAST))

    def cdf(self, y):
        """Returns `P(Y <= y)`, `[N]`."""
        return self._normal.cdf(y)

    def quantile(self, level):
        """Returns the quantile of one level, `[N]`."""
        return self._normal.ppf(level)


class QuantilePrediction:
    """Densities between quantiles of `LEVELS`, uniform, and exponential beyond them.

    Args:
      quantiles: `[N, L]`, rising.
      mean: of the training rows.
      deviation: of the training rows.
    """

    def __init__(self, quantiles, mean, deviation):
        # Equal ones are drawn apart, so that there is a density.
        self._q = np.maximum.accumulate(
            quantiles + 1e-4 * deviation * np.arange(len(LEVELS)), axis=1
        )
        least = 1e-3 * deviation
        # Of an exponential tail, from the level .05 to .20.
        self._rates = [
            np.maximum(self._q[:, 3] - self._q[:, 0], least) / np.log(4.0),
            np.maximum(self._q[:, -1] - self._q[:, -4], least) / np.log(4.0),
        ]
        self._wide = stats.norm(mean, _WIDTH * deviation)

    def log_prob(self, y, is_integer=False):
        """Returns nats, `[N]`; of integers, of the probability of y - 1/2 to y + 1/2."""
        if is_integer:
            own, wide = (f(y + 0.5) - f(y - 0.5) for f in (self.cdf, self._wide.cdf))
        else:
            own, wide = self._density(y), self._wide.pdf(y)
        return np.log(np.maximum((1.0 - _WIDE_SHARE) * own + _WIDE_SHARE * wide, _LEAST))

    def quantile(self, level):
        """Returns the quantile of one of `LEVELS`, `[N]`."""
        return self._q[:, int(np.argmin(np.abs(LEVELS - level)))]

    def _parts(self, y):
        """Where y is: which quantiles are up to it, and distances beyond both ends."""
        up_to = (self._q <= y[:, None]).sum(axis=1)
        below = np.maximum(self._q[:, 0] - y, 0.0) / self._rates[0]
        above = np.maximum(y - self._q[:, -1], 0.0) / self._rates[1]
        last = np.clip(up_to - 1, 0, len(LEVELS) - 2)
        rows = np.arange(len(y))
        width = self._q[rows, last + 1] - self._q[rows, last]
        return up_to, below, above, last, self._q[rows, last], width

    def cdf(self, y):
        """Returns `P(Y <= y)`, `[N]`, without the share of the wide normal."""
        up_to, below, above, last, start, width = self._parts(y)
        inside = LEVELS[last] + (y - start) / width * (LEVELS[1] - LEVELS[0])
        upper = 1.0 - LEVELS[0] * np.exp(-above)
        ends = np.where(up_to == 0, LEVELS[0] * np.exp(-below), upper)
        return np.where((up_to == 0) | (up_to == len(LEVELS)), ends, inside)

    def _density(self, y):
        up_to, below, above, _, _, width = self._parts(y)
        inside = (LEVELS[1] - LEVELS[0]) / width
        lower = LEVELS[0] * np.exp(-below) / self._rates[0]
        upper = LEVELS[0] * np.exp(-above) / self._rates[1]
        outside = np.where(up_to == 0, lower, upper)
        return np.where((up_to == 0) | (up_to == len(LEVELS)), outside, inside)


def predictions(context, y, new_context, seed):
    """Returns predictive distributions of y given `new_context`, by method.

    Args:
      context: of the training rows, `[N, C]`.
      y: what came with them, `[N]`.
      new_context: `[M, C]`.
      seed: integer.
    """
    return {
        "quantile gradient boosting": QuantilePrediction(
            boosted(context, y, new_context, seed), y.mean(), y.std()
        ),
        "Gaussian process": _process(context, y, new_context, seed),
    }


def _process(context, y, new_context, seed):
    scaler = preprocessing.StandardScaler().fit(context)
    x, new = scaler.transform(context), scaler.transform(new_context)
    order = np.random.default_rng(seed).permutation(len(y))
    some, most = order[:_KERNEL_ROWS], order[:_PROCESS_ROWS]
    model = process(x.shape[1])
    with warnings.catch_warnings():
        # A length scale at its bound: that variable has no effect.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(x[some], y[some])
    if len(most) > len(some):
        kernel = base.clone(model.kernel_)
        model = gaussian_process.GaussianProcessRegressor(
            kernel, optimizer=None, normalize_y=True
        ).fit(x[most], y[most])
    return NormalPrediction(*model.predict(new, return_std=True))
