"""Distribution functions, quantiles and moments of a mixture of normal distributions."""

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["NormalMixture"]

tfd = tfp.distributions


class NormalMixture:
    """A mixture of K normal distributions of one variable, exact in both tails.

    Args:
      log_weights: `[..., K]`.
      loc: `[..., K]`.
      scale: `[..., K]`.
    """

    def __init__(self, log_weights, loc, scale):
        self._log_weights = log_weights
        self._components = tfd.Normal(loc, scale)

    def log_cdf(self, x):
        """`log P(X <= x)`, for `x`, `[...]`."""
        return self._log_mean(self._components.log_cdf(x[..., None]))

    def log_survival_function(self, x):
        """`log P(X > x)`, for `x`, `[...]`."""
        return self._log_mean(self._components.log_survival_function(x[..., None]))

    def quantile(self, probability):
        """`x` of `P(X <= x) = probability`, `[...]`, by bisection; it has no gradient."""
        # The mixture's quantile is between those of its components.
        of_components = self._components.quantile(probability[..., None])
        low = tf.reduce_min(of_components, axis=-1)
        high = tf.reduce_max(of_components, axis=-1)
        log_below, log_above = tf.math.log(probability), tf.math.log1p(-probability)

        def halve(low, high):
            middle = low + 0.5 * (high - low)
            is_below = tf.where(
                probability < 0.5,
                self.log_cdf(middle) < log_below,
                self.log_survival_function(middle) > log_above,
            )
            return tf.where(is_below, middle, low), tf.where(is_below, high, middle)

        count = 40 if low.dtype == tf.float32 else 70
        _, middle = tf.while_loop(
            lambda *_: True, halve, (low, high), maximum_iterations=count
        )
        # The ends are those of all components.
        return tf.stop_gradient(tf.where(tf.math.is_inf(low), low, middle))

    def mean(self):
        """`[...]`."""
        return tf.reduce_sum(tf.exp(self._log_weights) * self._components.loc, axis=-1)

    def variance(self):
        """`[...]`."""
        offset = self._components.loc - self.mean()[..., None]
        squares = self._components.scale**2 + offset**2
        return tf.reduce_sum(tf.exp(self._log_weights) * squares, axis=-1)

    def _log_mean(self, log_probabilities):
        return tf.reduce_logsumexp(self._log_weights + log_probabilities, axis=-1)
