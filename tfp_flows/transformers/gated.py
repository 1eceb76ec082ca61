"""The gate of IAF: a weighted mean of a variable and its shift."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.core.arguments import check_number
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet


class Gated(Transformer):
    """`y = gate * x + (1 - gate) * shift`, with `gate = sigmoid(s + bias)`.

    The numerically stable step of IAF; its log-det is `log gate`.

    Gates may be arbitrarily near 0, so the latent of a far point may overflow. The inverse
    is clipped where squares are still finite, about 1e15 in float32, and its log-det
    counts the clipped stretch only. The density of such a point is then near 0, also under
    a base with heavy tails.

    Args:
      bias: added before the sigmoid, so that a fresh step nearly copies its input. The
        paper uses 1 to 2. K fresh steps contract by `sigmoid(bias)^K` together, so `IAF`
        opens the gates further for many steps.

    Raises:
      ValueError: if `bias` is not a finite number.

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

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """The shift and the logit of the gate, `[..., D]` each."""
        shift, s = super().constrain(parameters)
        return shift, s + self.bias

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, by `parameters`, `[..., 2, D]`; log-dets `[..., D]`."""
        shift, s = self.constrain(parameters)
        gate, closed, log_gate = _gate(s)
        return gate * x + closed * shift, log_gate

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        shift, s = self.constrain(parameters)
        # Equals (y - (1 - gate) * shift) / gate, without dividing two small numbers.
        most = y.dtype.max**0.4
        # Bounded before the exponential, so that its gradient is finite.
        ratio = tf.exp(tf.minimum(-s, math.log(most)))
        difference = tf.clip_by_value(y - shift, y.dtype.min, y.dtype.max)
        x = y + difference * ratio
        stretch = math.log(most) - tf.math.log(tf.maximum(tf.abs(difference), 1.0))
        log_det = tf.minimum(-tf.math.log_sigmoid(s), stretch)
        return tf.clip_by_value(x, -most, most), log_det


@tf.custom_gradient
def _gate(s):
    """Returns `sigmoid(s)`, `1 - sigmoid(s)` and `log(sigmoid(s))`."""
    gate, closed = tf.sigmoid(s), tf.sigmoid(-s)

    def gradient(gate_bar, closed_bar, log_gate_bar):
        # One product for all three; automatic differentiation takes a third sigmoid.
        return closed * (gate * (gate_bar - closed_bar) + log_gate_bar)

    # sigmoid(s) = exp(min(s, 0)) * sigmoid(|s|), and the last factor is at least 1/2.
    log_gate = tf.minimum(s, 0.0) + tf.math.log(tf.maximum(gate, closed))
    return (gate, closed, log_gate), gradient
