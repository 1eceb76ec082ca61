"""Times training and sampling of a Glow beside TFP, normflows, nflows and FrEIA.

    python -m experiments.benchmarks.glow

A table for the training step (W6a) and one for drawing images (W6b): medians over
interleaved repetitions, with ratios to the best peer of the same run. Then the seconds
that the first step of a deep Glow takes. Some minutes in all.
"""

import functools
import sys

from absl import app
from absl import flags

from experiments.benchmarks import glow_tensorflow
from experiments.benchmarks import glow_torch
from experiments.benchmarks.glow_workloads import WORKLOADS
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.benchmarks.worker import Worker
from experiments.reports import provenance as report

_TORCH_PEERS = {
    "normflows": glow_torch.normflows,
    "nflows": glow_torch.nflows,
    "freia": glow_torch.freia,
}


def main(argv):
    """Prints what is asked for."""
    del argv
    values = flags.FLAGS
    print(f"{report.machine()}; {report.versions()}")
    for name in values.workloads:
        with Worker(values.peers_python) as worker:
            _print_table(name, WORKLOADS[name], worker, values)
    if values.first_step_of:
        for jit_compile in (False, True):
            built, initialized, stepped = glow_tensorflow.first_step(
                values.first_step_of, jit_compile=jit_compile
            )
            print(
                f"\n3 levels of {values.first_step_of} steps: built in {built:.1f} s, "
                f"initialised in {initialized:.1f} s, first training step {stepped:.1f} s"
                + (" with XLA" if jit_compile else "")
            )


def _print_table(name, workload, worker, values):
    ours = [
        glow_tensorflow.ours(workload, jit_compile=jit_compile)
        for jit_compile in ((False, True) if values.xla else (False,))
    ]
    peers = installed(_peers(workload, worker, values))
    floor = glow_tensorflow.floor(workload)
    timings = interleave([*ours, *peers, floor], values.repetitions)
    print(f"\n{name}: {workload}\n")
    print(table(timings, {peer.name for peer in peers}, [floor.name]), flush=True)


def _peers(workload, worker, values):
    """Functions that build the peers' contenders, TFP's here and all others there."""
    builders = []
    if "tfp" in values.peers:
        builders += [
            functools.partial(glow_tensorflow.stock, workload, jit_compile=jit_compile)
            for jit_compile in ((False, True) if values.xla else (False,))
        ]
    return builders + [
        functools.partial(
            worker.build, glow_torch.time, build, workload, num_threads=num_threads
        )
        for name, build in _TORCH_PEERS.items()
        if name in values.peers
        for num_threads in (1, 2)
    ]


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads",
        list(WORKLOADS),
        list(WORKLOADS),
        "What to time: W6a trains, W6b draws.",
    )
    flags.DEFINE_multi_enum(
        "peers",
        ["tfp", *_TORCH_PEERS],
        ["tfp", *_TORCH_PEERS],
        "Peers to time beside it, PyTorch's with one thread and with two.",
    )
    flags.DEFINE_string(
        "peers_python",
        sys.executable,
        "Interpreter of the environment with nflows, normflows and FrEIA.",
    )
    flags.DEFINE_boolean("xla", True, "Whether to time this package and TFP under XLA too.")
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    flags.DEFINE_integer(
        "first_step_of", 32, "Steps a level of the deep Glow; 0: none.", lower_bound=0
    )
    app.run(main)
