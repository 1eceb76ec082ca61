"""Integer data under a continuous density."""

import math

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.context_standardizer import leave_contexts
from tfp_flows.bijectors.outside_support import minus_infinity_outside
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_members
from tfp_flows.distributions.bits_per_dimension import bits_per_dimension
from tfp_flows.distributions.draws import stateless
from tfp_flows.distributions.draws import uniform
from tfp_flows.distributions.row_checks import check_rows_of

__all__ = ["Dequantized", "reduce_bits"]


class Dequantized(tf.Module):
    """The distribution of the bin that a continuous variable falls into.

    ```none
    P(k) = integral over u in [0, 1)^D of  p((k + u) / num_bins) * num_bins^-D  du
        >= E_q[log p((k + u) / num_bins) - log q(u | k)] - D log(num_bins)
    ```

    `log_prob` draws u from q once and returns what is inside the expectation: its mean is
    a lower bound of `log P(k)`, and what `DensityEstimator` maximises. With more draws,
    `importance_weighted_log_prob` comes closer. Without a `dequantizer`, q is uniform and
    its log-density 0; with one, q is learned, and the bound is tighter.

    Args:
      distribution: of the data scaled to `[0, 1]`, such as a `FlowDistribution`; its flow
        may begin with a `Logit`.
      num_bins: number of values of each entry: 256 for 8-bit data, 32 for 5-bit data.
      dequantizer: a conditional distribution of u in `(0, 1)^D`, of the event's shape, with
        `sample_and_log_prob(context=...)`: a `FlowDistribution` whose flow begins with
        `Logit(0.0)`. None: uniform noise.
      encoder: function from the scaled data, `[N, *event]`, to the dequantizer's context,
        `[N, context_size]`, such as a `Conditioner`. By default the data, flattened.
      name: name of the module.

    Raises:
      ValueError: if `num_bins` is below 2, or there is an `encoder` without a
        `dequantizer`.

    Reference:
      Theis, van den Oord, Bethge (2016), A note on the evaluation of generative models,
      section 3.1. https://arxiv.org/abs/1511.01844
      Ho et al. (2019), Flow++, section 3.1. https://arxiv.org/abs/1902.00275
    """

    def __init__(
        self, distribution, num_bins=256, *, dequantizer=None, encoder=None, name=None
    ):
        members = ("log_prob", "event_shape")
        check_members("distribution", distribution, members, "one of the scaled data")
        check_integer("num_bins", num_bins, minimum=2)
        super().__init__(name=name or f"dequantized_{distribution.name}")
        if encoder is not None and dequantizer is None:
            raise ValueError("Expected a `dequantizer` with an `encoder`; got None.")
        self.distribution = distribution
        self.num_bins = num_bins
        self.dequantizer = dequantizer
        self.encoder = encoder

    @property
    def dtype(self):
        """Of the continuous distribution; integer data are converted to it."""
        return self.distribution.dtype

    @property
    def event_shape(self):
        """Shape of one event."""
        return self.distribution.event_shape

    @property
    def event_size(self):
        """Number of entries of one event, D."""
        return self.event_shape.num_elements()

    @property
    def variables(self):
        """All variables of distribution, dequantizer and encoder, each once."""
        # `tf.Module` would take a distribution for a tensor and overlook its variables.
        parts = (self.distribution, self.dequantizer, self.encoder)
        variables = [v for part in parts for v in getattr(part, "variables", ())]
        return tuple({id(variable): variable for variable in variables}.values())

    @property
    def trainable_variables(self):
        """Those of the `variables` that training moves."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def is_initialized(self):
        """Whether all data-dependent state is set."""
        parts = (self.distribution, self.dequantizer)
        return all(getattr(part, "is_initialized", True) for part in parts)

    def initialize(self, data, *, context=None):
        """Sets data-dependent state from `data`, `[N, *event]`.

        Args:
          data: integers `0, ..., num_bins - 1` of any dtype.
          context: `[N, context_size]`, where the distribution is conditional.

        Raises:
          ValueError: if `data` have other values.
        """
        check_rows_of(self, data, context)
        data = tf.convert_to_tensor(data, self.dtype)
        rng = np.random.default_rng(0)
        noise = tf.convert_to_tensor(rng.random(data.shape), self.dtype)
        kwargs = {} if context is None else {"context": context}
        self.distribution.initialize((data + noise) / self.num_bins, **kwargs)
        if hasattr(self.dequantizer, "initialize"):
            given = self._encode(data / self.num_bins)
            if self.encoder is not None:
                leave_contexts(self.dequantizer)
            self.dequantizer.initialize(noise, context=given)

    def check_support(self, data, *, argument="data"):
        """Raises `ValueError` if `data`, `[N, *event]`, have values that cannot occur."""
        self._refuse_what_cannot_occur(tf.cast(data, self.dtype), argument)

    def log_prob(self, value, *, context=None, training=False, seed=None):
        """One draw of the lower bound of the log-probability of integers.

        Args:
          value: integers `0, ..., num_bins - 1` of any dtype, `[..., *event]`.
          context: `[..., context_size]`, where the distribution is conditional.
          training: as of `FlowDistribution.log_prob`.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[...]`; minus infinity for events with other values, NaN of NaN.
        """
        value = tf.convert_to_tensor(tf.cast(value, self.dtype))
        can_occur = self._can_occur(value)
        # What cannot takes a value that can, so that no NaN reaches a gradient.
        given, value = value, tf.where(can_occur, value, tf.zeros_like(value))
        noise, log_noise = self._draw_noise(value, seed)
        kwargs = {} if context is None else {"context": context}
        if training:
            kwargs["training"] = True
        scaled = (value + noise) / self.num_bins
        # Rounding must not carry the upper end of the last bin out of the support.
        below_one = np.nextafter(self.dtype.as_numpy_dtype(1.0), 0.0)
        log_density = self.distribution.log_prob(tf.minimum(scaled, below_one), **kwargs)
        log_prob = log_density - log_noise - self.event_size * math.log(self.num_bins)
        axes = list(range(-self.event_shape.rank, 0))
        return minus_infinity_outside(log_prob, can_occur, given, axes)

    def importance_weighted_log_prob(self, value, num_samples, *, context=None, seed=None):
        """A lower bound of the log-probability, tighter with more draws of the noise.

        ```none
        log P(k) >= E[log mean_j exp(log_prob_j(k))]
        ```

        Args:
          value: integers, `[N, *event]`.
          num_samples: number of draws. All are computed at once: give few rows a call.
          context: `[N, context_size]`, where the distribution is conditional.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[N]`.

        Reference:
          Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders.
          https://arxiv.org/abs/1509.00519
        """
        value = tf.cast(value, self.dtype)
        shape = tf.concat([[num_samples], tf.shape(value)], axis=0)
        draws = self.log_prob(tf.broadcast_to(value, shape), context=context, seed=seed)
        return tf.reduce_logsumexp(draws, axis=0) - math.log(num_samples)

    def bits_per_dimension(self, value, num_samples=1, *, context=None, seed=None):
        """Bits per dimension of integer `value`, `[N, *event]`, by that many draws.

        Returns:
          A `BitsPerDimension`, of which `log_density` is the log-probability.

        Raises:
          ValueError: if `value` is not of integers `0, ..., num_bins - 1`.
        """
        self._refuse_what_cannot_occur(tf.cast(value, self.dtype), "value")
        log_prob = self.importance_weighted_log_prob(
            value, num_samples, context=context, seed=seed
        )
        return bits_per_dimension(log_prob, self.event_size, bins_per_unit=1)

    def sample(self, sample_shape=(), seed=None, **kwargs):
        """Draws integers, `[*sample_shape, *event]`, as a tensor of `dtype`."""
        scaled = self.distribution.sample(sample_shape, seed=seed, **kwargs)
        return tf.clip_by_value(tf.floor(scaled * self.num_bins), 0, self.num_bins - 1)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "distribution": self.distribution,
            "num_bins": self.num_bins,
            "dequantizer": self.dequantizer,
            "encoder": self.encoder,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the distribution that `config` describes."""
        return cls(**config)

    def _can_occur(self, value):
        """Which entries are integers `0, ..., num_bins - 1`."""
        return (value >= 0) & (value < self.num_bins) & (value == tf.floor(value))

    def _refuse_what_cannot_occur(self, value, argument):
        others = tf.boolean_mask(value, ~self._can_occur(value))
        if len(others):
            raise ValueError(
                f"Expected `{argument}` of integers from 0 to {self.num_bins - 1}; got "
                f"{others[0]:g}."
            )

    def _draw_noise(self, value, seed):
        """Noise in `[0, 1)` of the shape of `value`, and its log-density a row."""
        event_ndims = self.event_shape.rank
        batch_shape = tf.shape(value)[: value.shape.rank - event_ndims]
        if self.dequantizer is None:
            seed = stateless(seed)
            noise = uniform(tf.shape(value), seed, value.dtype)
            return noise, tf.zeros(batch_shape, value.dtype)
        return self.dequantizer.sample_and_log_prob(
            seed=seed, context=self._encode(value / self.num_bins)
        )

    def _encode(self, scaled):
        if self.encoder is not None:
            return self.encoder(scaled)
        batch_shape = tf.shape(scaled)[: scaled.shape.rank - self.event_shape.rank]
        return tf.reshape(scaled, tf.concat([batch_shape, [self.event_size]], axis=0))


def reduce_bits(images, num_bits):
    """Integers of `num_bits` bits that 8-bit `images` fall to, as Glow's 5-bit data do."""
    if check_integer("num_bits", num_bits) > 8:
        raise ValueError(f"Expected `num_bits` from 1 to 8; got {num_bits}.")
    return np.asarray(images) // 2 ** (8 - num_bits)
