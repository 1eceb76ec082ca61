"""Bounds of a log-evidence, from the log-weights of draws from a posterior q.

```none
log_weight[k] = log p(x, z[k]) - log q(z[k] | x),      z[k] drawn from q
```

The log-weights may come from a `VAE`, or from any target and any distribution whose samples
have a log-density.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_integer, require
from tfp_flows.distributions.draws import fold_in
from tfp_flows.distributions.log_add_exp import log_add_exp

__all__ = [
    "elbo",
    "free_bits",
    "free_bits_of_rows",
    "importance_weighted_bound",
    "importance_weighted_log_likelihood",
    "sticking_the_landing",
]


@keras.saving.register_keras_serializable(package="tfp_flows")
def elbo(log_weights: tf.Tensor) -> tf.Tensor:
    """Evidence lower bound, by Monte Carlo.

    ```none
    E_q[log w] = log p(x) - KL(q(z | x) || p(z | x))
    ```

    Args:
      log_weights: `[K, ...]`, of K independent draws.

    Returns:
      Nats, `[...]`.

    >>> import tensorflow as tf
    >>> from tfp_flows import objectives
    >>> objectives.elbo(tf.math.log([[1.0], [3.0]])).numpy().round(3)
    array([0.549], dtype=float32)

    Reference:
      Kingma, Welling (2014), Auto-encoding variational Bayes, equation 3.
      https://arxiv.org/abs/1312.6114
    """
    log_weights = tf.convert_to_tensor(log_weights, dtype_hint=tf.float32)
    return tf.reduce_mean(log_weights, axis=0)


@keras.saving.register_keras_serializable(package="tfp_flows")
def importance_weighted_bound(log_weights: tf.Tensor) -> tf.Tensor:
    """Importance-weighted lower bound, whose expectation rises with K to the log-evidence.

    ```none
    log (1/K sum over k of w[k])
    ```

    Args:
      log_weights: `[K, ...]`, of K independent draws.

    Returns:
      Nats, `[...]`.

    >>> import tensorflow as tf
    >>> from tfp_flows import objectives
    >>> objectives.importance_weighted_bound(tf.math.log([[1.0], [3.0]])).numpy().round(3)
    array([0.693], dtype=float32)

    Reference:
      Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders, equation 8.
      https://arxiv.org/abs/1509.00519
    """
    log_weights = tf.convert_to_tensor(log_weights, dtype_hint=tf.float32)
    count = tf.cast(tf.shape(log_weights)[0], log_weights.dtype)
    return tf.reduce_logsumexp(log_weights, axis=0) - tf.math.log(count)


def importance_weighted_log_likelihood(
    draw_log_weights: Callable, num_samples: int, *, at_once: int, seed: int | TensorLike
) -> tf.Tensor:
    """Returns the importance-weighted bound of more draws than fit into memory at once.

    Args:
      draw_log_weights: function of a number of draws and a seed that returns log-weights,
        `[number, ...]`.
      num_samples: number of draws, K.
      at_once: number of draws in memory at a time.
      seed: integer, or anything that `tfp.random.sanitize_seed` takes.

    Returns:
      Nats, `[...]`.

    Raises:
      ValueError: if `num_samples` or `at_once` is below 1.

    >>> import tensorflow as tf
    >>> from tfp_flows import objectives
    >>> def draw(count, seed):  # log-weights of one row
    ...     return tf.math.log(tf.random.stateless_uniform([count, 1], seed))
    >>> from_many = objectives.importance_weighted_log_likelihood
    >>> bound = from_many(draw, 999, at_once=100, seed=0)
    >>> abs(float(bound[0]) - float(tf.math.log(0.5))) < 0.1
    True
    """
    check_integer("num_samples", num_samples)
    check_integer("at_once", at_once)

    def log_sum(count, index):
        log_weights = draw_log_weights(count, fold_in(seed, index))
        return tf.reduce_logsumexp(log_weights, axis=0)

    at_once = min(at_once, num_samples)
    num_chunks, rest = divmod(num_samples, at_once)
    total = log_sum(at_once, 0)
    if num_chunks > 1:
        _, total = tf.while_loop(
            lambda i, _: i < num_chunks,
            lambda i, total: (i + 1, log_add_exp(total, log_sum(at_once, i))),
            (tf.constant(1), total),
            parallel_iterations=1,
        )
    if rest:
        total = log_add_exp(total, log_sum(rest, num_chunks))
    return total - math.log(num_samples)


def free_bits(kl: tf.Tensor, minimum: TensorLike) -> tf.Tensor:
    """Returns a KL divergence that costs at least `minimum` per group of latents.

    ```none
    sum over groups j of  max(minimum, mean over the batch of kl[n, j])
    ```

    A group whose mean is below the minimum has no gradient, so it can carry that much
    information at no cost. The latents of a group share the allowance.

    Args:
      kl: `[N, J]`, nats of each of J groups of latents, for each of N rows.
      minimum: nats per group, at least 0; a number, or `[J]`.

    Returns:
      Nats per row, a scalar.

    Raises:
      ValueError: if `minimum` is negative.

    >>> import tensorflow as tf
    >>> from tfp_flows import objectives
    >>> objectives.free_bits(tf.constant([[0.0, 3.0], [0.2, 1.0]]), 0.5).numpy().round(3)
    np.float32(2.5)

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      equation 15. https://arxiv.org/abs/1606.04934
    """
    means = tf.reduce_mean(kl, axis=0)
    return tf.reduce_mean(free_bits_of_rows(kl, minimum, means))


def free_bits_of_rows(kl: tf.Tensor, minimum: TensorLike, means: tf.Tensor) -> tf.Tensor:
    """Returns the cost of each row, whose mean over the batch is `free_bits`.

    Args:
      kl: `[n, J]`, for some rows of a batch.
      minimum: as in `free_bits`.
      means: `[J]`, the means of `kl` over all rows of the batch.

    Returns:
      Nats, `[n]`.

    >>> import tensorflow as tf
    >>> from tfp_flows import objectives
    >>> kl = tf.constant([[0.0, 3.0], [0.2, 1.0]])
    >>> objectives.free_bits_of_rows(kl, 0.5, means=tf.reduce_mean(kl, axis=0)).numpy()
    array([3.5, 1.5], dtype=float32)
    """
    require(np.min(minimum) >= 0.0, "`minimum` of at least 0", minimum)
    minimum = tf.cast(minimum, kl.dtype)
    return tf.reduce_sum(tf.where(means > minimum, kl, minimum), axis=-1)


def sticking_the_landing(log_prob: Callable, sample: tf.Tensor) -> tf.Tensor:
    """Returns the log-density of a sample, with a gradient through the sample only.

    ```none
    value:      log q(z)
    gradient:   (d log q(z) / d z) (d z / d parameters),    without  d log q / d parameters
    ```

    The omitted term has mean zero under q. With this log q in the log-weights, the gradient
    of `elbo` remains unbiased, and has no variance if q is the true posterior. The gradient
    of `importance_weighted_bound` would be biased.

    Args:
      log_prob: function from samples to log-densities, `[...]`, such as `q.log_prob`.
      sample: `[..., *event]`, drawn from q by reparameterisation.

    Returns:
      Nats, `[...]`.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> normal = tfp_flows.standard_normal(2)
    >>> z = normal.sample(3, seed=0)
    >>> log_q = tfp_flows.objectives.sticking_the_landing(normal.log_prob, z)
    >>> bool(tf.reduce_all(log_q == normal.log_prob(z)))
    True

    Reference:
      Roeder, Wu, Duvenaud (2017), Sticking the landing. https://arxiv.org/abs/1703.09194
    """
    here = tf.stop_gradient(sample)
    with tf.GradientTape() as tape:
        tape.watch(here)
        value = log_prob(here)
    slope = tf.stop_gradient(tape.gradient(value, here))
    # The value is zero; the gradient is not.
    moves = slope * (sample - here)
    event_axes = list(range(value.shape.rank, sample.shape.rank))
    return tf.stop_gradient(value) + tf.reduce_sum(moves, axis=event_axes)
