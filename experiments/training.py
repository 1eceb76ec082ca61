"""Fits a distribution to a data set with Keras's `fit`."""

import functools
import math
import pathlib

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments import extending
from experiments import pictures
from experiments import progress
from experiments import workers
from experiments.averaged_weights import SwapAveragedWeights
from experiments.checkpointing import Checkpoint
from experiments.checkpointing import CheckpointFolder
from experiments.epochs import EpochRows
from experiments.resuming import SaveRun
from experiments.time_limit import TimeLimit


class TrainingError(Exception):
    """A training that came to nothing; the message says when, and what to change."""


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
        model = tfp_flows.DensityEstimator(distribution, columns=columns)
        compile_model(model, settings, len(dataset.train), strategy)
    if not settings.init_from:  # whose statistics belong to its weights
        # From the rows themselves, so that a `tf.data` input makes no difference.
        model.initialize(dataset.inputs("train"))
    workers.share(strategy, distribution.variables)
    save_run = fit(
        model,
        _training_rows(dataset, settings),
        _validation_rows(dataset, settings),
        settings,
        metrics=progress.LogLikelihood(dataset),
        stateful=make_callbacks(settings, _batch_statistics(dataset, settings)),
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


def compile_model(model, settings, num_rows, strategy):
    """Compiles a Keras model, in the scope of its `strategy`, as any `settings` say."""
    num_replicas = strategy.num_replicas_in_sync
    model.compile(
        make_optimizer(settings, num_rows),
        jit_compile=settings.jit_compile,
        # Keras 3.15 cannot run several steps of several replicas in one call.
        steps_per_execution=settings.steps_per_execution if num_replicas == 1 else 1,
    )
    # Replicas cannot create its variables within a training step.
    model.optimizer.build(model.trainable_variables)


def fit(
    model,
    rows,
    validation,
    settings,
    *,
    metrics,
    stateful,
    displays,
    columns=None,
    strategy=None,
):
    """Trains a compiled model, from the last checkpoint in `run_dir` if there is one.

    Args:
      model: a Keras model, of any kind, with its optimizer built.
      rows: the `EpochRows` to train on.
      validation: a `tf.data.Dataset` of batches.
      settings: any settings with `run_dir`, `epochs`, `cosine_decay`, `max_minutes`,
        `checkpoint_every` and `progress`.
      metrics: a callback that adds to the metrics, before others see them.
      stateful: callbacks whose memory belongs to the run.
      displays: callbacks that only show.
      columns: those of the rows, as of `Dataset.described_columns`.
      strategy: the `tf.distribute.Strategy` of the model; the default one by default.

    Returns:
      The run's `SaveRun`, with its history and the seconds taken.

    Raises:
      RunDirectoryError: if the checkpoint is of a run on other rows or columns.
    """
    strategy = strategy or tf.distribute.get_strategy()
    save_run = _save_run(settings, rows, stateful, columns, strategy)
    time_limit = TimeLimit(settings.max_minutes, save_run, strategy)
    is_over = save_run.is_stopped or time_limit.is_over()
    model.fit(
        rows.as_dataset(),
        # No epoch is left of a run that was interrupted after its training.
        initial_epoch=settings.epochs if is_over else save_run.num_epochs,
        epochs=settings.epochs,
        validation_data=validation,
        callbacks=[metrics, rows, *stateful, save_run, time_limit, *displays],
        verbose=progress.verbosity(settings),
    )
    return save_run


def make_optimizer(settings, num_rows):
    """Returns Adam with the schedule, clipping, decay and averaging of `settings`."""
    learning_rate = settings.learning_rate
    if settings.cosine_decay:
        num_batches = settings.epochs * math.ceil(num_rows / settings.batch_size)
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_batches)
    return keras.optimizers.Adam(
        learning_rate,
        global_clipnorm=settings.gradient_clip_norm or None,
        weight_decay=settings.weight_decay or None,
        use_ema=settings.ema_momentum > 0.0,
        ema_momentum=settings.ema_momentum,
    )


def make_callbacks(settings, before_validation=()):
    """Returns the callbacks that have a say in the weights, in the order of their acts.

    Args:
      settings: any settings with `ema_momentum` and `patience`.
      before_validation: callbacks that act after averaging, before early stopping.
    """
    # Averaged weights come first and early stopping last, so that what is validated, and
    # what is kept, is the averaged weights with their own statistics.
    callbacks = [tfp_flows.StopOnNaN()]
    if settings.ema_momentum > 0.0:
        callbacks.append(SwapAveragedWeights())
    callbacks += before_validation
    callbacks.append(
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.patience, restore_best_weights=True
        )
    )
    return callbacks


def outcome(history):
    """Returns how training ended, as plain data.

    Args:
      history: dict with `loss` and `val_loss`, a value an epoch.

    Raises:
      TrainingError: if not even the first epoch had a finite loss.
    """
    loss, validation = np.asarray(history["loss"]), np.asarray(history["val_loss"])
    diverged = np.flatnonzero(~np.isfinite(loss))
    if 0 in diverged:
        raise TrainingError(
            "The loss is not finite in the first epoch, so that nothing is trained; try a "
            "smaller --learning_rate, and another --run_dir."
        )
    return {
        "num_epochs": len(loss),
        "best_epoch": int(np.nanargmin(validation)) + 1,
        "diverged_in_epoch": int(diverged[0]) + 1 if len(diverged) else None,
    }


def _batch_statistics(dataset, settings):
    if not settings.batch_norm:
        return []
    return [tfp_flows.FullDataBatchStatistics(dataset.train, dataset.train_context)]


def _save_run(settings, rows, stateful, columns, strategy):
    run_dir = pathlib.Path(settings.run_dir)
    folder = CheckpointFolder(run_dir / "checkpoints")
    is_chief = workers.is_chief(strategy)
    found = folder.load_newest() if is_chief else None
    if workers.has_others(strategy):
        content = workers.from_chief(strategy, found.to_bytes() if found else b"")
        found = Checkpoint.from_bytes(content) if content else None
    return SaveRun(
        folder,
        found,
        rows.digest(),
        stateful,
        run_dir / "metrics.csv",
        columns=columns,
        schedule_epochs=settings.epochs if settings.cosine_decay else None,
        every=settings.checkpoint_every,
        is_writer=is_chief,
    )


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
