"""How often the class under which a row is most probable is its own."""

import numpy as np

from experiments.reports.estimate import error_of_share

__all__ = ["likelihood_classification"]

_ROWS_A_CALL = 256


def likelihood_classification(subject):
    """Returns the accuracy of classification by Bayes's rule, as plain data.

    Each class counts with its share of the training rows.

    Args:
      subject: a `Subject` whose context is a class, one-hot.
    """
    log_shares = np.log(np.mean(subject.dataset.train_context, axis=0))
    parts = range(0, len(subject.data), _ROWS_A_CALL)
    scores = [
        _log_prob_of_classes(subject.distribution, subject.data[i : i + _ROWS_A_CALL])
        for i in parts
    ]
    predicted = np.argmax(np.concatenate(scores) + log_shares, axis=1)
    accuracy = float(np.mean(predicted == subject.context.argmax(axis=1)))
    return {
        "accuracy": accuracy,
        "two_standard_errors": error_of_share(accuracy, len(predicted)),
        "num_rows": len(predicted),
    }


def _log_prob_of_classes(distribution, rows):
    """Log-densities, `[N, C]`."""
    classes = np.eye(distribution.context_size, dtype=np.float32)
    columns = [
        distribution.log_prob(rows, context=np.broadcast_to(c, (len(rows), len(c))))
        for c in classes
    ]
    return np.stack(columns, axis=1)
