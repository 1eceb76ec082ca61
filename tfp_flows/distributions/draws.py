"""What every draw starts with: a stateless seed, and a shape."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["joint_shape", "stateless"]


def joint_shape(sample_shape, context, batch_ndims=0):
    """Returns the shape of all draws: `sample(5, context=[16, C])` draws `[5, 16]`.

    Args:
      sample_shape: as given, an integer or a shape.
      context: `[..., C]`, or None.
      batch_ndims: number of the context's batch axes, counted from the right, that are
        drawn anyway.
    """
    sample_shape = tf.reshape(tf.cast(sample_shape, tf.int32), [-1])
    if context is None:
        return sample_shape
    context = tf.convert_to_tensor(context)
    ndims = max(0, context.shape.rank - 1 - batch_ndims)
    return tf.concat([sample_shape, tf.shape(context)[:ndims]], axis=0)


def stateless(seed):
    """Makes an integer a stateless seed: TFP draws anew from the same one in eager mode."""
    if isinstance(seed, (int, np.integer)):
        seed = tf.constant([0, seed], tf.int32)
    return tfp.random.sanitize_seed(seed)
