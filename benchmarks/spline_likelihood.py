"""Trains spline flows beside nflows' and zuko's, for as long each, on the same rows.

    python -m benchmarks.spline_likelihood --data_dir=DIR --minutes=30

All have equal steps, bins, residual blocks and units, batches, Adam, step sizes and
clipping, and take turns, so that a busy machine is fair to all. After each turn the table
grows by a row each: nats of the test rows.
"""

import functools
import sys

import numpy as np
from absl import app
from absl import flags

from benchmarks import autoregressive_tensorflow
from benchmarks import runner
from benchmarks import spline_flows_torch
from benchmarks import tensorflow_contender
from benchmarks.budgeted_training import Budget
from benchmarks.budgeted_training import Rows
from benchmarks.timing import installed
from benchmarks.worker import Worker
from benchmarks.workloads import SplineFlow
from experiments.data import load_dataset

_OURS = "tfp_flows"
_PEERS = ("nflows", "zuko")
_HEAD = "| contender | parameters | trained for (s) | processor (s) | rows "
_HEAD += "| nats a row, ± 2 s.e. |\n|---|---|---|---|---|---|"


def compare(contenders, num_turns):
    """Prints a row a contender and turn; returns the last `Progress` of each."""
    print(f"\n{_HEAD}")
    for _ in range(num_turns):
        progress = [contender.run() for contender in contenders]
        for contender, now in zip(contenders, progress, strict=True):
            error = 2.0 * now.scores.std(ddof=1) / np.sqrt(len(now.scores))
            print(
                f"| {contender.name} | {contender.num_parameters:,} | {now.seconds:.0f} "
                f"| {now.processor_seconds:.0f} | {now.num_rows:,} "
                f"| {now.scores.mean():.3f} ± {error:.3f} |",
                flush=True,
            )
    return progress


def main(argv):
    """Trains all in turns."""
    del argv
    values = flags.FLAGS
    runner.print_head()
    dataset = load_dataset(values.dataset, data_dir=values.data_dir)
    rows = Rows(dataset.train, dataset.test[: values.num_test])
    workload = SplineFlow(
        dataset.event_size,
        values.num_steps,
        (values.units,) * (values.num_blocks + 1),
        values.batch_size,
        calls=1,
        task="train",
        coupling=values.coupling,
    )
    seconds = 60.0 * values.minutes
    budget = Budget(seconds, values.num_turns, values.batch_size, values.learning_rate, 5.0)
    print(f"{values.dataset}: {workload}; {budget}", flush=True)
    ours = functools.partial(
        tensorflow_contender.budgeted,
        autoregressive_tensorflow.our_distribution(workload),
        rows,
        budget,
        jit_compile=True,
    )
    with Worker(values.peers_python) as worker:
        builders = [ours] if _OURS in values.contenders else []
        builders += [
            functools.partial(
                worker.build,
                spline_flows_torch.train,
                name,
                workload,
                rows,
                budget,
                num_threads=values.num_threads,
            )
            for name in _PEERS
            if name in values.contenders
        ]
        compare(installed(builders), values.num_turns)


if __name__ == "__main__":
    flags.DEFINE_string("dataset", "power", "Rows to train on, as of density_estimation.")
    flags.DEFINE_string("data_dir", "", "Folder of the data, as of density_estimation.")
    flags.DEFINE_multi_enum(
        "contenders", [_OURS, *_PEERS], [_OURS, *_PEERS], "Whom to train."
    )
    flags.DEFINE_string("peers_python", sys.executable, "Interpreter with nflows and zuko.")
    flags.DEFINE_float("minutes", 30.0, "Training time of each.", lower_bound=0.0)
    flags.DEFINE_integer("num_turns", 6, "Turns that it is divided into.", lower_bound=1)
    flags.DEFINE_boolean("coupling", False, "Whether the steps are couplings.")
    flags.DEFINE_integer("num_steps", 10, "Steps of the flow.", lower_bound=1)
    flags.DEFINE_integer("units", 64, "Of each hidden layer.", lower_bound=1)
    flags.DEFINE_integer("num_blocks", 2, "Residual blocks.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 512, "Rows a step.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-3, "Adam's, at the start.")
    flags.DEFINE_integer("num_threads", 2, "Threads of PyTorch.", lower_bound=1)
    flags.DEFINE_integer("num_test", 50_000, "Test rows that are scored.", lower_bound=2)
    app.run(main)
