"""The checks of a fitted density, each a function that returns a `Check`.

The last ones are notes, which leave the verdict as it is. `linear_column` makes one of the
checks on rows alone, before a fit.

A `weight`, `[n]`, is that of the held-out rows; None if all count alike.

To add one, write a function and call it in `judge` of `report`; the report and the verdict
follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.check import Check
from tfp_flows.core.statistics import mean_ranks, standard_error, weighted_median
from tfp_flows.density.data import Data, checked_data

GAIN = "nats above a Gaussian"
_LEAST_HELD_OUT = 30  # held-out rows; fewer cannot judge
_FURTHEST = -20.0  # nats above a simple model that each held-out row must have
_MOST_GAIN = 20.0  # nats above the Gaussian that count for a row
_NEIGHBOURS = 5
# Smaller differences pass, however small their errors.
_MUCH_SURPRISE = 1.0  # nats
_MUCH_APART = 0.1  # share of the rows, or of the neighbours
# Share by which good fits to few rows are often too sure (docs/tried_and_dropped.md).
_OFTEN_APART = 0.05
_REGION = 0.9  # probability of a region of highest density
_SPIKE_SHARE = 0.05  # share of the rows with the most common value of a column
_COPIED_SHARE = 0.05  # share of the held-out rows that are copies
_LITTLE_AHEAD = 0.1  # nats
_MUCH_OFF = 0.2  # correlation of rows and contexts
_BY_CHANCE = 0.002  # probability that one fails although the density is right
_MUCH_OUTSIDE = 0.04  # share of the draws outside the range of N rows
_ROWS_OUTSIDE = 12.0  # N times the probability there is more for one of 10,000 data sets
_FAR = 100.0  # factor of the distances from a median on either side of a gap
_MUCH_ALIKE = 0.3  # rank correlation of a column and its previous row
_MOST_IN_ORDER = 10_000  # rows whose order is looked at
_OUTLIERS = 0.05  # share of far rows that may feign a linear relation, or spoil a Gaussian
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


def simple_models(
    scores: np.ndarray,
    simple: Mapping[str, np.ndarray],
    weight: np.ndarray | None = None,
    least: float = _LITTLE_AHEAD,
) -> Check:
    """Checks that no simple model explains held-out rows clearly better.

    The value is the mean lead of the best one, of log-densities `[n]` by name, over the
    `scores`, `[n]`, of the density, or of the Gaussian if that is better. Leads up to
    `least` nats and three standard errors pass. More than 20 nats of a row count as 20, as
    in `gain`.
    """
    with np.errstate(invalid="ignore"):  # both may be -inf
        leads = {
            name: np.clip(np.nan_to_num(values - scores), -_MOST_GAIN, _MOST_GAIN)
            for name, values in simple.items()
        }
    means = {name: np.average(lead, weights=weight) for name, lead in leads.items()}
    best = max(means, key=means.__getitem__)
    value = float(means[best])
    threshold = max(least, 3.0 * standard_error(leads[best], weight))
    advice = (
        f"Held-out rows have {value:.2f} nats more under a simple model, a {best}: use it, "
        "or fit with more time or more rows."
    )
    return Check.at_most("simple model ahead", value, threshold, advice)


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
    shares = shares_in_region(scores, sample_scores, weight)
    value = shares.of_rows
    threshold = _REGION - max(_MUCH_APART, _OFTEN_APART + 3.0 * shares.deviation)
    advice = (
        f"The region that holds {_REGION:.0%} of the samples holds {value:.0%} of the "
        "held-out rows: the density is too sure. Collect more rows, or leave columns out."
    )
    return Check.at_least("rows in 90 % region", value, threshold, advice)


class RegionShares(NamedTuple):
    """Shares of rows and of samples in a region."""

    of_rows: float
    of_samples: float
    deviation: float  # standard deviation of the difference if the density is right


def shares_in_region(
    scores: np.ndarray, sample_scores: np.ndarray, weight: np.ndarray | None = None
) -> RegionShares:
    """Returns the shares of rows and of samples in the region of highest density.

    The region holds 90 % of the samples. Equal log-densities, as those of categories, count
    half on either side of its bound. The arguments are those of `calibration`.
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
    return RegionShares(share, float(samples_are_inside.mean()), deviation)


def along_context(data: Data, drawn: np.ndarray) -> Check:
    """Checks that draws, `[S, n, D]`, agree with the rows wherever the contexts lie.

    If the density is right, the share of the draws given its context that are below a row
    is uniform. So neither this share nor its distance from 1/2 is off on average, or has a
    trend along the ranks of a column of the context, or along their distances from the
    middle. The value is the largest correlation; one of 500 right densities has a larger
    one than the threshold for its number of rows.
    """
    num_rows = len(data.x)
    share = (np.sum(drawn < data.x, axis=0) + 0.5) / (len(drawn) + 1.0) - 0.5  # [n, D]
    # Divided by the standard deviations of a uniform share.
    of_rows = np.stack([share / 12.0**-0.5, (np.abs(share) - 0.25) / 48.0**-0.5])
    rank = _ranks(data.context) - 0.5
    trends = [_standardised(rank), _standardised(np.abs(rank))]
    of_contexts = np.concatenate([np.ones([num_rows, 1]), *trends], axis=1)
    found = np.einsum("knd,nt->kdt", of_rows, of_contexts) / num_rows
    deviations = NormalDist().inv_cdf(1.0 - _BY_CHANCE / (2.0 * found.size))
    threshold = max(_MUCH_OFF, deviations / math.sqrt(num_rows))
    kind, column, trend = np.unravel_index(np.argmax(np.abs(found)), found.shape)
    value = float(found[kind, column, trend])
    words = (("low", "high"), ("narrow", "wide"))[kind][int(value < 0.0)]
    given = (int(trend) - 1) % rank.shape[1]
    place = " is far from its median" if trend > rank.shape[1] else " is high"
    where = f", most where column {given} of the context{place}" if trend else ""
    advice = (
        f"Draws given the context are too {words} in column {column}{where}. Give the fit "
        "more time or rows, or divide the column by a scale that depends on the context."
    )
    return Check.at_most("misfit along the context", abs(value), threshold, advice)


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


def far_rows(rows: Data) -> Check:
    """Notes a column with rows that are far beyond all others."""
    rows = rows.resampled()
    distance, is_far = _distances(rows)
    column = int(np.argmax(is_far.any(axis=0)))
    value = float(np.max(distance[:, column], where=is_far[:, column], initial=0.0))
    advice = (
        f"Column {column} has rows far beyond all others, {is_far[:, column].sum():,} of "
        f"them, up to {value:.3g} interquartile ranges from the median. They widen the "
        "tails of draws; if they are few, the simple models are fitted without them. If "
        "they are errors, leave them out."
    )
    return Check.at_most("far rows, interquartile ranges", value, 0.0, advice)


def without_far_rows(data: Data) -> Data:
    """Returns rows without those far beyond all others, if they are few.

    One of them would spoil the deviations of a simple model, so that any density is better.
    """
    _, is_far_entry = _distances(data)
    is_far = is_far_entry.any(axis=1)
    return data.take(~is_far) if 0.0 < is_far.mean() <= _OUTLIERS else data


def ends(rows: Data, drawn: np.ndarray) -> Check:
    """Notes a column of which many draws, `[..., D]`, are outside the range of all rows.

    The value is the largest share of a column. The probability there is about two over the
    number of rows if the density is right.
    """
    is_outside = (drawn < rows.x.min(axis=0)) | (drawn > rows.x.max(axis=0))
    shares = is_outside.reshape([-1, drawn.shape[-1]]).mean(axis=0)
    value, column = float(shares.max()), int(np.argmax(shares))
    share = max(_MUCH_OUTSIDE, _ROWS_OUTSIDE / rows.num_rows)
    threshold = share + 3.0 * math.sqrt(share / is_outside[..., 0].size)
    advice = (
        f"{value:.0%} of the draws of column {column} are outside the range of its rows, "
        f"where about {2.0 / rows.num_rows:.1%} should be. If the column has ends, fit its "
        "logarithm or logit, or a `TableDensity`, whose columns may be `positive` or "
        "`bounded`."
    )
    return Check.at_most("draws outside the range", value, threshold, advice)


def order(rows: Data) -> Check:
    """Notes that rows, in the order given, resemble those before them.

    The value is the largest rank correlation of a column and its previous row; with a
    context, of what a linear regression on it leaves. It is not judged if the context has
    an order, which the rows then share.
    """
    rows = rows.first(_MOST_IN_ORDER)
    alike = _rank_correlations(rows.residuals())
    value, column = float(np.max(np.abs(alike))), int(np.argmax(np.abs(alike)))
    threshold = max(_MUCH_ALIKE, 5.0 / math.sqrt(len(rows.x)))
    has_order = rows.context is not None and bool(
        np.max(np.abs(_rank_correlations(rows.context))) > threshold
    )
    advice = (
        "Rows seem to be sorted, or to depend on those before them: the rank correlation "
        f"of column {column} with its previous row is {alike[column]:.2f}. Held-out rows "
        "were drawn at random, so the report is not about later rows. If the rows are a "
        "time series, give the previous row as `context`."
    )
    passed = None if has_order else value <= threshold
    return Check("order of the rows", value, threshold, passed=passed, advice=advice)


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


def _distances(data):
    """Distances from medians, in interquartile ranges, and which are beyond a wide gap.

    Both are `[N, D]`. A column without such a range has no gap.
    """
    x = np.asarray(data.x, np.float64)
    distance = np.abs(x - np.median(x, axis=0))
    spread = np.subtract(*np.quantile(x, [0.75, 0.25], axis=0))
    distance /= np.where(spread > 0.0, spread, np.inf)
    ordered = np.sort(distance, axis=0)
    is_gap = ordered[1:] > _FAR * np.maximum(ordered[:-1], 1.0)
    first = np.argmax(is_gap, axis=0)[None]
    last_near = np.take_along_axis(ordered, first, axis=0)
    return distance, is_gap.any(axis=0) & (distance > last_near)


def _ranks(x):
    """Ranks of each column, `[n, C]`, from 0 to 1."""
    return np.stack([(mean_ranks(column) - 0.5) / len(x) for column in x.T], axis=1)


def _standardised(x):
    """Columns, `[n, C]`, with mean 0 and mean square 1; 0 for a constant."""
    x = x - x.mean(axis=0)
    return x / np.maximum(x.std(axis=0), 1e-300)


def _rank_correlations(x):
    """Rank correlations of columns with their previous rows, `[D]`; 0 for a constant."""
    rank = _standardised(_ranks(x))
    return np.mean(rank[1:] * rank[:-1], axis=0)


def _least_variance_of(data):
    """The `_least_variance` given contexts; if it is tiny, that without far rows."""
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
    """The least variance of `left / s.d. of x` along any axis, and its heaviest column."""
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
