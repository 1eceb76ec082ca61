"""What is measured of a trained flow, on test rows."""

import dataclasses
import math

import numpy as np

import tfp_flows
from experiments.density_estimation import diagnostics
from experiments.density_estimation import image_levels
from experiments.density_estimation.baselines import baseline
from experiments.density_estimation.class_agreement import class_agreement
from experiments.density_estimation.likelihood_classification import (
    likelihood_classification,
)
from experiments.reports import training_facts
from experiments.reports.estimate import Estimate
from experiments.runs.epochs import digest

__all__ = ["bits_per_dimension", "flow_log_likelihood", "measure", "shape_of"]

_FAR = 20.0  # nats


def measure(model, history, subject):
    """Returns the numbers as plain data.

    Args:
      model: a `DensityEstimator`.
      history: Keras's history, a dict of lists with an entry an epoch.
      subject: the `Subject` of its distribution.
    """
    dataset, settings = subject.dataset, subject.settings
    rows = _log_likelihoods(
        model, dataset.inputs("test"), batch_size=settings.evaluation_batch_size
    )
    flow = Estimate.of_rows(rows)
    validation = -np.asarray(history["val_loss"])
    results = {
        **training_facts.of_run(model, dataset, settings),
        "dataset": dataset.name,
        "flow": settings.flow,
        "test_log_likelihood": dataclasses.asdict(flow),
        **_beside_baseline(rows, dataset),
        **_beside_truth(rows, dataset),
        "bits_per_dimension": bits_per_dimension(flow, dataset),
        "best_validation_log_likelihood": float(np.nanmax(validation)),
        "columns": dataset.described_columns,
        "training_rows": digest(dataset.inputs("train")),
        **shape_of(dataset),
        "calibration": diagnostics.calibration(subject),
        "two_sample_test": diagnostics.two_sample_test(subject),
        "coverage": diagnostics.coverage(subject),
        "prediction": subject.prediction,
        "integral": diagnostics.integral_over_angles(subject),
    }
    if dataset.class_names:
        results["class_agreement"] = class_agreement(subject)
        results["likelihood_classification"] = likelihood_classification(subject)
    if dataset.bin_width is not None and image_levels.latent_sizes(subject.distribution):
        results["bits_of_levels"] = image_levels.bits_of_levels(
            subject.distribution,
            subject.data,
            subject.context,
            bin_width=dataset.bin_width,
        )
    return results


def flow_log_likelihood(model, rows, *, batch_size):
    """Returns the log-likelihood of `rows`, an `Estimate`, under a `DensityEstimator`.

    Args:
      model: a `DensityEstimator`.
      rows: `[N, D]`, or `(rows, context)`, as of `Dataset.inputs`.
      batch_size: rows per step.
    """
    return Estimate.of_rows(_log_likelihoods(model, rows, batch_size=batch_size))


def bits_per_dimension(log_likelihood, dataset):
    """Returns bits per dimension as plain data, of data that were integers; else None.

    Args:
      log_likelihood: the `Estimate` of the test rows.
      dataset: a `Dataset`, whose `bin_width` makes bits of densities.
    """
    if dataset.bin_width is None:
        return None
    size = dataset.event_size
    bits = tfp_flows.bits_per_dimension(
        log_likelihood.nats, size, bins_per_unit=1.0 / dataset.bin_width
    )
    error = log_likelihood.two_standard_errors / (size * math.log(2.0))
    return dataclasses.asdict(bits) | {
        "two_standard_errors": error,
        "num_rows": len(dataset.test),
    }


def shape_of(dataset):
    """Returns sizes of a data set that a model is made for."""
    shape = dataset.pixel_shape
    return {
        "event_size": dataset.event_size,
        "context_size": dataset.context_size,
        "image_shape": None if shape is None else list(shape),
    }


def _log_likelihoods(model, rows, *, batch_size):
    return model.predict(rows, batch_size=batch_size, verbose=0)


def _beside_baseline(log_likelihoods, dataset):
    """Returns the baseline's log-likelihood, and where rows lie far below it."""
    name, baseline_rows = baseline(dataset)
    gaps = log_likelihoods - baseline_rows
    return {
        name: dataclasses.asdict(Estimate.of_rows(baseline_rows)),
        "gap_to_baseline": {
            "worst_row": float(gaps.min()),
            "rows_far_below": int((~(gaps >= -_FAR)).sum()),  # NaN is far, too
        },
    }


def _beside_truth(log_likelihoods, dataset):
    """Returns the true log-likelihood, and by how much it is more on the same rows."""
    if dataset.log_density is None:
        return {}
    true = dataset.log_density(dataset.test, dataset.test_context)
    return {
        "true_log_likelihood": dataclasses.asdict(Estimate.of_rows(true)),
        "shortfall": dataclasses.asdict(Estimate.of_rows(true - log_likelihoods)),
    }
