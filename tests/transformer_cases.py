"""A case for every transformer: its own contract, and that of steps of it, run on each."""

import dataclasses
import math
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows import transformers


@dataclasses.dataclass(frozen=True)
class TransformerCase:
    """A line of `CASES`.

    `build()` returns a transformer. `plain(x, *parameters)` returns `y` and the log-det as
    the paper writes them. `start` is the map at zero parameters, and `far` are further
    values of the last parameter. One that is `bounded` is finite for any finite parameters.
    Variables are drawn within `reach`, parameters with the standard deviation `spread`.
    """

    build: Callable
    plain: Callable
    start: Callable = lambda x: x
    far: tuple = ()
    bounded: bool = False
    reach: float = math.inf
    spread: float = 1.0


@keras.saving.register_keras_serializable(package="tests")
class Curved(tff.transformers.Transformer):
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


def knots(logits, bound):
    """Positions, of bins whose parts of the interval are those of `logits`."""
    parts = 1e-3 + (1.0 - 1e-3 * len(logits)) * tf.nn.softmax(tf.stack(logits, -1), -1)
    return 2.0 * bound * parts


def spline_slopes(raw):
    raw = 30.0 * tf.tanh(tf.stack(raw, -1) / 30.0)
    return 1e-3 + tf.math.softplus(raw + math.log(math.exp(1.0 - 1e-3) - 1.0))


def tfp_spline(x, widths, heights, slopes, bound):
    ends = tf.constant(-bound, x.dtype)
    spline = tfp.bijectors.RationalQuadraticSpline(widths, heights, slopes, ends)
    return spline.forward(x), spline.forward_log_det_jacobian(x, 0)


def spline(x, *parameters):
    widths, heights = knots(parameters[:4], 2.5), knots(parameters[4:8], 2.5)
    return tfp_spline(x, widths, heights, spline_slopes(parameters[8:]), 2.5)


def circular_spline(x, *parameters):
    widths, heights = knots(parameters[:3], math.pi), knots(parameters[3:6], math.pi)
    inner, phase = spline_slopes(parameters[6:9]), parameters[9]
    # The slope at both ends is the first; TFP's are 1, so in units of it.
    first = inner[..., 0]
    unit = first[..., None]
    y, log_det = tfp_spline(x, widths, heights / unit, inner[..., 1:] / unit, math.pi)
    y = (y + math.pi) * first - math.pi + phase
    turns = tf.round(tf.stop_gradient(y) / (2.0 * math.pi))
    return y - 2.0 * math.pi * turns, log_det + tf.math.log(first)


def cubic_rational(x, alpha, beta, loc):
    low, high = -1.0 + 1e-3, 8.0 - 1e-3
    alpha = low + (high - low) / (1.0 + (high / -low) * tf.exp(-alpha))
    beta = 0.1 + tf.math.log1p((math.exp(0.9) - 1.0) * tf.exp(beta))
    u = x - loc
    q = 1.0 + beta * u**2
    return x + alpha * u / q, tf.math.log(1.0 + alpha * (1.0 - beta * u**2) / q**2)


def sinh_conjugation(x, loc, a, mu, nu, beta):
    a = 0.1 + tf.math.log1p((math.exp(0.9) - 1.0) * tf.exp(a))
    mu, nu = 3.0 * tf.tanh(mu / 3.0), 3.0 * tf.tanh(nu / 3.0)
    u = (x - loc) / a
    z = tf.exp(mu) * (tf.exp(nu) * tf.sinh(u) + tf.asinh(beta))
    return loc + a * tf.asinh(z), mu + nu + tf.math.log(tf.cosh(u) / tf.sqrt(1.0 + z**2))


def cubic_conjugation(*values):
    x, loc, a, b, beta = (tf.cast(value, tf.float64) for value in values)
    a, b = tf.exp(2.0 * tf.tanh(a / 2.0)), tf.exp(2.0 * tf.tanh(b / 2.0))
    u = x - loc
    half = (a * u + b * u**3 + beta) / (2.0 * b)
    root = tf.sqrt(half**2 + (a / (3.0 * b)) ** 3)
    v = (root + half) ** (1 / 3) - (root - half) ** (1 / 3)
    log_det = tf.math.log((a + 3.0 * b * u**2) / (a + 3.0 * b * v**2))
    return tuple(tf.cast(result, values[0].dtype) for result in (loc + v, log_det))


def mixture_cdf(x, *parameters):
    weights = tf.nn.softmax(tf.stack(parameters[:3], -1))
    means = tf.stack(parameters[3:6], -1) + tf.constant([-1.0, 0.0, 1.0], x.dtype)
    scales = tf.exp(4.0 * tf.tanh(tf.stack(parameters[6:9], -1) / 4.0))
    z = (x[..., None] - means) / scales
    cdf = tf.reduce_sum(weights * tf.sigmoid(z), -1)
    density = tf.reduce_sum(weights * tf.sigmoid(z) * tf.sigmoid(-z) / scales, -1)
    scale = tf.exp(2.0 * tf.tanh(parameters[10] / 2.0))
    y = scale * tf.math.log(cdf / (1.0 - cdf)) + parameters[9]
    return y, tf.math.log(scale * density / (cdf * (1.0 - cdf)))


def mixture_start(x):
    return mixture_cdf(x, *[tf.zeros_like(x)] * 11)[0]


def tail(x, mu, log_sigma, lower, upper):
    raw = 10.0 * tf.tanh(tf.where(x < 0.0, lower, upper) / 10.0)
    weight = 1e-3 + tf.math.log1p((math.exp(0.25) - 1.0) * tf.exp(raw))
    sigma = tf.exp(2.0 * tf.tanh(log_sigma / 2.0))
    survival = tf.math.erfc(tf.abs(x) / math.sqrt(2.0))
    y = mu + sigma * tf.sign(x) * (survival**-weight - 1.0) / weight
    density = math.sqrt(2.0 / math.pi) * tf.exp(-0.5 * x**2)
    return y, tf.math.log(sigma * survival ** (-weight - 1.0) * density)


def tail_start(x):
    return tail(x, *[tf.zeros_like(x)] * 4)[0]


CASES = {
    "spline": TransformerCase(
        lambda: transformers.RationalQuadraticSpline(4, 2.5), spline, bounded=True
    ),
    "circular_spline": TransformerCase(
        lambda: transformers.CircularSpline(3), circular_spline, reach=3.0, spread=0.5
    ),
    "cubic_rational": TransformerCase(
        transformers.CubicRational, cubic_rational, bounded=True
    ),
    "sinh_conjugation": TransformerCase(
        transformers.SinhConjugation, sinh_conjugation, bounded=True
    ),
    "cubic_conjugation": TransformerCase(
        transformers.CubicConjugation, cubic_conjugation, bounded=True
    ),
    "mixture_cdf": TransformerCase(
        lambda: transformers.MixtureCDF(3), mixture_cdf, mixture_start, bounded=True
    ),
    "tail": TransformerCase(transformers.Tail, tail, tail_start),
    "shift": TransformerCase(
        tff.transformers.Shift, lambda x, m: (x + m, tf.zeros_like(x)), bounded=True
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
    "affine_bounded_glow": affine(
        transformers.bounded_glow_scale,
        lambda s: 1.0 / (0.1 + 0.9 * tf.sigmoid(s + 2.0)),
        1.0 / (0.1 + 0.9 / (1.0 + math.exp(-2))),
        bounded=True,
    ),
    "gated": TransformerCase(
        lambda: tff.transformers.Gated(bias=1.5),
        gated,
        lambda x: x / (1.0 + math.exp(-1.5)),
        far=(-100.0, -40.0, -3.0, 3.0, 40.0, 100.0),
        bounded=True,
    ),
    "curved": TransformerCase(Curved, curved, bounded=True),
}
