"""Times a RealNVP training step beside TFP, distrax and nflows.

    python -m experiments.benchmarks.real_nvp_step

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run. A minute or two in all.
"""

import os
import platform

from absl import app
from absl import flags

from experiments.benchmarks import real_nvp_peers as peers
from experiments.benchmarks import real_nvp_workloads as workloads
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table


def contenders(workload):
    """Returns this package's contenders, the peers' that are installed, and the floor."""
    ours = [
        workloads.ours_bare(workload, jit_compile=True),
        workloads.ours_bare(workload, jit_compile=True, steps_per_call=workload.calls),
        workloads.ours_bare(workload, jit_compile=False),
        workloads.ours_fit(workload, steps_per_execution=1),
        workloads.ours_fit(workload, steps_per_execution=50),
    ]
    builders = [
        lambda: peers.tfp_step(workload, jit_compile=True),
        lambda: peers.tfp_step(workload, jit_compile=False),
        lambda: peers.distrax_step(workload),
        lambda: peers.nflows_step(workload, num_threads=1),
        lambda: peers.nflows_step(workload, num_threads=2),
    ]
    installed = []
    for build in builders:
        try:
            installed.append(build())
        except ImportError as error:
            print(f"Left out, since `{error.name}` is not installed.")
    return ours, installed, [workloads.floor(workload)]


def main(argv):
    """Prints a table for each workload asked for."""
    del argv
    flag_values = flags.FLAGS
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    for name in flag_values.workloads:
        workload = workloads.WORKLOADS[name]
        ours, installed, floor = contenders(workload)
        timings = interleave([*ours, *installed, *floor], flag_values.repetitions)
        print(f"\n{name}: {workload}\n")
        print(table(timings, peers={peer.name for peer in installed}))


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads",
        list(workloads.WORKLOADS),
        list(workloads.WORKLOADS),
        "Which training steps to time.",
    )
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    app.run(main)
