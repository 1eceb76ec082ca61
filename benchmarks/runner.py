"""Runner of the benchmarks: their flags, a table a workload, and training in turns."""

import functools
import sys

import numpy as np
from absl import app, flags

from benchmarks.budgeted_training import Budget
from benchmarks.timing import installed, interleave, table
from benchmarks.worker import Worker
from experiments.reports import facts

_OURS = "tfp_flows"


def run(time_workload, workloads, *, repetitions):
    """Runs the command line of a benchmark: `print_tables` of the chosen workloads.

    By default, it times all workloads, with this number of repetitions.
    """
    define_flags(repetitions=repetitions, workloads=workloads)

    def main(_):
        chosen = {name: workloads[name] for name in flags.FLAGS.workloads}
        print_head()
        print_tables(time_workload, chosen)

    app.run(main)


def define_flags(*, repetitions, workloads=None):
    """Defines the flags of a benchmark, `--workloads` only if it has some."""
    if workloads is not None:
        names = list(workloads)
        flags.DEFINE_multi_enum("workloads", names, names, "Which workloads to time.")
    flags.DEFINE_integer(
        "repetitions", repetitions, "Counted runs of each contender.", lower_bound=1
    )
    flags.DEFINE_float(
        "patience",
        30.0,
        "Seconds for the counted runs of each contender; slower contenders have fewer "
        "runs, but at least one.",
        lower_bound=0.0,
    )
    flags.DEFINE_string(
        "peers_python", sys.executable, "Interpreter of the environment with the peers."
    )


def define_processor_time():
    """Defines `--processor_time`, for benchmarks that pass it to a `Worker`."""
    text = "Whether to measure processor time, for use beside other jobs."
    flags.DEFINE_boolean("processor_time", False, text)


def print_head():
    """Prints the machine and the versions."""
    print(f"{facts.machine()}; {facts.versions()}", flush=True)


def print_tables(time_workload, workloads):
    """Prints the text that `time_workload` returns for each workload, by name.

    This is a function of a workload, a `Worker`, `repetitions` and `patience`.
    """
    values = flags.FLAGS
    for name, workload in workloads.items():
        print(f"\n{name}: {workload}\n", flush=True)
        with Worker(values.peers_python) as worker:
            how = {"repetitions": values.repetitions, "patience": values.patience}
            print(time_workload(workload, worker, **how), flush=True)


def compare(ours, peers, floor=None, *, references=(), repetitions, patience):
    """Times contenders in turns and returns their table.

    Our contenders are a list; `peers` are functions that return one each, if its package
    is installed. There are ratios to the best peer, to `floor`, the contender that does the
    least arithmetic, and to contenders with names in `references`.
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


def define_flags_of_turns(peers, *, minutes, batch_size, num_test):
    """Defines the flags of a benchmark that trains in turns, but for `--dataset`.

    `peers` are names of packages; the numbers are the defaults of their flags.
    """
    names = [_OURS, *peers]
    flags.DEFINE_string("data_dir", "", "Folder of the data, as in `tfp-flows density`.")
    flags.DEFINE_multi_enum("contenders", names, names, "Contenders to train.")
    flags.DEFINE_string("peers_python", sys.executable, "Interpreter with the peers.")
    flags.DEFINE_float(
        "minutes", minutes, "Training time of each contender.", lower_bound=0.0
    )
    flags.DEFINE_integer("num_turns", 6, "Turns of the training.", lower_bound=1)
    flags.DEFINE_integer("batch_size", batch_size, "Images or rows a step.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-3, "Adam's initial step size.")
    flags.DEFINE_integer("num_threads", 2, "Threads of PyTorch.", lower_bound=1)
    text = "Test images or rows that are scored."
    flags.DEFINE_integer("num_test", num_test, text, lower_bound=2)


def budget(**options):
    """Returns the `Budget` of the flags, with further options."""
    values = flags.FLAGS
    seconds = 60.0 * values.minutes
    sizes = values.num_turns, values.batch_size, values.learning_rate
    return Budget(seconds, *sizes, **options)


def run_in_turns(ours, train, peers, workload, data, budget, *, unit):
    """Trains all in turns, and prints a row for each after each turn.

    `ours` is a function of workload, data and budget that returns our `Contender`. `train`
    returns that of a peer: its first argument is a value of `peers`, which has them by
    name, and it takes `num_threads`. `unit` is that of the scores.
    """
    values = flags.FLAGS
    print_head()
    print(f"{values.dataset}: {workload}; {budget}", flush=True)
    common = workload, data, budget
    with Worker(values.peers_python) as worker:
        build = functools.partial(worker.build, num_threads=values.num_threads)
        builders = {
            name: functools.partial(build, train, peers[name], *common) for name in peers
        }
        builders |= {_OURS: functools.partial(ours, *common)}
        chosen = [name for name in (_OURS, *peers) if name in values.contenders]
        contenders = installed([builders[name] for name in chosen])
        print(
            "\n| contender | parameters | trained for (s) | processor (s) | seen "
            f"| {unit}, ± 2 s.e. |\n|---|---|---|---|---|---|"
        )
        for _ in range(values.num_turns):
            progress = [contender.run() for contender in contenders]
            for contender, now in zip(contenders, progress, strict=True):
                print(_row(contender, now), flush=True)


def _row(contender, now):
    error = 2.0 * now.scores.std(ddof=1) / np.sqrt(len(now.scores))
    cells = (contender.name, f"{contender.num_parameters:,}", f"{now.seconds:.0f}")
    cells += (f"{now.processor_seconds:.0f}", f"{now.num_rows:,}")
    return f"| {' | '.join(cells)} | {now.scores.mean():.3f} ± {error:.3f} |"
