"""Runner of the benchmarks: the flags they share, and a table a workload."""

import functools
import sys

from absl import app
from absl import flags

from benchmarks.timing import installed
from benchmarks.timing import interleave
from benchmarks.timing import table
from benchmarks.worker import Worker
from experiments.reports import facts

__all__ = ["compare", "define_flags", "define_processor_time", "on_threads", "print_head"]
__all__ += ["print_tables", "run"]


def run(time_workload, workloads, *, repetitions):
    """Runs the command line of a benchmark; `print_tables` says what of.

    Args:
      time_workload: as in `print_tables`.
      workloads: name -> workload; all, if `--workloads` names none.
      repetitions: by default.
    """
    define_flags(repetitions=repetitions, workloads=workloads)

    def main(_):
        chosen = {name: workloads[name] for name in flags.FLAGS.workloads}
        print_head()
        print_tables(time_workload, chosen)

    app.run(main)


def define_flags(*, repetitions, workloads=None):
    """Defines the flags of a benchmark, `--workloads` where there are several.

    Args:
      repetitions: by default.
      workloads: names to choose from.
    """
    if workloads is not None:
        names = list(workloads)
        flags.DEFINE_multi_enum("workloads", names, names, "Which workloads to time.")
    flags.DEFINE_integer(
        "repetitions", repetitions, "Counted runs of each contender.", lower_bound=1
    )
    flags.DEFINE_float(
        "patience",
        30.0,
        "Seconds for the counted runs of each contender; whoever needs more for "
        "`repetitions` runs is run less often, but once at least.",
        lower_bound=0.0,
    )
    flags.DEFINE_string(
        "peers_python",
        sys.executable,
        "Interpreter of the environment with the peers that do not go with this one's.",
    )


def define_processor_time():
    """Defines the flag of this name, for who gives it to a `Worker`."""
    text = "Whether to take the time of processors, for use beside other jobs."
    flags.DEFINE_boolean("processor_time", False, text)


def print_head():
    """Prints the machine and the versions."""
    print(f"{facts.machine()}; {facts.versions()}", flush=True)


def print_tables(time_workload, workloads):
    """Prints what `time_workload` returns for each workload.

    Args:
      time_workload: function of a workload, a `Worker`, and the keywords `repetitions` and
        `patience`, that returns text.
      workloads: name -> workload.
    """
    values = flags.FLAGS
    for name, workload in workloads.items():
        print(f"\n{name}: {workload}\n", flush=True)
        with Worker(values.peers_python) as worker:
            how = {"repetitions": values.repetitions, "patience": values.patience}
            print(time_workload(workload, worker, **how), flush=True)


def compare(ours, peers, floor=None, *, references=(), repetitions, patience=30.0):
    """Times contenders in turns and returns their table.

    Args:
      ours: list of `Contender`.
      peers: functions that return a `Contender` each, if its package is installed.
      floor: the `Contender` that does the least arithmetic; None if there is none.
      references: names of others to whom there is a ratio.
      repetitions: as in `interleave`.
      patience: likewise.
    """
    others = installed(peers)
    floors = [floor] if floor else []
    timings = interleave([*ours, *others, *floors], repetitions, patience)
    references = [*(each.name for each in floors), *references]
    return table(timings, {peer.name for peer in others}, references)


def on_threads(worker, build, *arguments):
    """Functions that build a PyTorch contender in `worker`, of one thread and of two."""
    return [
        functools.partial(worker.build, build, *arguments, num_threads=count)
        for count in (1, 2)
    ]
