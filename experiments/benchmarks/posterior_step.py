"""Times a step of variational inference with IAF beside TFP's own recipe.

    python -m experiments.benchmarks.posterior_step

TFP's is `tfb.Invert(tfb.MaskedAutoregressiveFlow(...))` with networks of the same sizes;
both draw from the flow, score the draws under it and under a correlated Gaussian, and
update all weights with Adam. Medians over interleaved repetitions.
"""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl import app
from absl import flags

from experiments.benchmarks import autoregressive_tensorflow
from experiments.benchmarks import training_step
from experiments.benchmarks.autoregressive_workloads import Workload
from experiments.benchmarks.timing import Contender
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.reports import provenance as report

__all__ = ["WORKLOADS", "contenders"]

# The sizes of the IAF of the other benchmarks, and those of a small model's posterior.
WORKLOADS = {
    "large": Workload("train", True, 32, 4, (320, 320), batch_size=512, calls=20),
    "small": Workload("train", True, 32, 4, (64, 64), batch_size=64, calls=100),
}


def contenders(workload):
    """Returns both packages' steps, with XLA and without.

    Args:
      workload: a `Workload`, whose `batch_size` is the number of draws in a step.
    """
    built = []
    for jit_compile in (True, False):
        ours = autoregressive_tensorflow.our_distribution(workload)
        stock, variables = autoregressive_tensorflow.stock_distribution(workload)
        way = "XLA" if jit_compile else "plain graph"
        built += [
            _step(
                f"tfp_flows, {way}", ours, ours.trainable_variables, workload, jit_compile
            ),
            _step(f"TFP, {way}", stock, variables, workload, jit_compile),
        ]
    return built


def _step(name, posterior, variables, workload, jit_compile):
    target = _target(workload.event_size)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(seed):
        with tf.GradientTape() as tape:
            loss = tfp.vi.monte_carlo_variational_loss(
                target.log_prob, posterior, sample_size=workload.batch_size, seed=seed
            )
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def run():
        for seed in range(workload.calls):
            loss = step(tf.constant([0, seed])).numpy()
        return float(loss)

    return Contender(name, run, workload.calls, training_step.count(variables))


def _target(event_size):
    factor = np.random.default_rng(0).normal(size=(event_size, event_size)) / 10.0
    scale = np.tril(factor) + np.eye(event_size)
    return tfp.distributions.MultivariateNormalTriL(
        tf.ones(event_size), tf.constant(scale, tf.float32)
    )


def main(argv):
    """Prints a table for each workload asked for."""
    del argv
    values = flags.FLAGS
    print(f"{report.machine()}; {report.versions()}", flush=True)
    for name in values.workloads:
        built = contenders(WORKLOADS[name])
        timings = interleave(built, values.repetitions)
        peers = {c.name for c in built if c.name.startswith("TFP")}
        print(f"\n{name}: {WORKLOADS[name]}\n\n{table(timings, peers)}", flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum(
        "workloads", list(WORKLOADS), list(WORKLOADS), "Which workloads to time."
    )
    flags.DEFINE_integer("repetitions", 9, "Counted runs of each contender.", lower_bound=1)
    app.run(main)
