"""Times flows on the machine's device, such as a GPU: network dtypes, graphs and XLA.

    python -m benchmarks.devices [--workloads=small_RealNVP]

Prints the device, and a table of milliseconds, medians (least-greatest): a
training step, the densities of rows, and as many samples, of a RealNVP and of a MAF whose
networks compute in float32 or in bfloat16, in plain graphs and by XLA. What a device does
not support is said in its row. Where there is no GPU, times are the processor's.
"""

import dataclasses

import tensorflow as tf

from benchmarks import autoregressive_tensorflow, runner
from benchmarks.timing import interleave, markdown
from benchmarks.workloads import Autoregressive, RealNVP

NETWORKS = ("float32", "mixed_bfloat16")
WORKLOADS = {
    "RealNVP": RealNVP(64, 8, (512, 512), batch_size=4096, calls=5),
    "MAF": Autoregressive(64, 5, (512, 512), batch_size=4096, calls=5, task="train"),
    "W5a": RealNVP(43, 10, (100, 100), batch_size=512, calls=20),
    "small_RealNVP": RealNVP(8, 8, (32, 32), batch_size=512, calls=20),
}
_TASKS = {"train": "training step", "score": "densities", "sample": "samples"}


def devices():
    """Returns the names of the GPUs, or of the processor's device, with what runs there."""
    names = [
        f"{gpu.name}: {tf.config.experimental.get_device_details(gpu).get('device_name')}"
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    used = (tf.constant(1.0) + 1.0).device.split("device:")[-1]
    return f"{', '.join(names) or 'no GPU'}; what is timed runs on {used}"


def time_workload(workload, worker, **how):
    """Returns the table of a flow, a workload with any task, and on what device it is."""
    del worker
    rows = []
    for networks in NETWORKS:
        for compiler in ("graph", "XLA"):
            works = [dataclasses.replace(workload, task=task) for task in _TASKS]
            cells = [_cell(work, networks, compiler == "XLA", how) for work in works]
            rows.append([networks, compiler, *cells])
    table = markdown(["networks", "compiled by", *_TASKS.values()], rows)
    return f"{devices()}\n\n{table}"


def _cell(workload, networks, jit_compile, how):
    """The time of one way to compute, or why there is none."""
    dist = autoregressive_tensorflow.our_distribution(workload, network_dtype=networks)
    contender = autoregressive_tensorflow.contender(
        "tfp_flows", dist, dist.trainable_variables, workload, jit_compile=jit_compile
    )
    try:
        (timing,) = interleave([contender], **how)
    except Exception as error:  # whatever a device or its compiler does not have
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    times = timing.milliseconds
    return f"{timing.median:.2f} ({min(times):.2f}-{max(times):.2f})"


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS, repetitions=5)
