"""Measurements of a trained flow on test rows."""

import dataclasses
import functools
import math

import numpy as np
import scipy.stats
from sklearn import linear_model, pipeline, preprocessing, svm

import tfp_flows
from experiments.data.dataset import SETS
from experiments.density_estimation import diagnostics, models
from experiments.fitted.row_tables import in_parts
from experiments.reports import facts
from experiments.reports.estimate import accuracy, error_of_share, estimate
from experiments.runs.run_directory import digest

_FAR = 20.0  # nats below the baseline
_MAX_TRAINING_ROWS = 10_000  # a support vector machine takes time quadratic in the rows
_ROWS_A_CALL = 256
_RIDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def measure(model, history, subject):
    """Returns the numbers as plain data."""
    dataset, settings = subject.dataset, subject.settings
    rows = model.predict(
        dataset.inputs("test"), batch_size=settings.evaluation_batch_size, verbose=0
    )
    flow = estimate(rows)
    results = {
        **facts.from_training(model, dataset, settings),
        "dataset": dataset.name,
        "flow": settings.flow,
        "test_log_likelihood": flow,
        **_beside_baseline(rows, dataset),
        **_beside_truth(rows, dataset),
        "bits_per_dimension": bits_per_dimension(flow, dataset),
        "columns": dataset.described_columns,
        "training_rows": digest(dataset.inputs("train")),
        **models.shape_of(dataset),
        "calibration": diagnostics.calibration(subject),
        "two_sample_test": diagnostics.two_sample_test(subject),
        "coverage": diagnostics.coverage(subject),
        "prediction": subject.prediction,
        "integral": diagnostics.integral_over_angles(subject),
    }
    if history:
        best = -np.nanmin(history["val_loss"])
        results["best_validation_log_likelihood"] = float(best)
    if dataset.class_names:
        results["class_agreement"] = class_agreement(subject)
        results["likelihood_classification"] = likelihood_classification(subject)
    if dataset.bin_width is not None and diagnostics.latent_sizes(subject.distribution):
        results["bits_of_levels"] = diagnostics.bits_of_levels(
            subject.distribution, subject.data, subject.context, bin_width=dataset.bin_width
        )
    return results


def bits_per_dimension(log_likelihood, dataset):
    """Returns bits per dimension of the `estimate` of the test rows, as plain data.

    Returns None unless the data were integers.
    """
    if dataset.bin_width is None:
        return None
    size = dataset.event_size
    bits = tfp_flows.bits_per_dimension(
        log_likelihood["nats"], size, bins_per_unit=1.0 / dataset.bin_width
    )
    error = log_likelihood["two_standard_errors"] / (size * math.log(2.0))
    return dataclasses.asdict(bits) | {
        "two_standard_errors": error,
        "num_rows": len(dataset.test),
    }


def _beside_baseline(log_likelihoods, dataset):
    """Returns the baseline's log-likelihood, and how many rows lie far below it."""
    name, baseline_rows = baseline(dataset)
    gaps = log_likelihoods - baseline_rows
    return {
        name: estimate(baseline_rows),
        "gap_to_baseline": {
            "worst_row": float(gaps.min()),
            "rows_far_below": int((~(gaps >= -_FAR)).sum()),  # counts NaN too
            "num_rows": len(gaps),
        },
    }


def _beside_truth(log_likelihoods, dataset):
    """Returns the true log-likelihood, and its excess over the flow's on the same rows."""
    if dataset.log_density is None:
        return {}
    true = dataset.log_density(dataset.test, dataset.test_context)
    return {
        "true_log_likelihood": estimate(true),
        "shortfall": estimate(true - log_likelihoods),
    }


def class_agreement(subject):
    """Returns how often a classifier recognises the class of a sample, as plain data.

    The classifier, a support vector machine, is fitted to at most 10,000 training rows; its
    accuracy on the test rows is returned too.
    """
    dataset, samples = subject.dataset, subject.samples_by_class
    classifier = svm.SVC(C=10.0)
    rows = np.random.default_rng(0).permutation(len(dataset.train))[:_MAX_TRAINING_ROWS]
    classifier.fit(dataset.train[rows], dataset.train_context[rows].argmax(axis=1))
    # A row that is not finite counts as not recognised.
    is_finite = np.isfinite(samples).all(axis=-1)
    seen = classifier.predict(np.nan_to_num(samples).reshape(-1, dataset.event_size))
    asked = np.arange(len(samples))[:, None]
    agrees = (seen.reshape(is_finite.shape) == asked) & is_finite
    agreement = float(agrees.mean())
    return {
        "agreement": agreement,
        "two_standard_errors": error_of_share(agreement, agrees.size),
        "num_samples": agrees.size,
        "guidance": subject.settings.guidance,
        "by_class": dict(
            zip(dataset.class_names, agrees.mean(axis=1).tolist(), strict=True)
        ),
        "classifier_test_accuracy": float(
            classifier.score(dataset.test, dataset.test_context.argmax(axis=1))
        ),
    }


def likelihood_classification(subject):
    """Returns the accuracy of classification by Bayes's rule, as plain data.

    Each class counts with its share of the training rows.
    """
    log_shares = np.log(np.mean(subject.dataset.train_context, axis=0))
    log_prob = functools.partial(_log_prob_of_classes, subject.distribution)
    scores = in_parts(log_prob, subject.data, rows_a_call=_ROWS_A_CALL)
    predicted = np.argmax(scores + log_shares, axis=1)
    return accuracy(predicted == subject.context.argmax(axis=1))


def _log_prob_of_classes(distribution, rows):
    """Log-densities, `[N, C]`."""
    classes = np.eye(distribution.context_size, dtype=np.float32)
    columns = [
        distribution.log_prob(rows, context=np.broadcast_to(c, (len(rows), len(c))))
        for c in classes
    ]
    return np.stack(columns, axis=1)


def baseline(dataset):
    """Returns the baseline: its key in the results, and nats of the test rows, `[N]`."""
    if dataset.is_binary:
        return "bernoulli_log_likelihood", bernoulli_log_probs(dataset)
    return "gaussian_log_likelihood", gaussian_log_probs(dataset)


def bernoulli_log_probs(dataset):
    """Returns the test rows' log-probabilities under independent Bernoulli variables.

    They are fitted to the training rows. Each count is raised by one half, so that no value
    is impossible.
    """
    count = len(dataset.train)
    ones = (dataset.train.sum(axis=0, dtype=np.float64) + 0.5) / (count + 1.0)
    test = dataset.test.astype(np.float64)
    return test @ np.log(ones) + (1.0 - test) @ np.log1p(-ones)


def gaussian_log_probs(dataset):
    """Returns the test rows' log-densities under a full-covariance Gaussian.

    It is fitted to the training rows. For conditional data its mean is linear in the
    context. The ridge of the covariance, a share of the mean variance or 0, is chosen by
    the validation rows.
    """
    train, validation, test = _around_linear_mean(dataset)
    mean = train.mean(axis=0)
    covariance = np.atleast_2d(np.cov(train, rowvar=False))
    ridges = np.asarray(_RIDGES) * np.trace(covariance) / len(covariance)
    candidates = [covariance + ridge * np.eye(len(covariance)) for ridge in ridges]
    best = max(candidates, key=lambda c: gaussian_log_prob(validation, mean, c).mean())
    return gaussian_log_prob(test, mean, best)


def gaussian_log_prob(rows, mean, covariance):
    """Returns the normal log-density, `[N]`, in nats; -inf if `covariance` is singular."""
    try:
        # SciPy's default, an eigendecomposition, is ten times slower than Cholesky for the
        # thousands of variables of images.
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.full(len(rows), -np.inf)
    covariance = scipy.stats.Covariance.from_cholesky(factor)
    return np.atleast_1d(scipy.stats.multivariate_normal.logpdf(rows, mean, covariance))


def _around_linear_mean(dataset):
    """Returns the residuals of the three sets after linear regression on the context."""
    rows = [getattr(dataset, name).astype(np.float64) for name in SETS]
    if not dataset.context_size:
        return rows
    contexts = [getattr(dataset, f"{name}_context").astype(np.float64) for name in SETS]
    scaler, model = preprocessing.StandardScaler(), linear_model.LinearRegression()
    mean = pipeline.make_pipeline(scaler, model).fit(contexts[0], rows[0])
    return [x - mean.predict(context) for x, context in zip(rows, contexts, strict=True)]
