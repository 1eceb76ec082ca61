"""Checkpoints of a fit, from which an interrupted fit resumes."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.array_files import read_arrays, write_arrays
from tfp_flows.inference.initial_flow import Start
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.reparametrisation import FitSpace, Reparametrisation

_EXPECTED = "`checkpoint_dir` with what a fit has saved"
# Errors that `restore` raises for damaged files and for files of other variables.
_UNREADABLE = (tf.errors.OpError, IndexError, ValueError, AssertionError)


class FitCheckpoint:
    """A folder that a fit is saved into.

    A resumed fit goes through its rounds again, with the training from the folder. Without
    a folder, nothing is saved. Without a seed, it is that of the folder, or random.
    """

    def __init__(self, folder: str | None, seed: int | None) -> None:
        self._folder = None if folder is None else pathlib.Path(folder)
        self._manager: tf.train.CheckpointManager | None = None
        saved = self._saved(0)
        if seed is None and saved is not None:
            seed = int(saved["seed"])
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.seed = seed % 2**31
        self._identity: dict = {"seed": self.seed}

    def check_target(self, points: np.ndarray, log_probs: np.ndarray) -> None:
        """Raises an error if the folder holds a fit of another seed or target.

        The target has the log-densities, `[N]`, at the points, `[N, D]`.
        """
        self._identity |= {"points": points, "log_probs": log_probs}
        saved = self._saved(0)
        if saved is None:
            return
        for name, value in self._identity.items():
            there = saved[name]
            is_same = np.shape(there) == np.shape(value)
            is_same = is_same and np.allclose(there, value, rtol=1e-6, equal_nan=True)
            words = f"`checkpoint_dir` with a fit of this target and the seed {self.seed}"
            got = f"one of the seed {there}" if name == "seed" else "one of another target"
            require(is_same, words, got)

    def start(self, index: int, space: FitSpace) -> Start | None:
        """Returns the start of a round that was saved, or None.

        The space is that of the round before, or of the unconstrained variables.
        """
        saved = self._saved(index)
        if saved is None:
            return None
        names = [field.name for field in dataclasses.fields(Reparametrisation)]
        if names[0] in saved and space.coordinates is None:
            space = space.mapped(Reparametrisation(*(saved[name] for name in names)))
        fields = (saved[name] for name in ("means", "factors", "log_masses"))
        gaussians = list(map(Gaussian, *fields))
        return Start(space, gaussians, saved["ends"], str(saved["words"]), index)

    def begin(self, start: Start, training: tf.Module) -> None:
        """Restores the training of a round if it was saved; else saves it and its start."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = self._folder / f"round_{start.index}"
        checkpoint = tf.train.Checkpoint(training=training)
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
        if newest := self._manager.latest_checkpoint:
            try:
                checkpoint.restore(newest).assert_existing_objects_matched()
            except _UNREADABLE as error:
                raise ValueError(f"Expected {_EXPECTED}; got {folder}: {error}") from error
        else:
            self.save()
        path = folder.with_suffix(".npz")
        if not path.exists():
            coordinates = start.space.coordinates
            arrays = {
                "means": np.stack([g.mean for g in start.gaussians]),
                "factors": np.stack([g.factor for g in start.gaussians]),
                "log_masses": [g.log_mass for g in start.gaussians],
                "ends": start.ends,
                "words": start.words,
            }
            if coordinates is not None:
                arrays |= dataclasses.asdict(coordinates)
            write_arrays(path, arrays | self._identity)

    def save(self) -> None:
        """Saves the training as it is now."""
        if self._manager is not None:
            self._manager.save()

    def _saved(self, index):
        path = None if self._folder is None else self._folder / f"round_{index}.npz"
        if path is None or not path.exists():
            return None
        return read_arrays(path, _EXPECTED)
