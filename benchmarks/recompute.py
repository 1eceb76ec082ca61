"""Measures time and memory of training with recomputed activations, by depth.

    python -m benchmarks.recompute

For one level of Glow, with and without recomputation: peak memory of a training step beyond
that of a step on one image, its time, and the error of the gradient in float32. Linux only;
some minutes.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import glow_tensorflow, runner
from benchmarks.memory import mebibytes_beyond_one_row
from benchmarks.timing import interleave
from benchmarks.workloads import Glow

_ERROR_BATCH_SIZE = 8


def milliseconds(workload, repetitions, *, jit_compile):
    """Medians of a training step with and without recomputation, in turns."""
    contenders = [
        glow_tensorflow.ours(workload, jit_compile=jit_compile, recompute=recompute)
        for recompute in (False, True)
    ]
    return [timing.median for timing in interleave(contenders, repetitions)]


def gradient_errors(workload):
    """Relative errors of float32 gradients, against float64 with stored activations.

    Returns:
      The error with stored activations and that with recomputed ones, for weights far
      from the initial ones.
    """
    workload = dataclasses.replace(workload, batch_size=_ERROR_BATCH_SIZE)
    weights = _moved_weights(workload)
    exact = _gradient(workload, weights, tf.float64, recompute=False)
    return [
        float(np.linalg.norm(_gradient(workload, weights, recompute=flag) - exact))
        / float(np.linalg.norm(exact))
        for flag in (False, True)
    ]


def _moved_weights(workload):
    """All variables of an initialised flow, with noise in the trainable ones."""
    distribution = glow_tensorflow.our_distribution(workload)
    distribution.initialize(workload.batch())
    rng = np.random.default_rng(0)
    for variable in distribution.trainable_variables:
        noise = 0.01 * rng.normal(size=variable.shape)
        variable.assign_add(tf.constant(noise, variable.dtype))
    return [variable.numpy() for variable in distribution.variables]


def _gradient(workload, weights, dtype=tf.float32, *, recompute):
    distribution = glow_tensorflow.our_distribution(
        workload, recompute=recompute, dtype=dtype
    )
    for variable, value in zip(distribution.variables, weights, strict=True):
        variable.assign(tf.cast(value, variable.dtype))
    variables = distribution.trainable_variables

    @tf.function(autograph=False)
    def gradient():
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(distribution.log_prob(tf.cast(workload.batch(), dtype)))
        return tape.gradient(nll, variables)

    return np.concatenate([np.ravel(g).astype(np.float64) for g in gradient()])


def main(argv):
    """Prints a line for each depth, and the growth of the memory with it."""
    del argv
    values = flags.FLAGS
    runner.print_head()
    jit_compile = values.jit_compile
    rows = []
    print(
        "\n| steps | MiB, stored | MiB, recomputed | ms, stored | ms, recomputed | ratio "
        "| gradient error, stored | recomputed |\n|---|---|---|---|---|---|---|---|"
    )
    for num_steps in map(int, values.depths):
        workload = Glow(
            trains=True,
            image_size=values.image_size,
            num_levels=1,
            num_steps=num_steps,
            batch_size=values.batch_size,
            calls=1,
        )
        mebibytes = [
            mebibytes_beyond_one_row(
                glow_tensorflow.ours, workload, recompute=flag, jit_compile=jit_compile
            )
            for flag in (False, True)
        ]
        times = milliseconds(workload, values.repetitions, jit_compile=jit_compile)
        errors = gradient_errors(workload)
        rows.append((num_steps, *mebibytes))
        print(
            f"| {num_steps} | {mebibytes[0]:.0f} | {mebibytes[1]:.0f} | {times[0]:.0f} "
            f"| {times[1]:.0f} | {times[1] / times[0]:.2f} | {errors[0]:.1e} "
            f"| {errors[1]:.1e} |",
            flush=True,
        )
    depths, *columns = np.transpose(rows)
    stored, recomputed = (np.polyfit(depths, column, 1)[0] for column in columns)
    print(f"\nMiB a step: {stored:.1f} stored, {recomputed:.1f} recomputed.")


if __name__ == "__main__":
    flags.DEFINE_list("depths", ["8", "16", "32"], "Numbers of steps.")
    flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
    flags.DEFINE_integer("batch_size", 64, "Images of a training step.")
    flags.DEFINE_integer("repetitions", 5, "Counted runs of each.", lower_bound=1)
    flags.DEFINE_boolean("jit_compile", False, "Whether XLA compiles the step.")
    app.run(main)
