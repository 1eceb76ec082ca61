"""Dequantised distributions: integers under a continuous density."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_members
from tfp_flows.core.context_standardizer import leave_contexts
from tfp_flows.core.data_dependent_state import weight_keyword
from tfp_flows.core.outside_support import minus_infinity_outside
from tfp_flows.distributions import bins
from tfp_flows.distributions import draws
from tfp_flows.distributions.bits_per_dimension import BitsPerDimension
from tfp_flows.distributions.bits_per_dimension import bits_per_dimension
from tfp_flows.distributions.compound import Compound
from tfp_flows.distributions.distribution_checks import check_rows_of

__all__ = ["Dequantized"]

# From so many importance samples on, they are stratified, and cover the end bins.
_ENOUGH = 10


class Dequantized(Compound):
    """The distribution of the bin that a continuous variable falls into.

    ```none
    P(k) = integral over u in [0, 1)^D of  p((k + u) / num_bins) * num_bins^-D  du
        >= E_q[log p((k + u) / num_bins) - log q(u | k)] - D log(num_bins)
    ```

    The first bin holds all below it, too, and the last all above it, where `Logit(alpha)`
    leaves some mass: so the probabilities are those of `sample` and sum to one.

    `log_prob` is the term in the expectation, for one draw of u: its mean is a lower bound
    of `log P(k)`, which `fit` maximises; `importance_weighted_log_prob` is a tighter one.

    Args:
      distribution: of the data scaled to `[0, 1]`, such as a `FlowDistribution`; its flow
        may begin with a `Logit`.
      num_bins: number of values of an entry: 256 for 8-bit data, 32 for 5-bit data.
      dequantizer: conditional distribution q of u in `(0, 1)^D`, of the event's shape, such
        as a `FlowDistribution` whose flow begins with `Logit(0.0)`; uniform by default.
      encoder: function from the scaled data, `[N, *event]`, to the dequantizer's context,
        `[N, context_size]`, such as a `Conditioner`. By default the data, flattened.
      name: name of the module.

    Raises:
      ValueError: if `num_bins` is below 2, or there is an `encoder` without a
        `dequantizer`; from methods but `log_prob`, if data are no integers of the bins.

    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(3), tfp_flows.Logit())
    >>> grey = tfp_flows.Dequantized(dist, num_bins=4)
    >>> set(grey.sample(100, seed=0).numpy().ravel()) <= {0, 1, 2, 3}
    True

    Reference:
      Theis, van den Oord, Bethge (2016), section 3.1. https://arxiv.org/abs/1511.01844
      Burda, Grosse, Salakhutdinov (2016), IWAE. https://arxiv.org/abs/1509.00519
      Ho et al. (2019), Flow++, section 3.1. https://arxiv.org/abs/1902.00275
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        num_bins: int = 256,
        *,
        dequantizer: tfp.distributions.Distribution | None = None,
        encoder: Callable | None = None,
        name: str | None = None,
    ) -> None:
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
    def event_size(self) -> int:
        """Number of entries of one event, D."""
        return self.event_shape.num_elements()

    @property
    def is_initialized(self) -> bool:
        """Whether all data-dependent state of the distributions is set."""
        parts = (self.distribution, self.dequantizer)
        return all(getattr(part, "is_initialized", True) for part in parts)

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets data-dependent state from integers `data`, `[N, *event]`, of the bins.

        Args:
          data: integers `0, ..., num_bins - 1` of any dtype.
          context: `[N, context_size]`, where the distribution is conditional.
          sample_weight: `[N]`: a row of weight 2 counts as two, one of weight 0 as none.
        """
        data, context, weight = check_rows_of(self, data, context, sample_weight)
        data = tf.convert_to_tensor(data, self.dtype)
        rng = np.random.default_rng(0)
        noise = tf.convert_to_tensor(rng.random(data.shape), self.dtype)
        scaled = (data + noise) / self.num_bins
        of_data = _given(context) | weight_keyword(self.distribution, weight)
        self.distribution.initialize(scaled, **of_data)
        if self.dequantizer is not None and hasattr(self.dequantizer, "initialize"):
            given = self._encode(data / self.num_bins)
            if self.encoder is not None:
                leave_contexts(self.dequantizer)
            weight = weight_keyword(self.dequantizer, weight)
            self.dequantizer.initialize(noise, context=given, **weight)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Raises `ValueError` if `data`, `[N, *event]`, are no integers of the bins."""
        bins.refuse_others(tf.cast(data, self.dtype), self.num_bins, argument)

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
        seed: int | TensorLike | None = None,
    ) -> tf.Tensor:
        """One draw of the lower bound of the log-probability of integers.

        Args:
          value: integers `0, ..., num_bins - 1` of any dtype, `[..., *event]`.
          context: `[..., context_size]`, where the distribution is conditional.
          training: as in `FlowDistribution.log_prob`.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[...]`; minus infinity for events with other values, NaN of NaN.
        """
        return self._log_weights(value, context, training, seed)

    def importance_weighted_log_prob(
        self,
        value: TensorLike,
        num_samples: int,
        *,
        context: TensorLike | None = None,
        seed: int | TensorLike | None = None,
    ) -> tf.Tensor:
        """The lower bound `log mean_j exp(log_prob_j)`, tighter with more draws j.

        Args:
          value: integers, `[N, *event]`.
          num_samples: number of draws, which are computed at once: pass few rows per call.
            Some of ten draws or more are for the end bins, where densities vary most, and
            for what these hold outside `[0, 1]`; without a `dequantizer`, draws are
            stratified. Where one entry of a row is in an end bin, the error of 1,000 draws
            is below a percent, of two entries a few percent; it grows with their number.
          context: `[N, context_size]`, where the distribution is conditional.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[N]`.
        """
        value = tf.cast(value, self.dtype)
        shape = tf.concat([[num_samples], tf.shape(value)], axis=0)
        value = tf.broadcast_to(value, shape)
        weights = self._log_weights(value, context, False, seed, num_samples >= _ENOUGH)
        return tf.reduce_logsumexp(weights, axis=0) - math.log(num_samples)

    def bits_per_dimension(
        self,
        value: TensorLike,
        num_samples: int = 1,
        *,
        context: TensorLike | None = None,
        seed: int | TensorLike | None = None,
    ) -> BitsPerDimension:
        """Returns the `BitsPerDimension` of integers `value`, `[N, *event]`.

        Its `log_density` is the `importance_weighted_log_prob` of `num_samples` draws.
        """
        bins.refuse_others(tf.cast(value, self.dtype), self.num_bins, "value")
        options = {"context": context, "seed": seed}
        log_prob = self.importance_weighted_log_prob(value, num_samples, **options)
        return bits_per_dimension(log_prob, self.event_size, bins_per_unit=1)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        **kwargs: object,
    ) -> tf.Tensor:
        """Draws integers, `[*sample_shape, *event]`, as a tensor of `dtype`."""
        scaled = self.distribution.sample(sample_shape, seed=seed, **kwargs)
        return bins.quantize(scaled, self.num_bins)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("distribution", "num_bins", "dequantizer", "encoder", "name")
        return {name: getattr(self, name) for name in names}

    @property
    def _parts(self):
        return self.distribution, self.dequantizer, self.encoder

    def _log_weights(self, value, context, training, seed, covers_ends=False):
        """Draws noise for each `value` once; where asked, end bins have their own."""
        value = tf.convert_to_tensor(tf.cast(value, self.dtype))
        is_bin = bins.can_occur(value, self.num_bins)
        # Other values are replaced, so that no NaN reaches a gradient.
        given, value = value, tf.where(is_bin, value, tf.zeros_like(value))
        end_bins = bins.EndBins(self.num_bins, self._margin, self.dequantizer is None)
        covers_ends = covers_ends and end_bins.has_any
        if covers_ends:
            seed, end_seed = draws.split(draws.stateless(seed), 2)
        noise, log_noise = self._draw_noise(value, seed)
        event_ndims = self.event_shape.rank
        is_beyond = tf.zeros(tf.shape(log_noise), tf.bool)
        if covers_ends:
            arguments = noise, value, event_ndims, end_seed
            noise, log_moves, is_beyond = end_bins.draw(*arguments)
            log_noise += log_moves
        # Rounding must not carry the upper end of the last bin out of the support.
        below_one = np.nextafter(self.dtype.as_numpy_dtype(1.0), 0.0)
        scaled = (value + noise) / self.num_bins
        scaled = tf.where(noise < 1.0, tf.minimum(scaled, below_one), scaled)
        kwargs = _given(context) | ({"training": True} if training else {})
        log_density = self.distribution.log_prob(scaled, **kwargs)
        # Some distributions return NaN outside their support.
        unknown = is_beyond & tf.math.is_nan(log_density)
        log_density = tf.where(unknown, tf.constant(-np.inf, self.dtype), log_density)
        log_prob = log_density - log_noise - self.event_size * math.log(self.num_bins)
        axes = list(range(-event_ndims, 0))
        return minus_infinity_outside(log_prob, is_bin, given, axes)

    @property
    def _margin(self):
        """How far the distribution reaches beyond `[0, 1]`; infinite where unknown."""
        flow = getattr(self.distribution, "bijector", None)
        first = flow.bijectors[0] if isinstance(flow, FlowChain) else flow
        return first.margin if isinstance(first, Logit) else math.inf

    def _draw_noise(self, value, seed):
        """Noise in `[0, 1)` of the shape of `value`, and its log-density, `[...]`."""
        if self.dequantizer is None:
            return bins.uniform_noise(value, self.event_shape.rank, seed)
        context = self._encode(value / self.num_bins)
        return self.dequantizer.sample_and_log_prob(seed=seed, context=context)

    def _encode(self, scaled):
        if self.encoder is not None:
            return self.encoder(scaled)
        batch_shape = tf.shape(scaled)[: scaled.shape.rank - self.event_shape.rank]
        return tf.reshape(scaled, tf.concat([batch_shape, [self.event_size]], axis=0))


def _given(context):
    return {} if context is None else {"context": context}
