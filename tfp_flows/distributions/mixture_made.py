"""MADE for real vectors, with mixtures of normal distributions as conditionals."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.conditionals import GaussianMixture
from tfp_flows.distributions.masked_network import masked_network
from tfp_flows.distributions.one_variable import refuse_several_variables

__all__ = ["MixtureMADE"]


class MixtureMADE(AutoregressiveDistribution):
    """Autoregressive mixtures of normal distributions: "MADE MoG".

    ```none
    p(x) = product over i of  sum over k of  weight_ik Normal(x_i; loc_ik, scale_ik)
    weight, loc, scale = functions of x_<i and the context
    ```

    Before training it is approximately a standard normal, so data should be standardised:
    `FlowDistribution(MixtureMADE(D), Standardize(D))`. As the base of a `MAF`, which
    standardises by itself, it is the paper's "MAF MoG"; a conditional base is given the
    flow's context.

    With one variable, it has `cdf`, `quantile`, `survival_function`, `mean`, `variance`.

    Args:
      event_size: number of variables, D.
      num_components: components of each mixture, K.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`. By default natural
        for one mask, and drawn for each of several.
      num_masks: number of masks, over which the density is a mean (see `BinaryMADE`).
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are also connected to outputs directly.
      max_log_scale: bound of the distance of log-scales from their initial values.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines masks and initial weights; random if None.
      dtype: of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `event_size`, `num_components` or `num_masks` is below 1, or
        `ordering` is no permutation.

    >>> import tfp_flows
    >>> made = tfp_flows.MixtureMADE(2, num_components=3, context_size=1, seed=0)
    >>> made.sample(5, context=[[0.0], [1.0]], seed=1).shape
    TensorShape([5, 2, 2])

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, section 4.1.
      https://arxiv.org/abs/1705.07057
      Uria, Murray, Larochelle (2013), RNADE. https://arxiv.org/abs/1306.0186
    """

    def __init__(
        self,
        event_size: int,
        num_components: int = 10,
        *,
        hidden_units: Sequence[int] = (64, 64),
        ordering: Sequence[int] | None = None,
        num_masks: int = 1,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        max_log_scale: float = 7.0,
        context_size: int = 0,
        standardize_context: bool = True,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "mixture_made",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        conditional = GaussianMixture(num_components, max_log_scale)
        network = masked_network(
            event_size,
            conditional,
            hidden_units,
            ordering=ordering,
            num_masks=num_masks,
            activation=activation,
            residual=residual,
            direct=direct,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
        )
        super().__init__(
            network,
            conditional,
            standardize_context=standardize_context,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    def _cdf(self, value, **kwargs):
        return tf.exp(self._log_cdf(value, **kwargs))

    def _log_cdf(self, value, context=None):
        mixture = self._mixture("cdf", context)
        return mixture.log_cdf(value[..., 0])

    def _survival_function(self, value, **kwargs):
        return tf.exp(self._log_survival_function(value, **kwargs))

    def _log_survival_function(self, value, context=None):
        mixture = self._mixture("survival_function", context)
        return mixture.log_survival_function(value[..., 0])

    def _quantile(self, value, context=None):
        mixture = self._mixture("quantile", context)
        return mixture.quantile(tf.cast(value, self.dtype))[..., None]

    def _mean(self, context=None):
        if self.event_size > 1:
            return super()._mean()
        return self._mixture("mean", context).mean()[..., None]

    def _variance(self, context=None):
        if self.event_size > 1:
            return super()._variance()
        return self._mixture("variance", context).variance()[..., None]

    def _mixture(self, function, context):
        """The one conditional, with the batch axes of the context."""
        refuse_several_variables(self, function)
        context = self._checked_context(context)
        rows = None if context is None else tf.reshape(context, [-1, self.context_size])
        parameters = self._ensemble.parameters_of_one_variable(rows)
        mixtures = self._conditional.mixture(parameters)
        log_weights, loc, scale = (
            tf.reshape(tf.transpose(part, [1, 0, 2]), self._mixture_shape(context))
            for part in mixtures
        )
        return _NormalMixture(log_weights - math.log(self.num_masks), loc, scale)

    def _mixture_shape(self, context):
        batch = [] if context is None else tf.shape(context)[:-1]
        components = self.num_masks * self._conditional.num_components
        return tf.concat([tf.cast(batch, tf.int32), [components]], axis=0)


class _NormalMixture:
    """A mixture of K normal distributions of one variable, exact in both tails."""

    def __init__(self, log_weights, loc, scale):
        self._log_weights = log_weights
        self._components = tfd.Normal(loc, scale)

    def log_cdf(self, x):
        """`log P(X <= x)`, for `x`, `[...]`."""
        return self._log_mean(self._components.log_cdf(x[..., None]))

    def log_survival_function(self, x):
        """`log P(X > x)`, for `x`, `[...]`."""
        return self._log_mean(self._components.log_survival_function(x[..., None]))

    def quantile(self, probability):
        """`x` of `P(X <= x) = probability`, `[...]`, by bisection; it has no gradient."""
        # The mixture's quantile is between those of its components.
        of_components = self._components.quantile(probability[..., None])
        low = tf.reduce_min(of_components, axis=-1)
        high = tf.reduce_max(of_components, axis=-1)
        log_below, log_above = tf.math.log(probability), tf.math.log1p(-probability)

        def halve(low, high):
            middle = low + 0.5 * (high - low)
            is_below = tf.where(
                probability < 0.5,
                self.log_cdf(middle) < log_below,
                self.log_survival_function(middle) > log_above,
            )
            return tf.where(is_below, middle, low), tf.where(is_below, high, middle)

        count = 40 if low.dtype == tf.float32 else 70
        _, middle = tf.while_loop(
            lambda *_: True, halve, (low, high), maximum_iterations=count
        )
        # The ends are those of all components.
        return tf.stop_gradient(tf.where(tf.math.is_inf(low), low, middle))

    def mean(self):
        """`[...]`."""
        return tf.reduce_sum(tf.exp(self._log_weights) * self._components.loc, axis=-1)

    def variance(self):
        """`[...]`."""
        offset = self._components.loc - self.mean()[..., None]
        squares = self._components.scale**2 + offset**2
        return tf.reduce_sum(tf.exp(self._log_weights) * squares, axis=-1)

    def _log_mean(self, log_probabilities):
        return tf.reduce_logsumexp(self._log_weights + log_probabilities, axis=-1)
