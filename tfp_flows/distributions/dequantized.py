"""Dequantised distributions: integers under a continuous density."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import (
    check_callable,
    check_integer,
    check_members,
    require,
)
from tfp_flows.core.context_standardizer import leave_contexts
from tfp_flows.core.inputs import align_batch_axes, check_value
from tfp_flows.core.results import minus_infinity_outside
from tfp_flows.core.rows import initialize_part
from tfp_flows.distributions import draws
from tfp_flows.distributions.bits_per_dimension import BitsPerDimension, bits_per_dimension
from tfp_flows.distributions.distribution_checks import refuse_discrete
from tfp_flows.distributions.distribution_wrapper import (
    DistributionWrapper,
    InitializedByRows,
    call_keywords,
)
from tfp_flows.distributions.end_bins import EndBins

# From this number of importance samples on, they are stratified and cover the end bins.
_ENOUGH_SAMPLES = 10


class Dequantized(InitializedByRows, DistributionWrapper):
    """The distribution of the bin of a continuous variable.

    ```none
    P(k) = integral over u in [0, 1)^D of  p((k + u) / num_bins) * num_bins^-D  du
        >= E_q[log p((k + u) / num_bins) - log q(u | k)] - D log(num_bins)
    ```

    The first bin includes everything below it, and the last bin everything above it, where
    `Logit(alpha)` leaves some mass: the probabilities sum to one and are those of `sample`.

    `log_prob` is the term in the expectation for one draw of u. Its mean is a lower bound
    of `log P(k)`, which `fit` maximises. `importance_weighted_log_prob` is a tighter bound.

    Args:
      distribution: distribution of the data scaled to `[0, 1]`, such as a
        `FlowDistribution`, whose flow may begin with a `Logit`.
      num_bins: number of values of an entry: 256 for 8-bit data, 32 for 5-bit data.
      dequantizer: conditional distribution q of u in `(0, 1)^D`, with the same event shape,
        such as a `FlowDistribution` whose flow begins with `Logit(0.0)`. The default is
        uniform.
      encoder: function from the scaled data, `[N, *event]`, to the dequantizer's context,
        `[N, context_size]`, such as a `Conditioner`. The default flattens the data.
      name: name of the module.

    Raises:
      ValueError: if `num_bins` is below 2, the distribution is discrete, the events or
        the context of the `dequantizer` do not fit, or there is an `encoder` without one;
        from `initialize` and `bits_per_dimension`, if data are not integers from 0 to
        `num_bins - 1`.

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
        super().__init__(distribution, name=name or f"dequantized_{distribution.name}")
        refuse_discrete(distribution, "of the scaled data")
        if encoder is not None:
            require(dequantizer is not None, "a `dequantizer` with an `encoder`", None)
            check_callable("encoder", encoder, "a function from scaled data to contexts")
        if dequantizer is not None:
            self._check_dequantizer(dequantizer, encoder)
        self.num_bins = num_bins
        self.dequantizer = dequantizer
        self.encoder = encoder

    @property
    def event_size(self) -> int:
        """Number of entries of one event, D."""
        return self.event_shape.num_elements()

    def _initialize(self, data, context, weight):
        data = tf.convert_to_tensor(data, self.dtype)
        rng = np.random.default_rng(0)
        noise = tf.convert_to_tensor(rng.random(data.shape), self.dtype)
        scaled = (data + noise) / self.num_bins
        initialize_part(self.distribution, scaled, context, weight)
        if self.dequantizer is not None:
            if self.encoder is not None:
                leave_contexts(self.dequantizer)
            encoded = self._encode(data / self.num_bins)
            initialize_part(self.dequantizer, noise, encoded, weight)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Raises `ValueError` unless `data`, `[N, *event]`, are integers of the bins."""
        _check_bins(tf.cast(data, self.dtype), self.num_bins, argument)

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
        seed: int | TensorLike | None = None,
    ) -> tf.Tensor:
        """Returns one draw of the lower bound of the log-probability of integers.

        Args:
          value: integers `0, ..., num_bins - 1` of any dtype, `[..., *event]`.
          context: `[..., context_size]`, if the distribution is conditional.
          training: as in `FlowDistribution.log_prob`.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[...]`; minus infinity for events with other values, NaN for NaN.
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
        """Returns the lower bound `log mean_j exp(log_prob_j)`, tighter with more draws j.

        Args:
          value: integers, `[N, *event]`.
          num_samples: number of draws, computed at once: pass few rows per call. From ten
            draws on, some are for the end bins, where densities vary most, and for their
            mass outside `[0, 1]`; without a `dequantizer`, draws are stratified. With one
            entry of a row in an end bin, the error of 1,000 draws is below one percent;
            with two entries it is a few percent, and it grows with their number.
          context: `[N, context_size]`, if the distribution is conditional.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          Nats, `[N]`.
        """
        check_integer("num_samples", num_samples)
        value, ndims = tf.cast(value, self.dtype), self.event_shape.rank
        if context is not None:
            # Before the axis of draws is added, which contexts do not have.
            context = tf.cast(context, self.dtype)
            value, context = align_batch_axes(value, context, ndims)
        shape = tf.concat([[num_samples], tf.shape(value)], axis=0)
        value = tf.broadcast_to(value, shape)
        covers_ends = num_samples >= _ENOUGH_SAMPLES
        weights = self._log_weights(value, context, False, seed, covers_ends)
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
        _check_bins(tf.cast(value, self.dtype), self.num_bins, "value")
        options = {"context": context, "seed": seed}
        log_prob = self.importance_weighted_log_prob(value, num_samples, **options)
        return bits_per_dimension(log_prob, self.event_size, bins_per_unit=1)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws integers, `[*sample_shape, *batch, *event]`, as a tensor of `dtype`.

        Args:
          sample_shape: shape of the draw, before the context's batch axes.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          context: `[..., context_size]`, if the distribution is conditional.
        """
        keywords = call_keywords(context)
        scaled = self.distribution.sample(sample_shape, seed=seed, **keywords)
        return quantize(scaled, self.num_bins)

    def sample_and_log_prob(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws integers with a draw of their `log_prob`; arguments as in `sample`."""
        x = self.sample(sample_shape, seed, context=context)
        noise_seed = draws.fold_in(draws.stateless(seed), 0)
        return x, self.log_prob(x, context=context, seed=noise_seed)

    def _check_dequantizer(self, dequantizer, encoder):
        """Refuses noise of other events, or whose context the data do not fit."""
        members = ("sample_and_log_prob", "event_shape", "dtype")
        words = "a distribution of the noise, such as a conditional `FlowDistribution`"
        check_members("dequantizer", dequantizer, members, words)
        events, noise = ((d.event_shape, d.dtype) for d in (self, dequantizer))
        fits = noise[0].is_compatible_with(events[0]) and noise[1] == events[1]
        expected = f"`dequantizer` of events of shape {events[0]} and {events[1].name}"
        require(fits, expected, f"shape {noise[0]} and {noise[1].name}")
        size = getattr(dequantizer, "context_size", self.event_size)
        source = f"of {self.event_size}, the data" if encoder is None else "from `encoder`"
        fits = size == self.event_size if encoder is None else size > 0
        require(fits, f"`dequantizer` with a context {source}", f"a context of {size}")

    @property
    def _parts(self):
        return self.distribution, self.dequantizer, self.encoder

    def _log_weights(self, value, context, training, seed, covers_ends=False):
        """Returns log-weights of one draw of noise for each `value`.

        With `covers_ends`, entries of the end bins may be drawn by `EndBins`.
        """
        shape, dtype = self.event_shape, self.dtype
        axes = list(range(-shape.rank, 0))
        value = check_value(tf.cast(value, dtype), "value", shape.rank, shape, dtype)
        is_bin = _can_occur(value, self.num_bins)
        # Other values than bins are replaced, so no NaN reaches a gradient.
        original, value = value, tf.where(is_bin, value, tf.zeros_like(value))
        end_bins = EndBins(self.num_bins, self._margin, self.dequantizer is None)
        covers_ends = covers_ends and end_bins.has_any
        if covers_ends:
            seed, end_seed = draws.split(draws.stateless(seed), 2)
        noise, log_noise = self._draw_noise(value, seed)
        is_beyond = tf.zeros(tf.shape(log_noise), tf.bool)
        if covers_ends:
            again = end_bins.draw(noise, value, axes, end_seed)
            noise, is_beyond = again.noise, again.is_beyond
            log_noise += again.log_density
        # Rounding must not move the upper end of the last bin out of the support.
        below_one = np.nextafter(dtype.as_numpy_dtype(1.0), 0.0)
        scaled = (value + noise) / self.num_bins
        scaled = tf.where(noise < 1.0, tf.minimum(scaled, below_one), scaled)
        kwargs = call_keywords(context, training)
        log_density = self.distribution.log_prob(scaled, **kwargs)
        # Some distributions return NaN outside their support.
        unknown = is_beyond & tf.math.is_nan(log_density)
        log_density = tf.where(unknown, tf.constant(-np.inf, dtype), log_density)
        log_prob = log_density - log_noise - self.event_size * math.log(self.num_bins)
        return minus_infinity_outside(log_prob, is_bin, original, axes)

    @property
    def _margin(self):
        """How far the distribution reaches beyond `[0, 1]`; infinite if unknown."""
        flow = getattr(self.distribution, "bijector", None)
        first = flow.bijectors[0] if isinstance(flow, FlowChain) else flow
        return getattr(first, "margin", math.inf)

    def _draw_noise(self, value, seed):
        """Returns noise in `[0, 1)`, `[..., *event]`, and its log-density, `[...]`."""
        if self.dequantizer is None:
            noise = draws.uniform(tf.shape(value), draws.stateless(seed), value.dtype)
            return noise, tf.zeros(self._batch_shape_of(value), value.dtype)
        context = self._encode(value / self.num_bins)
        return self.dequantizer.sample_and_log_prob(seed=seed, context=context)

    def _encode(self, scaled):
        rows = tf.reshape(scaled, [-1, *self.event_shape])
        flat = tf.reshape(scaled, [-1, self.event_size])
        context = flat if self.encoder is None else self.encoder(rows)
        shape = [self._batch_shape_of(scaled), tf.shape(context)[1:]]
        return tf.reshape(context, tf.concat(shape, axis=0))

    def _batch_shape_of(self, value):
        return tf.shape(value)[: value.shape.rank - self.event_shape.rank]


def _can_occur(value, num_bins):
    """Returns whether each entry is one of the integers `0, ..., num_bins - 1`."""
    return (value >= 0) & (value < num_bins) & (value == tf.floor(value))


def _check_bins(value, num_bins, argument):
    """Raises `ValueError` if an entry of `value` is no integer `0, ..., num_bins - 1`."""
    others = tf.boolean_mask(value, ~_can_occur(value, num_bins))
    if len(others):
        raise ValueError(
            f"Expected `{argument}` of integers from 0 to {num_bins - 1}; got "
            f"{others[0]:g}."
        )


def quantize(scaled: tf.Tensor, num_bins: int) -> tf.Tensor:
    """Returns the bins of scaled data; data outside `[0, 1]` belong to the end bins."""
    return tf.clip_by_value(tf.floor(scaled * num_bins), 0, num_bins - 1)


def reduce_bits(images: np.ndarray, num_bits: int) -> np.ndarray:
    """Reduces 8-bit `images` to integers of `num_bits` bits, as in Glow's 5-bit data.

    >>> import numpy as np
    >>> import tfp_flows
    >>> tfp_flows.distributions.reduce_bits(np.uint8([0, 7, 8, 255]), num_bits=5).tolist()
    [0, 0, 1, 31]
    """
    require(check_integer("num_bits", num_bits) <= 8, "`num_bits` from 1 to 8", num_bits)
    return np.asarray(images) // 2 ** (8 - num_bits)
