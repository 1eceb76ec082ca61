"""The cluster that TF_CONFIG describes, checked before TensorFlow waits for it."""

import json

from experiments.command_line.flag_settings import UsageError

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
