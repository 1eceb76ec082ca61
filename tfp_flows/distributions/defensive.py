"""Defensive mixtures: a distribution with a small share of a broad Gaussian."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_entries, check_share
from tfp_flows.core.inputs import check_value
from tfp_flows.core.rows import initialize_part
from tfp_flows.core.statistics import correlation_factor, mean_and_scale
from tfp_flows.distributions import draws
from tfp_flows.distributions.distribution_checks import refuse_discrete, vector_size
from tfp_flows.distributions.distribution_wrapper import RowsWrapper, call_keywords
from tfp_flows.distributions.log_add_exp import log_add_exp


class Defensive(RowsWrapper):
    """A distribution of rows, mixed with a small share of a Gaussian of the same rows.

    ```none
    p(y) = (1 - share) distribution(y) + share N(y; mean, covariance)
    ```

    Mean and covariance are those of the rows that `initialize` gets, which `fit` calls. The
    log-density of a row is at most `-log(share)` nats below its log-density under the
    Gaussian, however small its density under the distribution itself, so outliers do not
    dominate training. The default share bounds it at 6.9 nats, and costs 0.001 nats
    elsewhere.

    Do not use it for distributions with bounds, since the Gaussian has mass beyond them.

    Args:
      distribution: distribution of rows, `[N, D]`, such as a `FlowDistribution`;
        conditional or not.
      share: share of the Gaussian, between 0 and 1.
      name: name of the module.

    Raises:
      ValueError: if the events are no vectors of a known size, or they are discrete.

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), tfp_flows.MAF(2))
    >>> safe = tfp_flows.Defensive(flow)
    >>> model = tfp_flows.DensityEstimator(safe)
    >>> model.initialize(np.random.default_rng(0).normal(size=(100, 2)))
    >>> bool(safe.log_prob([0.0, 30.0]) > safe.gaussian.log_prob([0.0, 30.0]) - 6.91)
    True

    Reference:
      Hesterberg (1995), Weighted average importance sampling and defensive mixture
      distributions. https://doi.org/10.1080/00401706.1995.10484303
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        share: float = 1e-3,
        *,
        name: str | None = None,
    ) -> None:
        size = vector_size(distribution)
        check_share("share", share)
        refuse_discrete(distribution, "beside a Gaussian")
        check_entries("distribution", size, size)
        super().__init__(distribution, name=name or f"defensive_{distribution.name}")
        self.share = float(share)
        eye = np.eye(size, dtype=self.dtype.as_numpy_dtype)
        self._mean = tf.Variable(tf.zeros([size], self.dtype), trainable=False, name="mean")
        self._scale = tf.Variable(eye, trainable=False, name="scale")
        self._initialized = tf.Variable(False, trainable=False, name="initialized")

    @property
    def gaussian(self) -> tfd.Distribution:
        """The broad Gaussian, with the present statistics."""
        return tfd.MultivariateNormalTriL(self._mean, self._scale)

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """Variables of the distribution, then those of the Gaussian."""
        return (*super().variables, self._mean, self._scale, self._initialized)

    @property
    def is_initialized(self) -> bool:
        """Whether the Gaussian and all state of the distribution are set."""
        return bool(self._initialized.numpy()) and super().is_initialized

    def _initialize(self, data, context, weight):
        """Sets mean and covariance from rows, and initialises the distribution."""
        initialize_part(self.distribution, data, context, weight)
        if self._initialized.numpy():
            return
        mean, scale = mean_and_scale(data, self.dtype, weight=weight)
        factor = scale[:, None] * correlation_factor(data, mean, scale, weight)
        self._mean.assign(mean)
        self._scale.assign(factor)
        self._initialized.assign(True)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows that the distribution refuses."""
        if hasattr(self.distribution, "check_support"):
            self.distribution.check_support(data, argument=argument)

    def _log_prob(self, value, context, training):
        value = check_value(value, "value", 1, self.event_shape, self.dtype)
        kwargs = call_keywords(context, training)
        log_prob = self.distribution.log_prob(value, **kwargs) + math.log1p(-self.share)
        from_gaussian = self.gaussian.log_prob(value) + math.log(self.share)
        # The Gaussian's triangular solve returns NaN for infinite numbers.
        is_infinite = tf.reduce_any(tf.math.is_inf(value), axis=-1)
        is_infinite &= ~tf.reduce_any(tf.math.is_nan(value), axis=-1)
        nothing = tf.constant(-math.inf, self.dtype)
        from_gaussian = tf.where(is_infinite, nothing, from_gaussian)
        return log_add_exp(log_prob, from_gaussian)

    def _sample(self, sample_shape, seed, context):
        seed, choice, noise = draws.split(draws.stateless(seed), 3)
        kwargs = call_keywords(context)
        rows = self.distribution.sample(sample_shape, seed=seed, **kwargs)
        normal = draws.normal(tf.shape(rows), noise, self.dtype)
        broad = self._mean + tf.linalg.matvec(self._scale, normal)
        chosen = draws.uniform(tf.shape(rows)[:-1], choice, self.dtype) < self.share
        return tf.where(chosen[..., None], broad, rows)
