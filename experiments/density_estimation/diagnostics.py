"""Agreement of a fitted flow with test rows: latents, coverage, predictions, levels."""

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn import ensemble, model_selection

import tfp_flows
from experiments.density_estimation import models
from experiments.fitted import row_tables
from experiments.fitted.row_tables import in_parts
from experiments.reports.estimate import accuracy, error_of_share
from experiments.reports.predictions import FLOW, LEVELS, baselines, compared

_MAX_ROWS, _FOLDS = 5000, 5  # rows and folds of the two-sample test
_INTERVALS = (0.5, 0.9)  # probabilities of central intervals
_GRID = 500  # number of points of each angle
# Predictions: draws per row, and maximum number of predicted columns.
_DRAWS, _MAX_VARIABLES = 400, 4
# Sizes of one call of the flow, limited by memory.
_ROWS_A_CALL, _IMAGES_A_CALL = 2048, 256


class Subject:
    """A distribution beside the data it is fitted to, with samples to compare.

    Attributes:
      data: `[N, D]`, random test rows, chosen by `settings.seed`.
      context: `[N, C]`, their context; or None.
    """

    def __init__(self, distribution, dataset, settings):
        self.distribution = distribution
        self.dataset = dataset
        self.settings = settings
        count = min(settings.num_samples, len(dataset.test))
        # Some files are sorted: the first rows of binarised MNIST are all zeros.
        rows = np.random.default_rng(settings.seed).permutation(len(dataset.test))[:count]
        self.data = dataset.test[rows]
        self.context = dataset.test_context[rows] if dataset.context_size else None

    @functools.cached_property
    def samples(self):
        """Samples, `[N, D]`: one for each row of `data`, given its context if any."""
        return self.sample(self.distribution, len(self.data)).numpy()

    def sample(self, distribution, count):
        """Returns samples, `[count, D]`; with a context, at most one for each row of it."""
        seed = self.settings.seed
        if self.context is None:
            return distribution.sample(count, seed=seed)
        return distribution.sample(seed=seed, context=self.context[:count])

    @functools.cached_property
    def samples_by_class(self):
        """Samples of each of C classes, `num_samples` in all, `[C, n, D]`.

        They have the guidance of the settings.
        """
        classes = np.eye(len(self.dataset.class_names), dtype=np.float32)
        distribution, weight = self.distribution, self.settings.guidance
        if weight:
            distribution = models.guided(distribution, weight)
        samples = distribution.sample(
            max(1, self.settings.num_samples // len(classes)),
            seed=self.settings.seed,
            context=classes,
        )
        return samples.numpy().swapaxes(0, 1)

    @functools.cached_property
    def prediction(self):
        """The `prediction_scores` of the test rows."""
        return prediction_scores(self)


def latent_pit(distribution, x, context):
    """Returns the probability-integral transform of rows' latents, `[N, D]`, in (0, 1).

    It is uniform in each column if the flow is right. The base must be independent.
    """
    inverse = distribution.bijector.inverse_and_log_det
    z = _in_parts(lambda x, context: inverse(x, context=context)[0], x, context)
    return distribution.distribution.distribution.cdf(z).numpy().astype(np.float64)


def ks_distance(u):
    """Returns the greatest distance of each column's CDF from the uniform one, `[D]`."""
    u = np.sort(u, axis=0)
    steps = np.arange(len(u) + 1)[:, None] / len(u)
    return np.maximum(np.abs(steps[1:] - u), np.abs(u - steps[:-1])).max(axis=0)


def has_latents(distribution):
    """Whether the distribution has a base of independent latent variables."""
    base = getattr(distribution, "distribution", None)
    return isinstance(base, tfp.distributions.Independent)


def calibration(subject):
    """Returns the Kolmogorov-Smirnov distances of the test rows' latents as plain data.

    Returns None if the distribution has no independent latents.
    """
    if not has_latents(subject.distribution):
        return None
    u = latent_pit(subject.distribution, subject.dataset.test, subject.dataset.test_context)
    return {
        "ks_distances": ks_distance(u).tolist(),
        # The 5 % point of the distance of one column of uniform numbers.
        "critical_distance": 1.358 / float(np.sqrt(len(u))),
        "num_rows": len(u),
    }


def coverage(subject):
    """Returns the shares of test rows in central intervals, as plain data.

    An interval leaves out equal probabilities on both sides, given the row's context.
    Returns None for several variables, for binary data, and for a distribution without
    `cdf`, such as `Defensive`.
    """
    dataset, cdf = subject.dataset, getattr(subject.distribution, "cdf", None)
    if dataset.event_size > 1 or dataset.is_binary or cdf is None:
        return None
    u = _in_parts(
        lambda x, context: cdf(x, context=context), dataset.test, dataset.test_context
    )
    distance = 2.0 * np.abs(u - 0.5)
    return {
        "shares": {str(p): float(np.mean(distance < p)) for p in _INTERVALS},
        "two_standard_errors": {str(p): error_of_share(p, len(u)) for p in _INTERVALS},
        "num_rows": len(u),
    }


def integral_over_angles(subject):
    """Returns the integral of the density of two angles on a grid; None for other data."""
    dataset = subject.dataset
    if dataset.angles != (0, 1) or dataset.event_size != 2 or dataset.context_size:
        return None
    angles = np.pi * (2.0 * np.arange(_GRID) / _GRID - 1.0)
    grid = np.stack(np.meshgrid(angles, angles), axis=-1).reshape(-1, 2)
    log_prob = _in_parts(subject.distribution.log_prob, grid.astype(np.float32))
    return float(np.mean(np.exp(log_prob)) * (2.0 * np.pi) ** 2)


def two_sample_test(subject):
    """Returns how well a classifier tells test rows from samples, as plain data.

    Its cross-validated accuracy is 0.5 if the flow is right. A test row and the sample with
    its context are always in the same fold: otherwise a known context would give away the
    label of the other row.
    """
    count = min(_MAX_ROWS, len(subject.data))
    data, samples = subject.data[:count], subject.samples[:count]
    is_finite = np.isfinite(samples)
    # Gradient boosting takes missing values, but no infinite ones.
    samples = np.where(is_finite, samples, np.nan)
    rows = np.concatenate([data, samples])
    if subject.context is not None:
        context = subject.context[:count]
        rows = np.concatenate([rows, np.concatenate([context, context])], axis=1)
    num_not_finite = int((~is_finite.all(axis=1)).sum())
    found = cross_validated_accuracy(rows, count, subject.settings.seed)
    return found | {"num_samples_not_finite": num_not_finite}


def cross_validated_accuracy(rows, count, seed, *, is_categorical=None):
    """Returns the cross-validated `accuracy` of trees at telling data from samples.

    Rows, `[2 * count, D]`, are data and samples; row i and row `count + i` are a pair.
    `is_categorical` says which columns are codes of categories, D booleans; None: none.
    """
    is_sample = np.repeat([0, 1], count)
    predicted = model_selection.cross_val_predict(
        ensemble.HistGradientBoostingClassifier(
            max_iter=50, random_state=seed, categorical_features=is_categorical
        ),
        rows,
        is_sample,
        # The rows of a pair stay together.
        groups=np.tile(np.arange(count), 2),
        cv=model_selection.GroupKFold(min(_FOLDS, count), shuffle=True, random_state=seed),
    )
    return accuracy(predicted == is_sample)


# In parts, to limit the memory of hidden activations.
_in_parts = functools.partial(in_parts, rows_a_call=_ROWS_A_CALL)


def latent_sizes(distribution):
    """Returns the number of latents of each level, finest first; None without levels."""
    _, multi_scale = _find_levels(getattr(distribution, "bijector", None))
    if multi_scale is None or len(multi_scale.levels) < 2:
        return None
    return [math.prod(shape) for shape in multi_scale.latent_shapes]


def bits_of_levels(distribution, rows, context, *, bin_width):
    """Returns the part of each level in the bits per dimension of integers, as plain data.

    The part of a level is the negative log-density of its latents, less the log-det of its
    steps, through which the variables of later levels pass too. The first part is from the
    bijectors before the levels, and from the width of the bins.
    """
    function = functools.partial(_nats_of_levels, distribution)
    nats = in_parts(function, rows, context, rows_a_call=_IMAGES_A_CALL)
    size = rows.shape[1]
    before, *levels = np.mean(nats, axis=0)
    before += size * math.log(bin_width)
    return {
        "before_the_levels": -before / (size * math.log(2.0)),
        "levels": [-level / (size * math.log(2.0)) for level in levels],
        "latent_sizes": latent_sizes(distribution),
        "num_rows": len(rows),
    }


def resample_levels(distribution, rows, context, *, seed):
    """Draws new latents for the finest levels and keeps those of the coarser levels.

    The distribution is that of a multi-scale flow of L levels; rows are `[N, D]`. Returns
    L + 1 arrays `[N, D]`: with new latents in none, the first, the first two ... levels.
    """
    bijector = distribution.bijector
    kept = bijector.inverse_and_log_det(rows, context=context)[0].numpy()
    drawn = distribution.distribution.sample(
        len(rows), seed=tf.constant([seed, 0], tf.int32)
    ).numpy()
    ends = np.cumsum([0, *latent_sizes(distribution)])
    is_drawn = np.arange(kept.shape[1]) < ends[:, None]
    return [
        bijector.forward_and_log_det(np.where(d, drawn, kept), context=context)[0]
        for d in is_drawn
    ]


def _nats_of_levels(distribution, rows, context):
    """Log-density in parts, `[N, 1 + L]`: before the levels, and of each level."""
    before, multi_scale = _find_levels(distribution.bijector)
    y, log_det = tf.convert_to_tensor(rows), tf.zeros(len(rows))
    if context is not None:
        context = _seen_at_levels(distribution.bijector, tf.constant(context, y.dtype))
    for bijector in before:
        y, part = bijector.inverse_and_log_det(y, context=_for(bijector, context))
        log_det += part
    nats, latents = [log_det], []
    levels = multi_scale.levels
    for level, shape in zip(levels, multi_scale.latent_shapes, strict=True):
        y, log_det = level.inverse_and_log_det(y, context=_for(level, context))
        y, factored = tf.split(y, [y.shape[-1] - shape[-1], shape[-1]], axis=-1)
        nats.append(log_det)
        latents.append(tf.reshape(factored, [len(rows), -1]))
    surprise = distribution.distribution.distribution.log_prob(tf.concat(latents, axis=1))
    parts = tf.split(surprise, latent_sizes(distribution), axis=1)
    nats[1:] = [a + tf.reduce_sum(b, axis=1) for a, b in zip(nats[1:], parts, strict=True)]
    return np.stack([n.numpy().astype(np.float64) for n in nats], axis=1)


def _find_levels(bijector):
    """Returns the bijectors before the `MultiScale` with the levels, and it, or None."""
    before = []
    while isinstance(bijector, tfp_flows.FlowChain):
        *steps, bijector = bijector.bijectors
        before += steps
    return before, bijector if isinstance(bijector, tfp_flows.MultiScale) else None


def _seen_at_levels(bijector, context):
    while isinstance(bijector, tfp_flows.FlowChain):
        context = bijector.context_of_parts(context)
        *_, bijector = bijector.bijectors
    return context


def _for(bijector, context):
    return context if bijector.context_size else None


def prediction_scores(subject):
    """Returns the scores of predictions of the test rows by method, as `compared` does.

    Returns None if there is no context, or if the rows are binary, images, or have more
    than a few columns.
    """
    dataset = subject.dataset
    is_table = not dataset.is_binary and dataset.image_shape is None
    is_given = dataset.context_size and not dataset.class_names
    if not (is_table and is_given and dataset.event_size <= _MAX_VARIABLES):
        return None
    arrays = dataset.train_context, dataset.train, dataset.test_context
    predicted = {FLOW: quantiles(subject), **baselines(*arrays, subject.settings.seed)}
    scale = dataset.train.std(axis=0, dtype=np.float64)
    return compared(predicted, dataset.test, scale)


def quantiles(subject):
    """Returns the flow's `quantiles` of the test rows given their contexts."""
    return row_tables.quantiles(
        subject.distribution,
        subject.dataset.event_size,
        subject.dataset.test_context,
        LEVELS,
        num_draws=_DRAWS,
        seed=subject.settings.seed,
    )
