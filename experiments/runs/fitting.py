"""Training of any Keras model in a run: optimizer, callbacks, and Keras's `fit`."""

import math
import pathlib

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.reports import progress
from experiments.runs import workers
from experiments.runs.averaged_weights import SwapAveragedWeights
from experiments.runs.checkpointing import Checkpoint
from experiments.runs.checkpointing import CheckpointFolder
from experiments.runs.resuming import SaveRun
from experiments.runs.time_limit import TimeLimit


class TrainingError(Exception):
    """A training that came to nothing; the message says when, and what to change."""


def compile_model(model, settings, num_rows, strategy):
    """Compiles a Keras model, in the scope of its `strategy`, as any `settings` say."""
    num_replicas = strategy.num_replicas_in_sync
    model.compile(
        make_optimizer(settings, num_rows, num_replicas=num_replicas),
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


def make_optimizer(settings, num_rows, *, num_replicas=1):
    """Returns Adam with the schedule, clipping, decay and averaging of `settings`."""
    learning_rate = settings.learning_rate
    if settings.cosine_decay:
        num_batches = settings.epochs * math.ceil(num_rows / settings.batch_size)
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_batches)
    return keras.optimizers.Adam(
        learning_rate,
        global_clipnorm=settings.gradient_clip_norm / num_replicas or None,
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
