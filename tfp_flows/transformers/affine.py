"""Elementwise bijectors made from a conditioner's parameters.

A transformer in the sense of the flow literature: the map `x -> y` of one variable,
not the attention model. It is any object with these members, and knows neither the
network nor the mask:

```none
num_parameters                                      P, the numbers that a variable needs
forward_and_log_det(x, parameters) -> y, log_det    x, y and log_det [..., D]
inverse_and_log_det(y, parameters) -> x, log_det    parameters [..., P * D]: D for the
                                                    first number, then D for the second
get_config()                                        the constructor's arguments, to save it
```

D is not fixed, and there may be no axis before it: where variables are solved for one
after another, `x` is one variable of N rows, `[N]`, and `parameters` are `[P * N]`. A
network's output starts at zero, which is best the identity. One's own, with lighter or
heavier tails:

>>> import tensorflow as tf
>>> import tfp_flows
>>> class Tails:
...     '''y = sinh(exp(s) * asinh(x))'''
...
...     num_parameters = 1
...
...     def forward_and_log_det(self, x, s):
...         y = tf.sinh(tf.exp(s) * tf.asinh(x))
...         return y, s + 0.5 * (tf.math.log1p(y**2) - tf.math.log1p(x**2))
...
...     def inverse_and_log_det(self, y, s):
...         return self.forward_and_log_det(y, -s)
...
...     def get_config(self):
...         return {}
>>> flow = tfp_flows.MAF(3, transformer=Tails(), seed=0)

Is its log-det right? A network that does not start at zero tells:

>>> network = tfp_flows.MLP(1, (8,), zero_last_layer=False, seed=0)
>>> conditioner = tfp_flows.Conditioner(network, input_shape=2)
>>> step = tfp_flows.Coupling([True, True, False], conditioner, Tails())
>>> tfp_flows.check_bijector(step, tf.random.stateless_normal([32, 3], [0, 1])).passed
True
"""

import math

import tensorflow as tf

from tfp_flows.core.arguments import check_callable
from tfp_flows.core.arguments import check_number

__all__ = [
    "Affine",
    "Gated",
    "Shift",
    "exp_scale",
    "glow_scale",
    "sigmoid_scale",
    "soft_bounded_scale",
    "softplus_scale",
]


def soft_bounded_scale(s, bound=2.0):
    """`log_scale = bound * tanh(s / bound)`: between `-bound` and `bound`; near 0, `s`."""
    return bound * tf.tanh(s / bound)


def exp_scale(s):
    """`log_scale = s`, `scale = exp(s)`: the papers' form, without any bound."""
    return s


def softplus_scale(s):
    """`scale = softplus(s + log(e - 1))`, which is 1 at `s = 0`."""
    return tf.math.log(tf.math.softplus(s + math.log(math.e - 1.0)))


def sigmoid_scale(s):
    """`scale = sigmoid(s + 2)`, .88 at `s = 0`: samples may only contract."""
    return tf.math.log_sigmoid(s + 2.0)


def glow_scale(s):
    """`scale = 1 / sigmoid(s + 2)`: Glow's form; data may only contract to the latent.

    Not bounded: where `s` is far below 0, data contract to zero in float32, and their
    log-density stays finite.

    Reference:
      Kingma, Dhariwal (2018), Glow, the authors' code.
      https://arxiv.org/abs/1807.03039
    """
    return tf.math.softplus(-2.0 - s)


class Shift:
    """`y = x + shift`, with log-det 0 (NICE's additive coupling)."""

    num_parameters = 1

    def forward_and_log_det(self, x, parameters):
        """Maps `x`, `[..., D]`, with `parameters`, `[..., D]`; log-dets `[..., D]`."""
        return x + parameters, tf.zeros_like(x)

    def inverse_and_log_det(self, y, parameters):
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return y - parameters, tf.zeros_like(y)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {}


class Affine:
    """`y = x * exp(log_scale) + shift`, with log-det `log_scale`.

    Args:
      log_scale: elementwise function from half of the conditioner's output to the
        log-scale. The default, `soft_bounded_scale`, keeps the scale of each step within
        `exp(-2)` and `exp(2)`; the shift is not bounded, nor is the product over steps.
        Also `exp_scale`, `softplus_scale`, `sigmoid_scale`, `glow_scale`.

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, equations 4 to 8.
      https://arxiv.org/abs/1605.08803
    """

    num_parameters = 2

    def __init__(self, log_scale=soft_bounded_scale):
        check_callable("log_scale", log_scale, "a function such as `soft_bounded_scale`")
        self.log_scale = log_scale

    def forward_and_log_det(self, x, parameters):
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 2 D]`; log-dets `[..., D]`."""
        shift, log_scale = self._split(parameters)
        return x * tf.exp(log_scale) + shift, log_scale

    def inverse_and_log_det(self, y, parameters):
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        shift, log_scale = self._split(parameters)
        return (y - shift) * tf.exp(-log_scale), -log_scale

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"log_scale": self.log_scale}

    def _split(self, parameters):
        shift, s = tf.split(parameters, 2, axis=-1)
        return shift, self.log_scale(s)


class Gated:
    """`y = gate * x + (1 - gate) * shift`, with `gate = sigmoid(s + bias)`.

    The numerically stable step of IAF; its log-det is `log gate`.

    As gates may be arbitrarily near 0, a point far out of where the flow sends its latents
    comes from latents beyond any float. The inverse stops where their squares still are
    floats, about 1e15 in float32, so that the density of such a point is near 0, not NaN.

    Args:
      bias: added before the sigmoid, so that a fresh step nearly copies its input. The
        paper uses 1 to 2.

    Reference:
      Kingma et al. (2016), IAF, equations 13 and 14 and Algorithm 1.
      https://arxiv.org/abs/1606.04934
    """

    num_parameters = 2

    def __init__(self, bias=2.0):
        check_number("bias", bias, "that is finite", math.isfinite)
        self.bias = bias

    def forward_and_log_det(self, x, parameters):
        """Maps `x`, `[..., D]`, with `parameters`, `[..., 2 D]`; log-dets `[..., D]`."""
        shift, s = self._split(parameters)
        gate, closed, log_gate = _gate(s)
        return gate * x + closed * shift, log_gate

    def inverse_and_log_det(self, y, parameters):
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        shift, s = self._split(parameters)
        # (y - (1 - gate) * shift) / gate, without the division of two small numbers.
        most = y.dtype.max**0.4
        x = y + (y - shift) * tf.minimum(tf.exp(-s), most)
        return tf.clip_by_value(x, -most, most), -tf.math.log_sigmoid(s)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"bias": self.bias}

    def _split(self, parameters):
        shift, s = tf.split(parameters, 2, axis=-1)
        return shift, s + self.bias


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
