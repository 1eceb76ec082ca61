"""First calls beside those of JAX's flowjax and distrax.

    python -m benchmarks.first_calls_peers

Each is in a new process, which has imported its libraries and built flow and optimizer:
what is timed is tracing, optimising, compiling and one run on 64 rows, until the result is
there, in milliseconds of the processors, on which other jobs have less influence. PyTorch's
nflows, normflows and zuko are left out, as they trace and compile nothing: their first call
is like any other. `first_calls` tables our other methods.
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
    """Returns a `Contender` whose every run is the first one of what a new process builds.

    Args:
      name: what the table calls it.
      worker: the `Worker` of which these processes are forks.
      build: as of `Worker.first_run`; likewise `*args` and `**kwargs`.
      *args: see `build`.
      **kwargs: see `build`.
    """
    total = 0.0

    def run():
        nonlocal total
        result, seconds = worker.first_run(build, *args, **kwargs)
        total += seconds
        return result

    return Contender(name, run, calls=1, clock=lambda: total)


def time_workload(workload, worker, *, repetitions, patience):
    """Returns the table of a workload, with the peer that is installed.

    Args:
      workload: an `Autoregressive` or a `RealNVP`.
      worker: a `Worker` of the interpreter that has flowjax.
      repetitions: processes for each contender.
      patience: not used: each of them counts.
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
    there.first_run(build, workload)  # which raises where it is not installed
    return first_call("flowjax, jit", there, build, workload)


def _distrax(workload, here, there):
    del there
    importlib.import_module("distrax")
    return first_call("distrax, jit", here, real_nvp_peers.distrax, workload)


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["first_calls"], repetitions=3)
