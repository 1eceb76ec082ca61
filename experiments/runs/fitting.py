"""The fit of any Keras model in a run, which goes on from its last checkpoint."""

import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.reports import progress
from experiments.runs import extending
from experiments.runs import step_size
from experiments.runs import workers
from experiments.runs.averaged_weights import SwapAveragedWeights
from experiments.runs.checkpointing import CheckpointFolder
from experiments.runs.resuming import SaveRun
from experiments.runs.time_limit import TimeLimit


class TrainingError(Exception):
    """A training that came to nothing; the message says when, and what to change."""


def train(
    make_model,
    rows,
    validation,
    settings,
    strategy,
    *,
    draw,
    initialize=lambda model: None,
    metrics=None,
    before_validation=(),
    columns=None,
):
    """Trains a Keras model, from the last checkpoint in `run_dir` if there is one.

    It ends at the numbers of a run without a pause.

    Args:
      make_model: function that returns the model to train.
      rows: the `EpochRows` to train on.
      validation: `[N, D]`, or a tuple of such arrays.
      settings: a `TrainingSettings`; checkpoints and `metrics.csv` go to its `run_dir`,
        which only the chief of several workers reads and writes.
      strategy: the `tf.distribute.Strategy`; None: the default one.
      draw: function of the model and a file, which draws a picture of the fit into it.
      initialize: function of the compiled model.
      metrics: a callback that adds to the metrics, before others see them.
      before_validation: callbacks that act after averaging, before early stopping.
      columns: those of the rows, as of `Dataset.described_columns`.

    Returns:
      The model, Keras's history, and `extending.notes`.

    Raises:
      RunDirectoryError: if the checkpoint is of a run on other rows or columns.
    """
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = make_model()
        _compile(model, settings, rows.num_rows, strategy)
    initialize(model)
    workers.share(strategy, model.weights)
    stateful = _stateful_callbacks(settings, before_validation)
    save_run = _save_run(settings, rows, stateful, columns, strategy)
    time_limit = TimeLimit(settings.max_minutes, save_run, strategy)
    is_over = save_run.is_stopped or time_limit.is_over()
    displays = progress.make_callbacks(
        settings, functools.partial(draw, model), is_writer=workers.is_chief(strategy)
    )
    first = [metrics] if metrics else []
    model.fit(
        rows.as_dataset(),
        # No epoch is left of a run that was interrupted after its training.
        initial_epoch=settings.epochs if is_over else save_run.num_epochs,
        epochs=settings.epochs,
        validation_data=_batches(validation, settings),
        callbacks=[*first, rows, *stateful, save_run, time_limit, *displays],
        verbose=progress.verbosity(settings),
    )
    # What is evaluated and saved has no more to do with replicas.
    if strategy.num_replicas_in_sync > 1:
        model = make_model()
    return model, save_run.history(), extending.notes(save_run, settings)


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


def _compile(model, settings, num_rows, strategy):
    num_replicas = strategy.num_replicas_in_sync
    optimizer = keras.optimizers.Adam(
        step_size.schedule(settings, num_rows),
        global_clipnorm=settings.gradient_clip_norm or None,
        weight_decay=settings.weight_decay or None,
        use_ema=settings.ema_momentum > 0.0,
        ema_momentum=settings.ema_momentum,
    )
    model.compile(
        optimizer,
        jit_compile=settings.jit_compile,
        # Keras 3.15 cannot run several steps of several replicas in one call.
        steps_per_execution=settings.steps_per_execution if num_replicas == 1 else 1,
    )
    # Replicas cannot create its variables within a training step.
    optimizer.build(model.trainable_variables)


def _stateful_callbacks(settings, before_validation):
    """Returns the callbacks that have a say in the weights, in the order of their acts."""
    # Averaged weights come first and early stopping last, so that what is validated, and
    # what is kept, is the averaged weights with their own statistics.
    return [
        tfp_flows.StopOnNaN(),
        *([SwapAveragedWeights()] if settings.ema_momentum > 0.0 else []),
        *before_validation,
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.patience, restore_best_weights=True
        ),
    ]


def _batches(inputs, settings):
    # A bare pair would be rows and targets to Keras.
    inputs = (inputs,) if isinstance(inputs, tuple) else inputs
    rows = tf.data.Dataset.from_tensor_slices(inputs)
    return rows.batch(settings.evaluation_batch_size)


def _save_run(settings, rows, stateful, columns, strategy):
    run_dir = pathlib.Path(settings.run_dir)
    folder = CheckpointFolder(run_dir / "checkpoints")
    return SaveRun(
        folder,
        workers.chiefs_newest(strategy, folder),
        rows.digest(),
        stateful,
        run_dir / "metrics.csv",
        columns=columns,
        schedule_epochs=settings.epochs if settings.cosine_decay else None,
        every=settings.checkpoint_every,
        is_writer=workers.is_chief(strategy),
    )
