"""Predictions of columns given others, beside two baselines of scikit-learn."""

import warnings

import numpy as np
from scipy import stats
from sklearn import ensemble
from sklearn import exceptions
from sklearn import gaussian_process
from sklearn import linear_model
from sklearn import pipeline
from sklearn import preprocessing

__all__ = ["FLOW", "LEVELS", "quantiles", "scores"]

FLOW = "the flow"
LEVELS = np.arange(1, 20) / 20.0
_INTERVAL = slice(0, None, len(LEVELS) - 1)  # from .05 to .95
_DRAWS = 400
_VALUES_A_CALL = 1 << 20
_MAX_VARIABLES = 4
# Of which boosting sees as many training rows, and a Gaussian process, whose time grows
# with their cube.
_MAX_BOOSTED_ROWS = 20_000
_MAX_PROCESS_ROWS = 1000


def scores(subject):
    """Returns how well test rows are predicted, by method, as plain data.

    For each method: CRPS, the mean width of intervals of 90 %, both as shares of a column's
    standard deviation among the training rows, and the share of values below the quantile
    of each level. None where nothing is given, or what is modelled is binary, images, or
    more than a few columns.

    Args:
      subject: a `Subject`.

    Reference:
      Gneiting and Raftery 2007, Strictly proper scoring rules, prediction, and estimation:
      the CRPS is twice the integral of the pinball loss over all levels; here, by the
      trapezoidal rule over 19, and both ends, where it is 0.
    """
    dataset = subject.dataset
    if not _is_prediction(dataset):
        return None
    scale = dataset.train.std(axis=0, dtype=np.float64)
    predicted = {FLOW: quantiles(subject), **_baselines(dataset, subject.settings.seed)}
    return {
        "levels": LEVELS.tolist(),
        "num_rows": len(dataset.test),
        "methods": {
            name: _scores(dataset.test.astype(np.float64), found, scale)
            for name, found in predicted.items()
        },
    }


def quantiles(subject, rows=slice(None)):
    """Returns the flow's quantiles of the test rows, `[N, D, L]`, given their contexts.

    They are exact for one variable, and of draws for several.
    """
    context = subject.dataset.test_context[rows]
    is_exact = subject.dataset.event_size == 1
    count = max(1, _VALUES_A_CALL // (len(LEVELS) if is_exact else _DRAWS))
    one_call = _exact if is_exact else _of_draws
    parts = [
        one_call(subject, context[start : start + count], start)
        for start in range(0, len(context), count)
    ]
    return np.concatenate(parts)


def _is_prediction(dataset):
    is_table = not dataset.is_binary and dataset.image_shape is None
    is_given = dataset.context_size and not dataset.class_names
    return bool(is_table and is_given and dataset.event_size <= _MAX_VARIABLES)


def _exact(subject, context, start):
    del start
    shape = (len(LEVELS), len(context))
    p = np.broadcast_to(LEVELS.astype(np.float32)[:, None], shape)
    found = subject.distribution.quantile(p, context=context)
    return np.transpose(found, (1, 2, 0)).astype(np.float64)


def _of_draws(subject, context, start):
    seed = np.array([subject.settings.seed, start], np.int32)
    drawn = subject.distribution.sample(_DRAWS, seed=seed, context=context).numpy()
    return np.moveaxis(np.quantile(drawn.astype(np.float64), LEVELS, axis=0), 0, -1)


def _baselines(dataset, seed):
    """Returns quantiles of the test rows, `[N, D, L]`, by name."""
    columns = dataset.train.astype(np.float64).T
    boosted = [_boosted(dataset, column, seed) for column in columns]
    name, model = _gaussian(dataset)
    gaussian = [_normal_quantiles(dataset, column, model, seed) for column in columns]
    return {
        "quantile gradient boosting": np.stack(boosted, axis=1),
        name: np.stack(gaussian, axis=1),
    }


def _boosted(dataset, y, seed):
    rows = _some_rows(len(y), _MAX_BOOSTED_ROWS, seed)
    models = (
        ensemble.HistGradientBoostingRegressor(
            loss="quantile", quantile=level, random_state=seed
        ).fit(dataset.train_context[rows], y[rows])
        for level in LEVELS
    )
    found = np.stack([m.predict(dataset.test_context) for m in models], axis=-1)
    return np.sort(found, axis=-1)  # levels are fitted apart, and may cross


def _gaussian(dataset):
    """A Gaussian process; of many rows Bayesian ridge regression, its linear relative."""
    if len(dataset.train) > _MAX_PROCESS_ROWS:
        return "Bayesian ridge regression", linear_model.BayesianRidge()
    kernels = gaussian_process.kernels
    scales = np.full(dataset.context_size, 3.0)
    kernel = kernels.ConstantKernel() * kernels.RBF(scales) + kernels.WhiteKernel()
    model = gaussian_process.GaussianProcessRegressor(kernel, normalize_y=True)
    return "Gaussian process", model


def _normal_quantiles(dataset, y, model, seed):
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    with warnings.catch_warnings():
        # A length scale at its bound: that variable has no effect.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(dataset.train_context, y)
    mean, deviation = model.predict(dataset.test_context, return_std=True)
    return stats.norm.ppf(LEVELS, mean[:, None], deviation[:, None])


def _some_rows(count, most, seed):
    return np.random.default_rng(seed).permutation(count)[:most]


def _scores(y, predicted, scale):
    """Returns the scores of quantiles `[N, D, L]` of `y`, `[N, D]`."""
    above = y[..., None] - predicted
    pinball = np.maximum(LEVELS * above, (LEVELS - 1.0) * above)
    crps = 2.0 * (pinball.sum(axis=-1) / (len(LEVELS) + 1) / scale).mean(axis=1)
    low, high = np.moveaxis(predicted[..., _INTERVAL], -1, 0)
    return {
        "crps": float(crps.mean()),
        "two_standard_errors": float(2.0 * crps.std(ddof=1) / np.sqrt(len(y))),
        "width": float(((high - low) / scale).mean()),
        "inside": float(((low <= y) & (y <= high)).mean()),
        "below": (above <= 0.0).mean(axis=(0, 1)).tolist(),
    }
