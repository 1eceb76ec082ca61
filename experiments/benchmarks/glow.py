"""Times training and sampling of a Glow beside TFP, normflows, nflows and FrEIA.

    python -m experiments.benchmarks.glow

A table for the training step (W6a) and one for drawing images (W6b): medians over
interleaved repetitions, with ratios to the best peer of the same run. Then the seconds
that the first step of a deep Glow takes. Some minutes in all.
"""

import os
import platform

from absl import app
from absl import flags

from experiments.benchmarks import glow_peers as peers
from experiments.benchmarks import glow_workloads as workloads
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table

WORKLOADS = {
    "W6a": workloads.Workload(trains=True),
    "W6b": workloads.Workload(trains=False),
}
_PEERS = {
    "tfp": lambda w: peers.tfp_glow(w, jit_compile=False),
    "tfp_xla": lambda w: peers.tfp_glow(w, jit_compile=True),
    "normflows_1": lambda w: peers.normflows(w, num_threads=1),
    "normflows_2": lambda w: peers.normflows(w, num_threads=2),
    "nflows_1": lambda w: peers.nflows(w, num_threads=1),
    "nflows_2": lambda w: peers.nflows(w, num_threads=2),
    "freia_1": lambda w: peers.freia(w, num_threads=1),
    "freia_2": lambda w: peers.freia(w, num_threads=2),
}


def main(argv):
    """Prints what is asked for."""
    del argv
    values = flags.FLAGS
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    for name in values.workloads:
        _print_table(name, WORKLOADS[name], values)
    if values.first_step_of:
        built, initialized, stepped = workloads.first_step(values.first_step_of)
        print(
            f"\n3 levels of {values.first_step_of} steps: built in {built:.1f} s, "
            f"initialised in {initialized:.1f} s, first training step {stepped:.1f} s"
        )


def _print_table(name, workload, values):
    ours = [workloads.ours(workload)]
    if values.xla:
        ours.append(workloads.ours(workload, jit_compile=True))
    installed = []
    for peer in values.peers:
        try:
            installed.append(_PEERS[peer](workload))
        except ImportError as error:
            print(f"{peer} is left out, since `{error.name}` is not installed.")
    contenders = [*ours, *installed, workloads.floor(workload)]
    timings = interleave(contenders, values.repetitions)
    print(f"\n{name}: {workload}\n")
    print(table(timings, peers={peer.name for peer in installed}), flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads",
        list(WORKLOADS),
        list(WORKLOADS),
        "What to time: W6a trains, W6b draws.",
    )
    flags.DEFINE_list("peers", list(_PEERS), "Peers to time beside it.")
    flags.DEFINE_boolean("xla", True, "Whether to time this package under XLA too.")
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    flags.DEFINE_integer(
        "first_step_of", 32, "Steps a level of the deep Glow; 0: none.", lower_bound=0
    )
    app.run(main)
