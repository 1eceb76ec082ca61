"""Affine and additive maps, with functions that bound the scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfp_flows.core.arguments import check_callable
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet

# Least value of `0.1 + 0.9 sigmoid(s + 2)`.
_LEAST_SHARE = 0.1


@keras.saving.register_keras_serializable(package="tfp_flows")
def soft_bounded_scale(s: tf.Tensor, bound: tf.Tensor = 2.0) -> tf.Tensor:
    """`log_scale = bound * tanh(s / bound)`: between `-bound` and `bound`; near 0, `s`.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.soft_bounded_scale(tf.constant([-1.0, 0.0, 9.0])).numpy().round(3)
    array([-0.924,  0.   ,  2.   ], dtype=float32)
    """
    return bound * tf.tanh(s / bound)


@keras.saving.register_keras_serializable(package="tfp_flows")
def exp_scale(s: tf.Tensor) -> tf.Tensor:
    """`log_scale = s`, `scale = exp(s)`: unbounded, as in the papers.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.exp_scale(tf.constant([-1.0, 0.0, 9.0])).numpy().round(3)
    array([-1.,  0.,  9.], dtype=float32)
    """
    return s


@keras.saving.register_keras_serializable(package="tfp_flows")
def softplus_scale(s: tf.Tensor) -> tf.Tensor:
    """`scale = softplus(s + log(e - 1))`, which is 1 at `s = 0`.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.softplus_scale(tf.constant([-1.0, 0.0, 9.0])).numpy().round(3)
    array([-0.714,  0.   ,  2.256], dtype=float32)
    """
    s = s + math.log(math.e - 1.0)
    # Far below 0, softplus(s) is exp(s), which would underflow before the logarithm.
    near = tf.math.log(tf.math.softplus(tf.maximum(s, -40.0)))
    return tf.where(s < -40.0, s, near)


@keras.saving.register_keras_serializable(package="tfp_flows")
def sigmoid_scale(s: tf.Tensor) -> tf.Tensor:
    """`scale = sigmoid(s + 2)`, 0.88 at `s = 0`: sampling only contracts.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.sigmoid_scale(tf.constant([-1.0, 0.0, 9.0])).numpy().round(3)
    array([-0.313, -0.127, -0.   ], dtype=float32)
    """
    return tf.math.log_sigmoid(s + 2.0)


@keras.saving.register_keras_serializable(package="tfp_flows")
def glow_scale(s: tf.Tensor) -> tf.Tensor:
    """`scale = 1 / sigmoid(s + 2)`, as in Glow: data only contract to the latent.

    The scale is not bounded: if `s` is far below 0, data contract to zero in float32, and
    their log-density stays finite.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.glow_scale(tf.constant([-1.0, 0.0, 9.0])).numpy().round(3)
    array([0.313, 0.127, 0.   ], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, the authors' code.
      https://arxiv.org/abs/1807.03039
    """
    return tf.math.softplus(-2.0 - s)


@keras.saving.register_keras_serializable(package="tfp_flows")
def bounded_glow_scale(s: tf.Tensor) -> tf.Tensor:
    """`scale = 1 / (0.1 + 0.9 sigmoid(s + 2))`, between 1 and 10.

    Under `glow_scale`, some draws overflow: a large value of one step makes the networks of
    the next ones return large scales, too.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> transformers.bounded_glow_scale(tf.constant([-9.0, 0.0, 9.0])).numpy().round(3)
    array([2.294, 0.113, 0.   ], dtype=float32)
    """
    return -tf.math.log1p((_LEAST_SHARE - 1.0) * tf.sigmoid(-2.0 - s))


class Shift(Transformer):
    """`y = x + shift`, with log-det 0 (NICE's additive coupling).

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> x, parameters = tf.constant([[1.0, 2.0]]), tf.constant([[[0.5, -1.0]]])
    >>> y, log_det = transformers.Shift().forward_and_log_det(x, parameters)
    >>> y.numpy().round(3), log_det.numpy().round(3)
    (array([[1.5, 1. ]], dtype=float32), array([[0., 0.]], dtype=float32))
    """

    num_parameters = 1

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, by `parameters`, `[..., 1, D]`; log-dets `[..., D]`."""
        (shift,) = self.constrain(parameters)
        y = x + shift
        return y, tf.zeros_like(y)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        (shift,) = self.constrain(parameters)
        x = y - shift
        return x, tf.zeros_like(x)


class Affine(Transformer):
    """`y = x * exp(log_scale) + shift`, with log-det `log_scale`.

    Args:
      log_scale: elementwise function from the second parameter to the log-scale. The
        default, `soft_bounded_scale`, keeps the scale of each step within `exp(-2)` and
        `exp(2)`; neither the shift nor the product over steps is bounded. Others are
        `exp_scale`, `softplus_scale`, `sigmoid_scale`, `glow_scale`, `bounded_glow_scale`.

    Raises:
      ValueError: if `log_scale` is not a function.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> x, parameters = tf.constant([[1.0, 2.0]]), tf.constant([[[0.5, 0.0], [0.0, 0.0]]])
    >>> y, log_det = transformers.Affine().forward_and_log_det(x, parameters)
    >>> y.numpy().round(3), log_det.numpy().round(3)
    (array([[1.5, 2. ]], dtype=float32), array([[0., 0.]], dtype=float32))

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, equations 4 to 8.
      https://arxiv.org/abs/1605.08803
    """

    num_parameters = 2

    def __init__(self, log_scale: Callable = soft_bounded_scale) -> None:
        check_callable("log_scale", log_scale, "a function such as `soft_bounded_scale`")
        self.log_scale = log_scale

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """The shift and the log-scale, `[..., D]` each."""
        shift, s = super().constrain(parameters)
        return shift, self.log_scale(s)

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, by `parameters`, `[..., 2, D]`; log-dets `[..., D]`."""
        shift, log_scale = self.constrain(parameters)
        return x * tf.exp(log_scale) + shift, log_scale

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        shift, log_scale = self.constrain(parameters)
        log_det = -log_scale
        return (y - shift) * tf.exp(log_det), log_det
