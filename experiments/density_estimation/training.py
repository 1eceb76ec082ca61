"""The fit of a distribution to a data set."""

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.data import DataError
from experiments.density_estimation import pictures
from experiments.density_estimation.diagnostics import Subject
from experiments.reports import progress
from experiments.runs import fitting
from experiments.runs.epochs import EpochRows

_SHARE_WITHOUT_CLASS = 0.1  # of the training rows, with guidance


def fit_density(dataset, settings):
    """Fits the density of `--flow=auto`, from the beginning.

    `tfp_flows.fit_density` holds out rows of training and validation rows by itself.

    Returns:
      Its model, an empty history, and its report and time as plain data.
    """
    x = np.concatenate([dataset.train, dataset.validation])
    context = None
    if dataset.context_size:
        context = np.concatenate([dataset.train_context, dataset.validation_context])
    try:
        density = tfp_flows.fit_density(
            x,
            context,
            seed=settings.seed,
            max_minutes=settings.max_minutes or None,
            verbose="auto" if settings.progress < 0 else settings.progress,
        )
    except ValueError as error:
        raise DataError(str(error)) from error
    model = tfp_flows.DensityEstimator(density, columns=dataset.described_columns)
    report = density.report
    notes = {"training_seconds": report.seconds, "density_report": report.to_plain()}
    return model, {}, notes


def train(distribution, dataset, settings, strategy=None):
    """Fits `distribution` and returns its model, Keras's history and `fitting.notes`."""
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = _estimator(distribution, dataset, settings)
        fitting.compile_model(model, settings, len(dataset.train), strategy)
    if not settings.init_from:  # a loaded model has its own statistics
        # Initialise on all rows, not on the first batch.
        model.initialize(dataset.inputs("train"))
    count = settings.max_validation_rows or None
    statistics = tfp_flows.training.FullDataBatchStatistics
    history, notes = fitting.fit(
        model,
        training_rows(dataset, settings),
        tf.nest.map_structure(lambda x: x[:count], dataset.inputs("validation")),
        settings,
        strategy,
        # A new `Subject` has no samples of earlier weights.
        lambda path: pictures.draw_fit(Subject(distribution, dataset, settings), path),
        metrics=[progress.LogLikelihood(dataset)],
        before_validation=(
            [statistics(dataset.train, dataset.train_context)]
            if settings.batch_norm
            else []
        ),
        columns=dataset.described_columns,
    )
    if strategy.num_replicas_in_sync > 1:
        # The saved model must not depend on replicas.
        model = _estimator(distribution, dataset, settings)
    return model, history, notes


def training_rows(dataset, settings):
    """Returns the `EpochRows` of a training.

    With guidance, a tenth of them has the class zero, which is none.
    """
    inputs = dataset.inputs("train")
    if settings.guidance:
        x, context = inputs
        rng = np.random.default_rng(settings.seed)
        has_class = rng.random(len(context)) > _SHARE_WITHOUT_CLASS
        inputs = x, context * has_class[:, None].astype(context.dtype)
    return EpochRows(
        inputs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width if settings.fresh_noise else None,
        flipped_shape=dataset.pixel_shape if settings.horizontal_flips else None,
    )


def _estimator(distribution, dataset, settings):
    return tfp_flows.DensityEstimator(
        distribution, columns=dataset.described_columns, weight_prior=settings.weight_prior
    )
