"""Measures cost against variables, steps, rows, bins and processors, also of peers.

    python -m benchmarks.curves --peers_python=PYTHON

It measures times of a training step, of scoring and of sampling by interleaved medians:
ours and TFP's with XLA, PyTorch's peers with one or two threads, whichever is faster. It
also measures the peak memory of a training step beyond that of one row (Linux only). Curves
are saved in a folder, with a page of tables and pictures; new points replace old ones.
"""

import dataclasses
import functools
import itertools
import math
import sys

import pandas as pd
from absl import app, flags

from benchmarks import (
    autoregressive_jax,
    autoregressive_tensorflow,
    autoregressive_torch,
    curves_page,
    memory,
    real_nvp_torch,
    runner,
    spline_flows_torch,
)
from benchmarks.timing import installed, interleave
from benchmarks.worker import Worker
from benchmarks.workloads import Autoregressive, RealNVP, SplineFlow

# Default sizes of the constructors.
FLOWS = {
    "RealNVP": RealNVP(16, 8, (32, 32), 512, 1),
    "MAF": Autoregressive(16, 5, (64, 64), 512, 1, "train"),
    "NeuralSplineFlow": SplineFlow(16, 5, (64, 64, 64), 512, 1, "train"),
}
AXES = {
    "event_size": (2, 16, 128, 1024),
    "num_steps": (1, 4, 16, 64),
    "batch_size": (1, 16, 256, 4096, 65536),
    "num_bins": (4, 8, 16, 32, 64),
    "num_cpus": (1, 2),
}
TASKS = ("train", "score", "sample", "memory")
CONTENDERS = ("tfp_flows", "nflows", "zuko", "TFP", "flowjax")
_ARITHMETIC_OF_A_RUN = 1e8  # number of multiplications
_TORCH = {
    "RealNVP": real_nvp_torch,
    "MAF": autoregressive_torch,
    "NeuralSplineFlow": spline_flows_torch,
}


def calls(workload, *, sequential):
    """Returns the number of calls in one timed run, from the arithmetic of a call.

    A `sequential` call evaluates the networks once for each variable.
    """
    rows = workload.batch_size * (workload.event_size if sequential else 1)
    widths = (workload.event_size, *workload.hidden_units, 2 * workload.event_size)
    products = sum(map(math.prod, itertools.pairwise(widths)))
    arithmetic = rows * workload.num_steps * products
    return int(min(20, max(1, _ARITHMETIC_OF_A_RUN // arithmetic)))


def sweep(flow, axis, values, tasks, measure, longest):
    """Yields a row of `curves_page.COLUMNS`, without note, for each point and contender.

    The curve of a contender ends when the next call would take more than `longest`
    milliseconds, if its time is proportional to the axis. `measure` is a function of a
    workload and of the names of contenders whose curves have ended; it returns median,
    least and greatest by contender.
    """
    gone = {task: set() for task in tasks}
    for value, after in itertools.pairwise((*values, math.inf)):
        sizes = {} if axis == "num_cpus" else {axis: value}
        for task in tasks:
            workload = dataclasses.replace(FLOWS[flow], task=task, **sizes)
            for name, numbers in measure(workload, gone[task]).items():
                yield [flow, axis, task, value, name, *numbers]
                if task != "memory" and numbers[0] * after / value > longest:
                    gone[task].add(name)


def _contenders(flow):
    """Name -> variants (function, keyword arguments, whether it runs with the peers)."""
    ours, torch, xla = autoregressive_tensorflow, _TORCH[flow], {"jit_compile": True}
    found = {"tfp_flows": [(ours.our, xla, False)]}
    for build in (torch.nflows, torch.zuko):
        threads = [{"num_threads": count} for count in (1, 2)]
        found[build.__name__] = [(build, options, True) for options in threads]
    if flow == "MAF":
        found["TFP"] = [(ours.stock, xla, False)]
        found["flowjax"] = [(autoregressive_jax.flowjax, {}, True)]
    return {name: found[name] for name in flags.FLAGS.contenders if name in found}


def _milliseconds(flow, workers, how, workload, gone):
    """Median, least and greatest time by contender, of its fastest variant."""
    sequential = workload.task == "sample" and flow != "RealNVP"
    names = {}
    for name, ways in _contenders(flow).items():
        count = calls(workload, sequential=sequential and name != "tfp_flows")
        sized = dataclasses.replace(workload, calls=count)
        builders = [
            functools.partial(workers[is_peer].build, build, sized, **options)
            for build, options, is_peer in ways
        ]
        names |= dict.fromkeys(installed(builders) if name not in gone else [], name)
    timings = sorted(interleave(list(names), **how), key=lambda timing: -timing.median)
    return {
        names[t.contender]: (t.median, min(t.milliseconds), max(t.milliseconds))
        for t in timings  # the fastest last, which replaces the others
    }


def _mebibytes(flow, interpreters, workload):
    """Peak memory of a training step beyond that of one row, by contender, thrice."""
    workload, found = dataclasses.replace(workload, task="train"), {}
    for name, (*_, (build, options, is_peer)) in _contenders(flow).items():
        options = {**options, "interpreter": interpreters[is_peer]}
        try:
            peak = memory.mebibytes_beyond_one_row(build, workload, **options)
        except ImportError as error:
            print(f"Left out, since `{error.name}` is not installed.")
        else:
            found[name] = (peak,) * 3
    return found


def _tasks(flow, axis, tasks):
    """The tasks of a sweep; splines vary only bins, their other curves are a MAF's."""
    if (axis == "num_bins") != (flow == "NeuralSplineFlow"):
        return []
    has_memory = axis in ("num_steps", "batch_size") and sys.platform.startswith("linux")
    return [task for task in tasks if task != "memory" or has_memory]


def _rows(flow, axis, tasks, values):
    """Yields the rows of the sweeps of a flow along an axis, by the flags."""
    interpreters = (sys.executable, values.peers_python)
    how = {"repetitions": values.repetitions, "patience": values.patience}
    points = [values.values or AXES[axis]]
    if axis == "num_cpus":  # fixed at the start of a process
        points = [(count,) for count in points[0]]
    for part in points:
        num_cpus = part[0] if axis == "num_cpus" else None
        how_to_run = {"num_cpus": num_cpus, "processor_time": values.processor_time}
        here, there = (Worker(path, **how_to_run) for path in interpreters)

        def measure(workload, gone, workers=(here, there)):
            if workload.task == "memory":
                return _mebibytes(flow, interpreters, workload)
            return _milliseconds(flow, workers, how, workload, gone)

        with here, there:
            yield from sweep(flow, axis, part, tasks, measure, values.longest)


def main(argv):
    """Runs the chosen sweeps, and saves their results, also after an interruption."""
    del argv
    values = flags.FLAGS
    runner.print_head()
    for flow, axis in itertools.product(values.flows, values.axes):
        tasks = _tasks(flow, axis, values.tasks)
        rows = []
        try:
            for row in _rows(flow, axis, tasks, values) if tasks else ():
                print(*row, flush=True)
                rows.append([*row, values.note])
        finally:
            if rows:
                new = pd.DataFrame(rows, columns=curves_page.COLUMNS)
                curves_page.keep(new, values.folder)


def _define_flags():
    runner.define_flags(repetitions=5)
    flags.FLAGS.set_default("patience", 15.0)  # more than most compilations take
    choices = {"flows": FLOWS, "axes": AXES, "tasks": TASKS, "contenders": CONTENDERS}
    for name, known in choices.items():
        flags.DEFINE_multi_enum(name, list(known), list(known), f"Which {name} to measure.")
    text = "Values along the axes; those of each by default."
    flags.DEFINE_multi_integer("values", None, text, lower_bound=1)
    flags.DEFINE_float("longest", 1000.0, "Milliseconds of a call at which a curve ends.")
    runner.define_processor_time()
    text = "How it was measured, as 'on quiet cores', to stand above the tables."
    flags.DEFINE_string("note", "where nothing was noted", text)
    flags.DEFINE_string("folder", "docs/pictures", "Folder of the page and the pictures.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
