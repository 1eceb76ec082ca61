"""Times a RealNVP training step beside TFP, distrax and nflows.

    python -m experiments.benchmarks.real_nvp_step

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run. A minute or two in all.
"""

from absl import app
from absl import flags

from experiments.benchmarks import real_nvp_peers as peers
from experiments.benchmarks import real_nvp_workloads as workloads
from experiments.benchmarks import training_step
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.reports import provenance as report


def time_workload(workload, repetitions):
    """Returns the table of a workload, with the peers that are installed."""
    ours = training_step.our_steps(lambda: workloads.distribution(workload), workload)
    others = installed(
        [
            lambda: peers.tfp_step(workload, jit_compile=True),
            lambda: peers.tfp_step(workload, jit_compile=False),
            lambda: peers.distrax_step(workload),
            lambda: peers.nflows_step(workload, num_threads=1),
            lambda: peers.nflows_step(workload, num_threads=2),
        ]
    )
    floor = training_step.matrix_products(workload, backward=True)
    timings = interleave([*ours, *others, floor], repetitions)
    return table(timings, {peer.name for peer in others}, [floor.name])


def main(argv):
    """Prints a table for each workload asked for."""
    del argv
    values = flags.FLAGS
    print(f"{report.machine()}; {report.versions()}", flush=True)
    for name in values.workloads:
        workload = workloads.WORKLOADS[name]
        print(f"\n{name}: {workload}\n", flush=True)
        print(time_workload(workload, values.repetitions), flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads",
        list(workloads.WORKLOADS),
        list(workloads.WORKLOADS),
        "Which training steps to time.",
    )
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    app.run(main)
