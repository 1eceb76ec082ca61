"""The checks of a fitted density, each a function that returns a `Check`.

`linear_column` makes one of them on rows alone, before a fit.

A `weight`, `[n]`, is that of the held-out rows; None if all count alike.

To add one, write a function and call it in `judge` of `report`; the report and the verdict
follow.
"""

from __future__ import annotations

import math

import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.check import Check
from tfp_flows.core.statistics import standard_error, weighted_median
from tfp_flows.density.data import Data, checked_data

GAIN = "nats above a Gaussian"
_LEAST_HELD_OUT = 30  # held-out rows; fewer cannot judge
_FURTHEST = -20.0  # nats above a simple model that each held-out row must have
_MOST_GAIN = 20.0  # nats above the Gaussian that count for a row
_NEIGHBOURS = 5
# Smaller differences pass, however small their errors.
_MUCH_SURPRISE = 1.0  # nats
_MUCH_APART = 0.1  # share of the rows, or of the neighbours
_REGION = 0.9  # probability of a region of highest density
_SPIKE_SHARE = 0.05  # share of the rows with the most common value of a column
_COPIED_SHARE = 0.05  # share of the held-out rows that are copies
_OUTLIERS = 0.05  # share of the rows, far ones, that may feign a linear relation
_LEAST_VARIANCE = 1e-9  # linear relations of columns of variance 1 have less


def held_out_rows(
    count: int, kind: str = "rows", remedy: str = "Collect more rows."
) -> Check:
    """Checks that there are enough held-out rows, of some kind, for a judgement."""
    advice = f"Only {count} {kind} were held out, too few to judge. {remedy}"
    return Check.at_least(f"held-out {kind}", count, _LEAST_HELD_OUT, advice)


def gain(gains: np.ndarray, weight: np.ndarray | None = None) -> Check:
    """Checks that the mean gain over a Gaussian is above two standard errors.

    A gain, `[n]`, is the log-density of a held-out row less that under the Gaussian. More
    than 20 nats count as 20: otherwise, the standard error of rows with outliers, which are
    impossible under a Gaussian, would be as large as their mean.
    """
    gains = np.minimum(gains, _MOST_GAIN)
    value = float(np.average(gains, weights=weight))
    threshold = 2.0 * standard_error(gains, weight)
    advice = "Held-out rows are not clearly more probable than under a Gaussian."
    return Check(GAIN, value, threshold, passed=value > threshold, advice=advice)


def furthest_row(gains: np.ndarray) -> Check:
    """Checks that no held-out row has far less density than under a simple model.

    This is the better of a Gaussian and a Student's t of each column: under a Gaussian, an
    outlier may be even less probable.
    """
    value = float(gains.min())
    advice = (
        f"A held-out row has {-value:.0f} nats less than under a Gaussian or a Student's "
        "t: the density is sure of a relation, or of the end of a tail, that the row does "
        "not keep. Look at the row, or use `tfp_flows.Defensive` with `DensityEstimator`."
    )
    return Check.at_least("furthest row, nats", value, _FURTHEST, advice)


def typical_rows(
    scores: np.ndarray, sample_scores: np.ndarray, weight: np.ndarray | None = None
) -> Check:
    """Checks that held-out rows are as probable as samples, by log-densities `[n]`, `[m]`.

    If the density is right, both have the same distribution of log-densities. Samples of an
    overfitted density are more probable.
    """
    value = float(np.median(sample_scores)) - weighted_median(scores, weight)
    errors = standard_error(sample_scores), standard_error(scores, weight)
    error = 1.25 * math.hypot(*errors)
    threshold = max(_MUCH_SURPRISE, 3.0 * error)
    advice = (
        f"Samples have {value:.1f} nats more than held-out rows, a sign of overfitting. "
        "Collect more rows, or leave columns out."
    )
    return Check.at_most("surprise, nats", value, threshold, advice)


def calibration(
    scores: np.ndarray, sample_scores: np.ndarray, weight: np.ndarray | None = None
) -> Check:
    """Checks that the region of highest density that holds 90 % of samples holds the rows.

    If the density is right, it holds 90 % of the held-out rows too. Fewer rows are in it if
    the density is too sure. Scores are log-densities, `[n]` and `[m]`.
    """
    value, _, deviation = shares_in_region(scores, sample_scores, weight)
    threshold = _REGION - max(_MUCH_APART, 3.0 * deviation)
    advice = (
        f"The region that holds {_REGION:.0%} of the samples holds {value:.0%} of the "
        "held-out rows: the density is too sure. Collect more rows, or leave columns out."
    )
    return Check.at_least("rows in 90 % region", value, threshold, advice)


def shares_in_region(
    scores: np.ndarray, sample_scores: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Returns the shares of rows and of samples in the region of highest density.

    The region holds 90 % of the samples. Equal log-densities, as those of categories, count
    half on either side of its bound. The third result is the standard deviation of the
    difference if the density is right. The arguments are those of `calibration`.
    """
    bound = np.quantile(sample_scores, 1.0 - _REGION)
    are_inside, samples_are_inside = (
        1.0 * (values > bound) + 0.5 * (values == bound)
        for values in (scores, sample_scores)
    )
    share = float(np.average(are_inside, weights=weight))
    variance = _REGION * (1.0 - _REGION)
    error = math.sqrt(variance / len(scores))
    if weight is not None:  # heavy rows may all be inside, or outside
        error = standard_error(are_inside, weight)
    deviation = math.hypot(error, math.sqrt(variance / len(sample_scores)))
    return share, float(samples_are_inside.mean()), deviation


def neighbours(data: Data, samples: Data) -> Check:
    """Checks that samples lie among held-out rows, by the neighbours of both.

    The value is the share of the five nearest neighbours that are of a row's own kind, row
    or sample, in columns scaled by their deviations; it is 1/2 if the density is right.
    There are as many samples as rows, of the same contexts.

    Reference:
      Schilling (1986), Multivariate two-sample tests based on nearest neighbors.
      https://doi.org/10.1080/01621459.1986.10478337
    """
    x = np.concatenate([data.joined, samples.joined]).astype(np.float64)
    count = len(data.x)
    scale = x[:count].std(axis=0)
    x = np.nan_to_num(x / np.where(scale > 0.0, scale, 1.0), posinf=1e30, neginf=-1e30)
    is_row = np.arange(len(x)) < count
    nearest = np.stack([_nearest(x, i) for i in range(len(x))])
    value = float(np.mean(is_row[nearest] == is_row[:, None]))
    # The deviation of Schilling's statistic is at most about this.
    deviation = math.sqrt(0.75 / (_NEIGHBOURS * len(x)))
    threshold = 0.5 + max(_MUCH_APART, 3.0 * deviation)
    advice = (
        f"{value:.0%} of the nearest neighbours of rows and samples are of their own kind "
        "(50 % if the density is right): samples differ from the rows."
    )
    return Check.at_most("neighbours of one kind", value, threshold, advice)


def spikes(data: Data) -> Check:
    """Checks that no column has a common value, at which a density has no limit."""
    shares = [_share_of_most_common(column, data.weight) for column in data.x.T]
    value, column = float(np.max(shares)), int(np.argmax(shares))
    advice = (
        f"Column {column} has one value in {value:.0%} of the rows, so its density there "
        "depends on rounding. `TableDensity` gives such values a probability."
    )
    return Check.at_most("most common value", value, _SPIKE_SHARE, advice)


def copies(train: Data, held_out: Data) -> Check:
    """Checks that held-out rows are not copies of training rows, which would test nothing.

    Rounded columns have equal rows by chance, so the threshold is higher if columns that
    are shuffled, each by itself, have them too.
    """
    known = {row.tobytes() for row in train.joined}
    rows = held_out.joined
    shuffled = np.random.default_rng(0).permuted(rows, axis=0)
    value, by_chance = (
        float(np.mean([row.tobytes() in known for row in each]))
        for each in (rows, shuffled)
    )
    threshold = _COPIED_SHARE + 2.0 * by_chance
    advice = (
        f"{value:.0%} of the held-out rows are copies of training rows, so they are no "
        "test of the density. Leave copies out."
    )
    return Check.at_most("copied rows", value, threshold, advice)


def dependence(train: Data) -> Check:
    """Checks that no column is a linear function of others: there is no density then.

    The value is the least variance of a weighted sum of the standardised columns, with
    weights of length 1; with a context, of what a linear regression on it leaves of them.
    Outliers may be on one line with all others, so the relation must also hold without the
    5 % of the rows that are farthest out. With weights, it is judged on rows drawn by them.
    It is not judged if there are more columns than rows.
    """
    train = train.resampled()
    value, column = _least_variance_of(train)
    others = "other columns" + " and the context" * (train.context is not None)
    advice = (
        f"Column {column} is a linear function of {others}, so the rows have no density. "
        "Leave it out."
    )
    passed = bool(value >= _LEAST_VARIANCE)
    judged = passed if len(train.x) > train.joined.shape[1] else None
    return Check("least variance", value, _LEAST_VARIANCE, passed=judged, advice=advice)


def linear_column(rows: TensorLike, context: TensorLike | None = None) -> int | None:
    """Returns the index of a column that is a linear function of others and the context.

    Such rows have no density. It is None if there is no such column, as `fit_density`
    judges it, or if there are no more rows than columns.

    Args:
      rows: `[N, D]`, of any numeric dtype.
      context: `[N, C]`, or None.

    Raises:
      ValueError: as `fit_density` does for its rows and context.

    >>> import numpy as np
    >>> from tfp_flows.density import linear_column
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> linear_column(x), linear_column(np.c_[x, 3.0 * x[:, 0] - 1.0]) in (0, 2)
    (None, True)
    """
    data = checked_data(rows, context)
    value, column = _least_variance_of(data)
    has_rows = len(data.x) > data.joined.shape[1]
    return column if has_rows and value < _LEAST_VARIANCE else None


def _least_variance_of(data):
    """As `_least_variance`, of rows and contexts, also without the farthest rows."""
    x, features = np.asarray(data.x, np.float64), data.features()
    features = np.concatenate([features, np.ones([len(x), 1])], axis=1)
    # Not a ridge regression, whose penalty would leave some of an exact relation.
    left = x - features @ np.linalg.lstsq(features, x, rcond=None)[0]
    value, column = _least_variance(x, left)
    if value < _LEAST_VARIANCE:
        distance = np.abs(x - np.median(x, axis=0)) / np.maximum(x.std(axis=0), 1e-300)
        near = distance.max(axis=1) <= np.quantile(distance.max(axis=1), 1.0 - _OUTLIERS)
        if np.ptp(x[near], axis=0).all():
            value, column = _least_variance(x[near], left[near])
    return value, column


def _least_variance(x, left):
    """The least scaled variance along any axis, and its column of largest weight."""
    scale = x.std(axis=0)
    left = (left - left.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)
    matrix = left.T @ left / len(left) + np.diag(scale == 0.0)  # 1 for a constant column
    values, axes = np.linalg.eigh(matrix)
    return float(values[0]), int(np.argmax(np.abs(axes[:, 0])))


def _share_of_most_common(column, weight):
    """The largest share of the rows, by weight, with one value; 0 if no value repeats."""
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    share = np.bincount(place, weight) / (len(column) if weight is None else weight.sum())
    return float(np.max(share * (count > 1)))


def _nearest(x, index):
    distance = np.sum((x - x[index]) ** 2, axis=1)
    distance[index] = np.inf
    count = min(_NEIGHBOURS, len(x) - 1)
    return np.argpartition(distance, count)[:count]
