"""Times BinaryMADE on 784 pixels beside loops over the pixels, and PyTorch.

    python -m experiments.benchmarks.binary_made

A table for training steps and one for samples, for 500 and 8000 hidden units. The loops
over the pixels of 8000 units take minutes.
"""

import dataclasses
import os
import platform

import keras
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import tfp_flows
from experiments.benchmarks import binary_made_peers as peers
from experiments.benchmarks.timing import Contender
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one MADE with one hidden layer, and its batch.

    Attributes:
      units: width of the hidden layer.
      calls: training steps in one timed run.
      event_size: number of pixels, D.
      batch_size: rows of a training step, and samples of a draw.
    """

    units: int
    calls: int
    event_size: int = 784
    batch_size: int = 100

    def batch(self):
        """Rows of zeros and ones, about as many ones as MNIST has, float32."""
        rng = np.random.default_rng(0)
        return (rng.random((self.batch_size, self.event_size)) < 0.13).astype(np.float32)

    def made(self, num_masks=1):
        """Returns the distribution."""
        return tfp_flows.BinaryMADE(
            self.event_size, hidden_units=(self.units,), num_masks=num_masks, seed=0
        )


WORKLOADS = {"500": Workload(500, calls=20), "8000": Workload(8000, calls=3)}


def training(workload, name, *, jit_compile, num_masks=1):
    """A compiled function of loss, gradient and Adam.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
      num_masks: length of the cycle of masks.
    """
    made = workload.made(num_masks)
    variables = made.trainable_variables
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)
    x = tf.constant(workload.batch())

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(made.log_prob(x, training=True))
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
    made = workload.made(num_masks)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def draw():
        return made.sample(workload.batch_size, seed=1, mask_index=0)

    return Contender(name, lambda: float(np.mean(draw())), 1)


def scoring(workload, name, *, jit_compile):
    """The density of as many rows: one pass.

    Args:
      workload: a `Workload`.
      name: what the table calls it.
      jit_compile: whether XLA compiles it.
    """
    made, x = workload.made(), tf.constant(workload.batch())
    score = tf.function(lambda: made.log_prob(x), jit_compile=jit_compile, autograph=False)
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


def training_contenders(workload):
    """Returns ours, and the peer."""
    return [
        training(workload, "BinaryMADE, XLA", jit_compile=True),
        training(workload, "BinaryMADE, graph", jit_compile=False),
        training(workload, "BinaryMADE, 32 masks, XLA", jit_compile=True, num_masks=32),
        *(peers.torch_training(workload, num_threads=n) for n in (1, 2)),
    ]


def sampling_contenders(workload):
    """Returns ours, loops over the pixels, and the cost of one pass."""
    return [
        sampling(workload, "BinaryMADE, XLA", jit_compile=True),
        sampling(workload, "BinaryMADE, graph", jit_compile=False),
        sampling(workload, "BinaryMADE, 32 masks, XLA", jit_compile=True, num_masks=32),
        scoring(workload, "one pass (log_prob), XLA", jit_compile=True),
        passes(workload, "D passes of ours, XLA", jit_compile=True),
        peers.torch_sampling(workload, num_threads=2),
    ]


def main(argv):
    """Prints two tables for each width asked for."""
    del argv
    values = flags.FLAGS
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    for units in values.units:
        workload = WORKLOADS[units]
        for what, contenders, repetitions in (
            ("training step", training_contenders, values.repetitions),
            ("sampling", sampling_contenders, values.sampling_repetitions),
        ):
            timings = interleave(contenders(workload), repetitions)
            names = {t.contender.name for t in timings if "PyTorch" in t.contender.name}
            print(f"\n{what}: {workload}\n\n{table(timings, peers=names)}", flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("units", list(WORKLOADS), list(WORKLOADS), "Hidden units.")
    flags.DEFINE_integer("repetitions", 7, "Counted runs of each step.", lower_bound=1)
    flags.DEFINE_integer(
        "sampling_repetitions", 3, "Counted draws of each sampler.", lower_bound=1
    )
    app.run(main)
