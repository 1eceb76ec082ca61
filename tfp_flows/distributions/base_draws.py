"""Draws of the base of a flow, with a context or without."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.distributions.draws import joint_shape
from tfp_flows.distributions.draws import stateless

__all__ = ["sample_base", "sample_base_and_log_prob"]


def sample_base(
    base: tfd.Distribution,
    sample_shape: Any,
    seed: Any,
    context: TensorLike | None,
    keywords: dict,
) -> tf.Tensor:
    """Draws latents, one for each sample and each row of the flow's or the base's context.

    A conditional base of this package draws for each context itself, and so does one of a
    user's own whose batch shape is unknown. Another is asked for n draws given n contexts.

    Args:
      base: any distribution.
      sample_shape: before the context's batch axes.
      seed: any seed.
      context: of the flow, `[..., context_size]`, or None.
      keywords: of the base: its own `context`, where it is conditional.
    """
    if "context" not in keywords:
        shape = joint_shape(sample_shape, context, base.batch_shape.rank)
        return base.sample(shape, seed=stateless(seed), **keywords)
    if _draws_for_each_context(base):
        return base.sample(sample_shape, seed=stateless(seed), **keywords)
    context = keywords["context"]
    shape = joint_shape(sample_shape, context)
    rows = tf.broadcast_to(context, tf.concat([shape, context.shape[-1:]], axis=0))
    rows = tf.reshape(rows, [-1, context.shape[-1]])
    drawn = base.sample(tf.shape(rows)[0], seed=stateless(seed), context=rows)
    return tf.reshape(drawn, tf.concat([shape, base.event_shape], axis=0))


def sample_base_and_log_prob(
    base: tfd.Distribution,
    sample_shape: Any,
    seed: Any,
    context: TensorLike | None,
    keywords: dict,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws as `sample_base` does, with the log-densities."""
    if "context" in keywords and not _draws_for_each_context(base):
        x = sample_base(base, sample_shape, seed, context, keywords)
        return x, base.log_prob(x, **keywords)
    if "context" not in keywords:
        sample_shape = joint_shape(sample_shape, context, base.batch_shape.rank)
    return base.experimental_sample_and_log_prob(
        sample_shape, seed=stateless(seed), **keywords
    )


def _draws_for_each_context(base):
    return getattr(base, "draws_for_each_context", base.batch_shape.rank is None)
