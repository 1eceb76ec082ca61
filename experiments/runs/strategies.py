"""The `tf.distribute` strategies that a flag names."""

import os
import signal

import tensorflow as tf

from experiments.runs import cluster
from experiments.runs import workers


def make_strategy(name):
    """Returns the `tf.distribute.Strategy` that a flag names.

    With `multi_worker`, nothing of TensorFlow may have run before in this process, and the
    call lasts until all workers of TF_CONFIG have come.

    Raises:
      UsageError: if TF_CONFIG does not describe a cluster with this process in it.
      WorkersError: if its address is taken, or the others do not come within an hour.
    """
    return STRATEGIES[name]()


def _mirrored():
    # One replica a GPU; without any, one a logical CPU, of which there is usually one.
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    own, *others = cluster.addresses(os.environ.get("TF_CONFIG"))
    if others:
        print(f"Worker {own} waits for {', '.join(others)}.", flush=True)
    # TensorFlow keeps Python, and so a handler of Python's, from running while it waits.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise workers.WorkersError(
            f"Worker {own} cannot join the others: {error.message}."
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)


STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
}
