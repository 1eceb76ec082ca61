"""What the processes that train one model tell each other.

One of them, the chief, reads and writes the folder of the run; the others help it to
train. Without a cluster the only process is the chief.
"""

import contextlib
import json

import numpy as np
import tensorflow as tf

from experiments.runs import run_directory
from experiments.runs.checkpoints import Checkpoint

# Flags that may differ from worker to worker.
_OWN_FLAGS = ("run_dir", "data_dir", "progress")

# What TensorFlow raises, at one place or another, when a worker is gone.
OUT_OF_REACH = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError),
    *(tf.errors.InternalError, tf.errors.UnknownError),
)


class WorkersError(Exception):
    """The workers cannot go on together; the message says why, and what to do."""


def is_chief(strategy):
    """Whether this process is the one that writes."""
    return strategy.extended.should_checkpoint


def has_others(strategy):
    """Whether there are workers beside this one."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(map(len, jobs.values())) > 1


def from_chief(strategy, content):
    """Returns the chief's `content`, bytes, in every worker; all must call it."""
    if not has_others(strategy):
        return content
    with strategy.scope():
        # A new variable gets the chief's value everywhere.
        size = int(tf.Variable(len(content), dtype=tf.int64).numpy())
        content = content if is_chief(strategy) else bytes(size)
        # At least one word: TensorFlow crashes on sending none.
        words = np.frombuffer(content + bytes(8 - size % 8), np.int64)
        content = tf.Variable(words).numpy().tobytes()[:size]
    _await_receipt(strategy)
    return content


def _await_receipt(strategy):
    """Holds the chief until all have its content: it may have nothing else to do."""
    try:
        strategy.reduce("SUM", strategy.run(lambda: tf.ones([])), axis=None)
    except OUT_OF_REACH:
        if is_chief(strategy):
            raise  # any other has what it was sent; if the chief is lost, it will notice


def chiefs_newest(strategy, folder):
    """Returns the newest checkpoint of the chief, or None, in every worker.

    Args:
      strategy: the `tf.distribute.Strategy` of all workers, which must all call it.
      folder: the `CheckpointFolder`, which the chief alone reads.
    """
    found = folder.load_newest() if is_chief(strategy) else None
    if not has_others(strategy):
        return found
    content = from_chief(strategy, found.to_bytes() if found else b"")
    return Checkpoint.from_bytes(content) if content else None


@contextlib.contextmanager
def within_reach(strategy, how):
    """Raises `WorkersError` for what TensorFlow raises within once a worker is lost.

    Args:
      strategy: the `tf.distribute.Strategy` of all workers.
      how: function that returns how to go on.
    """
    try:
        yield
    except OUT_OF_REACH as error:
        if not has_others(strategy):
            raise
        raise WorkersError(f"Another worker is out of reach. {how()}") from error


def share(strategy, variables):
    """Gives the chief's values to the `variables` of every worker; all must call it."""
    if has_others(strategy):
        with strategy.scope():
            for variable in variables:
                variable.assign(tf.Variable(variable.numpy()).numpy())


def agree_on_start(strategy, settings, *, is_finished):
    """Returns whether the chief finds the run finished.

    Args:
      strategy: the `tf.distribute.Strategy` of all workers.
      settings: the `Settings` of this one.
      is_finished: whether the run is, as far as this worker knows.

    Raises:
      WorkersError: if the flags differ from the chief's.
    """
    mine = json.dumps({"is_finished": is_finished, "flags": settings.flags()})
    chiefs = json.loads(from_chief(strategy, mine.encode()))
    different = run_directory.differences(chiefs["flags"], settings, free=_OWN_FLAGS)
    if different:
        raise WorkersError(f"The chief has other flags: {different}. Start all alike.")
    return chiefs["is_finished"]
