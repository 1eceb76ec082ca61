"""Peak memory of a contender, as Linux counts it."""

import ctypes
import dataclasses
import functools
import pathlib
import sys

from benchmarks.worker import Worker

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


@functools.cache
def peak_memory(build, *args, interpreter=sys.executable, **kwargs):
    """Returns the peak memory, in bytes, of a new process that runs a contender.

    The peak is measured in the second run, without compilation. It includes the libraries
    themselves, and buffers that they keep between runs: subtract the peak of a smaller
    contender. Equal arguments are measured once. `build` is a function of a module, called
    with `args` and `kwargs` by the Python at the path `interpreter`.

    Raises:
      OSError: where there is no Linux.
    """
    with Worker(interpreter) as worker:
        return worker.build(_watched, build, args, kwargs).run()


def mebibytes_beyond_one_row(build, workload, **kwargs):
    """Returns the peak of a contender in MiB, beyond that of a workload of one row.

    The workload has a `batch_size` and is the first argument of `build`; `kwargs` are
    further arguments of `build` and of `peak_memory`.
    """
    many, one = (
        peak_memory(build, dataclasses.replace(workload, batch_size=size), **kwargs)
        for size in (workload.batch_size, 1)
    )
    return (many - one) / 2**20


def _watched(build, args, kwargs):
    contender = build(*args, **kwargs)
    return dataclasses.replace(contender, run=lambda: _peak_of_second(contender.run))


def _peak_of_second(run):
    run()
    ctypes.CDLL(None).malloc_trim(0)  # or freed memory that the C library keeps would count
    _CLEAR.write_text("5")  # the peak is that from now on
    run()
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])
