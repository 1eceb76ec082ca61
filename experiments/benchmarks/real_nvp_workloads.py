"""The RealNVP training steps that are timed, and this package's ways to run them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.benchmarks.timing import Contender

__all__ = ["WORKLOADS", "Workload", "floor", "ours_bare", "ours_fit"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one RealNVP and its batch.

    Attributes:
      event_size: number of variables, D.
      num_steps: couplings, K.
      hidden_units: widths of each network.
      batch_size: rows a training step.
      calls: training steps in one timed run.
    """

    event_size: int
    num_steps: int
    hidden_units: tuple
    batch_size: int
    calls: int

    def batch(self):
        """One batch of standard normal data, `[batch_size, D]`, float32."""
        rng = np.random.default_rng(0)
        return rng.normal(size=(self.batch_size, self.event_size)).astype(np.float32)

    def network_sizes(self):
        """Inputs and number of changing variables of each coupling's network."""
        even = (self.event_size + 1) // 2
        odd = self.event_size - even
        return [(even, odd) if k % 2 == 0 else (odd, even) for k in range(self.num_steps)]


WORKLOADS = {
    "W5a": Workload(43, 10, (100, 100), batch_size=512, calls=20),
    "W5b": Workload(2, 8, (64, 64), batch_size=256, calls=100),
}


def ours_bare(workload, *, jit_compile, steps_per_call=1):
    """A compiled function of gradient and Adam update, on one batch in memory.

    Args:
      workload: a `Workload`.
      jit_compile: whether XLA compiles it.
      steps_per_call: training steps that one call of the function loops over.
    """
    dist = _distribution(workload)
    variables = dist.trainable_variables
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)
    x = tf.constant(workload.batch())

    def step(i, _):
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(dist.log_prob(x))
        optimizer.apply(tape.gradient(nll, variables), variables)
        return i + 1, nll

    @tf.function(jit_compile=jit_compile, autograph=False)
    def steps():
        if steps_per_call == 1:
            return step(0, None)[1]
        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda i, _: i < steps_per_call, step, start)[1]

    def run():
        for _ in range(workload.calls // steps_per_call):
            nll = steps().numpy()
        return float(nll)

    name = "tfp_flows, XLA" if jit_compile else "tfp_flows, plain graph"
    if steps_per_call > 1:
        name += f", {steps_per_call} steps a call"
    return Contender(name, run, workload.calls, _count(variables))


def ours_fit(workload, *, steps_per_execution):
    """The same steps through `DensityEstimator.fit`, on as many batches of an array."""
    dist = _distribution(workload)
    model = tfp_flows.DensityEstimator(dist)
    model.compile(
        keras.optimizers.Adam(1e-4),
        steps_per_execution=steps_per_execution,
        jit_compile=True,
    )
    x = np.tile(workload.batch(), (workload.calls * _FIT_EPOCHS, 1))

    def run():
        history = model.fit(x, batch_size=workload.batch_size, verbose=0)
        return history.history["loss"][-1]

    return Contender(
        f"tfp_flows, fit, {steps_per_execution} steps an execution",
        run,
        workload.calls * _FIT_EPOCHS,
        _count(dist.trainable_variables),
    )


def floor(workload):
    """Only the dense matrix products of the step's shapes, forward and backward."""
    shapes = []
    for inputs, changing in workload.network_sizes():
        widths = (inputs, *workload.hidden_units, 2 * changing)
        shapes += list(zip(widths[:-1], widths[1:], strict=True))
    rng = np.random.default_rng(0)
    rows = {
        width: tf.constant(rng.normal(size=(workload.batch_size, width)), tf.float32)
        for shape in shapes
        for width in shape
    }
    kernels = [tf.Variable(rng.normal(size=shape), dtype=tf.float32) for shape in shapes]

    @tf.function(autograph=False)
    def products():
        results = []
        for kernel in kernels:
            x, upstream = rows[kernel.shape[0]], rows[kernel.shape[1]]
            results += [
                x @ kernel,
                tf.matmul(upstream, kernel, transpose_b=True),
                tf.matmul(x, upstream, transpose_a=True),
            ]
        return tf.add_n([result[0, 0] for result in results])

    def run():
        for _ in range(workload.calls):
            result = products().numpy()
        return float(result)

    return Contender("floor: the matrix products alone", run, workload.calls)


# A fit spends some milliseconds on its own set-up, which an epoch of real data hides.
_FIT_EPOCHS = 10


def _distribution(workload):
    flow = tfp_flows.RealNVP(
        workload.event_size,
        num_steps=workload.num_steps,
        hidden_units=workload.hidden_units,
        standardize=False,  # what the peers' flows do not have either
        seed=0,
    )
    base = tfp_flows.standard_normal(workload.event_size)
    return tfp_flows.FlowDistribution(base, flow)


def _count(variables):
    return int(sum(np.prod(variable.shape) for variable in variables))
