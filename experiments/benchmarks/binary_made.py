"""Times BinaryMADE on 784 pixels beside loops over the pixels, and PyTorch.

    python -m experiments.benchmarks.binary_made

A table for training steps and one for samples, for 500 and 8000 hidden units. The loops
over the pixels of 8000 units take minutes.
"""

import functools
import sys

import keras
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import tfp_flows
from experiments.benchmarks import binary_made_peers as peers
from experiments.benchmarks.binary_made_workloads import WORKLOADS
from experiments.benchmarks.timing import Contender
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.benchmarks.worker import Worker
from experiments.reports import provenance as report

# Task -> functions that build contenders, and their arguments.
_PEERS = {
    "train": [
        (peers.torch_training, {"num_threads": 1}),
        (peers.torch_training, {"num_threads": 2}),
        (peers.torch_training, {"num_threads": 2, "num_masks": 32}),
    ],
    "sample": [(peers.torch_sampling, {"num_threads": 2})],
}


def made(workload, num_masks=1):
    """Returns the distribution of a workload."""
    return tfp_flows.BinaryMADE(
        workload.event_size, hidden_units=(workload.units,), num_masks=num_masks, seed=0
    )


def training(workload, name, *, jit_compile, num_masks=1):
    """A compiled function of loss, gradient and Adam.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
      num_masks: length of the cycle of masks.
    """
    distribution = made(workload, num_masks)
    variables = distribution.trainable_variables
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)
    x = tf.constant(workload.batch())

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x, training=True))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def run():
        for _ in range(workload.calls):
            loss = step().numpy()
        return float(loss)

    size = sum(int(np.prod(v.shape)) for v in variables)
    return Contender(name, run, workload.calls, size)


def sampling(workload, name, *, jit_compile, num_masks=1):
    """Samples, one variable after another, of one mask.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
      num_masks: length of the cycle of masks.
    """
    distribution = made(workload, num_masks)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def draw():
        return distribution.sample(workload.batch_size, seed=1, mask_index=0)

    return Contender(name, lambda: float(np.mean(draw())), 1)


def scoring(workload, name, *, jit_compile):
    """The density of as many rows: one pass.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
    """
    distribution, x = made(workload), tf.constant(workload.batch())
    score = tf.function(
        lambda: distribution.log_prob(x), jit_compile=jit_compile, autograph=False
    )
    return Contender(name, lambda: float(np.mean(score())), 1)


def passes(workload, name, *, jit_compile):
    """Samples by D passes of the same network.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
    """
    size = workload.event_size
    network = tfp_flows.MaskedMLP(
        1, (workload.units,), tfp_flows.natural_ordering(size), seed=0
    )
    network.build((None, size))

    def one_pass(i, x, noise):
        column = tf.cast(noise[:, i] < tf.sigmoid(network(x)[:, i]), tf.float32)
        is_now = tf.one_hot(i, size)
        return i + 1, x * (1.0 - is_now) + column[:, None] * is_now, noise

    @tf.function(jit_compile=jit_compile, autograph=False)
    def draw():
        noise = tf.random.stateless_uniform([workload.batch_size, size], [0, 1])
        start = (tf.constant(0), tf.zeros_like(noise), noise)
        return tf.while_loop(
            lambda i, *_: i < size, one_pass, start, maximum_iterations=size
        )[1]

    return Contender(name, lambda: float(np.mean(draw())), 1)


def contenders(workload, task, worker):
    """Returns ours, loops over the pixels, and the peers that `worker` can import.

    Args:
      workload: a `Workload`.
      task: train or sample.
      worker: a `Worker`.
    """
    build = training if task == "train" else sampling
    ours = [
        build(workload, "BinaryMADE, XLA", jit_compile=True),
        build(workload, "BinaryMADE, graph", jit_compile=False),
        build(workload, "BinaryMADE, 32 masks, XLA", jit_compile=True, num_masks=32),
    ]
    if task == "sample":
        ours += [
            scoring(workload, "one pass (log_prob), XLA", jit_compile=True),
            passes(workload, "D passes of ours, XLA", jit_compile=True),
        ]
    theirs = installed(
        functools.partial(worker.build, peer, workload, **arguments)
        for peer, arguments in _PEERS[task]
    )
    return ours, theirs


def main(argv):
    """Prints a table for each width and task asked for."""
    del argv
    values = flags.FLAGS
    print(f"{report.machine()}; {report.versions()}", flush=True)
    for units in values.units:
        for task in values.tasks:
            workload = WORKLOADS[units]
            with Worker(values.peers_python) as worker:
                ours, theirs = contenders(workload, task, worker)
                timings = interleave([*ours, *theirs], values.repetitions, values.patience)
            names = {peer.name for peer in theirs if "32 masks" not in peer.name}
            text = table(timings, names, [ours[0].name])
            print(f"\n{task}: {workload}\n\n{text}", flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("units", list(WORKLOADS), list(WORKLOADS), "Hidden units.")
    flags.DEFINE_multi_enum("tasks", list(_PEERS), list(_PEERS), "What to time.")
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each contender.", lower_bound=1)
    flags.DEFINE_float(
        "patience",
        30.0,
        "Seconds for the counted runs of each contender; whoever needs more for "
        "`repetitions` runs is run less often, but once at least.",
        lower_bound=0.0,
    )
    flags.DEFINE_string(
        "peers_python", sys.executable, "Interpreter of an environment with torch."
    )
    app.run(main)
