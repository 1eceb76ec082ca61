"""Training of a posterior by the evidence lower bound, in blocks of compiled steps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.compiled import XLAIfPossible
from tfp_flows.distributions import draws
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.budget import Budget
from tfp_flows.inference.initial_flow import GaussianMixture, Start, starting_flow
from tfp_flows.inference.target import UnconstrainedDensity

# Steps of a block, draws of a batch, and fewest steps of a block at the end.
_STEPS, _BATCH, _FEWEST_STEPS = 200, 128, 5
# Step sizes, the batches of a step, and the largest number of blocks of each.
_LADDER = ((3e-3, 1, 12), (1e-3, 2, 8), (3e-4, 4, 4))
# Variance of log-weights at which training ends. It is twice the divergence, in nats, so no
# mean is off by more than 0.03 standard deviations.
_CLOSE = 1e-3
# From this variance on at the end of the first step size, smaller steps do not help, since
# hardly any draw has weight.
_FAR = 10.0
_SECONDS_OF_STEP = 0.1  # limit for a step if the target takes no time
_EPSILON = 1e-8  # Adam's
_SEEDS_OF_STEP = 1024  # seeds set aside for the batches of a step
# Decay rate of the running norm of gradients, and the largest multiple of it.
_DECAY_OF_NORM, _CLIP = 0.9, 4.0


def compiled_training(start: Start, *, seed: int, seconds: float) -> PosteriorTraining:
    """Returns the training of the `starting_flow` of a start.

    XLA is not used if it takes longer than `seconds`. The seed is that of weights and
    noise.
    """
    density = start.space.density

    def made(by_xla):
        flow = starting_flow(start.gaussians, seed=seed, dtype=density.dtype)
        return PosteriorTraining(density, flow, seed=seed, by_xla=by_xla)

    is_timed_out = False
    if density.is_for_xla:
        training = made(by_xla=True)
        if training.compile(seconds):
            return training
        is_timed_out = training.is_timed_out
    # A timed-out XLA compile still holds the variables, so they are made anew.
    training = made(by_xla=False)
    training.compile(seconds)
    training.is_timed_out = is_timed_out
    return training


def train(
    training: PosteriorTraining,
    budget: Budget,
    *,
    save: Callable[[], None],
    show: Callable[[str, float], None],
    is_last: bool = True,
) -> None:
    """Takes blocks of each step size until one gains less than twice its standard error.

    It goes on from the training's `counters`, and ends early at a small divergence, or at a
    large one unless the round is the last. After each block, it calls `show` with words for
    what is being done and the share that is done, and then `save`.
    """
    rung, num_blocks, elbo, error, *used = training.counters.numpy()
    budget.resume(*used)
    while rung < len(_LADDER) and not budget.reached():
        rate, num_batches, most_blocks = _LADDER[int(rung)]
        num_steps = training.num_steps_in(budget.seconds_left, num_batches)
        if num_steps < _FEWEST_STEPS:
            break
        block = training.run(rate, num_batches, num_steps)
        budget.skipped_steps += block.skipped
        budget.num_gradients += block.num_gradients
        share = (rung + num_blocks / most_blocks) / len(_LADDER)
        show(f"training, ELBO {block.elbo:.3f}", share)
        gains = block.elbo - elbo > 2.0 * math.hypot(block.error, error)
        num_blocks += 1
        if block.variance < _CLOSE:
            rung = len(_LADDER)
        elif num_blocks == most_blocks or (num_blocks > 1 and not gains):
            is_far = rung == 0 and block.variance > _FAR
            rung, num_blocks = len(_LADDER) if is_far and not is_last else rung + 1, 0
        elbo, error = block.elbo, block.error
        training.counters.assign([rung, num_blocks, elbo, error, *budget.used])
        save()
    if rung < len(_LADDER):
        budget.end()
    training.adam.use_average()


@dataclasses.dataclass(frozen=True)
class Block:
    """Results of a block of steps."""

    elbo: float  # mean over the second half of the steps, in nats
    error: float  # its standard error
    # Variance of the log-weights of draws, in the same steps; NaN for a mixture, since the
    # variance between its components is not known.
    variance: float
    skipped: int  # number of steps that were not taken, since they were not finite
    num_gradients: int


class PosteriorTraining(tf.Module):
    """Adam on the evidence lower bound, by gradients through draws alone.

    ```none
    x = flow(base draw),   f = log p(x) - log q(x),   the weights of log q held constant
    gradient = sum_k weight_k mean_n d f(x_kn) / d weights,   n draws of each component k
    ```

    Weights are averaged over the second half of each block. A step leaves out draws at
    which the target or its gradient is not finite. It is not taken if these are most draws,
    or if its gradient is not finite. Gradients are scaled down to four times their running
    norm.

    The distribution is the result of `starting_flow`; the seed is that of the noise.

    Reference:
      Roeder, Wu, Duvenaud (2017), Sticking the landing. https://arxiv.org/abs/1703.09194
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        distribution: FlowDistribution,
        *,
        seed: int,
        by_xla: bool = True,
    ) -> None:
        super().__init__(name="posterior_training")
        self._density, self._distribution = density, distribution
        self._weights = distribution.trainable_variables
        self.num_components = getattr(distribution.distribution, "num_components", 1)
        of_component = max(_BATCH // self.num_components, 32)
        self.num_draws = self.num_components * of_component  # in one batch
        # The whitening has no weights, so gradients do not need its solves.
        self._whitening, *steps = distribution.bijector.bijectors
        self._inner = FlowDistribution(distribution.distribution, FlowChain(steps))
        self.adam = AveragedAdam(self._weights)
        # Counts skipped steps, too, so that the next step draws new noise.
        self.trial = tf.Variable(0, trainable=False, name="trial")
        # State of a fit that resumes: rung of the ladder, blocks on it, ELBO and error of
        # the last block, and `Budget.used`.
        self.counters = tf.Variable(np.zeros(7), trainable=False, name="counters")
        self._seed = seed
        self._block = XLAIfPossible(self._run_block, by_xla)
        # Whether XLA is not used because it took too long, so that a clock decided.
        self.is_timed_out = False
        self._seconds_of_batch = 0.0  # in the last block

    @property
    def distribution(self) -> FlowDistribution:
        """The distribution that is trained."""
        return self._distribution

    @property
    def jit_compiled(self) -> bool:
        """Whether XLA compiles the steps."""
        return self._block.jit_compiled

    def compile(self, seconds: float) -> bool:
        """Compiles a block by steps of size 0, and returns whether XLA compiled it.

        XLA is not used if compiling takes longer than `seconds`, or a step more than ten
        times as long as the target's gradients without XLA. After that, do not use this
        training: XLA may hold all variables for long, and assign to them.
        """
        seconds_of_gradients = self.num_draws * self._density.seconds_of_gradient
        at_most = 10.0 * seconds_of_gradients + _SECONDS_OF_STEP
        arguments, by_xla = self._arguments(0.0, 1, 1), self.jit_compiled
        self._block.prepare(seconds, *arguments, seconds_of_call=at_most)
        self.is_timed_out = self._block.is_stopped
        if not by_xla:
            self._block(*arguments)
        if self.jit_compiled == by_xla:
            self.trial.assign(0)
            self.adam.start_again()
        return self.jit_compiled

    def num_steps_in(self, seconds: float, num_batches: int) -> int:
        """Number of steps of the next block: all, or as many as fit in half the time."""
        seconds_of_gradients = self.num_draws * self._density.seconds_of_gradient
        of_step = max(num_batches * (self._seconds_of_batch or seconds_of_gradients), 1e-9)
        return _STEPS if _STEPS * of_step < seconds else int(0.5 * seconds / of_step)

    def run(
        self, learning_rate: float, num_batches: int, num_steps: int | None = None
    ) -> Block:
        """Takes a block of `num_steps` steps, by default 200, of `num_batches` each."""
        num_steps = num_steps or _STEPS
        start = time.monotonic()
        results = self._block(*self._arguments(learning_rate, num_batches, num_steps))
        bounds, variances, is_taken = (result.numpy()[:num_steps] for result in results)
        self._seconds_of_batch = (time.monotonic() - start) / (num_steps * num_batches)
        is_used = is_taken & (np.arange(num_steps) >= num_steps // 2)
        bounds, variances, count = bounds[is_used], variances[is_used], is_used.sum()
        elbo = float(np.mean(bounds, dtype=np.float64)) if count else -np.inf
        error = float(np.sqrt(variances.sum(dtype=np.float64)) / max(count, 1))
        variance = error**2 * float(count) * num_batches * self.num_draws
        if self.num_components > 1 or not count:
            variance = math.nan
        num_gradients = num_steps * num_batches * self.num_draws
        return Block(elbo, error, variance, int((~is_taken).sum()), num_gradients)

    def _arguments(self, learning_rate, num_batches, num_steps):
        rate = tf.constant(learning_rate, self._density.dtype)
        return rate, tf.constant(num_batches), tf.constant(num_steps)

    def _run_block(self, rate, num_batches, num_steps):
        """Bounds, their variances and whether steps were taken, `[200]` each."""
        dtype = self._density.dtype
        results = [tf.TensorArray(d, _STEPS) for d in (dtype, dtype, tf.bool)]

        def body(i, *results):
            bound, variance, gradient = self._gradient(num_batches)
            norm = tf.norm(gradient)
            is_taken = tf.math.is_finite(norm) & tf.math.is_finite(bound)
            self.adam.take(gradient, is_taken, rate)
            self.trial.assign_add(1)
            self.adam.add_to_average(i - num_steps // 2)
            values = (bound, variance, is_taken)
            return i + 1, *(r.write(i, v) for r, v in zip(results, values, strict=True))

        _, *results = tf.while_loop(lambda i, *_: i < num_steps, body, (0, *results))
        return [result.stack() for result in results]

    def _gradient(self, num_batches):
        """The ELBO, its variance, and the loss's gradient, `[W]`, over all batches."""
        zero = tf.zeros([], self._density.dtype)

        def body(j, *sums):
            seed = draws.fold_in(self._seed, self.trial * _SEEDS_OF_STEP + j)
            bound, variance, gradients = self._batch_gradient(seed)
            terms = bound, variance, _joined(gradients)
            return j + 1, *(total + term for total, term in zip(sums, terms, strict=True))

        start = 0, zero, zero, tf.zeros_like(self.adam.average)
        _, *sums = tf.while_loop(lambda j, *_: j < num_batches, body, start)
        size = tf.cast(num_batches, zero.dtype)
        return sums[0] / size, sums[1] / size**2, sums[2] / size

    def _batch_gradient(self, seed):
        with tf.GradientTape() as tape:
            bound, variance = self._bound(seed)
            loss = -bound
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(loss, self._weights, unconnected_gradients=zero)
        return bound, variance, gradients

    def _bound(self, seed):
        log_weights, u = self._base_draws(seed)
        y, _ = self._inner.bijector.forward_and_log_det(u)
        fixed = tf.stop_gradient(y)
        log_q, from_q = self._score(fixed)
        x, log_det = self._whitening.forward_and_log_det(y)
        target = self._density.value_and_gradient_in_loop(tf.stop_gradient(x))
        log_p, from_p = map(tf.stop_gradient, target)  # without second derivatives
        log_q -= log_det
        is_usable = tf.math.is_finite(log_p) & tf.math.is_finite(log_q)
        is_usable &= _are_finite(from_p) & _are_finite(from_q)
        # The gradient through the draws alone.
        moved = tf.reduce_sum(_where(is_usable, from_p) * (x - tf.stop_gradient(x)), -1)
        moved -= tf.reduce_sum(_where(is_usable, from_q) * (y - fixed), -1)
        ratio = tf.where(is_usable, log_p - log_q, 0.0) + moved
        return _stratified_mean(ratio, is_usable, log_weights)

    def _score(self, y):
        """Log-density of the flow before the whitening, and its gradient, at draws."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(y)
            log_q = self._inner.log_prob(y)
        return map(tf.stop_gradient, (log_q, tape.gradient(log_q, y)))

    def _base_draws(self, seed):
        base, count = self._distribution.distribution, self.num_draws
        size = self._density.event_size
        if not isinstance(base, GaussianMixture):
            noise = draws.normal([count, size], seed, self._density.dtype)
            return tf.zeros([1], self._density.dtype), noise
        shape = [self.num_components, count // self.num_components, size]
        noise = draws.normal(shape, seed, self._density.dtype)
        return base.log_weights, tf.reshape(base.from_noise(noise), [-1, size])


class AveragedAdam(tf.Module):
    """Adam whose gradients are scaled down to four times their running norm.

    It works on all weights in one vector, `[W]`, since XLA takes as long to compile the
    update of a vector as that of each weight. A step that is not taken changes no variable.
    All weights have one dtype.
    """

    def __init__(self, weights: Sequence[tf.Variable]) -> None:
        super().__init__(name="averaged_adam")
        self._weights = weights
        joined, dtype = _joined(weights), weights[0].dtype
        self.joined = tf.Variable(joined, trainable=False, name="joined")
        self.average = tf.Variable(joined, trainable=False, name="average")
        self.norm = tf.Variable(0.0, dtype=dtype, trainable=False, name="norm")
        self.optimizer = keras.optimizers.Adam(epsilon=_EPSILON)
        self.optimizer.build([self.joined])
        # A `tf.Module` does not list the variables of Keras objects.
        self.state = [variable.value for variable in self.optimizer.variables]

    def start_again(self) -> None:
        """Forgets all steps; weights stay."""
        for variable in (*self.state, self.norm):
            variable.assign(tf.zeros_like(variable))

    def take(self, gradient: tf.Tensor, is_taken: tf.Tensor, rate: tf.Tensor) -> None:
        """One step of size `rate` along a gradient, `[W]`, where `is_taken`."""
        norm = tf.norm(gradient)
        usual = tf.where(self.norm > 0.0, self.norm, norm)
        bounded = tf.minimum(norm, _CLIP * usual)
        mixed = _mix(usual, bounded, _DECAY_OF_NORM)
        self.norm.assign(tf.where(is_taken, mixed, self.norm))
        self.optimizer.learning_rate.assign(tf.cast(rate, tf.float32))
        scaled = bounded / tf.maximum(norm, 1e-30) * gradient

        def step():
            self.optimizer.apply([scaled], [self.joined])
            return True

        tf.cond(is_taken, step, lambda: False)
        self._assign(self.joined)

    def add_to_average(self, i: tf.Tensor) -> None:
        """Averages weights from step 0 on; before it, the average is the last weights."""
        count = tf.cast(tf.maximum(i + 1, 1), self.norm.dtype)
        self.average.assign(_mix(self.average, self.joined, 1.0 - 1.0 / count))

    def use_average(self) -> None:
        """Sets the weights to their average."""
        self._assign(self.average)

    def _assign(self, joined):
        pieces = tf.split(joined, [weight.shape.num_elements() for weight in self._weights])
        for weight, piece in zip(self._weights, pieces, strict=True):
            weight.assign(tf.reshape(piece, weight.shape))


def _joined(tensors):
    """All entries of tensors in one vector, `[W]`."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def _mix(old, new, decay):
    return old * decay + new * (1.0 - decay)


def _are_finite(rows):
    return tf.reduce_all(tf.math.is_finite(rows), axis=-1)


def _where(is_usable, rows):
    return tf.where(is_usable[:, None], rows, 0.0)


def _stratified_mean(ratio, is_usable, log_weights):
    """Mean over a mixture, from equally many draws of each component, and its variance.

    Usable values `ratio`, `[K * N]`, are averaged; the mean is NaN if at most half are.
    Log-weights of the components, `[K]`, have a gradient.
    """
    rows = [log_weights.shape[0], -1]
    ratio = tf.reshape(ratio, rows)
    usable = tf.cast(tf.reshape(is_usable, rows), ratio.dtype)
    count = tf.reduce_sum(usable, axis=1)
    means = tf.reduce_sum(ratio, axis=1) / tf.maximum(count, 1.0)
    # A component without usable draws has no mean by which its weight could change.
    overall = tf.reduce_sum(ratio) / tf.maximum(tf.reduce_sum(count), 1.0)
    means = tf.where(count > 0.0, means, tf.stop_gradient(overall))
    spread = tf.reduce_sum(usable * (ratio - means[:, None]) ** 2, axis=1)
    variances = spread / tf.maximum(count, 2.0) ** 2
    weights = tf.exp(log_weights)
    is_enough = tf.reduce_sum(usable) > 0.5 * float(is_usable.shape[0])
    bound = tf.reduce_sum(weights * means)
    bound = tf.where(is_enough, bound, tf.constant(float("nan"), ratio.dtype))
    return bound, tf.stop_gradient(tf.reduce_sum(weights**2 * variances))
