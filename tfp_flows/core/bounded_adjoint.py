"""Adjoints within floats."""

import tensorflow as tf

__all__ = ["bounded_adjoint"]


def bounded_adjoint(bar: tf.Tensor) -> tf.Tensor:
    """Returns `bar` with zeros for entries near the largest float, or beyond it.

    Such are the gradients of points far from where any latent goes, whose latents are at
    the edge of floats themselves: products of two such numbers would be NaN.
    """
    return tf.where(tf.abs(bar) < bar.dtype.max**0.5, bar, tf.zeros_like(bar))
