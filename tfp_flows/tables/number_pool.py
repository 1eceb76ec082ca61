"""The pool of the members' distributions of a row's numbers, recalibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import draws
from tfp_flows.tables.number_conditionals import NumberConditionals

__all__ = ["NumberPool"]


class NumberPool:
    """Means over M members of the distributions of D numbers, recalibrated.

    ```none
    F(y) = G(mean of F_m(y)),   G(p) = (1 - w) p + w (3 p^2 - 2 p^3)
    p(y) = (mean of p_m(y)) ((1 - w) + w (3 (a + b) - 2 (a^2 + a b + b^2)))
    a, b: means of F_m below y and up to y, which of real numbers are equal
    ```

    A mean of distributions that are calibrated is too wide; weights w above 0 narrow it. No
    density falls below `1 - |w|` of the mean's, however far out.

    Args:
      conditionals: the `NumberConditionals` of the members.
      weights: w of each number, `[D]`, in (-1, 1); 0 on circles, which have no order.

    Reference:
      Gneiting, Ranjan (2013), Combining predictive distributions.
      https://doi.org/10.1214/13-EJS823 (Theorem 3.1; there G is a beta distribution's.)
    """

    def __init__(self, conditionals: NumberConditionals, weights: Sequence[float]) -> None:
        self.conditionals = conditionals
        self.weights = np.asarray(weights, np.float64)

    def of_columns(self, columns: list[int]) -> NumberPool:
        """Those of some of the numbers."""
        own = self.conditionals.of_columns(columns)
        return NumberPool(own, self.weights[columns].tolist())

    def log_prob(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-densities, of integers log-probabilities, `[..., D]`, of members' parameters.

        Args:
          y: numbers, `[..., D]`.
          parameters: `[..., M, P, D]`.
        """
        each = self.conditionals.evaluate(y, parameters)
        log_sum = tf.reduce_logsumexp(each.log_prob, axis=-2)
        num_members = tf.cast(tf.shape(each.log_prob)[-2], tf.float64)
        log_prob = tf.cast(log_sum, tf.float64) - tf.math.log(num_members)
        return log_prob + tf.math.log(self._narrowing(each))

    def cdf(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(Y <= y)`, `[..., D]`."""
        return self._recalibrated(self.conditionals.cdf(y, parameters))

    def cdf_on_line(self, u: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """`P(U <= u)` on the standardised line, `[..., D]`."""
        return self._recalibrated(self.conditionals.cdf_on_line(u, parameters))

    def narrowing(self, y: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Densities as shares of those of the mean, `[..., D]`."""
        return self._narrowing(self.conditionals.evaluate(y, parameters))

    def draw(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws numbers, `[N, D]`, of members' parameters, `[N, M, P, D]`.

        By rejection: of the members' draws those are kept that G makes more probable.
        """
        y, is_kept = self._proposed(parameters, seed)
        rest = tf.where(~tf.reduce_all(is_kept, axis=1))[:, 0]
        of_rest = tf.gather(parameters, rest)

        def again(index, y, is_kept):
            other, is_other_kept = self._proposed(of_rest, draws.fold_in(seed, index))
            return index + 1, tf.where(is_kept, y, other), is_kept | is_other_kept

        state = (tf.constant(1), tf.gather(y, rest), tf.gather(is_kept, rest))
        found = tf.while_loop(lambda i, y, kept: ~tf.reduce_all(kept), again, state)[1]
        return tf.tensor_scatter_nd_update(y, rest[:, None], found)

    def _proposed(self, parameters, seed):
        """Draws of one member for each row, `[N, D]`, and which of them are kept."""
        member_seed, noise_seed, choice_seed = draws.split(seed, 3)
        shape = tf.shape(parameters)
        uniform = draws.uniform([shape[0]], member_seed, tf.float64)
        member = tf.cast(tf.floor(uniform * tf.cast(shape[1], tf.float64)), tf.int32)
        size = [shape[0], shape[3]]
        z = draws.normal(size, noise_seed, parameters.dtype)
        y = self.conditionals.draw(z, tf.gather(parameters, member, batch_dims=1))
        most = 1.0 + np.maximum(0.5 * self.weights, -self.weights)
        share = draws.uniform(size, choice_seed, tf.float64) * most
        # What is NaN stays so, in place of a search without end.
        return y, (share < self.narrowing(y, parameters)) | tf.math.is_nan(y)

    def _narrowing(self, each):
        a, b = (self._mean(cdf) for cdf in (each.below, each.up_to))
        narrow = 3.0 * (a + b) - 2.0 * (a**2 + a * b + b**2)
        return 1.0 - self.weights + self.weights * narrow

    def _recalibrated(self, each):
        p = self._mean(each)
        return (1.0 - self.weights) * p + self.weights * p**2 * (3.0 - 2.0 * p)

    def _mean(self, each):
        return tf.reduce_mean(tf.cast(each, tf.float64), axis=-2)
