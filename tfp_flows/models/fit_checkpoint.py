"""Checkpoints of a fit, from which an interrupted one goes on."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.laplace import Gaussian

__all__ = ["FitCheckpoint", "Start"]


class Start:
    """What a round of a fit begins with.

    Args:
      gaussians: components of the base.
      log_masses: their masses, in nats.
      ends: where searches for maxima ended, `[S, D]`.
      words: for the start.
      index: of the round, from 0.
    """

    def __init__(self, gaussians, log_masses, ends, words: str, index: int = 0):
        self.gaussians, self.log_masses = list(gaussians), list(log_masses)
        self.ends, self.words, self.index = np.asarray(ends), words, index

    def with_missing(self, gaussians, log_masses) -> Start:
        """The start of the next round, with further components."""
        return Start(
            [*self.gaussians, *gaussians],
            [*self.log_masses, *log_masses],
            self.ends,
            f"couplings over {len(self.gaussians) + len(gaussians)} Gaussians",
            self.index + 1,
        )


class FitCheckpoint:
    """A folder that a fit is saved into; without one, nothing is saved.

    Args:
      folder: its name, or None.
      size: number of unconstrained variables.
      seed: of the fit.

    Raises:
      ValueError: if the folder holds a fit of another size or seed.
    """

    def __init__(self, folder: str | None, *, size: int, seed: int):
        self._folder = None if folder is None else pathlib.Path(folder)
        self._identity = {"size": size, "seed": seed}
        self._manager = None

    def start(self) -> Start | None:
        """Returns the start of the round that was saved last, or None."""
        files = [] if self._folder is None else sorted(self._folder.glob("round_*.npz"))
        if not files:
            return None
        with np.load(files[-1], allow_pickle=False) as file:
            saved = dict(file)
        found = {name: int(saved[name]) for name in self._identity}
        if found != self._identity:
            raise ValueError(
                f"Expected `checkpoint_dir` with a fit of {self._identity}; got {found}."
            )
        gaussians = [
            Gaussian(*pair) for pair in zip(saved["means"], saved["factors"], strict=True)
        ]
        masses = saved["log_masses"].tolist()
        return Start(
            gaussians, masses, saved["ends"], str(saved["words"]), int(saved["index"])
        )

    def begin(self, start: Start, training) -> None:
        """Saves the start of a round, and restores its training if it was saved, too."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"round_{start.index}.npz"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(
                    file,
                    means=np.stack([g.mean for g in start.gaussians]),
                    factors=np.stack([g.factor for g in start.gaussians]),
                    log_masses=start.log_masses,
                    ends=start.ends,
                    words=start.words,
                    index=start.index,
                    **self._identity,
                )
            os.replace(partial, path)
        folder = str(self._folder / f"round_{start.index}")
        checkpoint = tf.train.Checkpoint(training=training)
        self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=1)
        if self._manager.latest_checkpoint:
            checkpoint.restore(self._manager.latest_checkpoint).expect_partial()

    def save(self) -> None:
        """Saves the training as it is now."""
        if self._manager is not None:
            self._manager.save()
