"""Integers as seeds."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["stateless_seed"]


def stateless_seed(seed):
    """Makes an integer a stateless seed: TFP draws anew from the same one in eager mode.

    Args:
      seed: integer, or anything that `tfp.random.sanitize_seed` takes.
    """
    if isinstance(seed, (int, np.integer)):
        seed = tf.constant([0, seed], tf.int32)
    return tfp.random.sanitize_seed(seed)
