"""First calls beside those of JAX's flowjax and distrax.

    python -m benchmarks.first_calls_peers

Each call is in a new process that has already imported its libraries and built flow and
optimizer. It takes the time of tracing, optimising, compiling and one run on 64 rows, in
milliseconds of processor time, which depends less on other jobs. PyTorch's nflows,
normflows and zuko are missing: they trace and compile nothing, so their first call is like
any other.
`first_calls` has our other methods.
"""

import functools
import importlib
import sys

from benchmarks import autoregressive_jax, autoregressive_tensorflow, real_nvp_peers, runner
from benchmarks.timing import Contender
from benchmarks.worker import Worker
from benchmarks.workloads import WORKLOADS, RealNVP

# `jit_compile` of `tensorflow_contender.contender`.
_WAYS = {"eager": None, "plain graph": False, "XLA": True}


def first_call(name, worker, build, *args, **kwargs):
    """Returns a `Contender` each of whose runs is `Worker.first_run` of these arguments."""
    total = 0.0

    def run():
        nonlocal total
        result, seconds = worker.first_run(build, *args, **kwargs)
        total += seconds
        return result

    return Contender(name, run, calls=1, clock=lambda: total)


def time_workload(workload, worker, *, repetitions, patience):
    """Returns the table of a workload, with the peer that is installed.

    Each repetition is a process for each contender; `patience` is not used.
    """
    del patience
    our = autoregressive_tensorflow.our
    with Worker(sys.executable) as here:
        ours = [
            first_call(f"tfp_flows, {way}", here, our, workload, jit_compile=how)
            for way, how in _WAYS.items()
        ]
        peer = _distrax if isinstance(workload, RealNVP) else _flowjax
        peers = [functools.partial(peer, workload, here, worker)]
        return runner.compare(ours, peers, repetitions=repetitions, patience=None)


def _flowjax(workload, here, there):
    del here  # flowjax and distrax want different versions of JAX
    build = autoregressive_jax.flowjax
    there.first_run(build, workload)  # raises if the peer is not installed
    return first_call("flowjax, jit", there, build, workload)


def _distrax(workload, here, there):
    del there
    importlib.import_module("distrax")
    return first_call("distrax, jit", here, real_nvp_peers.distrax, workload)


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["first_calls"], repetitions=3)
