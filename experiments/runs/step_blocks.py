"""Training in blocks of steps, which goes on from the last whole block."""

import time

import numpy as np
import tensorflow as tf

from experiments.runs import workers
from experiments.runs.checkpoints import Checkpoint
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.fitting import TrainingError
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["STEPS", "train_in_blocks"]

STEPS = 100


def train_in_blocks(take, start, num_steps, path, *, name, known, strategy=None):
    """Takes steps, from the last whole block in a folder if there is one.

    It ends at the numbers of a training without a pause.

    Args:
      take: function of the values of all that steps change, and of a number of steps,
        `STEPS` at most; takes them, and returns the values then, and their losses.
      start: the values before the first step.
      num_steps: number of steps.
      path: of the folder of checkpoints.
      name: of what is trained.
      known: numbers, `[N]`, that tell this training from others, but for rounding.
      strategy: the `tf.distribute.Strategy` of the workers that all train; their chief
        alone reads and writes the folder.

    Returns:
      The values, the loss of each step, `[num_steps]`, and the seconds of earlier starts.

    Raises:
      RunDirectoryError: if the folder is of another training.
      TrainingError: if a loss is not finite.
    """
    strategy = strategy or tf.distribute.get_strategy()
    folder, begin = CheckpointFolder(path), time.perf_counter()
    values, losses, earlier_seconds = start, np.zeros(0), 0.0
    if found := workers.chiefs_newest(strategy, folder):
        _refuse_another(found, start, known, path)
        values, (losses,) = found.arrays["values"], found.arrays["losses"]
        earlier_seconds = found.facts["seconds"]
        print(f"Training goes on from step {len(losses)} of {num_steps}.", flush=True)
    while len(losses) < num_steps:
        values, further = take(values, min(STEPS, num_steps - len(losses)))
        losses = np.append(losses, further)
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"The loss of {name} is not finite at step "
                f"{np.argmin(np.isfinite(losses)) + 1}; try a smaller --learning_rate."
            )
        seconds = earlier_seconds + time.perf_counter() - begin
        arrays = {"values": list(map(np.asarray, values))}
        arrays |= {"losses": [losses], "known": [known]}
        number = -(-len(losses) // STEPS)
        if workers.is_chief(strategy):
            folder.save(Checkpoint(number, {"seconds": seconds}, arrays))
    return values, losses, earlier_seconds


def _refuse_another(found, start, known, path):
    shapes = [[np.shape(value) for value in v] for v in (found.arrays["values"], start)]
    (there,) = found.arrays["known"]
    if shapes[0] != shapes[1] or not np.allclose(there, known, rtol=1e-3, equal_nan=True):
        raise RunDirectoryError(
            f"{path} holds the training of another posterior, or on other data. Choose "
            "another --run_dir, or the same data."
        )
