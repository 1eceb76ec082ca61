"""Contenders in TensorFlow: compiled functions, training steps, and their floor."""

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from benchmarks.budgeted_training import BudgetedTraining
from benchmarks.timing import Contender

# The set-up of a fit takes milliseconds, negligible in an epoch of real data.
_FIT_EPOCHS = 10


def contender(name, work, calls, variables=(), *, jit_compile, steps_per_call=1):
    """Returns a `Contender` that calls `work`, by default as a graph.

    `work` is a function of a seed, `[2]`, that returns a number. One call of it does
    `steps_per_call` pieces of work, and one timed run does `calls` pieces. If `jit_compile`
    is None, it is executed eagerly.
    """

    def steps(seed):
        if steps_per_call == 1:
            return work(seed)
        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(
            lambda i, _: i < steps_per_call, lambda i, _: (i + 1, work(seed)), start
        )[1]

    function = steps
    if jit_compile is not None:
        function = tf.function(steps, jit_compile=jit_compile, autograph=False)

    def run():
        # The seed is a tensor, so that TensorFlow cannot precompute samples.
        for seed in range(calls // steps_per_call):
            result = function(tf.constant([0, seed])).numpy()
        return float(result)

    name += {True: ", XLA", False: ", plain graph", None: ", eager"}[jit_compile]
    name += f", {steps_per_call} steps a call" if steps_per_call > 1 else ""
    return Contender(name, run, calls, _count(variables) or None)


def adam_step(loss, variables):
    """Returns a function of a seed that takes a step of Adam and returns the loss."""
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)

    def step(seed):
        with tf.GradientTape() as tape:
            value = loss(seed)
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    return step


def training_step(name, dist, variables, workload, **options):
    """A `contender` of gradient and Adam update, on one batch in memory."""
    x = tf.constant(workload.batch())
    step = adam_step(lambda _: -tf.reduce_mean(dist.log_prob(x)), variables)
    return contender(name, step, workload.calls, variables, **options)


def our_steps(make_distribution, workload):
    """Returns contenders that train a new distribution: compiled functions, and `fit`."""
    ways = [
        {"jit_compile": True},
        {"jit_compile": True, "steps_per_call": workload.calls},
        {"jit_compile": False},
    ]
    contenders = []
    for options in ways:
        dist = make_distribution()
        variables = dist.trainable_variables
        contenders.append(training_step("tfp_flows", dist, variables, workload, **options))
    return contenders + [_fit(make_distribution(), workload, steps) for steps in (1, 50)]


def _fit(dist, workload, steps_per_execution):
    """The same steps by `DensityEstimator.fit`, on an array of equally many batches."""
    model = tfp_flows.DensityEstimator(dist)
    model.compile(
        keras.optimizers.Adam(1e-4),
        steps_per_execution=steps_per_execution,
        jit_compile=True,
    )
    calls = workload.calls * _FIT_EPOCHS
    x = np.tile(workload.batch(), (calls, 1))

    def run():
        history = model.fit(x, batch_size=workload.batch_size, verbose=0)
        return history.history["loss"][-1]

    name = f"tfp_flows, fit, {steps_per_execution} steps an execution"
    return Contender(name, run, calls, _count(dist.trainable_variables))


def budgeted(distribution, data, budget, *, jit_compile):
    """Returns a `Contender` that trains on data for a turn, and scores others."""
    variables = distribution.trainable_variables
    optimizer = keras.optimizers.Adam(global_clipnorm=budget.clip_norm)
    optimizer.build(variables)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(x, learning_rate):
        optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(distribution.log_prob(x))
        optimizer.apply(tape.gradient(nll, variables), variables)
        return nll

    training = BudgetedTraining(
        distribution.initialize,
        lambda x, rate: float(step(tf.constant(x), tf.constant(rate, tf.float32))),
        lambda x: distribution.log_prob(x).numpy(),
        data,
        budget,
    )
    name = "tfp_flows, XLA" if jit_compile else "tfp_flows"
    return training.contender(name, _count(variables))


def matrix_products(workload, *, backward):
    """A lower bound of the time: only the matrix products of a flow's networks.

    The workload has `kernel_shapes()`, `batch_size` and `calls`. If `backward`, there are
    also the two products of each gradient.
    """
    rng = np.random.default_rng(0)

    def normal(*shape):
        return tf.constant(rng.normal(size=shape), tf.float32)

    # Each has its own rows, since TensorFlow computes equal products only once.
    factors = [
        (
            normal(workload.batch_size, inputs),
            tf.Variable(normal(inputs, units)),
            normal(workload.batch_size, units),
        )
        for inputs, units in workload.kernel_shapes()
    ]

    def products(_):
        results = []
        for x, kernel, upstream in factors:
            results.append(x @ kernel)
            if backward:
                results.append(tf.matmul(upstream, kernel, transpose_b=True))
                results.append(tf.matmul(x, upstream, transpose_a=True))
        return tf.add_n([result[0, 0] for result in results])

    name = "the matrix products alone"
    return contender(name, products, workload.calls, jit_compile=False)


def _count(variables):
    return int(sum(np.prod(variable.shape) for variable in variables))
