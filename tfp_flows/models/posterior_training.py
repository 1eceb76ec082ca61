"""Training of a posterior by the evidence lower bound, one XLA program a block of steps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.distributions import draws
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.models.stratified_mean import stratified_mean
from tfp_flows.models.xla_or_graph import compiled

if TYPE_CHECKING:
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

__all__ = ["Block", "PosteriorTraining"]

_STEPS = 200
_BATCH = 128
_DECAY_OF_MEAN, _DECAY_OF_SQUARE, _SMALL = 0.9, 0.999, 1e-8
_DECAY_OF_NORM, _CLIP = 0.9, 4.0


@dataclasses.dataclass(frozen=True)
class Block:
    """What a block of steps came to.

    Attributes:
      elbo: mean of the bound, in nats, over the second half of the steps.
      error: its standard error.
      skipped: number of steps that were not finite, and so not taken.
      num_gradients: evaluations of the target's gradient.
    """

    elbo: float
    error: float
    skipped: int
    num_gradients: int


class PosteriorTraining(tf.Module):
    """Adam on the evidence lower bound, by gradients of draws alone.

    ```none
    x = flow(base draw),   f = log p(x) - log q(x),   q with its weights held
    gradient = sum_k weight_k mean_n d f(x_kn) / d weights,   n draws of each component k
    ```

    Weights are averaged over the second half of each block. Draws at which the target or
    its gradient is not finite are left out of a step; a step of which most are, or whose
    gradient is not finite, is not taken. Gradients are scaled down to four times their
    running norm.

    Args:
      density: an `UnconstrainedDensity`.
      distribution: what `starting_flow` returns.
      seed: of the noise.

    Reference:
      Roeder, Wu, Duvenaud (2017), Sticking the landing. https://arxiv.org/abs/1703.09194
    """

    def __init__(
        self, density: UnconstrainedDensity, distribution: FlowDistribution, *, seed: int
    ) -> None:
        super().__init__(name="posterior_training")
        self._density, self._distribution = density, distribution
        self._weights = distribution.trainable_variables
        # The whitening has no weights: its solves are not needed for gradients.
        self._whitening, *steps = distribution.bijector.bijectors
        self._inner = FlowDistribution(distribution.distribution, FlowChain(steps))
        self.mean, self.square, self.average = (
            [
                tf.Variable(tf.zeros_like(w), trainable=False, name=name)
                for w in self._weights
            ]
            for name in ("mean", "square", "average")
        )
        self.norm = tf.Variable(0.0, dtype=density.dtype, trainable=False, name="norm")
        self.step = tf.Variable(0, trainable=False, name="step")
        # Of steps that were not taken, too, so that the next one draws anew.
        self.trial = tf.Variable(0, trainable=False, name="trial")
        # Rung of the ladder, blocks on it, bound and error of the last one, gradients,
        # steps not taken, seconds: what an interrupted fit goes on from.
        zeros = np.zeros(7)
        self.counters = tf.Variable(zeros, trainable=False, name="counters")
        self._seed = seed
        self._block = compiled(self._run_block)

    @property
    def num_components(self) -> int:
        """Components of the base."""
        return getattr(self._distribution.distribution, "num_components", 1)

    @property
    def num_draws(self) -> int:
        """Draws of one batch."""
        return self.num_components * max(_BATCH // self.num_components, 32)

    def run(self, learning_rate: float, num_batches: int) -> Block:
        """Takes a block of steps, of `num_batches` batches each."""
        rate = tf.constant(learning_rate, self._density.dtype)
        bounds, variances, is_taken = (
            result.numpy() for result in self._block(rate, tf.constant(num_batches))
        )
        late = slice(_STEPS // 2, None)
        count = max(int(is_taken[late].sum()), 1)
        bounds, variances = bounds[late][is_taken[late]], variances[late][is_taken[late]]
        elbo = float(np.mean(bounds, dtype=np.float64)) if len(bounds) else -np.inf
        error = float(np.sqrt(variances.sum(dtype=np.float64)) / count)
        num_gradients = _STEPS * num_batches * self.num_draws
        return Block(elbo, error, int((~is_taken).sum()), num_gradients)

    def use_average(self) -> None:
        """Sets the weights to their average over the last block."""
        _assign(self._weights, self.average)

    def _run_block(self, rate, num_batches):
        dtype = self._density.dtype
        results = [tf.TensorArray(d, _STEPS) for d in (dtype, dtype, tf.bool)]

        def body(i, *results):
            bound, variance, gradient = self._gradient(num_batches)
            norm = tf.linalg.global_norm(gradient)
            is_taken = tf.math.is_finite(norm) & tf.math.is_finite(bound)
            self._take(gradient, norm, is_taken, rate)
            self._average(i)
            values = (bound, variance, is_taken)
            return i + 1, *(r.write(i, v) for r, v in zip(results, values, strict=True))

        _, *results = tf.while_loop(lambda i, *_: i < _STEPS, body, (0, *results))
        return [result.stack() for result in results]

    def _take(self, gradient, norm, is_taken, rate):
        """One step of Adam with a gradient of this norm, or none."""
        usual = tf.where(self.norm > 0.0, self.norm, norm)
        bounded = tf.minimum(norm, _CLIP * usual)
        factor = bounded / tf.maximum(norm, 1e-30)
        self.norm.assign(
            tf.where(is_taken, _mix(usual, bounded, _DECAY_OF_NORM), self.norm)
        )
        self.step.assign_add(tf.cast(is_taken, tf.int32))
        self.trial.assign_add(1)
        t = tf.cast(tf.maximum(self.step, 1), self.norm.dtype)
        of_mean, of_square = 1.0 - _DECAY_OF_MEAN**t, 1.0 - _DECAY_OF_SQUARE**t
        for weight, mean, square, g in zip(
            self._weights, self.mean, self.square, gradient, strict=True
        ):
            g = factor * g
            mean.assign(tf.where(is_taken, _mix(mean, g, _DECAY_OF_MEAN), mean))
            square.assign(tf.where(is_taken, _mix(square, g**2, _DECAY_OF_SQUARE), square))
            change = rate * (mean / of_mean) / (tf.sqrt(square / of_square) + _SMALL)
            weight.assign_sub(tf.where(is_taken, change, tf.zeros_like(change)))

    def _average(self, i):
        count = tf.cast(tf.maximum(i - _STEPS // 2 + 1, 1), self.norm.dtype)
        for weight, average in zip(self._weights, self.average, strict=True):
            average.assign(_mix(average, weight, 1.0 - 1.0 / count))

    def _gradient(self, num_batches):
        """The bound, its variance, and the gradient of its negative, over all batches."""
        size = tf.cast(num_batches, self._density.dtype)

        def body(j, bound, variance, gradient):
            index = self.trial * 1024 + j
            terms = self._batch_gradient(draws.fold_in(self._seed, index))
            gradient = [a + b for a, b in zip(gradient, terms[2], strict=True)]
            return j + 1, bound + terms[0], variance + terms[1], gradient

        zero = tf.zeros([], self._density.dtype)
        _, bound, variance, gradient = tf.while_loop(
            lambda j, *_: j < num_batches,
            body,
            (0, zero, zero, [tf.zeros_like(w) for w in self._weights]),
        )
        return bound / size, variance / size**2, [g / size for g in gradient]

    def _batch_gradient(self, seed):
        with tf.GradientTape() as tape:
            bound, variance = self._bound(seed)
            loss = -bound
        gradients = tape.gradient(
            loss, self._weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return bound, variance, gradients

    def _bound(self, seed):
        log_weights, u = self._base_draws(seed)
        y, log_det = self._inner.bijector.forward_and_log_det(u)
        x, of_whitening = self._whitening.forward_and_log_det(y)
        total = self._inner.distribution.log_prob(u) - log_det - of_whitening
        fixed = tf.stop_gradient(x)
        # The total gradient, less that by the weights at fixed draws.
        by_weights = self._inner.log_prob(tf.stop_gradient(y))
        log_q = total - (by_weights - tf.stop_gradient(by_weights))
        log_p, slope = self._target(fixed)
        is_usable = tf.math.is_finite(log_p) & tf.reduce_all(
            tf.math.is_finite(slope), axis=-1
        )
        is_usable &= tf.math.is_finite(total) & tf.math.is_finite(by_weights)
        slope = tf.where(is_usable[:, None], slope, 0.0)
        log_p = log_p + tf.reduce_sum(slope * (x - fixed), axis=-1)
        ratio = tf.where(is_usable, log_p - log_q, 0.0)
        return stratified_mean(ratio, is_usable, log_weights)

    def _target(self, x):
        """Log-density and gradient of the target, without a gradient of their own.

        The loop of one pass is for XLA. It takes all that the gradient of an auto-batched
        joint distribution depends on for constants, the weights included, and so would
        compile each block anew; what a loop changes it does not.
        """
        rows = tf.shape(x)[0]
        start = 0, x, tf.zeros([rows], x.dtype), tf.zeros_like(x)
        shapes = tuple(s.shape for s in map(tf.convert_to_tensor, start))

        def body(i, x, *_):
            return i + 1, x + 0.0, *self._density.value_and_gradient(x)

        _, _, *results = tf.while_loop(
            lambda i, *_: i < 1, body, start, shape_invariants=shapes
        )
        return map(tf.stop_gradient, results)

    def _base_draws(self, seed):
        base, count = self._distribution.distribution, self.num_draws
        size = self._density.event_size
        if not isinstance(base, GaussianMixture):
            noise = draws.normal([count, size], seed, self._density.dtype)
            return tf.zeros([1], self._density.dtype), noise
        shape = [self.num_components, count // self.num_components, size]
        noise = draws.normal(shape, seed, self._density.dtype)
        return base.log_weights, tf.reshape(base.of_noise(noise), [-1, size])


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _mix(old, new, decay):
    return old * decay + new * (1.0 - decay)
