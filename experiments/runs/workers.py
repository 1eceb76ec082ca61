"""The strategies of `tf.distribute`, and messages between the workers of one run.

One worker, the chief, reads and writes the folder of the run; the others only train.
Without a cluster the single process is the chief.
"""

import contextlib
import json
import os
import re
import signal

import numpy as np
import tensorflow as tf

from experiments.command_line.flag_settings import CommandError, UsageError
from experiments.runs import run_directory
from experiments.runs.checkpoints import Checkpoint

# Flags that may differ from worker to worker.
_OWN_FLAGS = ("run_dir", "data_dir", "progress")

# Errors that TensorFlow raises, depending on the call, once a worker is gone.
_OUT_OF_REACH = ("UnavailableError", "AbortedError", "CancelledError", "InternalError")
_OUT_OF_REACH += ("DeadlineExceededError", "FailedPreconditionError", "UnknownError")
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


class WorkersError(CommandError):
    """Workers that cannot go on together; the message says why, and what to do."""


def is_chief(strategy):
    """Whether this process is the one that writes."""
    return (strategy or tf.distribute.get_strategy()).extended.should_checkpoint


def has_others(strategy):
    """Whether there are other workers."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(map(len, jobs.values())) > 1


def from_chief(strategy, content):
    """Returns the chief's `content`, bytes, in every worker; all must call this."""
    if not has_others(strategy):
        return content
    with strategy.scope():
        # TensorFlow gives a new variable the chief's value in all workers.
        size = int(tf.Variable(len(content), dtype=tf.int64).numpy())
        content = content if is_chief(strategy) else bytes(size)
        # At least one word: TensorFlow crashes on an empty message.
        words = np.frombuffer(content + bytes(8 - size % 8), np.int64)
        content = tf.Variable(words).numpy().tobytes()[:size]
    _await_receipt(strategy)
    return content


def _await_receipt(strategy):
    """Blocks the chief until all have its content; it might end too early otherwise."""
    try:
        strategy.reduce("SUM", strategy.run(lambda: tf.ones([])), axis=None)
    except _out_of_reach():
        if is_chief(strategy):
            raise  # another worker has the content, and notices later if the chief is lost


def chiefs_newest(strategy, folder):
    """Returns the newest checkpoint of the chief, or None, in every worker.

    All must call this; the chief alone reads the `CheckpointFolder`.
    """
    found = folder.load_newest() if is_chief(strategy) else None
    if not has_others(strategy):
        return found
    content = from_chief(strategy, found.to_bytes() if found else b"")
    return Checkpoint.from_bytes(content) if content else None


@contextlib.contextmanager
def within_reach(strategy, how):
    """Turns TensorFlow's errors for a lost worker within the block into `WorkersError`.

    `how` returns a text on how to go on.
    """
    try:
        yield
    except _out_of_reach() as error:
        if not has_others(strategy):
            raise
        raise WorkersError(f"Another worker is out of reach. {how()}") from error


def share(strategy, variables):
    """Sets the `variables` of all workers to the chief's values; all must call this."""
    if has_others(strategy):
        with strategy.scope():
            for variable in variables:
                variable.assign(tf.Variable(variable.numpy()).numpy())


def agree_on_start(strategy, settings, *, is_finished):
    """Returns whether the run is finished by the folder of the chief.

    `is_finished` says so by the folder of this worker.
    """
    mine = json.dumps({"is_finished": is_finished, "flags": settings.by_name()})
    chiefs = json.loads(from_chief(strategy, mine.encode()))
    different = run_directory.differences(chiefs["flags"], settings, free=_OWN_FLAGS)
    if different:
        raise WorkersError(f"The chief has other flags: {different}. Start all alike.")
    return chiefs["is_finished"]


def make_strategy(name):
    """Returns the `tf.distribute.Strategy` that a flag names.

    With `multi_worker`, call this before any operation of TensorFlow; it waits for all
    workers of TF_CONFIG.

    Raises:
      UsageError: if TF_CONFIG does not describe a cluster with this process in it.
      WorkersError: if its address is in use, or the others do not join within an hour.
    """
    return STRATEGIES[name]()


def _mirrored():
    # One replica for each GPU, or, without GPUs, for each logical CPU (usually one).
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    this, *others = addresses(os.environ.get("TF_CONFIG"))
    if others:
        print(f"Worker {this} waits for {', '.join(others)}.", flush=True)
    # While TensorFlow waits, Python cannot run its signal handlers.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise WorkersError(
            f"Worker {this} cannot join the others: {error.message}."
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)


STRATEGIES = {
    "none": lambda: tf.distribute.get_strategy(),
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
}


def _out_of_reach():
    return tuple(getattr(tf.errors, name) for name in _OUT_OF_REACH)


def addresses(tf_config):
    """Returns the addresses of all workers of TF_CONFIG, first that of this worker.

    They are texts `host:port`; `tf_config` is the environment variable, or None.
    """
    try:
        config = json.loads(tf_config or "")
        cluster, task = tf.train.ClusterSpec(config["cluster"]), config["task"]
        this = cluster.task_address(task["type"], task["index"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "Expected the environment variable TF_CONFIG to describe a cluster with this "
            f"process in it, such as {_EXAMPLE}; got {tf_config or 'none'} ({error})."
        ) from error
    jobs = cluster.as_dict()
    everyone = [address for job in jobs.values() for address in job]
    is_right = jobs.keys() <= {"chief", "worker"} and len(jobs.get("chief", ())) <= 1
    is_right &= len(set(everyone)) == len(everyone)
    if not is_right or not all(re.fullmatch(r"\S+:\d+", a) for a in everyone):
        raise UsageError(
            "Expected workers, at most one chief, and distinct addresses host:port in "
            f"TF_CONFIG; got {jobs}."
        )
    return [this, *(address for address in everyone if address != this)]
