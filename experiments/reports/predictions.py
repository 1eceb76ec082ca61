"""Predictions by quantiles: their scores, and baselines of scikit-learn."""

import warnings

import numpy as np
from scipy import stats
from sklearn import (
    ensemble,
    exceptions,
    gaussian_process,
    linear_model,
    pipeline,
    preprocessing,
)

FLOW = "the flow"
LEVELS = np.arange(1, 20) / 20.0
_INTERVAL = slice(0, None, len(LEVELS) - 1)  # from .05 to .95
_MAX_BOOSTED_ROWS = 20_000  # training rows of boosting
_MAX_PROCESS_ROWS = 1000  # of a Gaussian process, whose time is cubic in them
_LEAST_PROBABILITY = 1e-6  # of a class


def compared(predicted, y, scale):
    """Returns the scores of each method as plain data.

    Scores are the CRPS and the mean width of intervals of 90 %, both divided by `scale`,
    the share of values in these intervals, and the share of values below each quantile.

    Args:
      predicted: quantiles of `LEVELS`, `[N, D, L]`, by the name of the method.
      y: observed values, `[N, D]`.
      scale: standard deviations of the columns among the training rows, `[D]` or a number.
    """
    y = np.asarray(y, np.float64)
    return {
        "levels": LEVELS.tolist(),
        "num_rows": len(y),
        "methods": {name: _scores(y, found, scale) for name, found in predicted.items()},
    }


def shares_inside(below, up_to, levels):
    """Returns the probabilities that randomised PITs are between two levels, `[N]`.

    Args:
      below: `P(Y < y)` at the observed y, `[N]`.
      up_to: `P(Y <= y)`, `[N]`; the randomised PIT is uniform between both.
      levels: the two levels.

    Reference:
      Czado, Gneiting and Held 2009, Predictive model assessment for count data.
    """
    below, up_to = below - 1e-12, up_to + 1e-12
    inside = np.minimum(up_to, levels[1]) - np.maximum(below, levels[0])
    return np.maximum(inside, 0.0) / (up_to - below)


def crps_of_quantiles(y, predicted):
    """Returns the CRPS, `[...]` in units of y, of quantiles of `LEVELS`, `[..., L]`.

    Reference:
      Gneiting and Raftery 2007, Strictly proper scoring rules, prediction, and estimation:
      the CRPS is twice the integral of the pinball loss over all levels; here by the
      trapezoidal rule over 19 levels, and both ends, where the loss is 0.
    """
    above = y[..., None] - predicted
    pinball = np.maximum(LEVELS * above, (LEVELS - 1.0) * above)
    return 2.0 * pinball.sum(axis=-1) / (len(LEVELS) + 1)


def _scores(y, predicted, scale):
    crps = (crps_of_quantiles(y, predicted) / scale).mean(axis=1)
    low, high = np.moveaxis(predicted[..., _INTERVAL], -1, 0)
    return {
        "crps": float(crps.mean()),
        "two_standard_errors": float(2.0 * crps.std(ddof=1) / np.sqrt(len(y))),
        "width": float(((high - low) / scale).mean()),
        "inside": float(((low <= y) & (y <= high)).mean()),
        "below": (y[..., None] <= predicted).mean(axis=(0, 1)).tolist(),
    }


def baselines(context, y, new_context, seed):
    """Returns quantiles of `LEVELS`, `[M, D, L]`, by the name of the method.

    Methods are quantile gradient boosting and a Gaussian process or, for many rows,
    Bayesian ridge regression. Context and y, `[N, D]`, are those of the training rows;
    `new_context` is `[M, C]`.
    """
    columns = np.asarray(y, np.float64).T
    name, model = "Gaussian process", make_gaussian_process(context.shape[1])
    if len(context) > _MAX_PROCESS_ROWS:
        name, model = "Bayesian ridge regression", linear_model.BayesianRidge()
    trees = [boosted_quantiles(context, column, new_context, seed) for column in columns]
    normal = [_normal(model, context, column, new_context) for column in columns]
    return {
        "quantile gradient boosting": np.stack(trees, axis=1),
        name: np.stack(normal, axis=1),
    }


def boosted_quantiles(context, y, new_context, seed):
    """Returns quantiles of `LEVELS` by gradient boosting, `[M, L]`, of y, `[N]`."""
    rows = np.random.default_rng(seed).permutation(len(y))[:_MAX_BOOSTED_ROWS]
    models = (
        ensemble.HistGradientBoostingRegressor(
            loss="quantile", quantile=level, random_state=seed
        ).fit(context[rows], y[rows])
        for level in LEVELS
    )
    found = np.stack([model.predict(new_context) for model in models], axis=-1)
    return np.sort(found, axis=-1)  # quantiles of separate fits may cross


def make_gaussian_process(size):
    """Returns a Gaussian process of `size` features, each with a length scale."""
    kernels = gaussian_process.kernels
    kernel = kernels.ConstantKernel() * kernels.RBF(np.full(size, 3.0))
    return gaussian_process.GaussianProcessRegressor(
        kernel + kernels.WhiteKernel(), normalize_y=True
    )


def _normal(model, context, y, new_context):
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    fit_quietly(model, context, y)
    mean, deviation = model.predict(new_context, return_std=True)
    return stats.norm.ppf(LEVELS, mean[:, None], deviation[:, None])


def fit_quietly(model, x, y):
    """Fits a model and returns it, without warnings that say nothing about the data."""
    with warnings.catch_warnings():
        # Length scales of variables without effect end at their bounds.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        # Scikit-learn takes many classes for numbers; the column's kind says otherwise.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return model.fit(x, y)


def can_stop_early(*parts):
    """Whether a classifier of boosted trees can stop early when it is fitted to each part.

    A part is the classes of its rows, `[N]`. Scikit-learn then holds out a tenth of the
    rows, and needs rows of every class in that tenth and in the rest.
    """
    counts = [np.unique(part, return_counts=True)[1] for part in parts]
    return all(c.min() > 1 and len(c) <= 0.1 * c.sum() for c in counts)


def log_probs_of_classes(model, x, y):
    """Returns log-probabilities of classes y, `[N]`, by a fitted classifier of x, `[N, C]`.

    A class that the model does not know has a probability of 1e-6.
    """
    places = {value: i for i, value in enumerate(model.classes_)}
    seen = np.array([places.get(value, -1) for value in y])
    probs = np.clip(model.predict_proba(x), _LEAST_PROBABILITY, None)
    found = probs[np.arange(len(y)), seen]
    return np.log(np.where(seen >= 0, found, _LEAST_PROBABILITY))
