"""Training in blocks of steps, which goes on from the last whole block."""

import time

import numpy as np

from experiments.runs.checkpointing import Checkpoint
from experiments.runs.checkpointing import CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["STEPS", "train_in_blocks"]

STEPS = 100


def train_in_blocks(take, variables, num_steps, path, *, known):
    """Takes steps, from the last whole block in a folder if there is one.

    It ends at the numbers of a training without a pause, where a step depends on
    `variables` alone.

    Args:
      take: function that takes as many steps as it is told, `STEPS` at most, and returns
        their losses.
      variables: all that steps change, those of an optimizer included.
      num_steps: number of steps.
      path: of the folder of checkpoints.
      known: numbers, `[N]`, that tell this training from others, but for rounding.

    Returns:
      The loss of each step, `[num_steps]`, and the seconds of earlier starts.

    Raises:
      RunDirectoryError: if the folder is of another training.
    """
    folder, start = CheckpointFolder(path), time.perf_counter()
    losses, seconds = _restore(folder.load_newest(), variables, path, known)
    earlier_seconds = seconds
    if len(losses):
        print(f"Training goes on from step {len(losses)} of {num_steps}.", flush=True)
    while len(losses) < num_steps:
        losses = np.append(losses, take(min(STEPS, num_steps - len(losses))))
        seconds = earlier_seconds + time.perf_counter() - start
        arrays = {"variables": _values(variables), "losses": [losses], "known": [known]}
        number = -(-len(losses) // STEPS)
        folder.save(Checkpoint(number, {"seconds": seconds}, arrays))
    return losses, earlier_seconds


def _restore(found, variables, path, known):
    """Returns the losses and seconds so far."""
    if found is None:
        return np.zeros(0), 0.0
    values, (there,) = found.arrays["variables"], found.arrays["known"]
    is_same = [v.shape for v in values] == [v.shape for v in _values(variables)]
    if not (is_same and np.allclose(there, known, rtol=1e-3, equal_nan=True)):
        raise RunDirectoryError(
            f"{path} holds the training of another posterior, or on other data. Choose "
            "another --run_dir, or the same data."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return found.arrays["losses"][0], found.facts["seconds"]


def _values(variables):
    return [np.asarray(variable.numpy()) for variable in variables]
