"""Measurements of amortised posteriors, and the classifier two-sample score."""

import time

import numpy as np
from sklearn import model_selection, neural_network

from experiments.reports import facts


def measure(amortized, reference, settings):
    """Returns the numbers as plain data, and the draws of each posterior, `[N, D]`.

    Draws are resampled where the report says so. The seconds are the time of `sample`.
    """
    report, draws = amortized.report, []
    found = {
        "model": settings.name_of_model,
        "num_simulations": settings.num_simulations,
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "gain": report.gain,
        "gain_error": report.gain_error,
        "num_checked": report.num_checked,
        "num_dropped": report.num_dropped,
        "checks": [vars(check) for check in report.checks],
        "weights": report.to_plain()["weights"],
        "fitted": list(amortized.density.report.chosen),
        "observations": [],
        **facts.provenance(settings),
    }
    for x, expected in reference.first(settings.num_observations) if reference else ():
        posterior, start = amortized(x), time.perf_counter()
        sampled = np.asarray(posterior.sample(settings.num_draws, seed=settings.seed))
        seconds = time.perf_counter() - start
        if posterior.report.verdict == "reliable after resampling":
            sampled = np.asarray(posterior.resample(settings.num_draws, seed=settings.seed))
        found["observations"].append(
            {
                "c2st": c2st(expected, sampled),
                "verdict": posterior.report.verdict,
                "seconds": seconds,
            }
        )
        draws.append(sampled)
    return found, draws


def c2st(reference, draws):
    """Returns the accuracy with which a classifier tells draws from reference draws.

    The benchmark's measure: 0.5 if they cannot be told apart, mean of five folds. The first
    rows of the longer array are taken, as many as the other has: among classes of other
    sizes, a classifier is right more often than not.

    Reference:
      Lueckmann et al. (2021), Benchmarking simulation-based inference, section A.
      https://arxiv.org/abs/2101.04653
    """
    count = min(len(reference), len(draws))
    reference, draws = (np.asarray(x[:count], np.float64) for x in (reference, draws))
    center, scale = reference.mean(axis=0), reference.std(axis=0)
    rows = (np.concatenate([reference, draws]) - center) / scale
    labels = np.repeat([0, 1], count)
    width = 10 * reference.shape[1]
    classifier = neural_network.MLPClassifier(
        (width, width), max_iter=10_000, random_state=1
    )
    folds = model_selection.KFold(5, shuffle=True, random_state=1)
    scores = model_selection.cross_val_score(classifier, rows, labels, cv=folds)
    return float(scores.mean())
