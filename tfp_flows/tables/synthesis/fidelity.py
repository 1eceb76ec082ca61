"""How alike synthetic and real rows are, by published definitions."""

from __future__ import annotations

import contextlib
import itertools
import math
import typing
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfp_flows.tables.synthesis.row_features import RowFeatures, present, scaled_to

CLASSIFIERS = ("gradient boosting", "logistic regression")
_FOLDS = 3
_SHUFFLES = 3  # shuffles of each column, whose effects on the AUC are averaged
_BINS = 10  # bins of a number beside a category, as in SDMetrics
_LEVELS = 30  # levels of alpha and beta, as in synthcity
_RESAMPLES = 100  # resamples of test rows, for the standard error of the utility
_CHUNK = 2**22  # number of distances computed at once, to bound the memory
_MOST_CODES = 255  # codes of a column that scikit-learn's trees take as categories


def nearest_distances(
    rows: RowFeatures, others: RowFeatures, scale: RowFeatures
) -> np.ndarray:
    """Returns the distance of each row to the nearest of other rows, `[N]`, from 0 to 1.

    The distance is the mean over the columns. Two numbers differ by the share of the
    `scale` rows between them; two codes, or a gap and a number, differ by 1.
    """
    columns = list(zip(_ranked(rows, scale), _ranked(others, scale), strict=True))
    count = max(_CHUNK // max(len(others.x), 1), 1)
    nearest = np.zeros(len(rows.x))
    for start in range(0, len(rows.x), count):
        part = slice(start, start + count)
        total = np.zeros([len(nearest[part]), len(others.x)], np.float32)
        for (a, b), is_code in zip(columns, rows.is_code, strict=True):
            if is_code:
                total += a[part, None] != b
            else:
                total += np.minimum(np.abs(a[part, None] - b), 1.0)
        nearest[part] = total.min(axis=1)
    return nearest / len(columns)


def _ranked(rows, scale):
    """Columns `[N]` float32 with ranks from 0 to 1 for numbers, and -1 for gaps."""
    for x, known, is_code in zip(rows.x.T, scale.x.T, rows.is_code, strict=True):
        values = np.sort(present(known))
        if not is_code:
            ends = [np.searchsorted(values, x, side) for side in ("left", "right")]
            ranks = np.add(*ends) / (2.0 * max(len(values), 1))
        else:
            ranks = x
        yield np.where(np.isnan(x), -1.0, ranks).astype(np.float32)


class Utility(typing.NamedTuple):
    """Test scores of a model of one column that was trained on either kind of rows."""

    score: str  # name of the score
    synthetic: float
    real: float
    error: float  # standard error of the difference, over resampled test rows


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Runs scikit-learn in one thread and without warnings.

    Many threads are slow on few rows or busy processors.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # which scikit-learn imports, too
    except ImportError as error:
        raise ImportError(
            "Expected scikit-learn, whose classifiers judge synthetic rows; install it by "
            "`pip install 'tfp_flows[sklearn]'`."
        ) from error
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # It takes many classes for numbers, but the column's kind says that they are none.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        yield


def detection(
    real: RowFeatures, synthetic: RowFeatures, seed: int
) -> dict[str, tuple[float, float]]:
    """Returns the AUC of classifiers that tell synthetic from real rows, and its error.

    There are about as many rows of both. The AUC is the mean over three folds of rows that
    the classifier has not seen; 0.5 is chance. Its error is one standard error: Hanley and
    McNeil's for one fold, joined over the folds by the rule of Nadeau and Bengio, since
    their training rows overlap.

    Reference:
      Hanley, McNeil (1982), The meaning and use of the area under a receiver operating
      characteristic (ROC) curve. https://doi.org/10.1148/radiology.143.1.7063747
      Nadeau, Bengio (2003), Inference for the generalization error.
      https://doi.org/10.1023/A:1024068626366
    """
    x, y, folds = _in_folds(real, synthetic, seed)
    scores = {}
    for name in CLASSIFIERS:
        areas = []
        for train, test in folds:
            model = _classifier(name, x[train], real.is_code, seed).fit(x[train], y[train])
            areas.append(_auc(y[test] == 1, model.predict_proba(x[test])[:, 1]))
        area = float(np.mean(areas))
        fold_error = _auc_error(area, len(real.x) // _FOLDS, len(synthetic.x) // _FOLDS)
        scores[name] = area, fold_error * math.sqrt(1.0 / _FOLDS + 1.0 / (_FOLDS - 1))
    return scores


def telling_columns(real: RowFeatures, synthetic: RowFeatures, seed: int) -> np.ndarray:
    """Returns by how much the AUC of gradient boosting falls without each column, `[C]`.

    A column is shuffled among the rows of one fold, which the classifier has not seen
    (permutation importance, a mean over three shuffles). If several columns hold the same
    information, the fall is divided among them.

    Reference:
      Breiman (2001), Random forests. https://doi.org/10.1023/A:1010933404324
    """
    from sklearn.inspection import permutation_importance

    x, y, ((train, test), *_) = _in_folds(real, synthetic, seed)
    model = _classifier(CLASSIFIERS[0], x[train], real.is_code, seed)
    importance = permutation_importance(
        model.fit(x[train], y[train]),
        *(x[test], y[test]),
        scoring="roc_auc",
        n_repeats=_SHUFFLES,
        random_state=seed,
    )
    return importance.importances_mean


def _in_folds(real, synthetic, seed):
    """Returns rows of both kinds, whether they are synthetic, and three folds of them."""
    from sklearn.model_selection import StratifiedKFold

    x = np.concatenate([real.x, synthetic.x])
    y = np.repeat([0, 1], [len(real.x), len(synthetic.x)])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return x, y, list(folds.split(x, y))


def _auc_error(area, num_negative, num_positive):
    """Returns the standard error of an AUC, by Hanley and McNeil (1982)."""
    of_one_pair = area * (1.0 - area)
    by_positive = (num_positive - 1) * (area / (2.0 - area) - area**2)
    by_negative = (num_negative - 1) * (2.0 * area**2 / (1.0 + area) - area**2)
    variance = (of_one_pair + by_positive + by_negative) / (num_negative * num_positive)
    return math.sqrt(max(variance, 0.0))


def shape(real: RowFeatures, synthetic: RowFeatures) -> np.ndarray:
    """Returns how alike the columns are, each by itself, `[C]` from 0 to 1.

    For numbers it is 1 minus the Kolmogorov-Smirnov statistic, for codes 1 minus the total
    variation distance of their shares, both without missing cells, as in SDMetrics; NaN for
    a column without cells.

    Reference:
      SDMetrics, KSComplement and TVComplement. https://docs.sdv.dev/sdmetrics
    """
    columns = zip(real.x.T, synthetic.x.T, real.is_code, strict=True)
    return np.array([_shape_of_column(a, b, is_code) for a, b, is_code in columns])


def _shape_of_column(a, b, is_code):
    a, b = present(a), present(b)
    if not len(a) or not len(b):
        return np.nan
    if is_code:
        return 1.0 - _total_variation(a.astype(int), b.astype(int))
    values = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), values, "right") / len(x) for x in (a, b)]
    return 1.0 - float(np.abs(below[0] - below[1]).max())


def _total_variation(a, b):
    count = int(max(a.max(), b.max())) + 1
    shares = [np.bincount(x, minlength=count) / len(x) for x in (a, b)]
    return 0.5 * float(np.abs(shares[0] - shares[1]).sum())


def trend(real: RowFeatures, synthetic: RowFeatures) -> np.ndarray:
    """Returns how alike pairs of columns are, `[C, C]` from 0 to 1.

    ```none
    two numbers:  1 - |r_synthetic - r_real| / 2, r = Pearson's correlation
    others:       1 - total variation distance of the shares of pairs of cells
    ```

    As in SDMetrics, numbers beside codes are in ten bins of equal width between the ends of
    the real rows; the outer bins are open. Missing cells are a code of their own. The
    matrix is symmetric. It is NaN on the diagonal, and where a correlation is not defined,
    since a column is constant.

    Reference:
      SDMetrics, CorrelationSimilarity and ContingencySimilarity.
      https://docs.sdv.dev/sdmetrics
    """
    size = len(real.is_code)
    likeness = np.full([size, size], np.nan)
    codes = _binned(real, real), _binned(synthetic, real)
    for i, j in itertools.combinations(range(size), 2):
        if real.is_code[i] or real.is_code[j]:
            count = int(max(x[:, j].max() for x in codes)) + 1
            pairs = [x[:, i] * count + x[:, j] for x in codes]
            likeness[i, j] = 1.0 - _total_variation(*pairs)
        else:
            r = [_correlation(rows.x[:, [i, j]]) for rows in (real, synthetic)]
            likeness[i, j] = 1.0 - abs(r[0] - r[1]) / 2.0
        likeness[j, i] = likeness[i, j]
    return likeness


def _binned(rows, reference):
    """Codes, `[N, C]` integers, of cells; 0 for missing ones."""
    codes = np.zeros(rows.x.shape, int)
    for j, is_code in enumerate(rows.is_code):
        x = rows.x[:, j]
        if not is_code:
            known = present(reference.x[:, j])
            edges = np.histogram_bin_edges(known, _BINS) if len(known) else np.zeros(2)
            x = np.where(np.isnan(x), np.nan, np.digitize(x, edges[1:-1]))
        codes[:, j] = np.where(np.isnan(x), 0.0, x + 1.0)
    return codes


def _correlation(pair):
    x = pair[~np.isnan(pair).any(axis=1)]
    deviations = x - x.mean(axis=0) if len(x) > 1 else np.zeros([1, 2])
    scale = np.sqrt(np.prod(np.sum(deviations**2, axis=0)))
    return float(deviations[:, 0] @ deviations[:, 1] / scale) if scale > 0.0 else np.nan


def association(rows: RowFeatures) -> np.ndarray:
    """Returns how strongly pairs of columns depend on each other, `[C, C]` from 0 to 1.

    ```none
    two numbers:             |r|, Pearson's correlation
    a number and a code:     correlation ratio: deviation of the means given the code
                             / deviation of the number
    two codes:               Cramer's V
    ```

    NaN where a column is constant; missing cells are left out.
    """
    size = len(rows.is_code)
    strength = np.eye(size)
    for i, j in itertools.combinations(range(size), 2):
        pair = rows.x[:, [i, j]]
        pair = pair[~np.isnan(pair).any(axis=1)]
        kinds = rows.is_code[[i, j]]
        if kinds.all():
            value = _cramers_v(pair.astype(int))
        elif kinds.any():
            value = _correlation_ratio(pair[:, kinds][:, 0], pair[:, ~kinds][:, 0])
        else:
            value = abs(_correlation(pair))
        strength[i, j] = strength[j, i] = value
    return strength


def _cramers_v(pair):
    if not len(pair):
        return np.nan
    counts = np.zeros(pair.max(axis=0) + 1)
    np.add.at(counts, tuple(pair.T), 1.0)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    least = min(counts.shape) - 1
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / len(pair)
    squares = np.sum((counts - expected) ** 2 / expected) / len(pair)
    return float(np.sqrt(squares / least)) if least else np.nan


def _correlation_ratio(codes, numbers):
    if not len(codes) or numbers.std() == 0.0 or len(np.unique(codes)) < 2:
        return np.nan
    _, codes = np.unique(codes, return_inverse=True)
    means = np.bincount(codes, numbers) / np.bincount(codes)
    return float(means[codes].std() / numbers.std())


def precision_and_recall(real: RowFeatures, synthetic: RowFeatures) -> tuple[float, float]:
    """Returns alpha-precision and beta-recall, integrated over alpha and beta.

    ```none
    ball(a) = the ball about the mean of the real rows that holds a share a of them
    P(a) = share of the synthetic rows in ball(a)
    R(b) = share of the real rows that are nearer to a synthetic row than to a real one,
           where this synthetic row is among the share b of these nearest to the mean of
           all synthetic rows
    alpha-precision = 1 - 2 * mean of |P(a) - a|,  beta-recall = 1 - 2 * mean of |R(b) - b|
    ```

    It is the variant without an embedding, which the library synthcity calls "naive", and
    with which papers on tables report: points are numbers scaled to [0, 1] by the real
    rows and one-hot codes, distances are Euclidean, and a and b are 30 levels from 0 to 1.
    Fresh rows of the same distribution have an alpha-precision near 1 and a beta-recall
    near 1/2, since the nearest row is a real one for half of the rows. Copies of the real
    rows have a beta-recall of 1.

    Reference:
      Alaa, van Breugel, Saveliev, van der Schaar (2022), How faithful is your synthetic
      data? Sample-level metrics for evaluating and auditing generative models.
      https://arxiv.org/abs/2102.08921
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = scaled_to(real, real), scaled_to(real, synthetic)
    levels = np.linspace(0.0, 1.0, _LEVELS)
    radii = np.quantile(np.linalg.norm(x - x.mean(axis=0), axis=1), levels)
    inside = np.linalg.norm(y - x.mean(axis=0), axis=1)[:, None] <= radii
    precision = inside.mean(axis=0)
    to_real = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(x).kneighbors(x)[0]
    near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(y).kneighbors(x)
    (distances,), (nearest,) = (result.T for result in near)
    from_centre = np.linalg.norm(y - y.mean(axis=0), axis=1)[nearest]
    inside = from_centre[:, None] <= np.quantile(from_centre, levels)
    recall = (inside & (distances <= to_real[:, 1])[:, None]).mean(axis=0)
    distances = [np.abs(levels - curve).sum() for curve in (precision, recall)]
    alpha_precision, beta_recall = (float(1.0 - d / levels.sum()) for d in distances)
    return alpha_precision, beta_recall


def utility(
    train: RowFeatures, synthetic: RowFeatures, test: RowFeatures, target: int, seed: int
) -> Utility | None:
    """Compares models of one column that were trained on synthetic and on real rows.

    Gradient boosting predicts the column from all others. Codes are scored by the AUC of
    each class against the others, weighted by the test rows of the class; numbers by the
    explained share of the variance (R^2). Rows with a missing target are left out.

    Real test rows score both models. The result is None if there are no columns beside
    the target (an index), or if the target is constant in one of the kinds of rows.
    """
    rows = [train, synthetic, test]
    rows = [r.take(np.flatnonzero(~np.isnan(r.x[:, target]))) for r in rows]
    *x, x_test = [r.without(target).x for r in rows]
    y = [r.x[:, target] for r in rows]
    if not x_test.shape[1] or min(len(np.unique(values)) for values in y) < 2:
        return None
    is_class, is_code = bool(train.is_code[target]), train.without(target).is_code
    if is_class:
        classes = np.unique(np.concatenate(y))
        y = [np.searchsorted(classes, values) for values in y]
    *y, y_test = y
    predicted = []
    for x_fit, y_fit in zip(x, y, strict=True):
        model = _trees(x_fit, is_code, seed, is_class=is_class).fit(x_fit, y_fit)
        if is_class:
            scores = np.zeros([len(x_test), len(classes)])  # 0 for classes not trained on
            scores[:, model.classes_] = model.predict_proba(x_test)
        predicted.append(scores if is_class else model.predict(x_test))
    score = _weighted_auc if is_class else _explained
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(len(y_test), size=len(y_test))
        real_score, synthetic_score = (score(y_test[chosen], p[chosen]) for p in predicted)
        differences.append(synthetic_score - real_score)
    return Utility(
        "AUC" if is_class else "R^2",
        synthetic=score(y_test, predicted[1]),
        real=score(y_test, predicted[0]),
        error=float(np.nanstd(differences, ddof=1)),
    )


def _weighted_auc(y, scores):
    """The AUC of each class against the others, weighted by its rows; NaN of one class."""
    names, counts = np.unique(y, return_counts=True)
    if len(names) < 2:
        return np.nan
    areas = [_auc(y == name, scores[:, name]) for name in names]
    return float(np.average(areas, weights=counts))


def _auc(is_positive, scores):
    """The share of pairs in which the positive row has the higher score, ties by half."""
    others, positive = np.sort(scores[~is_positive]), scores[is_positive]
    places = [np.searchsorted(others, positive, side=side) for side in ("left", "right")]
    return float(np.mean(places)) / len(others)


def _explained(y, predicted):
    """The share of the variance that a prediction explains; NaN of constant numbers."""
    spread = np.sum((y - y.mean()) ** 2)
    return float(1.0 - np.sum((y - predicted) ** 2) / spread) if spread > 0.0 else np.nan


def _classifier(name, x, is_code, seed):
    """A classifier that is not fitted yet, for rows like x, `[N, C]`."""
    if name == CLASSIFIERS[0]:
        return _trees(x, is_code, seed, is_class=True)
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    columns = make_column_transformer(
        (numbers, np.flatnonzero(~is_code)),
        (OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(is_code)),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def _trees(x, is_code, seed, *, is_class):
    """Gradient boosting with the defaults of scikit-learn, but no early stopping."""
    from sklearn import ensemble

    most = np.nan_to_num(x, nan=0.0).max(axis=0, initial=0.0)
    options: dict[str, Any] = {"early_stopping": False, "random_state": seed}
    options["categorical_features"] = is_code & (most < _MOST_CODES)
    if is_class:
        return ensemble.HistGradientBoostingClassifier(**options)
    return ensemble.HistGradientBoostingRegressor(**options)
