"""Peak memory of a run, as Linux counts it."""

import ctypes
import pathlib

__all__ = ["peak_memory"]

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


def peak_memory(run):
    """Returns the bytes that `run()` needs at most beyond what is there before it.

    The run is made twice, and the second counts: what the first has compiled is kept.

    Raises:
      OSError: where there is no Linux.
    """
    run()
    # Freed memory that the C library keeps would count as there already.
    ctypes.CDLL(None).malloc_trim(0)
    before = _bytes("VmRSS")
    _CLEAR.write_text("5")  # the peak is that from now on
    run()
    return _bytes("VmHWM") - before


def _bytes(name):
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return 1024 * int(lines[name].split()[0])
