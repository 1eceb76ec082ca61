"""Two predictors of scikit-learn, by quantiles: what a conditional density has to beat."""

import warnings

import numpy as np
from scipy import stats
from sklearn import ensemble
from sklearn import exceptions
from sklearn import gaussian_process
from sklearn import linear_model
from sklearn import pipeline
from sklearn import preprocessing

from experiments.predictions.quantile_scores import LEVELS

__all__ = ["baselines", "boosted", "process"]

# Boosting sees so many training rows; a Gaussian process takes no more, since its time
# grows with their cube.
_MAX_BOOSTED_ROWS = 20_000
_MAX_PROCESS_ROWS = 1000


def baselines(context, y, new_context, seed):
    """Returns quantiles of `LEVELS`, `[M, D, L]`, by name.

    They are those of quantile gradient boosting, and of a Gaussian process; of many rows
    of Bayesian ridge regression, its linear relative.

    Args:
      context: of the training rows, `[N, C]`.
      y: what came with them, `[N, D]`.
      new_context: `[M, C]`.
      seed: integer.
    """
    columns = np.asarray(y, np.float64).T
    name, model = _gaussian(context)
    trees = [boosted(context, column, new_context, seed) for column in columns]
    normal = [_normal(model, context, column, new_context) for column in columns]
    return {
        "quantile gradient boosting": np.stack(trees, axis=1),
        name: np.stack(normal, axis=1),
    }


def boosted(context, y, new_context, seed):
    """Returns quantiles of `LEVELS` by gradient boosting, `[M, L]`, of y, `[N]`."""
    rows = np.random.default_rng(seed).permutation(len(y))[:_MAX_BOOSTED_ROWS]
    models = (
        ensemble.HistGradientBoostingRegressor(
            loss="quantile", quantile=level, random_state=seed
        ).fit(context[rows], y[rows])
        for level in LEVELS
    )
    found = np.stack([model.predict(new_context) for model in models], axis=-1)
    return np.sort(found, axis=-1)  # levels are fitted apart, and may cross


def _gaussian(context):
    num_rows, size = context.shape
    if num_rows > _MAX_PROCESS_ROWS:
        return "Bayesian ridge regression", linear_model.BayesianRidge()
    return "Gaussian process", process(size)


def process(size):
    """Returns a Gaussian process of `size` features, each with a length scale."""
    kernels = gaussian_process.kernels
    kernel = kernels.ConstantKernel() * kernels.RBF(np.full(size, 3.0))
    return gaussian_process.GaussianProcessRegressor(
        kernel + kernels.WhiteKernel(), normalize_y=True
    )


def _normal(model, context, y, new_context):
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    with warnings.catch_warnings():
        # A length scale at its bound: that variable has no effect.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(context, y)
    mean, deviation = model.predict(new_context, return_std=True)
    return stats.norm.ppf(LEVELS, mean[:, None], deviation[:, None])
