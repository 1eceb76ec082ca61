"""Normal scores: maps each pixel to a normal variable by the frequencies of its bins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_entries, check_event_shape, check_integer
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.normal_quantile import lower_normal_quantile
from tfp_flows.core.results import minus_infinity_outside
from tfp_flows.core.statistics import check_finite

_LOG_SQRT_2_PI = 0.5 * math.log(2.0 * math.pi)
_LEAST_TAIL = 1e-13  # so that the ends of [0, 1] do not map to infinity
_PSEUDO_ROWS = 2.0 ** np.arange(0, 21)


class NormalScores(FlowBijector):
    """Makes each entry of an image normal, by the frequencies of its K bins in the data.

    ```none
    bin        k = floor(K y),  t = K y - k              y in [0, 1]
    inverse:   x = normal_quantile(p_0 + ... + p_(k-1) + p_k t)
               log_det = sum(log(K p_k) - log normal(x))
    p_k      = (rows of bin k + a q_k) / (rows + a)
    q_k      = share of bin k at all positions of the channel
    ```

    The inverse applies the distribution function of integers plus uniform noise in [0, 1),
    divided by K. So the density of each entry alone is exact before any network is trained.
    If most pixels have one value, the background, its bin becomes a wide part of the line;
    a logit would map it to a narrow interval.

    `initialize` counts the bins of its rows. It chooses the number of pseudo-rows a that
    best predicts each row from all others, and counts a row of equal bins in q_k, too.
    Before `initialize`, all bins have equal probability.

    Args:
      event_shape: `(H, W, C)` of images; `(D,)` or D of vectors.
      num_bins: number of bins, K: 256 for pixels of a byte.
      dtype: dtype of inputs and frequencies.
      name: name of the bijector.

    Raises:
      ValueError: if a size is below 1, or `num_bins` below 2.

    >>> import numpy as np
    >>> import tfp_flows
    >>> images = np.reshape([0.25, 0.25, 0.25, 0.75], [4, 1, 1, 1])  # of the bins 0 and 1
    >>> scores = tfp_flows.bijectors.NormalScores((1, 1, 1), num_bins=2)
    >>> scores.initialize(images)
    >>> scores.inverse(images).numpy().ravel().round(2)
    array([-0.39, -0.39, -0.39,  1.04], dtype=float32)

    Reference:
      van der Waerden (1952), Order tests for the two-sample problem and their power.
      https://doi.org/10.1016/S1385-7258(52)50063-5 (normal scores, there of ranks)
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        num_bins: int = 256,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "normal_scores",
    ) -> None:
        shape = check_event_shape("event_shape", event_shape)
        check_integer("num_bins", num_bins, 2)
        check_entries("event_shape", *shape, num_bins)
        super().__init__(event_ndims=len(shape), event_shape=shape, dtype=dtype, name=name)
        self._shape, self._num_bins = shape, int(num_bins)
        self._initialized = tf.Variable(False, trainable=False, name="initialized")
        table_shape = [math.prod(shape), num_bins]
        self._tables = [
            tf.Variable(tf.zeros(table_shape, self.dtype), trainable=False, name=name)
            for name in ("probs", "below", "above", "edges")
        ]
        self._set(np.full(table_shape, 1.0 / num_bins))

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has counted the bins of data."""
        return bool(self._initialized.numpy())

    @property
    def margin(self) -> float:
        """Distance by which outputs of `forward` exceed `[0, 1]`: 0."""
        return 0.0

    def _support(self):
        return np.array(0.0), np.array(1.0), 1e-6

    def _initialize(self, data, context, weight):
        if self.is_initialized:
            return
        check_finite(data)
        bins = np.floor(np.asarray(data, np.float64) * self._num_bins).astype(np.int64)
        bins = np.clip(bins, 0, self._num_bins - 1).reshape(len(bins), -1)
        counts = np.array(
            [np.bincount(entry, weight, self._num_bins) for entry in bins.T], np.float64
        )
        self._set(_probabilities(counts, self._shape[-1]))
        self._initialized.assign(True)

    def _set(self, probs):
        """Sets probabilities of bins, `[D, K]`, with their sums from both ends."""
        below = np.cumsum(probs, axis=1) - probs
        above = np.cumsum(probs[:, ::-1], axis=1)[:, ::-1] - probs
        below, above = np.maximum(below, 0.0), np.maximum(above, 0.0)
        # Ends of bins on the line; the first begins at minus infinity.
        low, high = tf.math.ndtri(below).numpy(), -tf.math.ndtri(above + probs).numpy()
        edges = np.where(below < 0.5, low, high)
        for table, array in zip(self._tables, (probs, below, above, edges), strict=True):
            table.assign(tf.constant(array, self.dtype))

    def _forward_and_log_det(self, x, context, training):
        by_entry = tf.transpose(tf.reshape(x, [-1, math.prod(self._shape)]))
        *_, edges = self._tables
        index = tf.searchsorted(edges[:, 1:], by_entry, side="right")
        index = tf.reshape(tf.transpose(index), tf.shape(x))
        probs, below, above = self._at(index)
        cdf, survival = 0.5 * tf.math.erfc(-x * 0.5**0.5), 0.5 * tf.math.erfc(x * 0.5**0.5)
        place = tf.where(x < 0.0, (cdf - below) / probs, 1.0 - (survival - above) / probs)
        place = tf.clip_by_value(place, 0.0, 1.0)
        y = (tf.cast(index, x.dtype) + place) / self._num_bins
        return y, -self._log_det(x, probs)

    def _inverse_and_log_det(self, y, context, training):
        inside = ~((y < 0.0) | (y > 1.0))  # NaN stays NaN
        scaled = tf.where(inside, y, 0.5 * tf.ones_like(y)) * self._num_bins
        floor = tf.clip_by_value(tf.floor(scaled), 0.0, self._num_bins - 1.0)
        known = tf.where(tf.math.is_nan(floor), tf.zeros_like(floor), floor)
        index = tf.cast(known, tf.int32)
        probs, below, above = self._at(index)
        place = scaled - floor
        cdf = tf.maximum(below + probs * place, _LEAST_TAIL)
        survival = tf.maximum(above + probs * (1.0 - place), _LEAST_TAIL)
        is_low = cdf < 0.5
        tail = lower_normal_quantile(tf.where(is_low, cdf, survival))
        x = tf.where(is_low, tail, -tail)
        log_det = self._log_det(x, probs)
        return x, minus_infinity_outside(log_det, inside, y, self._event_axes())

    def _at(self, index):
        """Returns probabilities of bins and of all bins below and above them."""
        entries = tf.reshape(tf.range(math.prod(self._shape)), self._shape)
        index += self._num_bins * entries
        *probabilities, _ = self._tables
        return [tf.gather(tf.reshape(table, [-1]), index) for table in probabilities]

    def _log_det(self, x, probs):
        slope = tf.math.log(self._num_bins * probs) + 0.5 * x**2 + _LOG_SQRT_2_PI
        return tf.reduce_sum(slope, axis=self._event_axes())


def _probabilities(counts, num_channels):
    """Returns p_k from counts, both `[D, K]`, as in the formula of `NormalScores`."""
    num_bins = counts.shape[1]
    together = counts.reshape(-1, num_channels, num_bins).sum(axis=0) + 1.0 / num_bins
    together /= together.sum(axis=1, keepdims=True)
    together = np.tile(together, [len(counts) // num_channels, 1])
    total = counts.sum(axis=1, keepdims=True)
    others = np.maximum(counts - 1.0, 0.0)
    gains = [
        np.sum(counts * np.log((others + rows * together) / (total - 1.0 + rows)))
        for rows in _PSEUDO_ROWS
    ]
    rows = _PSEUDO_ROWS[np.argmax(gains)]
    return (counts + rows * together) / (total + rows)
