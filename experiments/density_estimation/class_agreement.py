"""Whether samples given a class look like it, to a classifier of the real rows."""

import numpy as np
from sklearn import svm

from experiments.reports.estimate import error_of_share

__all__ = ["class_agreement"]

_MAX_TRAINING_ROWS = 10_000  # its time grows with their square


def class_agreement(subject):
    """Returns how often a classifier sees the class that was asked for, as plain data.

    The classifier, a support vector machine, is fitted on the training rows, or on 10,000
    of them where there are more; its accuracy on the test rows is returned too.

    Args:
      subject: a `Subject` whose context is a class.
    """
    dataset, samples = subject.dataset, subject.samples_by_class
    classifier = svm.SVC(C=10.0)
    rows = np.random.default_rng(0).permutation(len(dataset.train))[:_MAX_TRAINING_ROWS]
    classifier.fit(dataset.train[rows], _classes(dataset.train_context[rows]))
    # A row that is not finite has no class, and thus not the one asked for.
    is_finite = np.isfinite(samples).all(axis=-1)
    seen = classifier.predict(np.nan_to_num(samples).reshape(-1, dataset.event_size))
    asked = np.arange(len(samples))[:, None]
    agrees = (seen.reshape(is_finite.shape) == asked) & is_finite
    agreement = float(agrees.mean())
    return {
        "agreement": agreement,
        "two_standard_errors": error_of_share(agreement, agrees.size),
        "num_samples": agrees.size,
        "by_class": dict(
            zip(dataset.class_names, agrees.mean(axis=1).tolist(), strict=True)
        ),
        "classifier_test_accuracy": float(
            classifier.score(dataset.test, _classes(dataset.test_context))
        ),
    }


def _classes(one_hot):
    return one_hot.argmax(axis=1)
