"""The gate of IAF: a weighted mean of a variable and its shift."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_number
from tfp_flows.transformers.transformer import Transformer

__all__ = ["Gated"]


class Gated(Transformer):
    """`y = gate * x + (1 - gate) * shift`, with `gate = sigmoid(s + bias)`.

    The numerically stable step of IAF; its log-det is `log gate`.

    As gates may be arbitrarily near 0, a point far out of where the flow sends its latents
    comes from latents beyond any float. The inverse stops where their squares still are
    floats, about 1e15 in float32; its log-det is then that of the stretch which is left,
    so that the density of such a point is near 0: neither NaN nor, under a base with heavy
    tails, enormous.

    Args:
      bias: added before the sigmoid, so that a fresh step nearly copies its input. The
        paper uses 1 to 2. K fresh steps together contract by `sigmoid(bias)^K`, and their
        inverse stretches by as much: of many steps, `IAF` opens the gates further.

    >>> import tensorflow as tf
    >>> from tfp_flows import transformers
    >>> x, parameters = tf.constant([[1.0, 2.0]]), tf.zeros([1, 2, 2])
    >>> y, log_det = transformers.Gated().forward_and_log_det(x, parameters)
    >>> y.numpy().round(3), log_det.numpy().round(3)
    (array([[0.881, 1.762]], dtype=float32), array([[-0.127, -0.127]], dtype=float32))

    Reference:
      Kingma et al. (2016), IAF, equations 13 and 14 and Algorithm 1.
      https://arxiv.org/abs/1606.04934
    """

    num_parameters = 2

    def __init__(self, bias: float = 2.0) -> None:
        check_number("bias", bias, "that is finite", math.isfinite)
        self.bias = bias

    def constrain(self, parameters: TensorLike) -> Sequence[tf.Tensor]:
        """The shift, and what the gate is the sigmoid of, `[..., D]` each."""
        shift, s = super().constrain(parameters)
        return shift, s + self.bias

    def forward_and_log_det(
        self, x: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps `x`, `[..., D]`, by `parameters`, `[..., 2, D]`; log-dets `[..., D]`."""
        shift, s = self.constrain(parameters)
        gate, closed, log_gate = _gate(s)
        return gate * x + closed * shift, log_gate

    def inverse_and_log_det(
        self, y: TensorLike, parameters: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        shift, s = self.constrain(parameters)
        # (y - (1 - gate) * shift) / gate, without the division of two small numbers.
        most = y.dtype.max**0.4
        # Bounded before the exponential, whose gradient would be infinite.
        ratio = tf.exp(tf.minimum(-s, math.log(most)))
        difference = tf.clip_by_value(y - shift, y.dtype.min, y.dtype.max)
        x = y + difference * ratio
        stretch = math.log(most) - tf.math.log(tf.maximum(tf.abs(difference), 1.0))
        log_det = tf.minimum(-tf.math.log_sigmoid(s), stretch)
        return tf.clip_by_value(x, -most, most), log_det


@tf.custom_gradient
def _gate(s):
    """Returns the sigmoid of `s`, what is missing to 1, and the sigmoid's logarithm."""
    gate, closed = tf.sigmoid(s), tf.sigmoid(-s)

    def gradient(gate_bar, closed_bar, log_gate_bar):
        # One product for all three, where TensorFlow would take a third sigmoid.
        return closed * (gate * (gate_bar - closed_bar) + log_gate_bar)

    # sigmoid(s) = exp(min(s, 0)) * sigmoid(|s|), whose last factor is 1/2 or more.
    log_gate = tf.minimum(s, 0.0) + tf.math.log(tf.maximum(gate, closed))
    return (gate, closed, log_gate), gradient
