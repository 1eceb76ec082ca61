"""Draws: their shapes, their seeds, and noise that is the same with and without XLA.

TensorFlow's floating-point generators draw other numbers under XLA, with any algorithm, but
the 32 random bits of Philox are the same. So noise is computed from these bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import refuse
from tfp_flows.core.compiled import traced_once
from tfp_flows.core.inputs import check_keywords
from tfp_flows.core.normal_quantile import lower_normal_quantile

# The scopes that TensorFlow opens around the bodies of `vectorized_map` and `while_loop`.
_LOOP_BODIES = ("loop_body", "while")


def joint_shape(
    sample_shape: Any, context: TensorLike | None, batch_ndims: int = 0
) -> tf.Tensor:
    """Returns the shape of all draws: `sample(5, context=[16, C])` draws `[5, 16]`.

    The last `batch_ndims` batch axes of the context belong to the distribution itself.
    """
    sample_shape = as_shape(sample_shape)
    if context is None:
        return sample_shape
    context = tf.convert_to_tensor(context)
    ndims = max(0, context.shape.rank - 1 - batch_ndims)
    return tf.concat([sample_shape, tf.shape(context)[:ndims]], axis=0)


def context_rows(context: tf.Tensor | None, shape: tf.Tensor) -> tf.Tensor | None:
    """Returns the context of each of N draws, `[N, C]`, in the order of the draws.

    The shape of all draws is the result of `joint_shape`. None stays None.
    """
    if context is None:
        return None
    width = context.shape[-1:]
    contexts = tf.broadcast_to(context, tf.concat([shape, width], axis=0))
    return tf.reshape(contexts, [-1, *width])


def as_shape(sample_shape: Any) -> tf.Tensor:
    """Returns an integer or a shape as a tensor, `[rank]`; refuses anything else."""
    try:
        shape = tf.convert_to_tensor(sample_shape)
        is_shape = shape.dtype.is_integer or shape.shape.num_elements() == 0
        known = tf.get_static_value(shape) if is_shape else None
        is_shape = is_shape and (known is None or (np.asarray(known) >= 0).all())
    except (TypeError, ValueError):
        is_shape = False
    if not is_shape:
        refuse("`sample_shape`, an integer or a shape", sample_shape)
    return tf.reshape(tf.cast(shape, tf.int32), [-1])


def stateless(seed: Any) -> tf.Tensor:
    """Returns a stateless seed for any seed; an integer determines the draws.

    Exception: in a loop, an integer gives other draws each time, as always in TFP, since
    auto-batched joint distributions trace one draw with one integer and vectorise it. A
    tensor of one integer, such as an argument of a `tf.function`, is like that integer.
    """
    argument = seed
    if isinstance(seed, (int, np.integer)):
        seed = int(seed) if _is_in_loop() else _from_integer(seed)
    try:
        if getattr(seed, "shape", None) == () and tf.as_dtype(seed.dtype).is_integer:
            # Two words of 32 bits; `bitcast` puts the low one first.
            seed = tf.bitcast(tf.cast(seed, tf.int64), tf.int32)[::-1]
        seed = tfp.random.sanitize_seed(seed)
        seed.shape.assert_is_compatible_with([2])
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Expected `seed` of None, an integer, or two integers; "
            f"got {argument!r}: {error}"
        ) from error
    return seed


def fold_in(seed: Any, index: Any) -> tf.Tensor:
    """Returns a stateless seed that depends on `seed` and `index`, an integer or tensor.

    Neighbouring seeds have no seeds in common, whatever their indices.
    """
    if isinstance(seed, (int, np.integer)):
        seed = _from_integer(seed)  # even in a loop, where the index differs
    index = tf.cast(index, tf.int32)
    return tf.random.experimental.stateless_fold_in(stateless(seed), index, alg="philox")


def _from_integer(seed):
    # Joint distributions pass on integers of up to 64 bits.
    words = divmod(int(seed) % 2**64, 2**32)
    return tf.constant(np.array(words, np.uint32).view(np.int32))


def split(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Returns `count` stateless seeds that depend on `seed`."""
    return tf.unstack(_bits([count, 2], seed))


def uniform(shape: Any, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Uniform numbers in (0, 1), without the ends."""
    bits = _bits(shape, seed)
    if dtype == tf.float64:
        return (tf.cast(bits, dtype) + 0.5) * 2.0**-32 + 0.5
    # float32 has 23 bits between 1/2 and 1.
    bits = tf.bitwise.right_shift(bits, 9)
    return (tf.cast(bits, dtype) + 0.5) * 2.0**-23 + 0.5


def integers(count: Any, below: Any, seed: tf.Tensor) -> tf.Tensor:
    """Uniform integers from 0 to `below - 1`, `[count]`."""
    places = uniform([count], seed, tf.float64) * tf.cast(below, tf.float64)
    return tf.cast(tf.floor(places), tf.int32)


def normal(shape: Any, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Standard normal numbers, at most 6.3 from 0, which one in 10^9 would exceed."""
    is_negative, tail = _sign_and_tail(shape, seed, dtype)
    # The components of a mixture draw with one trace of these many operations.
    quantile = traced_once(lower_normal_quantile, (), (tail,), inline=False)
    return tf.where(is_negative, quantile, -quantile)


def logistic(shape: Any, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Standard logistic numbers, at most 22.2 from 0, which one in 10^9 would exceed."""
    is_negative, tail = _sign_and_tail(shape, seed, dtype)
    quantile = tf.math.log(tail) - tf.math.log1p(-tail)
    return tf.where(is_negative, quantile, -quantile)


def choose(candidates: tf.Tensor, log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws one candidate of each row, `[N, count, D]`, by its log-weight, `[N, count]`."""
    # If weights are NaN, all candidates of the row are NaN, and any of them is chosen.
    zero = tf.zeros([], log_weights.dtype)
    logits = tf.where(tf.math.is_nan(log_weights), zero, log_weights)
    # If all weights are zero, any candidate is chosen, too.
    none = tf.reduce_all(tf.equal(logits, -np.inf), axis=1, keepdims=True)
    logits = tf.where(none, zero, logits)
    chosen = tf.random.stateless_categorical(logits, 1, seed, tf.int32)
    return tf.gather(candidates, chosen[:, 0], batch_dims=1)


class SampleAndLogProb:
    """Adds the method `sample_and_log_prob` to a `tfd.Distribution`."""

    experimental_sample_and_log_prob: Callable
    _log_prob: Callable

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        name: str = "sample",
        **kwargs: object,
    ) -> Any:
        """Draws samples; arguments as in TFP and in `sample_and_log_prob`."""
        check_keywords("sample", self._log_prob, kwargs)
        return super().sample(sample_shape, seed, name, **kwargs)  # type: ignore[misc]

    def sample_and_log_prob(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
        **kwargs: object,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws samples with their log-densities, in one pass of each network.

        Args:
          sample_shape: shape of the draw, before the context's batch axes.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          context: `[..., context_size]`, if the distribution is conditional.
          **kwargs: further arguments of `sample`.

        Returns:
          Samples, `[*sample_shape, *batch, *event]`, a structure for a joint distribution;
          and their `log_prob`, `[*sample_shape, *batch]`.
        """
        if context is not None:
            kwargs["context"] = context
        check_keywords("sample_and_log_prob", self._log_prob, kwargs)
        return self.experimental_sample_and_log_prob(sample_shape, seed=seed, **kwargs)


def _is_in_loop():
    """Whether the body of a vectorised map or a loop is being traced."""
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        for scope in graph.get_name_scope().split("/"):
            # `while_1` is a `while`, too.
            if scope.rstrip("0123456789").rstrip("_") in _LOOP_BODIES:
                return True
        graph = getattr(graph, "outer_graph", None)
    return False


def _sign_and_tail(shape, seed, dtype):
    """Random signs, and uniform numbers in (0, 1/2) with all digits near 0."""
    bits = _bits(shape, seed)
    tail = tf.cast(tf.bitwise.bitwise_and(bits, 2**31 - 1), dtype)
    return bits < 0, (tail + 0.5) * 2.0**-32


def _bits(shape, seed):
    """Random integers, uniform over all of int32."""
    return tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
