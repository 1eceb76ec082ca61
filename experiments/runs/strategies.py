"""The `tf.distribute` strategies that a flag names."""

import json
import os
import signal

import tensorflow as tf

from experiments.command_line.flag_settings import UsageError
from experiments.runs import workers

__all__ = []


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
    own, *others = addresses(os.environ.get("TF_CONFIG"))
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


_JOBS = ("chief", "worker")
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def addresses(tf_config):
    """Returns the addresses of all workers, `host:port`, this one's first.

    Args:
      tf_config: content of the environment variable TF_CONFIG, or None.

    Raises:
      UsageError: if it describes no cluster, or none with this process in it.
    """
    if not tf_config:
        raise UsageError(
            "Expected the environment variable TF_CONFIG with --strategy=multi_worker, "
            f"such as {_EXAMPLE}; got none."
        )
    config = _parse(tf_config)
    jobs, task = _section(config, "cluster"), _section(config, "task")
    _check_jobs(jobs)
    own = _own_address(jobs, task)
    everyone = [address for job in jobs.values() for address in job]
    if len(set(everyone)) < len(everyone):
        raise UsageError(f"Expected distinct addresses in TF_CONFIG; got {everyone}.")
    return [own, *(address for address in everyone if address != own)]


def _parse(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"Expected TF_CONFIG to be JSON; got {text!r}: {error}."
        ) from error


def _section(config, name):
    section = config.get(name) if isinstance(config, dict) else None
    if not isinstance(section, dict) or not section:
        raise UsageError(
            f"Expected TF_CONFIG with an object `{name}`, as in {_EXAMPLE}; got "
            f"{json.dumps(config)}."
        )
    return section


def _check_jobs(jobs):
    if not set(jobs) <= set(_JOBS):
        raise UsageError(f"Expected jobs among {_JOBS} in TF_CONFIG; got {sorted(jobs)}.")
    for name, job in jobs.items():
        if not isinstance(job, list) or not job or not all(map(_is_address, job)):
            raise UsageError(
                f"Expected TF_CONFIG with a list of host:port as `{name}`; got {job!r}."
            )
    if len(jobs.get("chief", [])) > 1:
        raise UsageError(f"Expected one chief in TF_CONFIG; got {jobs['chief']}.")


def _is_address(text):
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _own_address(jobs, task):
    job, index = jobs.get(task.get("type"), []), task.get("index")
    if not isinstance(index, int) or not 0 <= index < len(job):
        sizes = {name: len(job) for name, job in jobs.items()}
        raise UsageError(
            f"Expected TF_CONFIG with a `task` of its cluster, {sizes}; got "
            f"{json.dumps(task)}."
        )
    return job[index]
