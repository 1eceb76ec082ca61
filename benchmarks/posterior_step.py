"""Times a step of variational inference with IAF beside TFP's own recipe.

    python -m benchmarks.posterior_step

TFP's is `tfb.Invert(tfb.MaskedAutoregressiveFlow(...))` with networks of the same sizes;
both draw from the flow, score the draws under it and under a correlated Gaussian, and
update all weights with Adam. Medians over interleaved repetitions.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import autoregressive_tensorflow, runner, tensorflow_contender
from benchmarks.workloads import WORKLOADS


def ours(workload, *, jit_compile):
    """This package's step, of `workload.batch_size` draws."""
    dist = autoregressive_tensorflow.our_distribution(workload)
    return _step("tfp_flows", dist, dist.trainable_variables, workload, jit_compile)


def stock(workload, *, jit_compile):
    """TFP's."""
    dist, variables = autoregressive_tensorflow.stock_distribution(workload)
    return _step("TFP", dist, variables, workload, jit_compile)


def time_workload(workload, worker, **how):
    """Returns the table of both packages' steps, with XLA and without."""
    del worker
    ways = (True, False)
    peers = [functools.partial(stock, workload, jit_compile=way) for way in ways]
    return runner.compare([ours(workload, jit_compile=way) for way in ways], peers, **how)


def _step(name, posterior, variables, workload, jit_compile):
    target = _target(workload.event_size)

    def loss(seed):
        return tfp.vi.monte_carlo_variational_loss(
            target.log_prob, posterior, sample_size=workload.batch_size, seed=seed
        )

    step = tensorflow_contender.adam_step(loss, variables)
    return tensorflow_contender.contender(
        name, step, workload.calls, variables, jit_compile=jit_compile
    )


def _target(event_size):
    factor = np.random.default_rng(0).normal(size=(event_size, event_size)) / 10.0
    scale = np.tril(factor) + np.eye(event_size)
    return tfp.distributions.MultivariateNormalTriL(
        tf.ones(event_size), tf.constant(scale, tf.float32)
    )


if __name__ == "__main__":
    runner.run(time_workload, WORKLOADS["posterior_step"], repetitions=9)
