"""Predictions by quantiles: their scores, and baselines of scikit-learn."""

import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import (
    base,
    ensemble,
    exceptions,
    gaussian_process,
    linear_model,
    model_selection,
    pipeline,
    preprocessing,
)

FLOW = "the flow"
LEVELS = np.arange(1, 20) / 20.0
_INTERVAL = slice(0, None, len(LEVELS) - 1)  # from .05 to .95
# Maximum training rows of boosting and of a Gaussian process (its time is cubic in them).
_MAX_BOOSTED_ROWS = 20_000
_MAX_PROCESS_ROWS = 1000
# Rows for the fit of the kernel, and rows that the process is conditioned on.
_KERNEL_ROWS, _PROCESS_ROWS = 1000, 6000
# Mixture weight and relative width of a wide normal, which keeps densities above zero.
_WIDE_SHARE, _WIDTH = 0.01, 2.0
_LEAST = 1e-12
_LEAST_PROBABILITY = 1e-6
_GRID = {
    "learning_rate": [0.02, 0.05, 0.1],
    "max_leaf_nodes": [8, 31],
    "l2_regularization": [0.0, 10.0],
}
_FOLDS = 3


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
    Bayesian ridge regression.

    Args:
      context: context of the training rows, `[N, C]`.
      y: their observed values, `[N, D]`.
      new_context: `[M, C]`.
      seed: integer.
    """
    columns = np.asarray(y, np.float64).T
    name, model = "Gaussian process", process(context.shape[1])
    if len(context) > _MAX_PROCESS_ROWS:
        name, model = "Bayesian ridge regression", linear_model.BayesianRidge()
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
    return np.sort(found, axis=-1)  # quantiles of separate fits may cross


def process(size):
    """Returns a Gaussian process of `size` features, each with a length scale."""
    kernels = gaussian_process.kernels
    kernel = kernels.ConstantKernel() * kernels.RBF(np.full(size, 3.0))
    return gaussian_process.GaussianProcessRegressor(
        kernel + kernels.WhiteKernel(), normalize_y=True
    )


def _normal(model, context, y, new_context):
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    _fit(model, context, y)
    mean, deviation = model.predict(new_context, return_std=True)
    return stats.norm.ppf(LEVELS, mean[:, None], deviation[:, None])


def _fit(model, x, y):
    with warnings.catch_warnings():
        # Warns of length scales at their bounds, that is, variables without effect.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(x, y)


class NormalPrediction:
    """Normal distributions of N rows, by their means and deviations, `[N]`."""

    def __init__(self, mean, deviation):
        self._normal = stats.norm(mean, deviation)
        # `P(Y <= y)`, `[N]`, and the quantile of one level, `[N]`.
        self.cdf, self.quantile = self._normal.cdf, self._normal.ppf

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
        self._q = np.maximum.accumulate(
            quantiles + 1e-4 * deviation * np.arange(len(LEVELS)), axis=1
        )
        least = 1e-3 * deviation
        # Scales of the exponential tails, fitted to the outer four quantiles.
        self._rates = [
            np.maximum(self._q[:, 3] - self._q[:, 0], least) / np.log(4.0),
            np.maximum(self._q[:, -1] - self._q[:, -4], least) / np.log(4.0),
        ]
        self._wide = stats.norm(mean, _WIDTH * deviation)

    def log_prob(self, y, step=None):
        """Returns nats, `[N]`; with a step, of the probability of a bin about y."""
        if step is None:
            own, wide = self._density(y), self._wide.pdf(y)
        else:
            ends = y - 0.5 * step, y + 0.5 * step
            own, wide = (
                np.subtract(*map(f, ends[::-1])) for f in (self.cdf, self._wide.cdf)
            )
        return np.log(np.maximum((1.0 - _WIDE_SHARE) * own + _WIDE_SHARE * wide, _LEAST))

    def quantile(self, level):
        """Returns the quantile of one of `LEVELS`, `[N]`."""
        return self._q[:, int(np.argmin(np.abs(LEVELS - level)))]

    def _beyond(self, y):
        """Distances below the first and above the last quantile, in scales of the tails."""
        below = np.maximum(self._q[:, 0] - y, 0.0) / self._rates[0]
        return below, np.maximum(y - self._q[:, -1], 0.0) / self._rates[1]

    def cdf(self, y):
        """Returns `P(Y <= y)`, `[N]`, without the share of the wide normal."""
        rows = zip(y, self._q, strict=True)
        inside = np.array([np.interp(value, row, LEVELS) for value, row in rows])
        below, above = self._beyond(y)
        return 1.0 - (1.0 - inside * np.exp(-below)) * np.exp(-above)

    def _density(self, y):
        below, above = self._beyond(y)
        last = np.clip((self._q <= y[:, None]).sum(axis=1) - 1, 0, len(LEVELS) - 2)
        width = np.diff(self._q, axis=1)[np.arange(len(y)), last]
        lower = LEVELS[0] * np.exp(-below) / self._rates[0]
        upper = LEVELS[0] * np.exp(-above) / self._rates[1]
        inside = (LEVELS[1] - LEVELS[0]) / width
        return np.select([below > 0.0, above > 0.0], [lower, upper], inside)


def predictions(context, y, new_context, seed):
    """Returns predictive distributions of y given `new_context`, by method.

    Args:
      context: context of the training rows, `[N, C]`.
      y: their observed values, `[N]`.
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
    _fit(model, x[some], y[some])
    if len(most) > len(some):
        kernel = base.clone(model.kernel_)
        model = gaussian_process.GaussianProcessRegressor(
            kernel, optimizer=None, normalize_y=True
        ).fit(x[most], y[most])
    return NormalPrediction(*model.predict(new, return_std=True))


def boosted_log_loss(x, y, new_x, new_y, is_categorical, settings):
    """Returns the mean negative log-probability of new classes, in nats.

    Args:
      x: features of the training rows, `[N, C]`; NaN where missing.
      y: their classes, `[N]`.
      new_x: `[M, C]`.
      new_y: `[M]`; a class without a training row has a probability of 1e-6.
      is_categorical: which features are codes, `[C]`.
      settings: `seed`.
    """
    model = ensemble.HistGradientBoostingClassifier(
        random_state=settings.seed,
        early_stopping=True,
        max_iter=500,
        categorical_features=is_categorical,
    )
    folds = model_selection.KFold(_FOLDS, shuffle=True, random_state=settings.seed)
    search = model_selection.GridSearchCV(model, _GRID, scoring=_score, cv=folds)
    search.fit(x, y)
    return -_score(search, new_x, new_y)


def _score(model, x, y):
    return float(np.mean(log_probs_of_classes(model, x, y)))


def log_probs_of_classes(model, x, y):
    """Returns log-probabilities of classes, `[N]`.

    Args:
      model: fitted classifier.
      x: features, `[N, C]`.
      y: classes, `[N]`; a class that the model does not know has a probability of 1e-6.
    """
    places = {value: i for i, value in enumerate(model.classes_)}
    seen = np.array([places.get(value, -1) for value in y])
    probs = np.clip(model.predict_proba(x), _LEAST_PROBABILITY, None)
    found = probs[np.arange(len(y)), seen]
    return np.log(np.where(seen >= 0, found, _LEAST_PROBABILITY))


def features_of_each(frames, table):
    """Returns features of the context of several frames, with the same codes."""
    context = pd.concat([frame[table.context] for frame in frames])
    found, is_categorical = features(context, table.columns)
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(found, ends), is_categorical


def features(frame, columns):
    """Returns columns as numbers, `[N, D]`, and which are codes of categories."""
    found, is_categorical = [], []
    for name in frame:
        cells = frame[name]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            cells = cells.astype(object)
        is_code = columns[name].kind in ("categorical", "boolean", "constant")
        if columns[name].has_ordered_texts:
            places = pd.Categorical(cells, columns[name].values).codes
            found.append(np.where(places < 0, np.nan, places))
        elif is_code:
            codes = pd.factorize(cells.astype(str).where(cells.notna(), None))[0]
            found.append(np.where(codes < 0, np.nan, codes))
        elif cells.dtype.kind == "M":
            found.append(cells.astype("int64").to_numpy(np.float64))
        else:
            found.append(pd.to_numeric(cells).to_numpy(np.float64, na_value=np.nan))
        is_categorical.append(is_code and len(set(found[-1])) <= 255)
    return np.stack(found, axis=1), is_categorical


def one_hot_context(table, sets):
    """Returns contexts of training and test rows, data frames, with categories one-hot."""
    (train, test), is_categorical = features_of_each(sets, table)
    parts = [[], []]
    for j, is_code in enumerate(is_categorical):
        codes = np.unique(train[~np.isnan(train[:, j]), j]) if is_code else None
        for part, rows in zip(parts, (train, test), strict=True):
            column = rows[:, j : j + 1]
            part.append(column == codes if is_code else np.nan_to_num(column))
    return [np.concatenate(part, axis=1).astype(np.float64) for part in parts]
