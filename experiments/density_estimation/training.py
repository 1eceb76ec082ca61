"""The fit of a distribution to a data set."""

import tensorflow as tf

import tfp_flows
from experiments.density_estimation import pictures
from experiments.density_estimation.subject import Subject
from experiments.reports.progress import LogLikelihood
from experiments.runs import fitting
from experiments.runs.epochs import EpochRows

__all__ = ["train"]


def train(distribution, dataset, settings, strategy=None):
    """Fits `distribution` and returns its model, and the rest of `fitting.train`.

    Args:
      distribution: a `FlowDistribution`.
      dataset: a `Dataset`.
      settings: a `Settings`.
      strategy: the `tf.distribute.Strategy` that the distribution was built under.
    """
    columns = dataset.described_columns

    def initialize(model):
        if not settings.init_from:  # whose statistics belong to its weights
            # From the rows themselves, so that a `tf.data` input makes no difference.
            model.initialize(dataset.inputs("train"))

    return fitting.train(
        lambda: tfp_flows.DensityEstimator(
            distribution, columns=columns, weight_prior=settings.weight_prior
        ),
        training_rows(dataset, settings),
        _first(dataset.inputs("validation"), settings.max_validation_rows),
        settings,
        strategy,
        # Of samples drawn anew, as the weights have moved on.
        draw=lambda _, path: pictures.draw_fit(
            Subject(distribution, dataset, settings), path
        ),
        initialize=initialize,
        metrics=LogLikelihood(dataset),
        before_validation=_batch_statistics(dataset, settings),
        columns=columns,
    )


def training_rows(dataset, settings):
    """Returns the `EpochRows` of a training."""
    return EpochRows(
        dataset.inputs("train"),
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width if settings.fresh_noise else None,
        flipped_shape=dataset.pixel_shape if settings.horizontal_flips else None,
    )


def _batch_statistics(dataset, settings):
    if not settings.batch_norm:
        return []
    return [tfp_flows.FullDataBatchStatistics(dataset.train, dataset.train_context)]


def _first(inputs, count):
    return tf.nest.map_structure(lambda rows: rows[: count or None], inputs)
