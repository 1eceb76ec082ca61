"""The Glow that is timed: this package's ways to run it, and the floor."""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.benchmarks.timing import Contender

__all__ = ["Workload", "first_step", "floor", "our_distribution", "ours", "tf_contender"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one Glow and its batch, and what is done with it.

    Attributes:
      trains: whether a call is a training step; else it draws `batch_size` images.
      image_size: height and width.
      channels: of the images.
      num_levels: levels, L.
      num_steps: steps a level, K.
      hidden_channels: of each network.
      batch_size: images a call.
      calls: calls in one timed run.
    """

    trains: bool
    image_size: int = 32
    channels: int = 3
    num_levels: int = 3
    num_steps: int = 8
    hidden_channels: int = 128
    batch_size: int = 16
    calls: int = 3

    @property
    def image_shape(self):
        """`(H, W, C)`."""
        return (self.image_size, self.image_size, self.channels)

    def batch(self):
        """One batch of images in `[0, 1]`, `[batch_size, H, W, C]`, float32."""
        rng = np.random.default_rng(0)
        return rng.uniform(size=(self.batch_size, *self.image_shape)).astype(np.float32)

    def level_shapes(self):
        """Height, and channels, of what the steps of each level see."""
        return [
            (self.image_size // 2**level, self.channels * 2 ** (level + 1))
            for level in range(1, self.num_levels + 1)
        ]


def ours(workload, *, jit_compile=False, recompute=False):
    """This package's Glow: gradient and Adam update on one batch, or samples."""
    distribution = our_distribution(workload, recompute=recompute)
    distribution.initialize(workload.batch())
    name = "tfp_flows, recomputing" if recompute else "tfp_flows"
    name += ", XLA" if jit_compile else ""
    return tf_contender(workload, distribution, name, jit_compile=jit_compile)


def tf_contender(workload, distribution, name, *, jit_compile):
    """Any TFP distribution of images, trained or sampled in one compiled function."""
    variables = distribution.trainable_variables
    call = _training_step(workload, distribution) if workload.trains else None
    if call is None:

        def call():
            samples = distribution.sample(workload.batch_size)
            return tf.reduce_mean(samples)

    call = tf.function(call, jit_compile=jit_compile, autograph=False)

    def run():
        for _ in range(workload.calls):
            result = call().numpy()
        return float(result)

    count = int(sum(np.prod(v.shape) for v in variables))
    return Contender(name, run, workload.calls, count)


def first_step(num_steps, *, jit_compile=False):
    """Seconds from nothing to the end of the first training step of a deep Glow.

    Args:
      num_steps: steps a level, of three.
      jit_compile: whether XLA compiles it.

    Returns:
      Seconds of building, of initialising, and of tracing, compiling and running.
    """
    workload = Workload(trains=True, num_steps=num_steps)
    start = time.perf_counter()
    distribution = our_distribution(workload)
    built = time.perf_counter()
    distribution.initialize(workload.batch())
    initialized = time.perf_counter()
    step = _training_step(workload, distribution)
    tf.function(step, autograph=False, jit_compile=jit_compile)().numpy()
    return built - start, initialized - built, time.perf_counter() - initialized


def floor(workload):
    """Only the convolutions of the networks' shapes; with their gradients if it trains."""
    rng = np.random.default_rng(0)
    convolutions = []
    for size, channels in workload.level_shapes():
        widths = [channels // 2, *[workload.hidden_channels] * 2, channels]
        for kernel_size, inputs, outputs in zip(
            (3, 1, 3), widths[:-1], widths[1:], strict=True
        ):
            shape = (workload.batch_size, size, size)
            # Images of its own to each: TensorFlow would compute equal products once.
            for _ in range(workload.num_steps):
                kernel = rng.normal(size=(kernel_size, kernel_size, inputs, outputs))
                convolutions.append(
                    (
                        tf.constant(rng.normal(size=(*shape, inputs)), tf.float32),
                        tf.Variable(kernel, dtype=tf.float32),
                        tf.constant(rng.normal(size=(*shape, outputs)), tf.float32),
                    )
                )

    @tf.function(autograph=False)
    def convolve():
        results = []
        for x, kernel, upstream in convolutions:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.nn.conv2d(x, kernel, 1, "SAME")
            results.append(y)
            if workload.trains:
                results += tape.gradient(y, [x, kernel], output_gradients=upstream)
        return tf.add_n([tf.reshape(result, [-1])[0] for result in results])

    def run():
        for _ in range(workload.calls):
            result = convolve().numpy()
        return float(result)

    return Contender("floor: the convolutions alone", run, workload.calls)


def _training_step(workload, distribution):
    variables = distribution.trainable_variables
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)
    x = tf.constant(workload.batch())

    def step():
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(distribution.log_prob(x))
        optimizer.apply(tape.gradient(nll, variables), variables)
        return nll

    return step


def our_distribution(workload, *, recompute=False, dtype=tf.float32):
    """This package's Glow of these sizes, not initialised."""
    flow = tfp_flows.Glow(
        workload.image_shape,
        workload.num_levels,
        workload.num_steps,
        hidden_channels=workload.hidden_channels,
        recompute=recompute,
        seed=0,
        dtype=dtype,
    )
    base = tfp_flows.standard_normal(int(np.prod(workload.image_shape)), dtype=dtype)
    return tfp_flows.FlowDistribution(base, flow)
