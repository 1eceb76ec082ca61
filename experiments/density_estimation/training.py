"""Fits a distribution to a data set with Keras's `fit`."""

import functools

import keras
import tensorflow as tf

import tfp_flows
from experiments.density_estimation import pictures
from experiments.reports import progress
from experiments.runs import extending
from experiments.runs import fitting
from experiments.runs import strategies
from experiments.runs import workers
from experiments.runs.epochs import EpochRows

__all__ = ["train"]


def train(distribution, dataset, settings, strategy=None):
    """Fits `distribution` and returns its model, Keras's history, and `extending.notes`.

    Where `run_dir` holds checkpoints of the same run, it goes on from the last one, and
    ends at the numbers of a run without a pause.

    Args:
      distribution: a `FlowDistribution`.
      dataset: a `Dataset`.
      settings: a `Settings`; checkpoints and `metrics.csv` go to its `run_dir`, which
        only the chief of several workers reads and writes.
      strategy: the `tf.distribute.Strategy` that the distribution was built under.
    """
    strategy = strategy or tf.distribute.get_strategy()
    num_replicas = strategy.num_replicas_in_sync
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        columns = dataset.described_columns
        model = strategies.make_model(distribution, strategy, columns)
        fitting.compile_model(model, settings, len(dataset.train), strategy)
    if not settings.init_from:  # whose statistics belong to its weights
        # From the rows themselves, so that a `tf.data` input makes no difference.
        model.initialize(dataset.inputs("train"))
    workers.share(strategy, distribution.variables)
    save_run = fitting.fit(
        model,
        _training_rows(dataset, settings),
        _validation_rows(dataset, settings),
        settings,
        metrics=progress.LogLikelihood(dataset),
        stateful=fitting.make_callbacks(settings, _batch_statistics(dataset, settings)),
        displays=progress.make_callbacks(
            settings,
            functools.partial(pictures.draw_fit_of, distribution, dataset, settings),
            is_writer=workers.is_chief(strategy),
        ),
        columns=columns,
        strategy=strategy,
    )
    # What is evaluated and saved has no more to do with replicas.
    if num_replicas > 1:
        model = tfp_flows.DensityEstimator(distribution, columns=columns)
    return model, save_run.history(), extending.notes(save_run, settings)


def _batch_statistics(dataset, settings):
    if not settings.batch_norm:
        return []
    return [tfp_flows.FullDataBatchStatistics(dataset.train, dataset.train_context)]


def _training_rows(dataset, settings):
    return EpochRows(
        dataset.inputs("train"),
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width if settings.fresh_noise else None,
        flipped_shape=dataset.pixel_shape if settings.horizontal_flips else None,
    )


def _validation_rows(dataset, settings):
    inputs = dataset.inputs("validation")
    # A bare pair would be rows and targets to Keras.
    inputs = (inputs,) if isinstance(inputs, tuple) else inputs
    rows = tf.data.Dataset.from_tensor_slices(inputs)
    rows = rows.take(settings.max_validation_rows or -1)
    return rows.batch(settings.evaluation_batch_size)
