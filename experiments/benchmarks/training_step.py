"""Training steps in TensorFlow, of our distributions and of TFP's alike."""

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.benchmarks.timing import Contender

__all__ = ["bare_step", "count", "fit_step", "matrix_products", "our_steps"]

# A fit spends some milliseconds on its own set-up, which an epoch of real data hides.
_FIT_EPOCHS = 10


def our_steps(make_distribution, workload):
    """This package's ways to train: a bare function, and `fit`.

    Args:
      make_distribution: function without arguments that returns a new distribution.
      workload: as in `bare_step`.
    """
    ways = [
        {"jit_compile": True},
        {"jit_compile": True, "steps_per_call": workload.calls},
        {"jit_compile": False},
    ]
    contenders = []
    for options in ways:
        dist = make_distribution()
        variables = dist.trainable_variables
        contenders.append(bare_step("tfp_flows", dist, variables, workload, **options))
    return contenders + [
        fit_step(make_distribution(), workload, steps_per_execution=steps)
        for steps in (1, 50)
    ]


def bare_step(name, dist, variables, workload, *, jit_compile, steps_per_call=1):
    """A compiled function of gradient and Adam update, on one batch in memory.

    Args:
      name: of the package.
      dist: a `tfd.Distribution`.
      variables: what is trained.
      workload: has `batch()` and `calls`.
      jit_compile: whether XLA compiles it.
      steps_per_call: training steps that one call of the function loops over.
    """
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

    name += ", XLA" if jit_compile else ", plain graph"
    if steps_per_call > 1:
        name += f", {steps_per_call} steps a call"
    return Contender(name, run, workload.calls, count(variables))


def fit_step(dist, workload, *, steps_per_execution):
    """The same steps through `DensityEstimator.fit`, on as many batches of an array."""
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
        count(dist.trainable_variables),
    )


def matrix_products(workload, *, backward):
    """The floor: only the dense products of a flow's shapes.

    Args:
      workload: has `kernel_shapes()`, `batch_size` and `calls`.
      backward: whether those of the gradient, two to each, are computed as well.
    """
    rng = np.random.default_rng(0)

    def normal(*shape):
        return tf.constant(rng.normal(size=shape), tf.float32)

    # Rows of its own to each: TensorFlow would compute equal products once.
    factors = [
        (
            normal(workload.batch_size, inputs),
            tf.Variable(normal(inputs, units)),
            normal(workload.batch_size, units),
        )
        for inputs, units in workload.kernel_shapes()
    ]

    @tf.function(autograph=False)
    def products():
        results = []
        for x, kernel, upstream in factors:
            results.append(x @ kernel)
            if backward:
                results.append(tf.matmul(upstream, kernel, transpose_b=True))
                results.append(tf.matmul(x, upstream, transpose_a=True))
        return tf.add_n([result[0, 0] for result in results])

    def run():
        for _ in range(workload.calls):
            result = products().numpy()
        return float(result)

    return Contender("the matrix products alone", run, workload.calls)


def count(variables):
    """Returns the number of entries of all `variables`."""
    return int(sum(np.prod(variable.shape) for variable in variables))
