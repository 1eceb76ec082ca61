"""Predictive distributions of scikit-learn's regressions, beside those of a flow.

Each has `quantiles` of `LEVELS`, `[N, L]`, and the methods `cdf` and `log_prob`.
"""

import numpy as np
from scipy import stats
from sklearn import base, gaussian_process, preprocessing

from experiments.reports.predictions import (
    LEVELS,
    boosted_quantiles,
    fit_quietly,
    make_gaussian_process,
)

# Rows for the fit of the Gaussian process's kernel, and rows that it is conditioned on.
_KERNEL_ROWS, _PROCESS_ROWS = 1000, 6000
# Mixture weight and relative width of a wide normal, which keeps densities above zero.
_WIDE_SHARE, _WIDTH = 0.01, 2.0
_LEAST = 1e-12  # least density or probability


def baseline_predictions(context, y, new_context, seed):
    """Returns predictive distributions of y given `new_context`, `[M, C]`, by method.

    Context and y, `[N]`, are those of the training rows.
    """
    return {
        "quantile gradient boosting": QuantilePrediction(
            boosted_quantiles(context, y, new_context, seed), y.mean(), y.std()
        ),
        "Gaussian process": _process(context, y, new_context, seed),
    }


def _process(context, y, new_context, seed):
    scaler = preprocessing.StandardScaler().fit(context)
    x, new = scaler.transform(context), scaler.transform(new_context)
    order = np.random.default_rng(seed).permutation(len(y))
    some, most = order[:_KERNEL_ROWS], order[:_PROCESS_ROWS]
    model = make_gaussian_process(x.shape[1])
    fit_quietly(model, x[some], y[some])
    if len(most) > len(some):
        kernel = base.clone(model.kernel_)
        model = gaussian_process.GaussianProcessRegressor(
            kernel, optimizer=None, normalize_y=True
        ).fit(x[most], y[most])
    return NormalPrediction(*model.predict(new, return_std=True))


class NormalPrediction:
    """Normal distributions of N rows, by their means and deviations, `[N]`."""

    def __init__(self, mean, deviation):
        self._normal = stats.norm(mean, deviation)
        self.cdf = self._normal.cdf  # `P(Y <= y)`, `[N]`
        self.quantiles = np.stack([self._normal.ppf(p) for p in LEVELS], axis=1)

    def log_prob(self, y, step=None):
        """Returns nats, `[N]`; with a step, of the probability of a bin about y."""
        if step is None:
            return self._normal.logpdf(y)
        bins = self.cdf(y + 0.5 * step) - self.cdf(y - 0.5 * step)
        return np.log(np.maximum(bins, _LEAST))


class QuantilePrediction:
    """Distributions that are uniform between quantiles of `LEVELS`, with exponential tails.

    Args:
      quantiles: `[N, L]`, rising.
      mean: mean of the training rows.
      deviation: deviation of the training rows.
    """

    def __init__(self, quantiles, mean, deviation):
        # Equal quantiles are moved apart, so that there is a density.
        self.quantiles = np.maximum.accumulate(
            quantiles + 1e-4 * deviation * np.arange(len(LEVELS)), axis=1
        )
        # Scales of the exponential tails, fitted to the outer four quantiles.
        outer = np.stack([self.quantiles[:, :4], self.quantiles[:, -4:]])
        widths = np.maximum(outer[..., 3] - outer[..., 0], 1e-3 * deviation)
        self._tail_scales = widths / np.log(4.0)
        self._wide = stats.norm(mean, _WIDTH * deviation)

    def log_prob(self, y, step=None):
        """Returns nats, `[N]`; with a step, of the probability of a bin about y."""
        if step is None:
            near, wide = self._density(y), self._wide.pdf(y)
        else:
            low, high = y - 0.5 * step, y + 0.5 * step
            near = self.cdf(high) - self.cdf(low)
            wide = self._wide.cdf(high) - self._wide.cdf(low)
        return np.log(np.maximum((1.0 - _WIDE_SHARE) * near + _WIDE_SHARE * wide, _LEAST))

    def _beyond(self, y):
        """Distances below the first and above the last quantile, in scales of the tails."""
        below = np.maximum(self.quantiles[:, 0] - y, 0.0) / self._tail_scales[0]
        return below, np.maximum(y - self.quantiles[:, -1], 0.0) / self._tail_scales[1]

    def cdf(self, y):
        """Returns `P(Y <= y)`, `[N]`, without the share of the wide normal."""
        rows = zip(y, self.quantiles, strict=True)
        inside = np.array([np.interp(value, row, LEVELS) for value, row in rows])
        below, above = self._beyond(y)
        return 1.0 - (1.0 - inside * np.exp(-below)) * np.exp(-above)

    def _density(self, y):
        below, above = self._beyond(y)
        last = np.clip((self.quantiles <= y[:, None]).sum(axis=1) - 1, 0, len(LEVELS) - 2)
        width = np.diff(self.quantiles, axis=1)[np.arange(len(y)), last]
        lower = LEVELS[0] * np.exp(-below) / self._tail_scales[0]
        upper = LEVELS[0] * np.exp(-above) / self._tail_scales[1]
        inside = (LEVELS[1] - LEVELS[0]) / width
        return np.select([below > 0.0, above > 0.0], [lower, upper], inside)
