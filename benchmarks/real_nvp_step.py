"""Times a RealNVP training step beside TFP, distrax and nflows.

    python -m benchmarks.real_nvp_step

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run. A minute or two in all.
"""

import functools

from benchmarks import autoregressive_tensorflow, real_nvp_torch, runner
from benchmarks import real_nvp_peers as peers
from benchmarks.tensorflow_contender import matrix_products
from benchmarks.workloads import WORKLOADS


def time_workload(workload, worker, **how):
    """Returns the table of a workload, with the peers that are installed."""
    del worker
    builders = [
        functools.partial(peers.tfp_step, workload, jit_compile=True),
        functools.partial(peers.tfp_step, workload, jit_compile=False),
        functools.partial(peers.distrax, workload),
        functools.partial(real_nvp_torch.nflows, workload, num_threads=1),
        functools.partial(real_nvp_torch.nflows, workload, num_threads=2),
    ]
    ours = autoregressive_tensorflow.ours(workload)
    return runner.compare(ours, builders, matrix_products(workload, backward=True), **how)


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["real_nvp_step"], repetitions=7)
