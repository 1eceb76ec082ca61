"""Times MAF and IAF beside TFP, nflows, normflows, zuko and flowjax.

    python -m benchmarks.autoregressive

One table a workload of medians over interleaved repetitions, with ratios to the best peer
of the same run, to the matrix products alone and, for samplers, to our own scoring of as
many rows. Peers whose samplers take many seconds are run less often.
"""

import functools
import sys

from benchmarks import (
    autoregressive_jax,
    autoregressive_tensorflow,
    autoregressive_torch,
    runner,
)
from benchmarks.memory import mebibytes_beyond_one_row
from benchmarks.tensorflow_contender import matrix_products
from benchmarks.workloads import WORKLOADS


def time_workload(workload, worker, **how):
    """Returns the table of an `Autoregressive`, with the peers that `worker` can import."""
    ours = autoregressive_tensorflow.ours(workload)
    floor = matrix_products(workload, backward=workload.task == "train")
    samples = workload.task == "sample"
    references = [autoregressive_tensorflow.SCORING] if samples else []
    peers = _peers(workload, worker)
    text = runner.compare(ours, peers, floor, references=references, **how)
    return "\n".join([text, *_memory(workload)])


def _peers(workload, worker):
    """Functions that build the peers' contenders, TFP's here and all others there."""
    torch_peers = [autoregressive_torch.nflows, autoregressive_torch.zuko]
    if workload.task != "sample":  # else what nflows does, by the same code
        torch_peers.append(autoregressive_torch.normflows)
    return [
        *(
            functools.partial(
                autoregressive_tensorflow.stock, workload, jit_compile=jit_compile
            )
            for jit_compile in (True, False)
        ),
        *(b for peer in torch_peers for b in runner.on_threads(worker, peer, workload)),
        functools.partial(worker.build, autoregressive_jax.flowjax, workload),
    ]


def _memory(workload):
    """A line on the memory of our sampling beside that of our scoring, with XLA."""
    if workload.task != "sample" or not sys.platform.startswith("linux"):
        return []
    sample, score = (
        mebibytes_beyond_one_row(autoregressive_tensorflow.our, each, jit_compile=True)
        for each in (workload, autoregressive_tensorflow.scoring(workload))
    )
    return [
        f"\nPeak memory with XLA beyond that of one row: {sample:.1f} MiB to sample, "
        f"{score:.1f} MiB to score."
    ]


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["autoregressive"], repetitions=9)
