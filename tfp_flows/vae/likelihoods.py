"""Likelihoods of a row given its latents, whose parameters are a decoder's outputs."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_event_shape, check_integer, check_number, require
from tfp_flows.core.inputs import as_tensor, check_value
from tfp_flows.core.serialization import ConfiguredByAttributes
from tfp_flows.core.statistics import check_finite
from tfp_flows.distributions.draws import stateless

__all__ = ["Bernoulli", "DiscretizedLogistic", "Gaussian", "Likelihood"]

# Largest scale of a logistic, in levels. With larger ones, the probability of a level is
# smaller than the spacing of floats near one half.
_WIDEST = 2.0**18


class Likelihood(ConfiguredByAttributes, abc.ABC):
    """A family of distributions of rows, whose parameters a decoder returns.

    Args:
      event_shape: integer, or shape of one row.

    >>> from tfp_flows import likelihoods
    >>> isinstance(likelihoods.Bernoulli(3), likelihoods.Likelihood)
    True
    """

    num_parameters = 1

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        self.event_shape = check_event_shape("event_shape", event_shape)

    @property
    def event_size(self) -> int:
        """Number of entries of one event, D."""
        return math.prod(self.event_shape)

    @abc.abstractmethod
    def distribution(self, outputs: TensorLike) -> tfd.Distribution:
        """Returns the `tfd.Distribution` of events with parameters `outputs`.

        Args:
          outputs: `[..., P * D]`, or the event's shape with P times the channels.
        """

    @abc.abstractmethod
    def check(self, x: npt.ArrayLike) -> None:
        """Raises `ValueError` if an array has values outside the support."""

    def log_prob(self, x: TensorLike, outputs: TensorLike) -> tf.Tensor:
        """Returns log-likelihoods in nats, `[...]`.

        Args:
          x: `[N, *event]`.
          outputs: the decoder's output, `[..., N, *output]`.

        Raises:
          ValueError: if `x` or `outputs` have another shape, or `x` is a tensor of another
            dtype than `outputs`.
        """
        outputs = as_tensor(outputs, "outputs", None)
        shape = tf.TensorShape(self.event_shape)
        x = check_value(x, "x", shape.rank, shape, outputs.dtype)
        self._check_rows(x.shape[: x.shape.rank - shape.rank], outputs.shape)
        return self._log_prob(x, outputs)

    def _log_prob(self, x, outputs):
        return self.distribution(outputs).log_prob(x)

    def mean(self, outputs: TensorLike) -> tf.Tensor:
        """Returns the expected event, `[..., *event]`."""
        return self.distribution(outputs).mean()

    def sample(self, outputs: TensorLike, seed: int | TensorLike) -> tf.Tensor:
        """Draws an event for each of the `outputs`, `[..., *event]`."""
        return self.distribution(outputs).sample(seed=stateless(seed))

    def _parameters(self, outputs):
        """The P parameters, `[..., *event]` each."""
        outputs = as_tensor(outputs, "outputs", None)
        batch_ndims = outputs.shape.rank - self._output_ndims(outputs.shape.as_list())
        batch_shape = tf.shape(outputs)[:batch_ndims]
        shape = tf.concat([batch_shape, self.event_shape], axis=0)
        parts = tf.split(outputs, self.num_parameters, axis=-1)
        return [tf.reshape(part, shape) for part in parts]

    def _check_rows(self, rows, shape):
        """Refuses outputs of other rows than `x`, with which TensorFlow would broadcast."""
        batch = shape[: shape.rank - self._output_ndims(shape.as_list())]
        common = min(batch.rank, rows.rank)
        fits = batch[batch.rank - common :].is_compatible_with(rows[rows.rank - common :])
        size = self.num_parameters * self.event_size
        words = f"`outputs` of shape [..., {', '.join(map(str, [*rows, size]))}]"
        require(fits, f"{words}, as there are {rows} rows of `x`", shape)

    def _output_ndims(self, shape):
        """Number of the last axes that are the decoder's output for one event."""
        size, event_ndims = self.num_parameters * self.event_size, len(self.event_shape)
        # Prefer one axis, then the axes of an event: an axis of size 1 may be a batch axis.
        for ndims in (1, event_ndims, *range(2, len(shape) + 1)):
            if None not in shape[-ndims:] and math.prod(shape[-ndims:]) == size:
                return ndims
        raise ValueError(f"Expected `outputs` of {size} entries a row; got shape {shape}.")

    def _independent(self, distribution):
        return tfd.Independent(distribution, len(self.event_shape))


class Bernoulli(Likelihood):
    """Independent zeros and ones: `p(x_i = 1) = sigmoid(output_i)`.

    Args:
      event_shape: integer, or shape of one row.

    >>> import tensorflow as tf
    >>> from tfp_flows import likelihoods
    >>> likelihoods.Bernoulli(2).log_prob([[1.0, 0.0]], tf.zeros([1, 2])).numpy().round(3)
    array([-1.386], dtype=float32)
    """

    def distribution(self, outputs: TensorLike) -> tfd.Distribution:
        """Returns the distribution of events, zeros and ones of the dtype of `outputs`."""
        (logits,) = self._parameters(outputs)
        return self._independent(tfd.Bernoulli(logits=logits, dtype=logits.dtype))

    def _log_prob(self, x, outputs):
        """Log-likelihoods in nats, `[...]`, with one exponential an entry."""
        (logits,) = self._parameters(outputs)
        x = tf.broadcast_to(x, tf.shape(logits))
        costs = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        return -tf.reduce_sum(costs, axis=list(range(-len(self.event_shape), 0)))

    def check(self, x: npt.ArrayLike) -> None:
        """Raises `ValueError` unless `x` holds zeros and ones only."""
        x = np.asarray(x)
        if not np.all((x == 0) | (x == 1)):
            raise ValueError(
                "Expected `x` of zeros and ones for a Bernoulli likelihood; got values "
                f"from {np.min(x)} to {np.max(x)}. Draw grey values as probabilities, or "
                "take another likelihood."
            )


class DiscretizedLogistic(Likelihood):
    """Independent grey levels: a logistic variable, rounded to one of `num_bins`.

    ```none
    P(x = k / (num_bins - 1)) = the logistic's mass between k - 1/2 and k + 1/2, where the
                                first and the last bin take the tails
    mean = (num_bins - 1) (1/2 + output),    scale = (num_bins - 1) exp(max(s - 2, -7)),
                                             and at most 2**18 levels
    ```

    Both bounds keep log-probabilities and their gradients finite. The upper one, a
    thousand times the range of 8-bit data, gives all inner levels equal probabilities.

    Args:
      event_shape: integer, or shape of one row.
      num_bins: number of levels: 256 for 8-bit data.

    Raises:
      ValueError: if `num_bins` is below 2.

    >>> import tensorflow as tf
    >>> from tfp_flows import likelihoods
    >>> levels = tf.constant([[0.0], [1.0], [2.0], [3.0]]) / 3.0
    >>> likelihood = likelihoods.DiscretizedLogistic(1, num_bins=4)
    >>> nats = likelihood.log_prob(levels, tf.zeros([4, 2]))
    >>> round(float(tf.reduce_sum(tf.exp(nats))), 3)
    1.0

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      appendix. https://arxiv.org/abs/1606.04934
    """

    num_parameters = 2

    def __init__(self, event_shape: int | Sequence[int], num_bins: int = 256) -> None:
        super().__init__(event_shape)
        check_integer("num_bins", num_bins, minimum=2)
        self.num_bins = num_bins

    def distribution(self, outputs: TensorLike) -> tfd.Distribution:
        """Returns the distribution of the levels 0, 1, ..., num_bins - 1 as numbers."""
        mean, s = self._parameters(outputs)
        highest = self.num_bins - 1
        # TFP rounds up, so level k is the interval (k - 1, k]: shift by half a level.
        logistic = tfd.Logistic(
            highest * (0.5 + mean) - 0.5,
            # Clipped before the exponential, which would overflow.
            highest * tf.exp(tf.clip_by_value(s - 2.0, -7.0, math.log(_WIDEST / highest))),
        )
        low, high = (tf.cast(level, mean.dtype) for level in (0, highest))
        return self._independent(tfd.QuantizedDistribution(logistic, low=low, high=high))

    def _log_prob(self, x, outputs):
        """Log-probabilities in nats, `[...]`, of `x` between 0 and 1."""
        return self.distribution(outputs).log_prob(tf.round(x * (self.num_bins - 1)))

    def mean(self, outputs: TensorLike) -> tf.Tensor:
        """Returns the logistic's mean, clipped to `[0, 1]`."""
        mean, _ = self._parameters(outputs)
        return tf.clip_by_value(0.5 + mean, 0.0, 1.0)

    def sample(self, outputs: TensorLike, seed: int | TensorLike) -> tf.Tensor:
        """Draws an event for each of the `outputs`, between 0 and 1."""
        return super().sample(outputs, seed) / (self.num_bins - 1)

    def check(self, x: npt.ArrayLike) -> None:
        """Raises `ValueError` unless `x` holds multiples of `1 / (num_bins - 1)`."""
        levels = np.asarray(x, np.float64) * (self.num_bins - 1)
        rounding = max(1e-3, self.num_bins * 2.0**-23)  # rounding of float32
        are_levels = np.all(np.abs(levels - np.round(levels)) < rounding)
        low, high = np.min(x), np.max(x)
        words = f"`x` of multiples of 1/{self.num_bins - 1} in [0, 1]"
        fits = are_levels and low >= 0.0 and high <= 1.0
        require(fits, words, f"values from {low} to {high}")


class Gaussian(Likelihood):
    """Independent normal entries: `scale = min_scale + softplus(s)`.

    Args:
      event_shape: integer, or shape of one row.
      min_scale: lower bound of the scales; at 0 the density of repeated data is unbounded.

    Raises:
      ValueError: if `min_scale` is negative.

    >>> import tensorflow as tf
    >>> from tfp_flows import likelihoods
    >>> likelihoods.Gaussian(3).mean(tf.zeros([1, 6])).shape
    TensorShape([1, 3])
    """

    num_parameters = 2

    def __init__(self, event_shape: int | Sequence[int], min_scale: float = 1e-2) -> None:
        super().__init__(event_shape)
        check_number("min_scale", min_scale, "of at least 0", lambda scale: scale >= 0)
        self.min_scale = min_scale

    def distribution(self, outputs: TensorLike) -> tfd.Distribution:
        """Returns the distribution of events."""
        mean, s = self._parameters(outputs)
        return self._independent(tfd.Normal(mean, self.min_scale + tf.math.softplus(s)))

    def check(self, x: npt.ArrayLike) -> None:
        """Raises `ValueError` unless all of `x` is finite."""
        check_finite(x, "x")
