"""The progress of a fit as one line, where it takes long."""

from __future__ import annotations

import sys
import time

import keras

__all__ = ["FitProgress"]

_SECONDS = 3.0  # before the first line: short fits are silent
_BETWEEN = {True: 0.2, False: 10.0}  # seconds between two lines; True: on a terminal


class FitProgress(keras.callbacks.Callback):
    """Writes epoch, losses and seconds to the standard error.

    ```none
    epoch 152 of at most 500: loss 1.2604, val_loss 1.8011, 21 s
    ```

    A terminal has one line that changes; a file gets a line every ten seconds.

    Args:
      epochs: the number after which training ends, if it does not stop before.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._start, self._next = time.monotonic(), time.monotonic() + _SECONDS
        self._line = self._last = ""
        if sys.stderr.isatty():  # the first step takes long to prepare
            self._write(f"epoch 1 of at most {self._epochs}: preparing")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes a line, if the last one is some time ago."""
        now, logs = time.monotonic(), logs or {}
        losses = "".join(f" {k} {logs[k]:.4f}," for k in ("loss", "val_loss") if k in logs)
        line = f"epoch {epoch + 1} of at most {self._epochs}:{losses}"
        self._last = f"{line} {now - self._start:.0f} s"
        if now >= self._next:
            self._write(self._last)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Writes the last line, if there was one before."""
        if self._line:
            self._write(self._last, end="\n")

    def _write(self, line, end=""):
        is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _BETWEEN[is_terminal]
        if is_terminal:
            sys.stderr.write(f"\r{line.ljust(len(self._line))}{end}")
        elif line != self._line:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._line = line
