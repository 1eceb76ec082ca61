"""Times flows on whatever device there is, as a GPU: dtypes of networks, graphs and XLA.

    python -m experiments.benchmarks.devices

Prints the devices, and a table of milliseconds, medians (least-greatest): a
training step, the densities of rows, and as many samples, of a RealNVP and of a MAF whose
networks compute in float32 or in bfloat16, in plain graphs and by XLA. What a device does
not support is said in its row. Where there is no GPU, times are the processor's.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import tfp_flows
from experiments.benchmarks import autoregressive_tensorflow
from experiments.benchmarks import runner
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.workloads import Autoregressive
from experiments.benchmarks.workloads import RealNVP

__all__ = ["NETWORKS", "devices", "make_distribution", "row"]

NETWORKS = ("float32", "mixed_bfloat16")
_TASKS = {"train": "training step", "score": "densities", "sample": "samples"}


def devices():
    """Returns the names of the GPUs, or of the processor's device, with what runs there."""
    names = [
        f"{gpu.name}: {tf.config.experimental.get_device_details(gpu).get('device_name')}"
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    used = (tf.constant(1.0) + 1.0).device.split("device:")[-1]
    return f"{', '.join(names) or 'no GPU'}; what is timed runs on {used}"


def make_distribution(workload, networks):
    """Returns a flow over a standard normal.

    Args:
      workload: a `RealNVP` or a MAF's `Autoregressive`.
      networks: the Keras dtype policy of its networks.
    """
    make = _coupling if isinstance(workload, RealNVP) else _autoregressive
    steps = [make(workload, step, networks) for step in range(workload.num_steps)]
    base = tfp_flows.standard_normal(workload.event_size)
    return tfp_flows.FlowDistribution(base, tfp_flows.FlowChain(steps))


def _coupling(workload, step, networks):
    mask = np.arange(workload.event_size) % 2 == step % 2
    network = tfp_flows.MLP(
        2 * int(np.sum(~mask)), workload.hidden_units, dtype=networks, seed=step
    )
    conditioner = tfp_flows.Conditioner(network, int(np.sum(mask)))
    return tfp_flows.Coupling(mask, conditioner, tfp_flows.Affine())


def _autoregressive(workload, step, networks):
    orderings = tfp_flows.natural_ordering, tfp_flows.reversed_ordering
    size = workload.event_size
    network = tfp_flows.MaskedMLP(
        2, workload.hidden_units, orderings[step % 2](size), dtype=networks, seed=step
    )
    return tfp_flows.MaskedAutoregressive(size, tfp_flows.Conditioner(network, size))


def row(workload, networks, *, jit_compile, **how):
    """Returns the cells of one way to compute: a time a task, or why there is none.

    Args:
      workload: as in `make_distribution`, with any task.
      networks: likewise.
      jit_compile: whether XLA compiles it.
      **how: `repetitions` and `patience`, as of `interleave`.
    """
    cells = []
    for task in _TASKS:
        work = dataclasses.replace(workload, task=task)
        dist = make_distribution(work, networks)
        contender = autoregressive_tensorflow.contender(
            "tfp_flows", dist, dist.trainable_variables, work, jit_compile=jit_compile
        )
        try:
            (timing,) = interleave([contender], **how)
        except Exception as error:  # whatever a device or its compiler does not have
            cells.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        else:
            times = timing.milliseconds
            cells.append(f"{timing.median:.2f} ({min(times):.2f}-{max(times):.2f})")
    return cells


def time_workload(workload, worker, **how):
    """Returns the table of a flow.

    Args:
      workload: as in `make_distribution`.
      worker: not used.
      **how: as in `row`.
    """
    del worker
    lines = [["networks", "compiled by", *_TASKS.values()], ["---"] * (2 + len(_TASKS))]
    for networks in NETWORKS:
        for compiler in ("graph", "XLA"):
            cells = row(workload, networks, jit_compile=compiler == "XLA", **how)
            lines.append([networks, compiler, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv):
    """Prints what is asked for."""
    del argv
    values = flags.FLAGS
    runner.print_head()
    print(devices(), flush=True)
    units = (values.units,) * 2
    sizes = {"batch_size": values.rows, "calls": values.calls, "task": "train"}
    flows = {"RealNVP": functools.partial(RealNVP, values.variables, 8, units)}
    flows["MAF"] = functools.partial(Autoregressive, values.variables, 5, units)
    runner.print_tables(time_workload, {name: f(**sizes) for name, f in flows.items()})


def _define_flags():
    runner.define_flags(repetitions=5)
    sizes = {"variables": 64, "units": 512, "rows": 4096, "calls": 5}
    for name, size in sizes.items():
        text = f"Number of {name}{' in one timed run' if name == 'calls' else ''}."
        flags.DEFINE_integer(name, size, text, lower_bound=2 if name == "variables" else 1)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
