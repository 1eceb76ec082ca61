"""The Glow workloads with this package, with stock TFP, and without any flow."""

import functools
import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from benchmarks import tensorflow_contender
from benchmarks.workloads import Glow

tfb = tfp.bijectors
tfd = tfp.distributions


def ours(workload, *, jit_compile=False, recompute=False):
    """This package's Glow: gradient and Adam update on one batch, or samples."""
    distribution = our_distribution(workload, recompute=recompute)
    distribution.initialize(workload.batch())
    name = "tfp_flows, recomputing" if recompute else "tfp_flows"
    return _contender(workload, distribution, name, jit_compile=jit_compile)


def stock(workload, *, jit_compile):
    """TFP's `Glow` with its default networks, at the same width."""
    glow = tfb.Glow(
        output_shape=workload.image_shape,
        num_glow_blocks=workload.num_levels,
        num_steps_per_block=workload.num_steps,
        coupling_bijector_fn=functools.partial(
            tfb.GlowDefaultNetwork, num_hidden=workload.hidden_channels
        ),
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
        seed=0,
    )
    size = workload.event_size
    base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    distribution = tfd.TransformedDistribution(base, glow)
    # Its act norms are initialised by the first batch.
    distribution.log_prob(workload.batch())
    return _contender(workload, distribution, "TFP", jit_compile=jit_compile)


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
    base = tfp_flows.standard_normal(workload.event_size, dtype=dtype)
    return tfp_flows.FlowDistribution(base, flow)


def train(workload, images, budget, *, jit_compile=False):
    """Returns a `Contender` that trains on images for a turn, and scores others."""
    return tensorflow_contender.budgeted(
        our_distribution(workload), images, budget, jit_compile=jit_compile
    )


def first_step(num_steps, *, jit_compile=False):
    """Seconds until the end of the first training step of a deep Glow of three levels.

    They are three numbers: of building, of initialising, and of tracing, compiling and
    running. `num_steps` is the number of steps per level.
    """
    workload = Glow(trains=True, num_steps=num_steps, calls=1)
    start = time.perf_counter()
    distribution = our_distribution(workload)
    built = time.perf_counter()
    distribution.initialize(workload.batch())
    initialized = time.perf_counter()
    _contender(workload, distribution, "", jit_compile=jit_compile).run()
    return built - start, initialized - built, time.perf_counter() - initialized


def floor(workload):
    """Only the convolutions of the networks, in training with their gradients."""
    rng = np.random.default_rng(0)
    convolutions = []
    for size, channels in workload.level_shapes():
        widths = [channels // 2, *[workload.hidden_channels] * 2, channels]
        for kernel_size, inputs, outputs in zip(
            (3, 1, 3), widths[:-1], widths[1:], strict=True
        ):
            shape = (workload.batch_size, size, size)
            # Each has its own images, since TensorFlow computes equal products only once.
            for _ in range(workload.num_steps):
                kernel = rng.normal(size=(kernel_size, kernel_size, inputs, outputs))
                convolutions.append(
                    (
                        tf.constant(rng.normal(size=(*shape, inputs)), tf.float32),
                        tf.Variable(kernel, dtype=tf.float32),
                        tf.constant(rng.normal(size=(*shape, outputs)), tf.float32),
                    )
                )

    def convolve(_):
        results = []
        for x, kernel, upstream in convolutions:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.nn.conv2d(x, kernel, 1, "SAME")
            results.append(y)
            if workload.trains:
                results += tape.gradient(y, [x, kernel], output_gradients=upstream)
        return tf.add_n([tf.reshape(result, [-1])[0] for result in results])

    return tensorflow_contender.contender(
        "floor: the convolutions alone", convolve, workload.calls, jit_compile=False
    )


def _contender(workload, distribution, name, *, jit_compile):
    """Any distribution of images, trained or sampled in one compiled function."""
    variables = distribution.trainable_variables
    if workload.trains:
        x = tf.constant(workload.batch())
        work = tensorflow_contender.adam_step(
            lambda _: -tf.reduce_mean(distribution.log_prob(x)), variables
        )
    else:

        def work(seed):
            return tf.reduce_mean(distribution.sample(workload.batch_size, seed=seed))

    return tensorflow_contender.contender(
        name, work, workload.calls, variables, jit_compile=jit_compile
    )
