"""How well a fitted flow agrees with data it has not seen, beyond the likelihood."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn import ensemble
from sklearn import model_selection

from experiments.reports.estimate import error_of_share

_MAX_ROWS = 5000
_FOLDS = 5
_ROWS_A_CALL = 2048
_INTERVALS = (0.5, 0.9)
_GRID = 500


def latent_pit(distribution, x, context=None):
    """Returns the probability-integral transform of the latents, `[N, D]`, in (0, 1).

    It is uniform in each column where the flow is right.

    Args:
      distribution: a `FlowDistribution` with an independent base.
      x: `[N, D]`, rows of data.
      context: `[N, C]`, if the flow is conditional.
    """
    z = _in_pieces(
        lambda x, **context: distribution.bijector.inverse_and_log_det(x, **context)[0],
        x,
        context,
    )
    return distribution.distribution.distribution.cdf(z).numpy().astype(np.float64)


def ks_distance(u):
    """Returns the greatest distance of each column's CDF from the uniform one, `[D]`."""
    u = np.sort(u, axis=0)
    steps = np.arange(len(u) + 1)[:, None] / len(u)
    return np.maximum(np.abs(steps[1:] - u), np.abs(u - steps[:-1])).max(axis=0)


def has_latents(distribution):
    """Whether there are latent variables that are independent where the flow is right."""
    base = getattr(distribution, "distribution", None)
    return isinstance(base, tfp.distributions.Independent)


def calibration(subject):
    """Returns the Kolmogorov-Smirnov distances of the test rows' latents as plain data.

    None where the distribution has no independent latents.
    """
    if not has_latents(subject.distribution):
        return None
    u = latent_pit(subject.distribution, subject.dataset.test, subject.dataset.test_context)
    return {
        "ks_distances": ks_distance(u).tolist(),
        # What one column of uniform numbers exceeds in one of twenty draws.
        "critical_distance": 1.358 / float(np.sqrt(len(u))),
        "num_rows": len(u),
    }


def coverage(subject):
    """Returns the shares of test rows in central intervals, as plain data.

    An interval leaves out equal probabilities on both sides, given the row's context. None
    where there are several variables, or only zeros and ones.
    """
    dataset = subject.dataset
    if dataset.event_size > 1 or dataset.is_binary:
        return None
    u = _in_pieces(subject.distribution.cdf, dataset.test, dataset.test_context)
    inside = {p: float(np.mean(np.abs(u - 0.5) < 0.5 * p)) for p in _INTERVALS}
    return {
        "shares": {str(p): share for p, share in inside.items()},
        "two_standard_errors": {str(p): error_of_share(p, len(u)) for p in _INTERVALS},
        "num_rows": len(u),
    }


def integral_over_angles(subject):
    """Returns the integral of the density by a sum over a grid; None but of two angles."""
    dataset = subject.dataset
    if dataset.angles != (0, 1) or dataset.event_size != 2 or dataset.context_size:
        return None
    angles = np.pi * (2.0 * np.arange(_GRID) / _GRID - 1.0)
    grid = np.stack(np.meshgrid(angles, angles), axis=-1).reshape(-1, 2)
    log_prob = _in_pieces(subject.distribution.log_prob, grid.astype(np.float32))
    return float(np.mean(np.exp(log_prob)) * (2.0 * np.pi) ** 2)


def two_sample_test(subject):
    """Returns how well a classifier tells test rows from samples, as plain data.

    Its accuracy on rows it was not fitted on is 0.5 where the flow is right. What has the
    same context, a test row and its sample, is either fitted on or not, as a pair: else a
    context would tell the label that the other of its two rows does not have.
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
    accuracy = cross_validated_accuracy(rows, count, subject.settings.seed)
    return {
        "accuracy": accuracy,
        "two_standard_errors": error_of_share(accuracy, len(rows)),
        "num_rows": len(rows),
        "num_samples_not_finite": int((~is_finite.all(axis=1)).sum()),
    }


def cross_validated_accuracy(rows, count, seed, *, is_categorical=None):
    """Returns how often boosted trees tell data from samples that they did not see.

    Args:
      rows: `[2 * count, D]`, data and samples; row i and row `count + i` are a pair.
      count: number of pairs.
      seed: integer.
      is_categorical: D booleans: which columns are codes of categories; None: none.
    """
    is_sample = np.repeat([0, 1], count)
    predicted = model_selection.cross_val_predict(
        ensemble.HistGradientBoostingClassifier(
            max_iter=50, random_state=seed, categorical_features=is_categorical
        ),
        rows,
        is_sample,
        cv=_folds_of_pairs(count, seed),
    )
    return float(np.mean(predicted == is_sample))


def _folds_of_pairs(count, seed):
    """Returns (rows to fit, other rows) of each fold, where rows i and count + i pair."""
    folds = model_selection.KFold(min(_FOLDS, count), shuffle=True, random_state=seed)
    return [
        tuple(np.concatenate([pairs, count + pairs]) for pairs in fold)
        for fold in folds.split(np.arange(count))
    ]


def _in_pieces(function, x, context=None):
    """Returns what `function` returns of the rows of `x` and their context."""
    # In pieces, for the hidden activations of images take memory.
    pieces = []
    for start in range(0, len(x), _ROWS_A_CALL):
        rows = slice(start, start + _ROWS_A_CALL)
        kwargs = {} if context is None else {"context": context[rows]}
        pieces.append(function(x[rows], **kwargs))
    return tf.concat(pieces, axis=0).numpy()
