"""Times neural spline flows beside nflows' and zuko's.

    python -m benchmarks.spline_flows --peers_python=PYTHON

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run and, for samplers, to our own scoring of as many rows. All have as many
steps, bins, residual blocks and units.
"""

from benchmarks import autoregressive_tensorflow, runner, spline_flows_torch
from benchmarks.workloads import WORKLOADS


def time_workload(workload, worker, **how):
    """Returns the table of a workload, with the peers that `worker` can import."""
    ours = autoregressive_tensorflow.ours(workload)
    samples = workload.task == "sample"
    references = [autoregressive_tensorflow.SCORING] if samples else []
    peers = [
        build
        for peer in (spline_flows_torch.nflows, spline_flows_torch.zuko)
        for build in runner.on_threads(worker, peer, workload)
    ]
    return runner.compare(ours, peers, references=references, **how)


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["spline_flows"], repetitions=9)
