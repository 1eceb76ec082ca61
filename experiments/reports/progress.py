"""Callbacks that show the progress of a training."""

import io
import pathlib
import sys
import time

import keras
import tensorflow as tf

import tfp_flows


def verbosity(settings):
    """Returns Keras's `verbose`; by default a bar on a terminal, nothing elsewhere."""
    if settings.progress >= 0:
        return settings.progress
    return int(sys.stdout.isatty())


def make_callbacks(settings, draw, *, is_writer=True):
    """Returns the callbacks that print and log the progress of training."""
    callbacks = []
    if settings.progress < 0 and not sys.stdout.isatty():
        callbacks.append(LinePerMinute(settings.epochs))
    if settings.tensorboard and is_writer:
        folder = pathlib.Path(settings.run_dir) / "tensorboard"
        callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
        if every := settings.pictures_every:
            callbacks.append(PicturesInTensorBoard(draw, every, folder / "pictures"))
    return callbacks


class PicturesInTensorBoard(keras.callbacks.Callback):
    """Adds a picture of data and samples to the logs in a folder, every few epochs."""

    def __init__(self, draw, every, folder):
        super().__init__()
        self._draw = draw
        self._every = every
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch, logs=None):
        """Draws after every `every` epochs."""
        if (epoch + 1) % self._every:
            return
        file = io.BytesIO()
        self._draw(file)
        picture = tf.io.decode_png(file.getvalue(), channels=4)
        with self._writer.as_default(step=epoch):
            tf.summary.image("data and samples", picture[None])
        self._writer.flush()


class LogLikelihood(keras.callbacks.Callback):
    """Adds `log_likelihood`, in nats per row, to the metrics for later callbacks.

    For data that were integers, it adds `bits_per_dimension` too.
    """

    def __init__(self, dataset):
        super().__init__()
        self._dataset = dataset

    def on_train_batch_end(self, batch, logs=None):
        """Adds the mean over the epoch so far."""
        self._add(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Adds the means over the epoch and over the validation rows."""
        self._add(logs)

    def _add(self, logs):
        # In place, since Keras gives the same dict to all callbacks.
        for name in ("loss", "val_loss"):
            if logs and name in logs:
                logs[name.replace("loss", "log_likelihood")] = -logs[name]
                if (width := self._dataset.bin_width) is not None:
                    bits = tfp_flows.bits_per_dimension(
                        -logs[name], self._dataset.event_size, bins_per_unit=1.0 / width
                    )
                    logs[name.replace("loss", "bits_per_dimension")] = bits.bits


class LinePerMinute(keras.callbacks.Callback):
    """Prints a line of progress every minute."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self._last = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Stores the epoch."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        """Prints a line within a long epoch."""
        self._print_if_due(f"batch {batch + 1}", logs)

    def on_epoch_end(self, epoch, logs=None):
        """Prints a line after an epoch, if a minute has passed."""
        self._print_if_due("done", logs)

    def _print_if_due(self, where, logs):
        now = time.monotonic()
        if now - self._last < 60.0:  # seconds
            return
        self._last = now
        shown = ("log_likelihood", "elbo")
        values = {k: v for k, v in (logs or {}).items() if k.endswith(shown)}
        text = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        print(f"Epoch {self._epoch}/{self._epochs}, {where}: {text}", flush=True)
