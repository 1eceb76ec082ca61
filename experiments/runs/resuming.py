"""Saves a run at the ends of its epochs, and lets it go on from there."""

import csv
import io
import pathlib
import time

import keras
import numpy as np

from experiments.runs.atomic_write import atomic_write
from experiments.runs.checkpointing import Checkpoint
from experiments.runs.run_columns import refuse_other_columns
from experiments.runs.run_directory import RunDirectoryError

_PLAIN = (bool, int, float, str, type(None))


class SaveRun(keras.callbacks.Callback):
    """Writes checkpoints and `metrics.csv`, and restores the checkpoint it starts from.

    Unlike `keras.callbacks.BackupAndRestore`, it keeps what other callbacks remember, and
    every file is whole at any moment. It must come after the callbacks that it saves.

    Args:
      folder: a `CheckpointFolder` to write to.
      found: the `Checkpoint` to start from; None: from the beginning.
      data: text that tells the data of the run from others.
      stateful: the callbacks whose memory belongs to the run.
      metrics_path: of the file with a line an epoch.
      columns: those of the data, as of `Dataset.described_columns`.
      schedule_epochs: epochs over which the step size falls; None if it does not.
      every: epochs between two checkpoints.
      is_writer: whether this process writes.

    Attributes:
      rows: the metrics of each epoch so far, as dicts.
      is_stopped: whether training had ended by itself, before all epochs.
      schedule_restarts: where the step size went over to fall over other epochs: dicts of
        `after_epoch`, `epochs_before` and `epochs`.

    Raises:
      RunDirectoryError: if `found` is of a run on other data.
    """

    def __init__(
        self,
        folder,
        found,
        data,
        stateful,
        metrics_path,
        *,
        columns=None,
        schedule_epochs=None,
        every=1,
        is_writer=True,
    ):
        super().__init__()
        if found:
            run_dir = pathlib.Path(metrics_path).parent
            refuse_other_columns(run_dir, found.facts.get("columns"), columns)
        if found and found.facts["data"] != data:
            raise RunDirectoryError(
                f"{run_dir} holds a run on other training rows. "
                "Choose another --run_dir, or the same data."
            )
        self._folder = folder
        self._stateful = stateful
        self._metrics_path = pathlib.Path(metrics_path)
        self._every = every
        self._is_writer = is_writer
        self._found = found
        self._data = data
        self._columns = columns
        self._schedule_epochs = schedule_epochs
        self._num_saved = 0
        self._seconds_before = 0.0
        self.rows = []
        self.is_stopped = False
        self.schedule_restarts = []
        if self._found:
            self._take_over(self._found.facts)
        self._start = time.perf_counter()

    @property
    def num_epochs(self):
        """Number of finished epochs."""
        return len(self.rows)

    @property
    def seconds(self):
        """Training time so far, of all processes that had a part in it."""
        return self._seconds_before + time.perf_counter() - self._start

    def history(self):
        """Returns the metrics as Keras's history does: a list an entry."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0]}

    def on_train_begin(self, logs=None):
        """Restores the checkpoint, after the other callbacks have reset themselves."""
        if self._found is None:
            return
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        self.model.set_weights(self._found.arrays["weights"])
        values = self._found.arrays["optimizer"]
        for variable, value in zip(optimizer.variables, values, strict=True):
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
        """Writes the checkpoint of the last epoch and the metrics, if not done already."""
        if self._is_writer and self._num_saved < self.num_epochs:
            self._folder.save(self._checkpoint())
            self._write_metrics()
            self._num_saved = self.num_epochs

    def _take_over(self, facts):
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
            "weights": self.model.get_weights(),
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
        text = io.StringIO()
        writer = csv.DictWriter(text, ["epoch", *sorted(self.rows[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": i} | row for i, row in enumerate(self.rows))
        atomic_write(self._metrics_path, text.getvalue())


def _attributes(callback, is_wanted):
    return {name: value for name, value in vars(callback).items() if is_wanted(value)}


def _is_plain(value):
    return isinstance(value, _PLAIN)


def _is_list_of_arrays(value):
    # A weight of no axes comes as a NumPy scalar.
    arrays = (np.ndarray, np.generic)
    return isinstance(value, list) and all(isinstance(x, arrays) for x in value)
