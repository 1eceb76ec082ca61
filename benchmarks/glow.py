"""Times training and sampling of a Glow beside TFP, normflows, nflows and FrEIA.

    python -m benchmarks.glow

A table for the training step (W6a) and one for drawing images (W6b): medians over
interleaved repetitions, with ratios to the best peer of the same run. Then the seconds
that the first step of a deep Glow takes. Some minutes in all.
"""

import functools

from absl import app, flags

from benchmarks import glow_tensorflow, glow_torch, runner
from benchmarks.workloads import WORKLOADS

_TORCH_PEERS = {
    "normflows": glow_torch.normflows,
    "nflows": glow_torch.nflows,
    "freia": glow_torch.freia,
}


def time_workload(workload, worker, *, peers=("tfp", *_TORCH_PEERS), xla=True, **how):
    """Returns the table of a workload, with the `peers` that `worker` can import.

    With `xla`, this package and TFP are timed under XLA, too.
    """
    ways = (False, True) if xla else (False,)
    builders = []
    if "tfp" in peers:
        stock = functools.partial(glow_tensorflow.stock, workload)
        builders += [functools.partial(stock, jit_compile=way) for way in ways]
    for name, build in _TORCH_PEERS.items():
        if name in peers:
            builders += runner.on_threads(worker, glow_torch.time, build, workload)
    ours = [glow_tensorflow.ours(workload, jit_compile=way) for way in ways]
    return runner.compare(ours, builders, glow_tensorflow.floor(workload), **how)


def main(argv):
    """Prints what is asked for."""
    del argv
    values = flags.FLAGS
    runner.print_head()
    time = functools.partial(time_workload, peers=values.peers, xla=values.xla)
    runner.print_tables(time, {k: WORKLOADS["glow"][k] for k in values.workloads})
    for jit_compile in (False, True) if values.first_step_of else ():
        built, initialized, stepped = glow_tensorflow.first_step(
            values.first_step_of, jit_compile=jit_compile
        )
        print(
            f"\n3 levels of {values.first_step_of} steps: built in {built:.1f} s, "
            f"initialised in {initialized:.1f} s, first training step {stepped:.1f} s"
            + (" with XLA" if jit_compile else "")
        )


if __name__ == "__main__":
    runner.define_flags(repetitions=7, workloads=WORKLOADS["glow"])
    known = ["tfp", *_TORCH_PEERS]
    text = "Peers to time beside it, PyTorch's with one thread and with two."
    flags.DEFINE_multi_enum("peers", known, known, text)
    flags.DEFINE_boolean("xla", True, "Whether to time this package and TFP under XLA too.")
    flags.DEFINE_integer(
        "first_step_of", 32, "Steps a level of the deep Glow; 0: none.", lower_bound=0
    )
    app.run(main)
