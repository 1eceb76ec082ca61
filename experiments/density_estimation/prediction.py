"""Predictions of columns given others by a flow, beside two baselines of scikit-learn."""

import numpy as np

from experiments.predictions.baselines import baselines
from experiments.predictions.quantile_scores import FLOW
from experiments.predictions.quantile_scores import LEVELS
from experiments.predictions.quantile_scores import compared

__all__ = ["quantiles", "scores"]

_DRAWS = 400
_VALUES_A_CALL = 1 << 20
_MAX_VARIABLES = 4


def scores(subject):
    """Returns how well test rows are predicted, by method, as `compared` does.

    None where nothing is given, or what is modelled is binary, images, or more than a few
    columns.

    Args:
      subject: a `Subject`.
    """
    dataset = subject.dataset
    if not _is_prediction(dataset):
        return None
    arrays = dataset.train_context, dataset.train, dataset.test_context
    predicted = {FLOW: quantiles(subject), **baselines(*arrays, subject.settings.seed)}
    scale = dataset.train.std(axis=0, dtype=np.float64)
    return compared(predicted, dataset.test, scale)


def quantiles(subject):
    """Returns the flow's quantiles of the test rows, `[N, D, L]`, given their contexts.

    They are exact for one variable, and of draws for several.
    """
    context = subject.dataset.test_context
    is_exact = subject.dataset.event_size == 1
    count = max(1, _VALUES_A_CALL // (len(LEVELS) if is_exact else _DRAWS))
    one_call = _exact if is_exact else _from_draws
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


def _from_draws(subject, context, start):
    seed = np.array([subject.settings.seed, start], np.int32)
    drawn = subject.distribution.sample(_DRAWS, seed=seed, context=context).numpy()
    return np.moveaxis(np.quantile(drawn.astype(np.float64), LEVELS, axis=0), 0, -1)
