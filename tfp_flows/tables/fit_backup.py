"""The state of a fit in a file, from which an interrupted one goes on."""

from __future__ import annotations

import hashlib
import os
import pathlib
import time
import zipfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tfp_flows.tables.best_networks import BestNetworks

__all__ = ["FitBackup", "fingerprint"]

_SECONDS = 5.0  # between two writes; what came later is done again, to the same numbers
_LOGS = ("loss", "val_loss")


def fingerprint(arrays: Iterable, *options: Any) -> str:
    """Returns what tells fits of these rows and options from all others."""
    found = hashlib.sha256(repr(options).encode())
    for array in arrays:
        found.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


class FitBackup(keras.callbacks.Callback):
    """Writes weights, optimizer, best weights and losses, and puts them back.

    Args:
      path: of the file.
      of: `fingerprint` of the fit.
      best: whose state it keeps.
      variables: of the distribution.

    Raises:
      ValueError: if there is a file, which is of another fit, or none at all.
    """

    def __init__(
        self, path: str | os.PathLike, of: str, best: BestNetworks, variables: Iterable
    ) -> None:
        super().__init__()
        self._best, self._variables = best, list(variables)
        self._path, self._of = pathlib.Path(path), of
        self._state = self._read() if self._path.exists() else None
        self.logs: dict[str, list] = {name: [] for name in _LOGS}
        if self._state is not None:
            self.logs = {name: self._state[name].tolist() for name in _LOGS}

    @property
    def num_epochs(self) -> int:
        """How many the file holds."""
        return len(self.logs["loss"])

    @property
    def is_finished(self) -> bool:
        """Whether the fit of the file has stopped by itself."""
        return self._state is not None and bool(self._state["is_finished"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Puts the state of the file back; comes after that of `BestNetworks`."""
        self._written = time.monotonic()
        if self._state is None:
            return
        for name, values in self._parts().items():
            for i, variable in enumerate(values):
                variable.assign(self._state[f"{name}_{i}"])
        self._best.state = {name: self._state[f"best_{name}"] for name in self._best.state}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the file, if the last time is some seconds ago, or training ends."""
        for name in _LOGS:
            self.logs[name].append(float((logs or {})[name]))
        is_finished = self.model.stop_training
        if is_finished or time.monotonic() - self._written >= _SECONDS:
            self._write(is_finished)
            self._written = time.monotonic()

    def _parts(self):
        return {"variable": self._variables, "optimizer": self.model.optimizer.variables}

    def _write(self, is_finished):
        arrays: dict[str, Any] = {
            f"{name}_{i}": np.asarray(variable.numpy())
            for name, values in self._parts().items()
            for i, variable in enumerate(values)
        }
        arrays |= {f"best_{name}": value for name, value in self._best.state.items()}
        arrays |= {**self.logs, "of": self._of, "is_finished": is_finished}
        partial = self._path.with_name(f".{self._path.name}.partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(partial, self._path)

    def _read(self):
        try:
            with np.load(self._path, allow_pickle=False) as file:
                state = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected `backup` that a fit has written; got {self._path}: {error}"
            ) from error
        if str(state.get("of")) != self._of:
            raise ValueError(
                "Expected `backup` of a fit of the same rows and options; got "
                f"{self._path} of others."
            )
        return state
