"""Times BinaryMADE on 784 pixels beside loops over the pixels, and PyTorch.

    python -m benchmarks.binary_made

A table for training steps and one for samples, for 500 and 8000 hidden units. The loops
over the pixels of 8000 units take minutes.
"""

import functools

import tensorflow as tf
from absl import app, flags

import tfp_flows
from benchmarks import binary_made_peers as peers
from benchmarks import runner, tensorflow_contender
from benchmarks.timing import installed, interleave, table
from benchmarks.workloads import WORKLOADS

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


def training(workload, name, *, num_masks=1, jit_compile=True):
    """A compiled function of loss, gradient and Adam."""
    distribution, x = made(workload, num_masks), tf.constant(workload.batch())
    variables = distribution.trainable_variables
    step = tensorflow_contender.adam_step(
        lambda _: -tf.reduce_mean(distribution.log_prob(x, training=True)), variables
    )
    return tensorflow_contender.contender(
        name, step, workload.calls, variables, jit_compile=jit_compile
    )


def sampling(workload, name, *, num_masks=1, jit_compile=True):
    """Samples, one variable after another, of one mask."""
    distribution, count = made(workload, num_masks), workload.batch_size

    def draw(seed):
        return tf.reduce_mean(distribution.sample(count, seed=seed, mask_index=0))

    return tensorflow_contender.contender(name, draw, 1, jit_compile=jit_compile)


def scoring(workload, name):
    """The density of the same number of rows: one pass."""
    distribution, x = made(workload), tf.constant(workload.batch())
    return tensorflow_contender.contender(
        name, lambda _: tf.reduce_mean(distribution.log_prob(x)), 1, jit_compile=True
    )


def passes(workload, name):
    """Samples by D passes of the same network."""
    size = workload.event_size
    network = tfp_flows.MaskedMLP(
        1, (workload.units,), tfp_flows.natural_ordering(size), seed=0
    )
    network.build((None, size))

    def one_pass(i, x, noise):
        column = tf.cast(noise[:, i] < tf.sigmoid(network(x)[:, i]), tf.float32)
        is_now = tf.one_hot(i, size)
        return i + 1, x * (1.0 - is_now) + column[:, None] * is_now, noise

    def draw(seed):
        noise = tf.random.stateless_uniform([workload.batch_size, size], seed)
        start = (tf.constant(0), tf.zeros_like(noise), noise)
        _, x, _ = tf.while_loop(
            lambda i, *_: i < size, one_pass, start, maximum_iterations=size
        )
        return tf.reduce_mean(x)

    return tensorflow_contender.contender(name, draw, 1, jit_compile=True)


def time_task(task, workload, worker, **how):
    """Returns the table of ours, loops over the pixels, and the peers."""
    build = training if task == "train" else sampling
    ours = [
        build(workload, "BinaryMADE"),
        build(workload, "BinaryMADE", jit_compile=False),
        build(workload, "BinaryMADE, 32 masks", num_masks=32),
    ]
    if task == "sample":
        ours.append(scoring(workload, "one pass (log_prob)"))
        ours.append(passes(workload, "D passes of ours"))
    theirs = installed(
        functools.partial(worker.build, peer, workload, **arguments)
        for peer, arguments in _PEERS[task]
    )
    names = {peer.name for peer in theirs if "32 masks" not in peer.name}
    return table(interleave([*ours, *theirs], **how), names, [ours[0].name])


def main(argv):
    """Prints a table for each chosen width and task."""
    del argv
    workloads = {units: WORKLOADS["binary_made"][units] for units in flags.FLAGS.units}
    runner.print_head()
    for task in flags.FLAGS.tasks:
        named = {f"{task}, {units} units": w for units, w in workloads.items()}
        runner.print_tables(functools.partial(time_task, task), named)


if __name__ == "__main__":
    runner.define_flags(repetitions=7)
    units = list(WORKLOADS["binary_made"])
    flags.DEFINE_multi_enum("units", units, units, "Hidden units.")
    flags.DEFINE_multi_enum("tasks", list(_PEERS), list(_PEERS), "What to time.")
    app.run(main)
