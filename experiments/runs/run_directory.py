"""The folder of a run: one writer, one set of flags, and whether the run is finished."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from experiments.command_line.flag_settings import CommandError
from experiments.runs.atomic_write import atomic_write

# Flags that may differ when a run is resumed: they change no weights, or only the number of
# epochs.
FREE_FLAGS = ("run_dir", "data_dir", "progress", "max_minutes", "tensorboard")
FREE_FLAGS += ("checkpoint_every", "pictures_every", "num_samples")
# What a run writes before its first results, beside digests of its inputs.
_WRITTEN_FIRST = (".lock", "flags.txt", "versions.json")


class RunDirectoryError(CommandError):
    """A folder that a run may not use; the message says why, and what to do."""


@contextlib.contextmanager
def claim(settings):
    """Locks `settings.run_dir` for this process, writes `flags.txt`, and yields the path.

    If the block raises `RunDirectoryError`, or any error before it has written something,
    the old `flags.txt` is restored.

    Raises:
      RunDirectoryError: if another process writes there, or the folder holds a run with
        other flags.
    """
    run_dir = pathlib.Path(settings.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    with _lock(run_dir):
        _refuse_other_flags(run_dir, settings)
        path = run_dir / "flags.txt"
        before = path.read_text() if path.is_file() else None
        there = _results(run_dir)
        settings.write_flags(path)
        try:
            yield run_dir
        except Exception as error:
            if isinstance(error, RunDirectoryError) or _results(run_dir) == there:
                path.unlink() if before is None else atomic_write(path, before)
            raise


def _results(run_dir):
    """The files of a folder but those that a run writes before its first results."""
    files = (path for path in run_dir.rglob("*") if path.is_file())
    return {f for f in files if f.name not in _WRITTEN_FIRST and f.suffix != ".sha256"}


def differences(there, settings, *, free):
    """Returns in words how flags differ from `settings`; empty if they do not.

    `there` are flags as text, by name; missing flags have their defaults. `free` are names
    of flags that may differ.
    """
    before = settings.defaults() | there
    return "; ".join(
        f"--{name}={before[name]} there, --{name}={value} now"
        for name, value in settings.by_name().items()
        if name not in free and before[name] != value
    )


def flags_there(run_dir):
    """Returns the flags of the run in a folder, as text by name; none if it holds none."""
    path = pathlib.Path(run_dir) / "flags.txt"
    flags = path.read_text().split("\n") if path.is_file() else []
    return dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)


def refuse_other_file(run_dir, path, kind):
    """Refuses a file that has changed since the run in a folder began.

    The folder keeps the digest of the file in `KIND.sha256`, such as `table.sha256`. A file
    that is gone passes, since a finished run can still be shown.
    """
    path, kept = pathlib.Path(path), pathlib.Path(run_dir, f"{kind}.sha256")
    if not path.is_file():
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not kept.is_file():
        atomic_write(kept, digest)
    elif kept.read_text() != digest:
        raise RunDirectoryError(
            f"{run_dir} holds a run of another {kind} than {path} is now. Choose another "
            f"--run_dir, or the same {kind}."
        )


def finished_results(run_dir):
    """Returns the results of a finished run; None if the run is not finished."""
    path = pathlib.Path(run_dir) / "results.json"
    return json.loads(path.read_text()) if path.is_file() else None


@contextlib.contextmanager
def _lock(run_dir):
    # The system releases the lock of a dead process; the file alone is no lock.
    with (run_dir / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunDirectoryError(
                f"{run_dir} is being written by process {file.read().strip() or '?'}; "
                "choose another --run_dir, or wait until it ends."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _refuse_other_flags(run_dir, settings):
    there = flags_there(run_dir)
    if not there:
        return
    if strange := sorted(there.keys() - settings.by_name().keys()):
        raise RunDirectoryError(
            f"{run_dir} holds a run of another command, with the flags {strange}. Choose "
            "another --run_dir."
        )
    grown = [
        n for n in settings.MAY_GROW if float(there.get(n, "inf")) <= getattr(settings, n)
    ]
    different = differences(there, settings, free=(*FREE_FLAGS, *grown))
    if different:
        raise RunDirectoryError(
            f"{run_dir} holds a run with other flags: {different}. "
            "Choose another --run_dir, or the same flags."
        )


def digest(inputs):
    """Returns the SHA-256 digest of rows, `[N, D]`, or of a tuple of arrays, as text."""
    found = hashlib.sha256()
    for array in tf.nest.flatten(inputs):
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()
