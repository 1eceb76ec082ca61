"""Measurements of a table's density on test rows."""

import numpy as np
import pandas as pd
from sklearn import ensemble

from experiments.data import DataError
from experiments.density_estimation import diagnostics
from experiments.reports import predictions
from experiments.reports.estimate import estimate
from experiments.table_density.data import CATEGORICAL
from experiments.table_density.features import features, features_of_each, one_hot_context

_MAX_ROWS = 5000
_LEAST_COMPARED = 10  # rows of each kind for a report on synthetic rows


def measure(table, sets, seed):
    """Returns the numbers as plain data."""
    _, test = sets
    name, *others = table.names
    column = table.columns[name]
    # One complete column is modelled, given others.
    is_predicted = table.context and not others and not column.num_missing
    is_number = is_predicted and column.is_number and column.kind != "date"
    is_class = is_predicted and column.kind in CATEGORICAL
    log_prob = table.log_prob(test)
    possible = np.isfinite(log_prob)
    return {
        "test_log_likelihood": estimate(log_prob[possible]),
        "num_impossible": int((~possible).sum()),
        "two_sample_test": _two_sample_test(table, test, seed),
        "prediction": _prediction(table, sets, seed) if is_number else None,
        "classification": _classification(table, sets, seed) if is_class else None,
    }


def check_synthesis(sets, settings):
    """Refuses sets that are too small for the report on synthetic rows, before the fit."""
    counts = dict(zip(("training", "test"), map(len, sets), strict=True))
    if settings.report == "synthetic" and min(counts.values()) < _LEAST_COMPARED:
        raise DataError(
            f"Expected at least {_LEAST_COMPARED} training rows and test rows each in "
            f"{settings.csv_path}, with --report=synthetic; got {counts}: --test_share "
            "divides them."
        )


def synthesis(table, sets, settings):
    """Returns the report on synthetic rows as plain data; None unless it is asked for."""
    if settings.report != "synthetic":
        return None
    report = table.synthesis_report(
        *sets,
        target=settings.target or None,
        exclude_copies=settings.exclude_copies,
        seed=settings.seed,
    )
    return report.to_plain()


def samples_beside(table, test, seed):
    """Returns test rows and equally many samples with the same contexts: data frames."""
    test = test.iloc[:_MAX_ROWS]
    if table.context:
        return test, table.sample(seed=seed, context=test[table.context])
    return test, table.sample(len(test), seed=seed)


def _two_sample_test(table, test, seed):
    """Accuracy of a classifier at telling test rows from samples."""
    test, samples = samples_beside(table, test, seed)
    rows, is_categorical = features(pd.concat([test, samples]), table.columns)
    return diagnostics.cross_validated_accuracy(
        rows, len(test), seed, is_categorical=is_categorical
    )


def _prediction(table, sets, seed):
    """The scores of quantiles of one modelled number, and of baselines."""
    (name,), (_, test) = table.names, sets
    y = [rows[name].to_numpy(np.float64) for rows in sets]
    context = one_hot_context(table, sets)
    quantiles = table.predict(test[table.context]).quantile(predictions.LEVELS)
    others = predictions.baselines(context[0], y[0][:, None], context[1], seed)
    return predictions.compared(
        {predictions.FLOW: quantiles[:, None], **others}, y[1][:, None], y[0].std()
    )


def _classification(table, sets, seed):
    """The log loss of one modelled category, and of a classifier."""
    (name,), (train, test) = table.names, sets
    (rows, new), is_categorical = features_of_each(sets, table)
    classes, new_classes = (x[name].astype(str) for x in (train, test))
    model = ensemble.HistGradientBoostingClassifier(
        random_state=seed,
        early_stopping=predictions.can_stop_early(classes),
        categorical_features=is_categorical,
    )
    predictions.fit_quietly(model, rows, classes)
    nats = predictions.log_probs_of_classes(model, new, new_classes)
    log_prob = table.log_prob(test)
    return {
        "log_loss": float(-log_prob.mean()),
        "boosted": float(-nats.mean()),
        "error": estimate(nats - log_prob),
    }
