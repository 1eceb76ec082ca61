"""Bins of `[0, 1]`: their integers, noise in them, and draws beyond the end bins."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer
from tfp_flows.distributions import draws

__all__ = [
    "EndBins",
    "can_occur",
    "quantize",
    "reduce_bits",
    "refuse_others",
    "uniform_noise",
]

# Median distance of draws outside: about as far as `Logit(0.05)` reaches.
_DISTANCE = 0.05


def can_occur(value: tf.Tensor, num_bins: int) -> tf.Tensor:
    """Which entries are integers `0, ..., num_bins - 1`."""
    return (value >= 0) & (value < num_bins) & (value == tf.floor(value))


def refuse_others(value: tf.Tensor, num_bins: int, argument: str) -> None:
    """Raises `ValueError` if an entry of `value` is no integer `0, ..., num_bins - 1`."""
    others = tf.boolean_mask(value, ~can_occur(value, num_bins))
    if len(others):
        raise ValueError(
            f"Expected `{argument}` of integers from 0 to {num_bins - 1}; got "
            f"{others[0]:g}."
        )


def quantize(scaled: tf.Tensor, num_bins: int) -> tf.Tensor:
    """The bins of scaled data; those outside `[0, 1]` count to the end bins."""
    return tf.clip_by_value(tf.floor(scaled * num_bins), 0, num_bins - 1)


def reduce_bits(images: np.ndarray, num_bits: int) -> np.ndarray:
    """Reduces 8-bit `images` to integers of `num_bits` bits, as in Glow's 5-bit data.

    >>> import numpy as np
    >>> import tfp_flows
    >>> tfp_flows.reduce_bits(np.uint8([0, 7, 8, 255]), num_bits=5).tolist()
    [0, 0, 1, 31]
    """
    if check_integer("num_bits", num_bits) > 8:
        raise ValueError(f"Expected `num_bits` from 1 to 8; got {num_bits}.")
    return np.asarray(images) // 2 ** (8 - num_bits)


def uniform_noise(
    value: tf.Tensor, event_ndims: int, seed: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Uniform noise in `[0, 1)`, `[..., *event]`, and its log-density 0, `[...]`."""
    noise = draws.uniform(tf.shape(value), draws.stateless(seed), value.dtype)
    batch_shape = tf.shape(value)[: value.shape.rank - event_ndims]
    return noise, tf.zeros(batch_shape, value.dtype)


class EndBins:
    """Draws for the end bins and what is beyond them, where densities vary most.

    ```none
    rest:     all entries stay in their bins, as they came
    reaching: each entry of an end bin is drawn again with probability p. Half of these
              draws have p = 1/(1 + E), a quarter 1/2 and a quarter 1, where a row has E
              entries in end bins.
    ```

    The rest are 1/4 of the draws for E = 1, and nearly 3/4 for many. All are weighted as
    draws from the mixture of these kinds, so that the kind which suits a row best bounds
    its weights. The draws of a kind are stratified for each entry.

    An entry is drawn again from the whole of its bin and the margin, half of the times near
    the outer end, on a logarithmic scale; or, where the margin is unknown, from a law whose
    tail falls as the squared distance.

    Args:
      num_bins: number of bins of `[0, 1]`.
      margin: how far the distribution may reach beyond `[0, 1]`; infinite if unknown.
      has_uniform_noise: whether the noise in the bins is uniform; else entries are drawn
        again in the margin alone.
    """

    def __init__(self, num_bins: int, margin: float, has_uniform_noise: bool) -> None:
        self._last = num_bins - 1
        self._has_uniform_noise = has_uniform_noise
        # In widths of a bin, from the outer end of `[0, 1]` inwards.
        self._low, self._high = -margin * num_bins, float(has_uniform_noise)
        self._scale = _DISTANCE * num_bins + self._high
        self.has_any = self._low < self._high

    def draw(
        self, noise: tf.Tensor, value: tf.Tensor, event_ndims: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns noise of which some is drawn again, from below 0 to above 1.

        Args:
          noise: positions in the bins, `[J, ..., *event]`.
          value: the bins, `[J, ..., *event]`.
          event_ndims: number of axes of an event.
          seed: stateless seed.

        Returns:
          The noise, `[J, ..., *event]`; the log-density of the mixture relative to that of
          the noise as it came, `[J, ...]`; whether a row is beyond `[0, 1]`, `[J, ...]`.
        """
        axes = list(range(-event_ndims, 0))
        is_low = value == 0
        is_end = is_low | (value == self._last)
        num_ends = tf.reduce_sum(tf.cast(is_end, noise.dtype), axis=axes, keepdims=True)
        kinds, log_shares = self._kinds(num_ends, tf.shape(noise)[0])
        probabilities = [tf.zeros_like(num_ends), 1.0 / (1.0 + num_ends)]
        probabilities += [0.5 * tf.ones_like(num_ends), tf.ones_like(num_ends)]
        probability = sum(
            tf.where(is_end & (kinds == kind), p, 0.0)
            for kind, p in enumerate(probabilities)
        )
        uniform = _stratified(
            tf.broadcast_to(kinds, tf.shape(noise)), seed, len(log_shares)
        )
        again = uniform < probability
        # What is left of the uniform number is uniform, too.
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
        for log_share, p in zip(log_shares, probabilities, strict=True):
            each = tf.math.log(p) + log_again, tf.math.log1p(-p) + log_came
            each = tf.reduce_logsumexp(tf.stack(each), axis=0)
            each = tf.reduce_sum(tf.where(is_end, each, 0.0), axis=axes)
            terms.append(each + tf.squeeze(log_share, axes))
        log_density = tf.reduce_logsumexp(tf.stack(terms), axis=0)
        is_beyond = is_end & (position < 0.0)
        return noise, log_density, tf.reduce_any(is_beyond, axis=axes)

    def _kinds(self, num_ends, num_draws):
        """Which kind a draw is of, and the logarithms of the kinds' shares of the draws."""
        total = tf.cast(num_draws, num_ends.dtype)
        reaching = 0.25 + 0.5 / tf.maximum(num_ends, 1.0)
        ends = [tf.round(total * (1.0 - reaching * share)) for share in (1.0, 0.5, 0.25)]
        ends = [tf.zeros_like(num_ends), *ends, total + tf.zeros_like(num_ends)]
        shape = [-1] + [1] * (num_ends.shape.rank - 1)
        index = tf.reshape(tf.range(total), shape)
        kinds = sum(tf.cast(index >= end, num_ends.dtype) for end in ends[1:-1])
        counts = [b - a for a, b in itertools.pairwise(ends)]
        return kinds + 0.0 * num_ends, [tf.math.log(count / total) for count in counts]

    def _position(self, uniform):
        """Positions from the outer end inwards, of uniform numbers: below 0 beyond it."""
        if math.isinf(self._low):
            return self._high - self._scale * uniform / (1.0 - uniform)
        return self._low + (self._high - self._low) * _near_zero(uniform)

    def _log_density(self, position):
        """Log-densities of positions; minus infinity where there are none."""
        if math.isinf(self._low):
            distance = tf.maximum(self._high - position, 0.0)
            log_density = math.log(self._scale) - 2.0 * tf.math.log(self._scale + distance)
        else:
            length = self._high - self._low
            share = (position - self._low) / length
            log_density = _log_density_near_zero(share) - math.log(length)
        outside = tf.constant(-math.inf, position.dtype)
        return tf.where(position <= self._high, log_density, outside)


def _near_zero(uniform):
    """Numbers in (0, 1): half of them uniform, half with `1 / (1 - log t)` uniform."""
    is_uniform = uniform < 0.5
    near = tf.exp(1.0 - 1.0 / tf.where(is_uniform, 1.0, 2.0 * uniform - 1.0))
    return tf.where(is_uniform, 2.0 * uniform, near)


def _log_density_near_zero(t):
    """That of `_near_zero`: `1/2 + 1 / (2 t (1 - log t)^2)`."""
    log_t = tf.math.log(tf.clip_by_value(t, np.finfo(t.dtype.as_numpy_dtype).tiny, 1.0))
    return math.log(0.5) + tf.math.log1p(tf.exp(-log_t) / (1.0 - log_t) ** 2)


def _stratified(groups, seed, num_groups):
    """Uniform numbers, `[J, ...]`, one of each group in each of equal parts of (0, 1).

    Args:
      groups: index of the group of each of the J, rising, `[J, ...]`.
      seed: stateless seed.
      num_groups: number of groups.
    """
    dtype, shape = groups.dtype, tf.shape(groups)
    first, second = draws.split(seed, 2)
    # Since groups rise, each is permuted in itself.
    keys = groups + draws.uniform(shape, first, dtype)
    rank = tf.cast(tf.argsort(tf.argsort(keys, axis=0), axis=0), dtype)
    sizes = [tf.reduce_sum(tf.cast(groups == g, dtype), axis=0) for g in range(num_groups)]
    starts = [sum(sizes[:g], tf.zeros_like(sizes[0])) for g in range(num_groups)]
    start, size = (
        sum(tf.where(groups == g, each, 0.0) for g, each in enumerate(of_groups))
        for of_groups in (starts, sizes)
    )
    uniform = (rank - start + draws.uniform(shape, second, dtype)) / size
    below_one = np.nextafter(dtype.as_numpy_dtype(1.0), 0.0)
    return tf.minimum(uniform, below_one)
