"""Activation normalisation: a scale and shift of each channel, initialised from data."""

from __future__ import annotations

import tensorflow as tf

from tfp_flows.bijectors.positionwise import MeasuredOnce


class ActNorm(MeasuredOnce):
    """Trainable scale and shift of each entry of the last axis.

    ```none
    forward:  y = x * exp(log_scale) + shift
    log_det:  sum(log_scale) * (number of positions of the event)
    inverse:  x = (y - shift) * exp(-log_scale)
    ```

    It is the identity until `initialize` has seen data; then the latent side of these
    data has zero mean and unit variance in each channel. Sampling, scoring and loading
    never initialise it.

    Args:
      event_size: number of variables or channels, D.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    >>> import numpy as np
    >>> import tfp_flows
    >>> norm = tfp_flows.ActNorm(2)
    >>> norm.initialize(np.float32([[0.0, 10.0], [2.0, 50.0]]))
    >>> norm.inverse([[0.0, 10.0]]).numpy().round(3)
    array([[-1., -1.]], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.1. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        event_size: int,
        *,
        event_ndims: int = 1,
        dtype: tf.DType | str = tf.float32,
        name: str = "act_norm",
    ) -> None:
        super().__init__(event_size, event_ndims=event_ndims, dtype=dtype, name=name)
        # One variable, since each costs time in a training step of a deep flow.
        zeros = tf.zeros([2, event_size], self.dtype)
        self._shift_and_log_scale = tf.Variable(zeros, name="shift_and_log_scale")

    def _set(self, mean, scale):
        self._shift_and_log_scale.assign(tf.stack([mean, tf.math.log(scale)]))

    def _forward_and_log_det(self, x, context, training):
        shift, log_scale = tf.unstack(self._shift_and_log_scale)
        log_det = self._sum_over_positions(tf.reduce_sum(log_scale), x)
        return x * tf.exp(log_scale) + shift, log_det

    def _inverse_and_log_det(self, y, context, training):
        shift, log_scale = tf.unstack(self._shift_and_log_scale)
        log_det = self._sum_over_positions(-tf.reduce_sum(log_scale), y)
        return (y - shift) * tf.exp(-log_scale), log_det
