"""A case for every transformer: its own contract, and that of steps of it, run on each."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

import tfp_flows as tff
from tfp_flows import transformers

__all__ = ["CASES", "Curved", "TransformerCase"]


@dataclasses.dataclass(frozen=True)
class TransformerCase:
    """A line of `CASES`.

    `build()` returns a transformer. `plain(x, *parameters)` returns `y` and the log-det as
    the paper writes them. `start` is the map at zero parameters, and `far` are further
    values of the last parameter. One that is `bounded` is finite for any finite parameters.
    """

    build: Callable
    plain: Callable
    start: Callable = lambda x: x
    far: tuple = ()
    bounded: bool = False


class Curved(tff.Transformer):
    """`y = x + (exp(s) - 1) tanh(x) + shift`, whose inverse only bisection finds."""

    num_parameters = 2

    def constrain(self, parameters):
        shift, s = super().constrain(parameters)
        return shift, tf.math.expm1(transformers.soft_bounded_scale(s))

    def forward_and_log_det(self, x, parameters):
        shift, a = self.constrain(parameters)
        return x + a * tf.tanh(x) + shift, tf.math.log1p(a * (1.0 - tf.tanh(x) ** 2))

    def inverse_and_log_det(self, y, parameters):
        return self.inverse_by_root(self._bisect, y, parameters)

    def _bisect(self, y, parameters):
        shift, a = self.constrain(parameters)

        def halve(low, high):
            middle = 0.5 * low + 0.5 * high
            below = middle + a * tf.tanh(middle) + shift < y
            return tf.where(below, middle, low), tf.where(below, high, middle)

        bracket = (y - shift - tf.abs(a), y - shift + tf.abs(a))
        return tf.while_loop(lambda *_: True, halve, bracket, maximum_iterations=60)[0]


def curved(x, shift, s):
    a = tf.exp(2.0 * tf.tanh(s / 2.0)) - 1.0
    return x + a * tf.tanh(x) + shift, tf.math.log(1.0 + a / tf.cosh(x) ** 2)


def gated(x, shift, s):
    gate = tf.sigmoid(s + 1.5)
    return gate * x + (1.0 - gate) * shift, tf.math.log_sigmoid(s + 1.5)


def affine(log_scale, scale_of, start=1.0, **claims):
    def plain(x, shift, s):
        return scale_of(s) * x + shift, tf.math.log(scale_of(s))

    return TransformerCase(
        lambda: tff.Affine(log_scale), plain, lambda x: start * x, **claims
    )


CASES = {
    "shift": TransformerCase(
        tff.Shift, lambda x, m: (x + m, tf.zeros_like(x)), bounded=True
    ),
    "affine": affine(
        transformers.soft_bounded_scale,
        lambda s: tf.exp(2.0 * tf.tanh(s / 2.0)),
        far=(-1e6, 1e6),
        bounded=True,
    ),
    "affine_exp": affine(transformers.exp_scale, tf.exp),
    "affine_softplus": affine(
        transformers.softplus_scale, lambda s: tf.math.log1p((math.e - 1.0) * tf.exp(s))
    ),
    "affine_sigmoid": affine(
        transformers.sigmoid_scale,
        lambda s: tf.sigmoid(s + 2.0),
        1.0 / (1.0 + math.exp(-2)),
    ),
    "affine_glow": affine(
        transformers.glow_scale, lambda s: 1.0 / tf.sigmoid(s + 2.0), 1.0 + math.exp(-2)
    ),
    "gated": TransformerCase(
        lambda: tff.Gated(bias=1.5),
        gated,
        lambda x: x / (1.0 + math.exp(-1.5)),
        far=(-100.0, -40.0, -3.0, 3.0, 40.0, 100.0),
        bounded=True,
    ),
    "curved": TransformerCase(Curved, curved, bounded=True),
}
