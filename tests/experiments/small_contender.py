"""A contender that a worker can import quickly."""

import importlib
import os
import time

import numpy as np

from benchmarks.timing import Contender


def build(*, calls, missing=None):
    """Returns a contender that counts its runs, or fails for lack of `missing`."""
    if missing:
        raise ImportError(f"No module named {missing!r}", name=missing)
    print("a library that says something")
    runs = []
    return Contender("there", lambda: runs.append(1) or float(len(runs)), calls, 7)


def build_array(*, mebibytes):
    """Returns a contender that needs an array of ones for its result."""
    size = mebibytes * 2**20
    return Contender("array", lambda: float(np.ones(size, np.uint8).sum()), 1)


def build_on(module):
    """Returns a contender that runs `work` of a module by that name."""
    return Contender(module, importlib.import_module(module).work, 1)


def build_idle():
    """Returns a contender that sleeps, and counts the processors that it may use."""
    return Contender("idle", lambda: time.sleep(0.2) or len(os.sched_getaffinity(0)), 1)
