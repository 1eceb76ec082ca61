"""The same RealNVP, built from the peers' own parts.

Each network sees the passing half and has the same widths as ours; the optimizer is Adam.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import jax_contender, tensorflow_contender

tfb = tfp.bijectors
tfd = tfp.distributions


def tfp_step(workload, *, jit_compile):
    """TFP's `RealNVP` bijectors with reversals between, its weights as `tf.Variable`s."""
    size = workload.event_size
    rng = np.random.default_rng(0)
    bijectors, variables = [], []
    for inputs, changing in workload.network_sizes():
        network, weights = _tf_mlp(rng, (inputs, *workload.hidden_units, 2 * changing))
        variables += weights
        coupling = tfb.RealNVP(num_masked=inputs, shift_and_log_scale_fn=network)
        bijectors += [coupling, tfb.Permute(np.arange(size)[::-1])]
    base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    dist = tfd.TransformedDistribution(base, tfb.Chain(bijectors))
    return tensorflow_contender.training_step(
        "TFP", dist, variables, workload, jit_compile=jit_compile
    )


def distrax(workload):
    """Distrax's `SplitCoupling` with Haiku networks and optax's Adam, jitted."""
    import distrax
    import haiku
    import jax

    size, task = workload.event_size, workload.task
    x = jax.numpy.asarray(workload.batch())

    def conditioner(changing):
        return haiku.Sequential(
            [
                haiku.nets.MLP(workload.hidden_units, activate_final=True),
                haiku.Linear(2 * changing, w_init=jax.numpy.zeros, b_init=jax.numpy.zeros),
                haiku.Reshape((changing, 2), preserve_dims=-1),
            ]
        )

    def affine(parameters):
        return distrax.ScalarAffine(shift=parameters[..., 0], log_scale=parameters[..., 1])

    @haiku.without_apply_rng
    @haiku.transform
    def result(key):
        layers = [
            distrax.SplitCoupling(
                inputs if k % 2 == 0 else changing,
                event_ndims=1,
                conditioner=conditioner(changing),
                bijector=affine,
                swap=k % 2 == 1,
            )
            for k, (inputs, changing) in enumerate(workload.network_sizes())
        ]
        flow = distrax.Inverse(distrax.Chain(layers[::-1]))
        base = distrax.MultivariateNormalDiag(np.zeros(size), np.ones(size))
        dist = distrax.Transformed(base, flow)
        if task == "sample":
            return dist.sample(seed=key, sample_shape=(workload.batch_size,)).mean()
        log_prob = dist.log_prob(x).mean()
        return -log_prob if task == "train" else log_prob

    key = jax.random.PRNGKey(0)
    weights = result.init(key, key)
    if task == "train":
        work = jax_contender.training_step(lambda w: result.apply(w, key), weights)
    else:
        compiled = functools.partial(jax.jit(result.apply), weights)

        def work(seed):
            return compiled(jax.random.PRNGKey(seed))

    return jax_contender.contender("distrax", work, workload.calls, weights)


def _tf_mlp(rng, widths):
    weights = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        kernel = rng.normal(size=(inputs, outputs), scale=inputs**-0.5)
        weights += [tf.Variable(kernel, dtype=tf.float32), tf.Variable(tf.zeros(outputs))]
    weights[-2].assign(tf.zeros_like(weights[-2]))  # the identity at first, as ours

    def network(x, output_units):
        del output_units
        for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = tf.nn.relu(x @ kernel + bias)
        return tf.split(x @ weights[-2] + weights[-1], 2, axis=-1)

    return network, weights
