"""The fit of a Keras model in a run, resumed from the last checkpoint."""

import math
import pathlib
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import tfp_flows
from experiments.command_line.flag_settings import TrainingError
from experiments.reports import progress
from experiments.runs import workers
from experiments.runs.atomic_write import atomic_write
from experiments.runs.checkpoints import Checkpoint, CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError, digest
from experiments.runs.starting_weights import refuse_other_columns

_PLAIN = (bool, int, float, str, type(None))


def compile_model(model, settings, num_rows, strategy):
    """Compiles a model within the scope of its strategy."""
    optimizer = keras.optimizers.Adam(
        schedule(settings, num_rows),
        global_clipnorm=settings.gradient_clip_norm or None,
        weight_decay=settings.weight_decay or None,
        use_ema=settings.ema_momentum > 0.0,
        ema_momentum=settings.ema_momentum,
    )
    is_alone = strategy.num_replicas_in_sync == 1
    model.compile(
        optimizer,
        jit_compile=settings.jit_compile,
        # Keras 3.15 cannot run several steps of several replicas in one call.
        steps_per_execution=settings.steps_per_execution if is_alone else 1,
    )
    # Replicas cannot create the optimizer's variables within a training step.
    optimizer.build(model.trainable_variables)


def schedule(settings, num_rows):
    """Returns Adam's step size: a number, or a Keras schedule.

    Step n of N warm-up steps has the step size `learning_rate * n / (N + 1)`. A warm-up
    longer than all `epochs` is cut off at their end.
    """
    highest, warmup_steps = settings.learning_rate, settings.warmup_steps
    if not settings.cosine_decay and not warmup_steps:
        return highest
    num_steps = settings.epochs * math.ceil(num_rows / settings.batch_size)
    return keras.optimizers.schedules.CosineDecay(
        highest / (warmup_steps + 1),
        max(1, num_steps - warmup_steps),
        # The share that the cosine falls to; 1 keeps the step size constant.
        alpha=0.0 if settings.cosine_decay else 1.0,
        warmup_target=highest if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def fit(
    model,
    rows,
    validation,
    settings,
    strategy,
    draw,
    *,
    metrics=(),
    before_validation=(),
    columns=None,
):
    """Trains a compiled model, from the last checkpoint in `run_dir` if there is one.

    A resumed run ends with the same numbers as an uninterrupted one. Only the chief of
    several workers reads and writes `run_dir`, where checkpoints and `metrics.csv` are.

    The model is one after `compile_model`, rows are the `EpochRows` to train on, and
    validation rows `[N, D]`, or a tuple of such arrays. Callbacks in `metrics` add metrics
    for those after them; those in `before_validation` come between weight averaging and
    early stopping.

    Returns:
      Keras's history, and `notes`.

    Raises:
      RunDirectoryError: if the checkpoint is of a run on other rows or columns.
    """
    workers.share(strategy, model.weights)
    stateful = _stateful_callbacks(settings, before_validation)
    save_run = SaveRun(settings, rows, stateful, columns=columns, strategy=strategy)
    time_limit = TimeLimit(settings.max_minutes, save_run, strategy)
    is_over = save_run.is_stopped or time_limit.is_over()
    shown = progress.make_callbacks(settings, draw, is_writer=workers.is_chief(strategy))
    model.fit(
        rows.as_dataset(),
        # A run that was interrupted after its training has no epoch left.
        initial_epoch=settings.epochs if is_over else save_run.num_epochs,
        epochs=settings.epochs,
        validation_data=_batches(validation, settings),
        callbacks=[*metrics, rows, *stateful, save_run, time_limit, *shown],
        verbose=progress.verbosity(settings),
    )
    return save_run.history(), notes(save_run, settings)


def outcome(history):
    """Returns how training ended, as plain data."""
    loss, validation = np.asarray(history["loss"]), np.asarray(history["val_loss"])
    diverged = np.flatnonzero(~np.isfinite(loss))
    if 0 in diverged:
        raise TrainingError(
            "The loss is not finite in the first epoch; try a smaller --learning_rate, and "
            "another --run_dir."
        )
    return {
        "num_epochs": len(loss),
        "best_epoch": int(np.nanargmin(validation)) + 1,
        "diverged_in_epoch": int(diverged[0]) + 1 if len(diverged) else None,
    }


def notes(save_run, settings):
    """Returns training time and limits of a `SaveRun`, and changes of the schedule."""
    is_late = save_run.num_epochs < settings.epochs and not save_run.is_stopped
    minutes = settings.max_minutes if is_late else None
    restarts = [
        restart
        for restart in save_run.schedule_restarts
        if restart["after_epoch"] < save_run.num_epochs
    ]
    return {
        "training_seconds": save_run.seconds,
        "limits": {"epochs": settings.epochs, "max_minutes": minutes},
        **({"schedule_restarts": restarts} if restarts else {}),
    }


def _stateful_callbacks(settings, before_validation):
    """Returns the callbacks that change the weights, in their order."""
    # Averaging comes first and early stopping last, so that the averaged weights, with
    # their own batch statistics, are validated and kept.
    return [
        tfp_flows.StopOnNaN(),
        *([SwapAveragedWeights()] if settings.ema_momentum > 0.0 else []),
        *before_validation,
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.patience, restore_best_weights=True
        ),
    ]


def _batches(inputs, settings):
    # Keras would take a bare pair as rows and targets.
    inputs = (inputs,) if isinstance(inputs, tuple) else inputs
    rows = tf.data.Dataset.from_tensor_slices(inputs)
    return rows.batch(settings.evaluation_batch_size)


class SwapAveragedWeights(keras.callbacks.SwapEMAWeights):
    """`SwapEMAWeights` that swaps back after the last epoch too.

    Keras's own callback drops the weights without averaging at the end of the last epoch,
    so a later `fit` could not go on from them. `EarlyStopping` restores the final weights.
    """

    def __init__(self):
        super().__init__(swap_on_epoch=True)

    def set_params(self, params):
        """Takes the parameters of a training, without the number of epochs."""
        super().set_params({**params, "epochs": math.inf})


class SaveRun(keras.callbacks.Callback):
    """Writes checkpoints and `metrics.csv`, and restores the checkpoint it starts from.

    Unlike `keras.callbacks.BackupAndRestore`, it saves the state of the `stateful`
    callbacks too, and an interruption leaves no file half written. It must come after
    these callbacks. The chief of several workers writes.

    Attributes:
      rows: the metrics of each epoch so far, as dicts.
      is_stopped: whether early stopping, or a loss that is not finite, ended training.
      schedule_restarts: changes of the cosine's number of epochs, dicts of `after_epoch`,
        `epochs_before` and `epochs`.
    """

    def __init__(self, settings, rows, stateful, *, columns, strategy):
        super().__init__()
        self._run_dir = pathlib.Path(settings.run_dir)
        self._folder = CheckpointFolder(self._run_dir / "checkpoints")
        self._found = workers.chiefs_newest(strategy, self._folder)
        self._is_writer = workers.is_chief(strategy)
        self._every, self._stateful = settings.checkpoint_every, stateful
        self._data, self._columns = digest(rows.inputs), columns
        self._schedule_epochs = settings.epochs if settings.cosine_decay else None
        self._num_saved, self._seconds_before = 0, 0.0
        self.rows, self.is_stopped, self.schedule_restarts = [], False, []
        if self._found:
            self._take_over(self._found.facts)
        self._start = time.perf_counter()

    @property
    def num_epochs(self):
        """Number of finished epochs."""
        return len(self.rows)

    @property
    def seconds(self):
        """Training time so far, interrupted runs included."""
        return self._seconds_before + time.perf_counter() - self._start

    def history(self):
        """Returns the metrics in the form of Keras's history: a list for each metric."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0]}

    def on_train_begin(self, logs=None):
        """Restores the checkpoint, after the other callbacks' own `on_train_begin`."""
        if self._found is None:
            return
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        variables = {"weights": self.model.variables, "optimizer": optimizer.variables}
        for name, restored in variables.items():
            for variable, value in zip(restored, self._found.arrays[name], strict=True):
                variable.assign(value)
        for i, callback in enumerate(self._stateful):
            vars(callback).update(self._found.facts["callbacks"][i])
            for name in self._found.facts["callback_arrays"][i]:
                setattr(callback, name, self._found.arrays[f"{i}/{name}"])
        self._write_metrics()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the epoch's metrics, and saves."""
        self.rows.append({name: float(value) for name, value in (logs or {}).items()})
        self.is_stopped = bool(self.model.stop_training)
        is_last = self.is_stopped or epoch + 1 == self.params["epochs"]
        if is_last or (epoch + 1) % self._every == 0:
            self.save()

    def save(self):
        """Writes the checkpoint of the last epoch and the metrics, unless they exist."""
        if self._is_writer and self._num_saved < self.num_epochs:
            self._folder.save(self._checkpoint())
            self._write_metrics()
            self._num_saved = self.num_epochs

    def _take_over(self, facts):
        refuse_other_columns(self._run_dir, facts.get("columns"), self._columns)
        if facts["data"] != self._data:
            raise RunDirectoryError(
                f"{self._run_dir} holds a run on other training rows. "
                "Choose another --run_dir, or the same data."
            )
        self.rows = list(facts["rows"])
        self.is_stopped = facts["is_stopped"]
        self.schedule_restarts = list(facts.get("schedule_restarts", []))
        self._seconds_before = facts["seconds"]
        before = facts.get("schedule_epochs", self._schedule_epochs)
        if before != self._schedule_epochs and not self.is_stopped:
            self.schedule_restarts.append(
                {
                    "after_epoch": self.num_epochs,
                    "epochs_before": before,
                    "epochs": self._schedule_epochs,
                }
            )

    def _checkpoint(self):
        arrays = {
            # With the states of dropout, which `get_weights` lacks.
            "weights": [v.numpy() for v in self.model.variables],
            "optimizer": [v.numpy() for v in self.model.optimizer.variables],
        }
        lists = [_attributes(callback, _is_list_of_arrays) for callback in self._stateful]
        for i, values in enumerate(lists):
            arrays |= {f"{i}/{name}": value for name, value in values.items()}
        facts = {
            "rows": self.rows,
            "data": self._data,
            "seconds": self.seconds,
            "is_stopped": self.is_stopped,
            "columns": self._columns,
            "schedule_epochs": self._schedule_epochs,
            "schedule_restarts": self.schedule_restarts,
            "callbacks": [_attributes(callback, _is_plain) for callback in self._stateful],
            "callback_arrays": [list(values) for values in lists],
        }
        return Checkpoint(len(self.rows), facts, arrays)

    def _write_metrics(self):
        if not self._is_writer:
            return
        metrics = pd.DataFrame(self.rows).sort_index(axis="columns")
        text = metrics.to_csv(index_label="epoch", na_rep="nan")
        atomic_write(self._run_dir / "metrics.csv", text)


def _attributes(callback, is_wanted):
    return {name: value for name, value in vars(callback).items() if is_wanted(value)}


def _is_plain(value):
    return isinstance(value, _PLAIN)


def _is_list_of_arrays(value):
    # A weight without axes is a NumPy scalar.
    arrays = (np.ndarray, np.generic)
    return isinstance(value, list) and all(isinstance(x, arrays) for x in value)


class TimeLimit(keras.callbacks.Callback):
    """Stops training after the epoch in which `max_minutes` end; 0: never.

    The clock of the chief of several workers counts. It comes after the `SaveRun`.
    """

    def __init__(self, max_minutes, save_run, strategy):
        super().__init__()
        self._seconds = 60.0 * max_minutes
        self._save_run = save_run
        self._strategy = strategy

    def is_over(self):
        """Whether the time is up."""
        if not self._seconds or not self._save_run.num_epochs:
            return False
        is_over = self._seconds < self._save_run.seconds
        return workers.from_chief(self._strategy, bytes([is_over])) == bytes([True])

    def on_epoch_end(self, epoch, logs=None):
        """Stops training when the time is up."""
        if self.is_over():
            # Save first: the checkpoint must not count training as stopped.
            self._save_run.save()
            self.model.stop_training = True
