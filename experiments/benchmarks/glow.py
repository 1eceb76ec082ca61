"""Times training and sampling of a Glow beside TFP, normflows, nflows and FrEIA.

    python -m experiments.benchmarks.glow

A table for the training step (W6a) and one for drawing images (W6b): medians over
interleaved repetitions, with ratios to the best peer of the same run. Then the seconds
that the first step of a deep Glow takes. Some minutes in all.
"""

import functools
import os
import platform
import sys

from absl import app
from absl import flags

from experiments.benchmarks import glow_peers as peers
from experiments.benchmarks import glow_workloads as workloads
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.benchmarks.worker import Worker

WORKLOADS = {
    "W6a": workloads.Workload(trains=True),
    "W6b": workloads.Workload(trains=False),
}
# Name -> function that builds the contender, and its arguments.
_PEERS = {
    "tfp": (peers.tfp_glow, {"jit_compile": False}),
    "tfp_xla": (peers.tfp_glow, {"jit_compile": True}),
    "normflows_1": (peers.normflows, {"num_threads": 1}),
    "normflows_2": (peers.normflows, {"num_threads": 2}),
    "nflows_1": (peers.nflows, {"num_threads": 1}),
    "nflows_2": (peers.nflows, {"num_threads": 2}),
    "freia_1": (peers.freia, {"num_threads": 1}),
    "freia_2": (peers.freia, {"num_threads": 2}),
}


def main(argv):
    """Prints what is asked for."""
    del argv
    values = flags.FLAGS
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    for name in values.workloads:
        with Worker(values.peers_python) as worker:
            _print_table(name, WORKLOADS[name], worker, values)
    if values.first_step_of:
        for jit_compile in (False, True):
            built, initialized, stepped = workloads.first_step(
                values.first_step_of, jit_compile=jit_compile
            )
            print(
                f"\n3 levels of {values.first_step_of} steps: built in {built:.1f} s, "
                f"initialised in {initialized:.1f} s, first training step {stepped:.1f} s"
                + (" with XLA" if jit_compile else "")
            )


def _print_table(name, workload, worker, values):
    ours = [workloads.ours(workload)]
    if values.xla:
        ours.append(workloads.ours(workload, jit_compile=True))
    builders = [
        functools.partial(worker.build, build, workload, **arguments)
        for build, arguments in map(_PEERS.get, values.peers)
    ]
    installed_peers = installed(builders)
    floor = workloads.floor(workload)
    timings = interleave([*ours, *installed_peers, floor], values.repetitions)
    print(f"\n{name}: {workload}\n")
    names = {peer.name for peer in installed_peers}
    print(table(timings, names, [floor.name]), flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads",
        list(WORKLOADS),
        list(WORKLOADS),
        "What to time: W6a trains, W6b draws.",
    )
    flags.DEFINE_multi_enum("peers", list(_PEERS), list(_PEERS), "Peers to time beside it.")
    flags.DEFINE_string(
        "peers_python",
        sys.executable,
        "Interpreter of the environment with nflows, normflows and FrEIA.",
    )
    flags.DEFINE_boolean("xla", True, "Whether to time this package under XLA too.")
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    flags.DEFINE_integer(
        "first_step_of", 32, "Steps a level of the deep Glow; 0: none.", lower_bound=0
    )
    app.run(main)
