"""Noise for the first and last bin of dequantised integers, and for the margins beyond."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import draws

# Median distance of draws outside `[0, 1]`: about the margin of `Logit(0.05)`.
_DISTANCE = 0.05


class DrawnAgain(NamedTuple):
    """Noise, `[J, ..., *event]`, with some entries drawn again: below 0 or above 1, too.

    `log_density`, `[J, ...]`, is that of the mixture relative to that of the given noise,
    and `is_beyond`, `[J, ...]`, says whether a row is beyond `[0, 1]`.
    """

    noise: tf.Tensor
    log_density: tf.Tensor
    is_beyond: tf.Tensor


class EndBins:
    """Proposals for the end bins and the margins beyond them, where densities vary most.

    ```none
    plain draws:    all entries keep their noise
    reaching draws: each entry in an end bin is drawn again with probability p. Half of
                    these draws have p = 1/(1 + E), a quarter 1/2 and a quarter 1, for a row
                    with E entries in end bins.
    ```

    The share of plain draws is 1/4 for E = 1, and nearly 3/4 for large E. Every draw is
    weighted as a draw from the mixture of these kinds, so the best kind for a row bounds
    its weights. The draws of a kind are stratified for each entry.

    An entry is drawn again from its whole bin and the margin, half of the time near the
    outer end, on a logarithmic scale. If the margin is unknown, it is drawn from a law
    whose density falls with the squared distance.

    Args:
      num_bins: number of bins of `[0, 1]`.
      margin: how far the distribution may reach beyond `[0, 1]`; infinite if unknown.
      has_uniform_noise: whether the noise in the bins is uniform; otherwise entries are
        drawn again in the margin only.
    """

    def __init__(self, num_bins: int, margin: float, has_uniform_noise: bool) -> None:
        self._last = num_bins - 1
        self._has_uniform_noise = has_uniform_noise
        # Positions in bin widths, measured from the outer end of `[0, 1]` inwards.
        self._low, self._high = -margin * num_bins, float(has_uniform_noise)
        self._scale = _DISTANCE * num_bins + self._high
        self.has_any = self._low < self._high

    def draw(
        self, noise: tf.Tensor, value: tf.Tensor, axes: list[int], seed: Any
    ) -> DrawnAgain:
        """Draws some entries again.

        Noise and bins, `value`, are `[J, ..., *event]`; the axes of an event are counted
        from the last.
        """
        is_low = value == 0
        is_end = is_low | (value == self._last)
        num_ends = tf.reduce_sum(tf.cast(is_end, noise.dtype), axis=axes, keepdims=True)
        kinds = _kinds(num_ends, tf.shape(noise)[0])
        probability = sum(
            tf.where(is_end & (kinds.indices == kind), p, 0.0)
            for kind, p in enumerate(kinds.probabilities)
        )
        indices = tf.broadcast_to(kinds.indices, tf.shape(noise))
        uniform = _stratified(indices, seed, len(kinds.probabilities))
        again = uniform < probability
        # Given the choice, the rescaled uniform number is uniform again.
        position = self._position(tf.where(again, uniform / probability, 0.5))
        if self._has_uniform_noise:
            stays = (uniform - probability) / (1.0 - probability)
            noise = tf.where(again, noise, stays)
        position = tf.where(again, position, tf.where(is_low, noise, 1.0 - noise))
        moved = tf.where(is_low, position, 1.0 - position)
        noise = tf.where(again, moved, noise)
        log_again = self._log_density(tf.where(is_end, position, 0.5))
        log_came = tf.where(position < 0.0, tf.constant(-math.inf, noise.dtype), 0.0)
        terms = []
        for log_share, p in zip(kinds.log_shares, kinds.probabilities, strict=True):
            log_densities = tf.math.log(p) + log_again, tf.math.log1p(-p) + log_came
            at_end = tf.reduce_logsumexp(tf.stack(log_densities), axis=0)
            log_density = tf.reduce_sum(tf.where(is_end, at_end, 0.0), axis=axes)
            terms.append(log_density + tf.squeeze(log_share, axes))
        log_density = tf.reduce_logsumexp(tf.stack(terms), axis=0)
        is_beyond = is_end & (position < 0.0)
        return DrawnAgain(noise, log_density, tf.reduce_any(is_beyond, axis=axes))

    def _position(self, uniform):
        """Maps uniform numbers to positions, which are below 0 beyond the outer end."""
        if math.isinf(self._low):
            return self._high - self._scale * uniform / (1.0 - uniform)
        return self._low + (self._high - self._low) * _near_zero(uniform)

    def _log_density(self, position):
        """Returns log-densities of positions; minus infinity outside their range."""
        if math.isinf(self._low):
            distance = tf.maximum(self._high - position, 0.0)
            log_density = math.log(self._scale) - 2.0 * tf.math.log(self._scale + distance)
        else:
            length = self._high - self._low
            share = (position - self._low) / length
            log_density = _log_density_near_zero(share) - math.log(length)
        outside = tf.constant(-math.inf, position.dtype)
        return tf.where(position <= self._high, log_density, outside)


class _Kinds(NamedTuple):
    """Kinds of draws: plain ones, and reaching ones with p = 1/(1 + E), 1/2 and 1.

    `indices`, `[J, ...]`, are the kinds of the draws, ascending. Each kind has an entry of
    `probabilities`, p, and of `log_shares`, the logarithm of its share of the draws.
    """

    indices: tf.Tensor
    probabilities: list[tf.Tensor]
    log_shares: list[tf.Tensor]


def _kinds(num_ends, num_draws):
    """Returns the `_Kinds` of draws, J, of rows with E entries in end bins."""
    one = tf.ones_like(num_ends)
    probabilities = [0.0 * one, 1.0 / (1.0 + num_ends), 0.5 * one, one]
    total = tf.cast(num_draws, num_ends.dtype)
    reaching = 0.25 + 0.5 / tf.maximum(num_ends, 1.0)
    ends = [tf.round(total * (1.0 - reaching * share)) for share in (1.0, 0.5, 0.25)]
    place = tf.reshape(tf.range(total), [-1] + [1] * (num_ends.shape.rank - 1))
    indices = sum(tf.cast(place >= end, num_ends.dtype) for end in ends)
    counts = [b - a for a, b in itertools.pairwise([0.0 * one, *ends, total * one])]
    log_shares = [tf.math.log(count / total) for count in counts]
    return _Kinds(indices + 0.0 * num_ends, probabilities, log_shares)


def _near_zero(uniform):
    """Maps uniform numbers to t: half uniform, half with uniform `1 / (1 - log t)`."""
    is_uniform = uniform < 0.5
    one = tf.ones([], uniform.dtype)
    near = tf.exp(1.0 - 1.0 / tf.where(is_uniform, one, 2.0 * uniform - 1.0))
    return tf.where(is_uniform, 2.0 * uniform, near)


def _log_density_near_zero(t):
    """Log-density of `_near_zero`: the log of `1/2 + 1 / (2 t (1 - log t)^2)`."""
    log_t = tf.math.log(tf.clip_by_value(t, np.finfo(t.dtype.as_numpy_dtype).tiny, 1.0))
    return math.log(0.5) + tf.math.log1p(tf.exp(-log_t) / (1.0 - log_t) ** 2)


def _stratified(groups, seed, num_groups):
    """Uniform numbers, `[J, ...]`, one of each group in each of equal parts of (0, 1).

    `groups` are the indices of the groups of the J numbers, ascending.
    """
    dtype, shape = groups.dtype, tf.shape(groups)
    first, second = draws.split(seed, 2)
    # Since groups ascend, this permutes each group within itself.
    keys = groups + draws.uniform(shape, first, dtype)
    rank = tf.cast(tf.argsort(tf.argsort(keys, axis=0), axis=0), dtype)
    sizes = [tf.reduce_sum(tf.cast(groups == g, dtype), axis=0) for g in range(num_groups)]
    starts = [sum(sizes[:g], tf.zeros_like(sizes[0])) for g in range(num_groups)]
    start, size = (
        sum(tf.where(groups == g, value, 0.0) for g, value in enumerate(from_groups))
        for from_groups in (starts, sizes)
    )
    uniform = (rank - start + draws.uniform(shape, second, dtype)) / size
    below_one = np.nextafter(dtype.as_numpy_dtype(1.0), 0.0)
    return tf.minimum(uniform, below_one)
