"""Times MAF and IAF beside TFP, nflows, normflows, zuko and flowjax.

    python -m experiments.benchmarks.autoregressive

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run, to the matrix products alone and, of samplers, to our own scoring of as
many rows. Peers whose samplers take many seconds are run less often.
"""

import dataclasses
import functools
import sys

from absl import app
from absl import flags

from experiments.benchmarks import autoregressive_jax
from experiments.benchmarks import autoregressive_tensorflow
from experiments.benchmarks import autoregressive_torch
from experiments.benchmarks import training_step
from experiments.benchmarks.autoregressive_workloads import WORKLOADS
from experiments.benchmarks.memory import peak_memory
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.benchmarks.worker import Worker
from experiments.reports import provenance as report


def time_workload(workload, worker, *, repetitions, patience):
    """Returns the table of a workload, with the peers that `worker` can import.

    Args:
      workload: a `Workload`.
      worker: a `Worker`.
      repetitions: counted runs of each contender.
      patience: as in `interleave`.
    """
    ours = autoregressive_tensorflow.ours(workload)
    peers = installed(_peers(workload, worker))
    floor = training_step.matrix_products(workload, backward=workload.task == "train")
    timings = interleave([*ours, *peers, floor], repetitions, patience)
    references = [floor.name]
    if workload.task == "sample":
        references.append(autoregressive_tensorflow.SCORING)
    peer_names = {peer.name for peer in peers}
    return "\n".join([table(timings, peer_names, references), *_memory(workload)])


def main(argv):
    """Prints a table for each workload asked for."""
    del argv
    values = flags.FLAGS
    print(f"{report.machine()}; {report.versions()}", flush=True)
    for name in values.workloads:
        workload = WORKLOADS[name]
        print(f"\n{name}: {workload}\n", flush=True)
        with Worker(values.peers_python) as worker:
            arguments = {"repetitions": values.repetitions, "patience": values.patience}
            print(time_workload(workload, worker, **arguments), flush=True)


def _peers(workload, worker):
    """Functions that build the peers' contenders, TFP's here and all others there."""
    builders = [
        functools.partial(
            autoregressive_tensorflow.stock, workload, jit_compile=jit_compile
        )
        for jit_compile in (True, False)
    ]
    torch_peers = [autoregressive_torch.nflows, autoregressive_torch.zuko]
    if workload.task != "sample":  # else what nflows does, by the same code
        torch_peers.append(autoregressive_torch.normflows)
    for peer in torch_peers:
        builders += [
            functools.partial(worker.build, peer, workload, num_threads=num_threads)
            for num_threads in (1, 2)
        ]
    builders.append(functools.partial(worker.build, autoregressive_jax.flowjax, workload))
    return builders


def _memory(workload):
    """A line on the memory of our sampling beside that of our scoring, with XLA."""
    if workload.task != "sample" or not sys.platform.startswith("linux"):
        return []
    sample = _memory_of_rows(workload)
    score = _memory_of_rows(autoregressive_tensorflow.scoring(workload))
    return [
        f"\nPeak memory with XLA beyond that of one row: {sample:.1f} MiB to sample, "
        f"{score:.1f} MiB to score."
    ]


def _memory_of_rows(workload):
    many, one = (
        peak_memory(
            autoregressive_tensorflow.our,
            dataclasses.replace(workload, batch_size=batch_size),
            jit_compile=True,
        )
        for batch_size in (workload.batch_size, 1)
    )
    return (many - one) / 2**20


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads", list(WORKLOADS), list(WORKLOADS), "Which workloads to time."
    )
    flags.DEFINE_integer("repetitions", 9, "Counted runs of each contender.", lower_bound=1)
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
        "Interpreter of the environment with nflows, normflows, zuko and flowjax.",
    )
    app.run(main)
