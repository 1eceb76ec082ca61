"""The cumulative distribution function of a mixture of logistics, as an elementwise map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_size
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet

_MOST = 10_000  # largest number of components
_MOST_ITERATIONS = 100  # of the root finder


class MixtureCDF(Transformer):
    """`y = scale * logit F(x) + shift`, with F the CDF of a mixture of K logistics.

    ```none
    z_k = (x - m_k) / s_k,   F(x) = sum_k pi_k sigmoid(z_k)
    d logit F / dx = f / (F (1 - F)) = f / F + f / (1 - F)
                   = sum_k a_k sigmoid(-z_k) / s_k + sum_k b_k sigmoid(z_k) / s_k
    a_k in proportion to pi_k sigmoid(z_k),   b_k to pi_k sigmoid(-z_k)
    ```

    This sum does not cancel in the tails. Newton's method with bisection finds the inverse,
    between the quantiles of the components; its gradient is implicit (`inverse_by_root`).

    The parameters of a variable are K logits, K means, K log-scales of the components, a
    shift and a log-scale. Zeros are near the identity: the means start spread over -1 to 1,
    since equal components would stay equal.

    Args:
      num_components: K.

    Raises:
      ValueError: if `num_components` is not an integer from 1 to 10,000.

    >>> import tfp_flows
    >>> transformer = tfp_flows.transformers.MixtureCDF(2)
    >>> flow = tfp_flows.MAF(2, transformer=transformer, seed=0)

    Reference:
      Ho et al. (2019), Flow++, section 3.2. https://arxiv.org/abs/1902.00275
    """

    def __init__(self, num_components: int = 8) -> None:
        self.num_components = check_size("num_components", num_components, 1, _MOST)

    @property
    def num_parameters(self) -> int:
        """3 K + 2: logits, means and log-scales; shift and log-scale."""
        return 3 * self.num_components + 2

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, with `parameters`, `[..., P, D]`; log-dets `[..., D]`."""
        mixture, shift, log_scale = self.constrain(parameters)
        logit, log_slope = _logit_and_log_slope(x, *mixture)
        return logit * tf.exp(log_scale) + shift, log_slope + log_scale

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self.inverse_by_root(self._root, y, parameters)

    def _root(self, y, parameters):
        mixture, shift, log_scale = self.constrain(parameters)
        most = y.dtype.max**0.8
        logit = tf.clip_by_value(y - shift, -most, most) * tf.exp(-log_scale)
        return _solve(logit, *mixture)

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """Log-weights, means and log-scales, `[..., K, D]`; a shift and a log-scale."""
        self._check_parameters(parameters, self.num_parameters)
        k = self.num_components
        logits, means, log_scales, last = tf.split(parameters, [k, k, k, 2], axis=-2)
        apart = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
        means += tf.constant(apart[:, None], parameters.dtype)
        shift, log_scale = tf.unstack(last, axis=-2)
        mixture = (
            tf.nn.log_softmax(logits, axis=-2),
            means,
            soft_bounded_scale(log_scales, 4.0),
        )
        return mixture, shift, soft_bounded_scale(log_scale)


def _logit_and_log_slope(x, log_weights, means, log_scales):
    """`logit F(x)`, `[..., D]`, and the logarithm of its derivative."""
    most = x.dtype.max**0.8
    x = tf.clip_by_value(x, -most, most)
    inverse_scales = tf.exp(-log_scales)
    z = (x[..., None, :] - means) * inverse_scales
    below = log_weights + tf.math.log_sigmoid(z)
    above = log_weights + tf.math.log_sigmoid(-z)
    logit = tf.reduce_logsumexp(below, axis=-2) - tf.reduce_logsumexp(above, axis=-2)
    slopes = tf.nn.softmax(below, axis=-2) * tf.sigmoid(-z)
    slopes += tf.nn.softmax(above, axis=-2) * tf.sigmoid(z)
    slope = tf.reduce_sum(slopes * inverse_scales, axis=-2)
    # Between distant components, F is constant to all digits and its slope rounds to 0.
    least = np.finfo(x.dtype.as_numpy_dtype).tiny
    return logit, tf.math.log(tf.maximum(slope, least))


def _solve(logit, log_weights, means, log_scales):
    """Solves `logit F(x) = logit` for x, which lies between the components' quantiles."""
    quantiles = means + tf.exp(log_scales) * logit[..., None, :]
    low, high = tf.reduce_min(quantiles, axis=-2), tf.reduce_max(quantiles, axis=-2)
    tolerance = 4.0 * np.finfo(logit.dtype.as_numpy_dtype).eps

    def unsolved(x, step, *_):
        return tf.reduce_any(tf.abs(step) > tolerance * (1.0 + tf.abs(x)))

    def improve(x, _, low, high):
        value, log_slope = _logit_and_log_slope(x, log_weights, means, log_scales)
        is_low = value < logit
        low, high = tf.where(is_low, x, low), tf.where(is_low, high, x)
        newton = x + (logit - value) * tf.exp(-log_slope)
        is_between = (low <= newton) & (newton <= high)
        new = tf.where(is_between, newton, 0.5 * low + 0.5 * high)
        return new, new - x, low, high

    start = 0.5 * low + 0.5 * high
    state = start, tf.fill(tf.shape(start), tf.constant(np.inf, start.dtype)), low, high
    return tf.while_loop(unsolved, improve, state, maximum_iterations=_MOST_ITERATIONS)[0]
