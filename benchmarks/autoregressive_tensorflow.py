"""The workloads on vectors in TensorFlow: this package's flows, and TFP's MAF and IAF."""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from benchmarks import tensorflow_contender
from benchmarks.workloads import RealNVP, SplineFlow

SCORING = "tfp_flows scoring, XLA"

# Our samplers are much faster, so their runs have more calls.
_QUICKER = 10

tfb = tfp.bijectors
tfd = tfp.distributions


def ours(workload):
    """Returns this package's contenders; for sampling, also contenders for scoring."""
    if workload.task == "train":
        return tensorflow_contender.our_steps(lambda: our_distribution(workload), workload)
    workloads = [workload]
    if workload.task == "sample":
        workload = dataclasses.replace(workload, calls=_QUICKER * workload.calls)
        workloads = [workload, scoring(workload)]
    return [
        our(w, jit_compile=jit_compile) for w in workloads for jit_compile in (True, False)
    ]


def our(workload, *, jit_compile):
    """This package's flow, with one call per training step."""
    dist = our_distribution(workload)
    name = "tfp_flows scoring" if workload.task == "score" else "tfp_flows"
    return contender(
        name, dist, dist.trainable_variables, workload, jit_compile=jit_compile
    )


def scoring(workload):
    """Returns the workload of scoring as many rows as `workload` samples."""
    return dataclasses.replace(workload, task="score")


def stock(workload, *, jit_compile):
    """TFP's `MaskedAutoregressiveFlow` with its `AutoregressiveNetwork`."""
    dist, variables = stock_distribution(workload)
    return contender("TFP", dist, variables, workload, jit_compile=jit_compile)


def stock_distribution(workload):
    """Returns TFP's flow of a workload over a standard normal, and its variables."""
    size, variables, bijectors = workload.event_size, [], []
    for step in range(workload.num_steps):
        made = tfb.AutoregressiveNetwork(
            params=2,
            event_shape=[size],
            hidden_units=list(workload.hidden_units),
            activation="relu",
            input_order="right-to-left" if step % 2 else "left-to-right",
        )
        made.build([None, size])
        variables += made.trainable_variables
        bijector = tfb.MaskedAutoregressiveFlow(made)
        bijectors.append(tfb.Invert(bijector) if workload.is_inverse else bijector)
    base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    return tfd.TransformedDistribution(base, tfb.Chain(bijectors)), variables


def our_distribution(workload, **options):
    """Returns this package's flow of a workload over a standard normal.

    `options` are further arguments of the flow's constructor.
    """
    flow = _spline_flow if isinstance(workload, SplineFlow) else _affine_flow
    flow = flow(
        workload,
        num_steps=workload.num_steps,
        hidden_units=workload.hidden_units,
        activation="relu",
        seed=0,
        **options,
    )
    rng = np.random.default_rng(0)
    for variable in flow.trainable_variables:  # so that it is not the identity
        variable.assign_add(0.01 * rng.normal(size=variable.shape).astype(np.float32))
    return tfp_flows.FlowDistribution(tfp_flows.standard_normal(workload.event_size), flow)


def _affine_flow(workload, **options):
    if isinstance(workload, RealNVP):
        make = tfp_flows.RealNVP
    elif workload.is_inverse:
        return tfp_flows.IAF(workload.event_size, **options)
    else:
        make = tfp_flows.MAF
    # Options that the peers' flows lack too.
    return make(workload.event_size, standardize=False, **options)


def _spline_flow(workload, **options):
    return tfp_flows.NeuralSplineFlow(
        workload.event_size,
        coupling=workload.coupling,
        num_bins=workload.num_bins,
        standardize=False,
        **options,
    )


def contender(name, dist, variables, workload, *, jit_compile):
    """Returns the `Contender` that does `workload.task` with a distribution."""
    if workload.task == "train":
        return tensorflow_contender.training_step(
            name, dist, variables, workload, jit_compile=jit_compile
        )
    work = _TASKS[workload.task](dist, workload)
    calls = workload.calls
    return tensorflow_contender.contender(
        name, work, calls, variables, jit_compile=jit_compile
    )


def _sample(dist, workload):
    return lambda seed: tf.reduce_mean(dist.sample(workload.batch_size, seed=seed))


def _score(dist, workload):
    x = tf.constant(workload.batch())
    return lambda seed: tf.reduce_mean(dist.log_prob(x))


def _sample_and_score(dist, workload):
    def draw(seed):
        y, log_prob = dist.experimental_sample_and_log_prob(workload.batch_size, seed=seed)
        return tf.reduce_mean(y) + tf.reduce_mean(log_prob)

    return draw


_TASKS = {"sample": _sample, "score": _score, "sample_and_score": _sample_and_score}
