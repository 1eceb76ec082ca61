"""Trains contenders in turns, for as long each: flags, and a table that grows with them."""

import functools
import sys

import numpy as np
from absl import flags

from benchmarks import runner
from benchmarks.budgeted_training import Budget
from benchmarks.timing import installed
from benchmarks.worker import Worker

__all__ = ["budget", "define_flags", "run"]

_OURS = "tfp_flows"


def define_flags(peers, *, minutes, batch_size, num_test):
    """Defines the flags of such a benchmark, which defines `--dataset` itself.

    Args:
      peers: names of the packages to train beside this one.
      minutes: of training, by default.
      batch_size: by default.
      num_test: number of images or rows that are scored, by default.
    """
    names = [_OURS, *peers]
    flags.DEFINE_string("data_dir", "", "Folder of the data, as of density_estimation.")
    flags.DEFINE_multi_enum("contenders", names, names, "Whom to train.")
    flags.DEFINE_string("peers_python", sys.executable, "Interpreter with the peers.")
    flags.DEFINE_float("minutes", minutes, "Training time of each.", lower_bound=0.0)
    flags.DEFINE_integer("num_turns", 6, "Turns that it is divided into.", lower_bound=1)
    flags.DEFINE_integer("batch_size", batch_size, "Images or rows a step.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-3, "Adam's, at the start.")
    flags.DEFINE_integer("num_threads", 2, "Threads of PyTorch.", lower_bound=1)
    text = "Test images or rows that are scored."
    flags.DEFINE_integer("num_test", num_test, text, lower_bound=2)


def budget(**options):
    """Returns the `Budget` of the flags, with further options."""
    values = flags.FLAGS
    seconds = 60.0 * values.minutes
    sizes = values.num_turns, values.batch_size, values.learning_rate
    return Budget(seconds, *sizes, **options)


def run(ours, train, peers, workload, data, budget, *, unit):
    """Trains all in turns, and prints a row for each after each turn.

    Args:
      ours: function of workload, data and budget that returns our `Contender`.
      train: likewise of a peer, which is its first argument; it takes `num_threads`.
      peers: the first argument of `train` by name.
      workload: the sizes of the flow.
      data: an `Images` or `Rows`.
      budget: a `Budget`.
      unit: of the scores.
    """
    values = flags.FLAGS
    runner.print_head()
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
