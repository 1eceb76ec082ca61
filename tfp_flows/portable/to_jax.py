"""Distributions in JAX: what TensorFlow computes, recorded, and run by `jax.numpy`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

import tfp_flows_jax
from tfp_flows.core.arguments import require
from tfp_flows.portable.recording import Recording, Signature, named_weights


def to_jax(distribution: Any) -> tfp_flows_jax.JaxDistribution:
    """Returns a distribution as pure functions of JAX.

    ```python
    flow = tfp_flows.to_jax(dist)
    flow.log_prob(flow.params, x, context)
    flow.sample(flow.params, key, num_samples, context)
    ```

    They compute what `dist.log_prob` and `dist.sample` compute in TensorFlow, operation by
    operation: data scaling, standardised contexts and mixtures, too. `flow.params` is a
    dict with copies of the trainable weights. `flow.save(path)` writes a file for processes
    that do not import TensorFlow.

    >>> import jax
    >>> import numpy as np
    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(
    ...     tfp_flows.standard_normal(2), tfp_flows.MAF(2, context_size=1)
    ... )
    >>> flow = tfp_flows.to_jax(dist)
    >>> x, context = np.ones([3, 2], "float32"), np.ones([3, 1], "float32")
    >>> log_prob = jax.jit(flow.log_prob)(flow.params, x, context)
    >>> np.allclose(log_prob, dist.log_prob(x, context=context), rtol=1e-5)
    True
    >>> flow.sample(flow.params, jax.random.key(0), 5, context).shape
    (5, 3, 2)

    Args:
      distribution: a `FlowDistribution` of vectors, an autoregressive distribution, or
        another with `log_prob` and `sample`; or an object with one as its attribute
        `distribution`, such as a loaded `DensityEstimator`.

    Raises:
      ValueError: if its density has an operation that is not available in JAX, such as a
        convolution; the message names the operation. If only the draws have one, `sample`
        raises it.
      ImportError: if JAX is not installed: `pip install 'tfp_flows[jax]'`.
    """
    signature = Signature(distribution)
    distribution = signature.distribution
    weights = named_weights(distribution)
    recording = Recording(weights)
    recording.add(
        "log_prob",
        lambda x, *context: distribution.log_prob(x, **signature.keyword(context)),
        [signature.x, *signature.context],
    )
    refused = recording.origins_of(tfp_flows_jax.unsupported(recording.functions))
    words = "a distribution whose `log_prob` has operations that are available in JAX"
    require(not refused, words, refused)
    recorded = dict(recording.functions)
    scalars = [tf.TensorSpec([], tf.int32, "count"), tf.TensorSpec([2], tf.int32, "seed")]
    # Traced without XLA, a mixture draws the rows of each component alone, whose number
    # depends on random values. JAX needs known numbers, as XLA does.
    for for_xla in (False, True):
        recording.functions = dict(recorded)
        recording.add(
            "sample",
            lambda count, seed, *context: distribution.sample(
                count, seed=seed, **signature.keyword(context)
            ),
            [*scalars, *signature.context],
            for_xla=for_xla,
        )
        refused = recording.origins_of(tfp_flows_jax.unsupported(recording.functions))
        if not refused:
            break
    description = {
        "functions": recorded if refused else recording.functions,
        "event_shape": signature.event_shape,
        "context_size": signature.context_size,
        "dtype": signature.dtype.name,
        "refused": {"sample": refused} if refused else {},
    }
    params = {name: variable.numpy() for name, variable in weights.items()}
    return tfp_flows_jax.JaxDistribution(description, params, recording.constants)
