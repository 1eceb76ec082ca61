"""MADE: autoregressive distributions of bits, of categories, and of real numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_dtype, check_each, check_size
from tfp_flows.core.inputs import check_value
from tfp_flows.distributions import conditionals
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.univariate import bisect, refuse_several_variables
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.one_hot_mlp import OneHotMLP
from tfp_flows.networks.order_agnostic_mlp import OrderAgnosticMLP
from tfp_flows.networks.orderings import check_ordering, natural_ordering


class BinaryMADE(AutoregressiveDistribution):
    """Masked autoencoder for distribution estimation, over {0, 1}^D.

    ```none
    p(x) = product over i of  Bernoulli(x_i; sigmoid(logit_i(x_<i, context)))
    ```

    With several masks it is order- and connectivity-agnostic: each training step takes the
    next of `num_masks` masks. Each mask has its own connections and, unless `ordering` is
    given, its own ordering of the variables. The probability is the mean over the masks.
    The masks draw samples in turn; `sample(..., mask_index=k)` draws under one mask.

    Samples are floating-point zeros and ones. `impute` draws missing variables of rows.

    Args:
      event_size: number of variables, D.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`. By default natural
        for one mask, and drawn for each of several.
      num_masks: number of masks, K.
      activation: activation of the hidden layers.
      residual: whether the hidden layers are residual.
      direct: whether inputs are also connected to outputs directly.
      dropout: share of the hidden units that a step of training drops, with one mask.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines masks and initial weights; random if None.
      dtype: dtype of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `event_size` or `num_masks` is below 1, or `ordering` is no
        permutation; or if there is `dropout` with several masks.

    >>> import numpy as np
    >>> import tfp_flows
    >>> made = tfp_flows.BinaryMADE(2, seed=0)
    >>> rows = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> float(np.exp(made.log_prob(rows)).sum().round(3))
    1.0

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        event_size: int,
        *,
        hidden_units: Sequence[int] = (64, 64),
        ordering: Sequence[int] | None = None,
        num_masks: int = 1,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        dropout: float = 0.0,
        context_size: int = 0,
        standardize_context: bool = True,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "binary_made",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        family = conditionals.Bernoulli()
        super().__init__(_masked_network(family, parameters), family, **_own(parameters))


class CategoricalMADE(AutoregressiveDistribution):
    """Masked autoencoder for distribution estimation, over rows of categories.

    ```none
    p(x) = product over i of  softmax(logits_i(x_<i, context))[x_i]
    x_i in {0, ..., V_i - 1}
    ```

    The network sees each variable one-hot, so the order of the values has no meaning.
    `log_prob` takes one pass, `sample` the arithmetic of one pass. `impute` draws missing
    variables of rows.

    Samples are codes as floating-point numbers; `log_prob` takes integers, too. It is minus
    infinity for a code that its variable does not have.

    >>> import tfp_flows
    >>> made = tfp_flows.CategoricalMADE([2, 3, 5], hidden_units=(16,), seed=0)
    >>> x = made.sample(100, seed=1)
    >>> x.shape.as_list(), made.log_prob(x).shape.as_list()
    ([100, 3], [100])
    >>> float(made.prob([1, 3, 0]))  # the second variable has the values 0, 1, 2
    0.0
    >>> made.impute(x, [True, False, True], seed=2).shape.as_list()
    [100, 3]

    Args:
      num_values: number of values of each variable, `[D]` integers.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`; natural if None.
      activation: activation of the hidden layers.
      residual: whether the hidden layers are residual.
      direct: whether inputs are also connected to outputs directly.
      dropout: share of the hidden units that a step of training drops.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines initial weights; random if None.
      dtype: dtype of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `num_values` is empty or an entry is below 1, or `ordering` is no
        permutation.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        num_values: Sequence[int],
        *,
        hidden_units: Sequence[int] = (64, 64),
        ordering: Sequence[int] | None = None,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        dropout: float = 0.0,
        context_size: int = 0,
        standardize_context: bool = True,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "categorical_made",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        options = _network_options(parameters)
        network = OneHotMLP(num_values, hidden_units, ordering, **options)
        family = conditionals.Categorical(network.num_parameters)
        super().__init__(network, family, **_own(parameters))

    def start_at_frequencies(self, x: npt.ArrayLike, weight: npt.ArrayLike) -> None:
        """Sets the biases of a fresh network so that each variable has its frequencies.

        From uniform logits, Adam needs thousands of steps to reach the logits of rare
        values, and early stopping may come before. One pseudo-row, divided equally among
        the values of a variable, keeps every frequency above zero.

        Args:
          x: training rows, `[N, D]`.
          weight: weights of the rows, `[N]`, with a mean of about 1 over the rows of
            positive weight.
        """
        x, weight = np.asarray(x), np.asarray(weight, np.float64)
        logits = np.zeros([max(self.num_values), self.event_size])
        for d, num_values in enumerate(self.num_values):
            counts = np.bincount(x[:, d].astype(int), weight, minlength=num_values)
            counts = counts[:num_values]  # without rows where it is absent (`log_probs`)
            logits[:num_values, d] = np.log(counts + 1.0 / num_values)
            logits[:num_values, d] -= np.log(weight.sum() + 1.0)
        self._ensemble.network.set_output_biases(logits.ravel())

    def log_probs(
        self,
        x: tf.Tensor,
        present: tf.Tensor,
        *context: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns log-probabilities of variables given those before them, `[N, D]`.

        Args:
          x: `[N, D]`; any integers where a variable is absent, which later ones see.
          present: booleans, `[N, D]`; False: the variable is absent, and the result 0.
          *context: `[N, context_size]`, as the network sees it, if there is one.
          training: whether hidden units are dropped.
        """
        only = context[0] if context else None
        return self._ensemble.log_probs(x, present, only, training)

    def complete(
        self, x: tf.Tensor, observed: tf.Tensor, seed: tf.Tensor, *context: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws missing variables of rows, given those before them in the ordering.

        Args:
          x: `[N, D]`; observed values beyond `num_values` are seen by others, not returned.
          observed: booleans, `[N, D]`; True keeps its value.
          seed: stateless seed.
          *context: `[N, context_size]`, as the network sees it, if there is one.

        Returns:
          Completed rows, `[N, D]`, and the log-probabilities of the observed variables
          given all before them, `[N]`: the rows' importance weights.
        """
        noise = self._conditional.noise(tf.shape(x), seed, self.dtype)
        return self._ensemble.complete(noise, tf.constant([0]), x, observed, *context)

    @property
    def num_values(self) -> tuple[int, ...]:
        """Number of values of each variable, `[D]`."""
        return self._ensemble.network.num_values


class MixtureMADE(AutoregressiveDistribution):
    """Autoregressive mixtures of normal distributions: "MADE MoG".

    ```none
    p(x) = product over i of  sum over k of  weight_ik Normal(x_i; loc_ik, scale_ik)
    weight, loc, scale = functions of x_<i and the context
    ```

    Before training it is approximately a standard normal, whatever the units of the data:
    it is a base, and flows measure the units for their bases. Alone, it needs standardised
    data: `FlowDistribution(MixtureMADE(D), Standardize(D))`. With a `MAF`, it is the base
    of the paper's "MAF MoG"; a conditional base receives the flow's context.

    With one variable, it has `cdf`, `quantile`, `survival_function`, `mean`, `variance`.

    Args:
      event_size: number of variables, D.
      num_components: components of each mixture, K.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`. By default natural
        for one mask, and drawn for each of several.
      num_masks: number of masks, over which the density is a mean (see `BinaryMADE`).
      activation: activation of the hidden layers.
      residual: whether the hidden layers are residual.
      direct: whether inputs are also connected to outputs directly.
      dropout: share of the hidden units that a step of training drops, with one mask.
      max_log_scale: bound of the distance of log-scales from their initial values.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines masks and initial weights; random if None.
      dtype: dtype of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `event_size`, `num_components` or `num_masks` is below 1, or
        `ordering` is no permutation; or if there is `dropout` with several masks.

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
        dropout: float = 0.0,
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
        family = conditionals.GaussianMixture(num_components, max_log_scale)
        super().__init__(_masked_network(family, parameters), family, **_own(parameters))

    def _log_cdf(self, value, context=None):
        mixture = self._mixture("cdf", context)
        return mixture.log_cdf(self._one_value(value))

    def _survival_function(self, value, **kwargs):
        return tf.exp(self._log_survival_function(value, **kwargs))

    def _log_survival_function(self, value, context=None):
        mixture = self._mixture("survival_function", context)
        return mixture.log_survival_function(self._one_value(value))

    def _one_value(self, value):
        return check_value(value, "value", 1, self.event_shape, self.dtype)[..., 0]

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
        batch = [] if context is None else tf.shape(context)[:-1]
        num_components = self.num_masks * self._conditional.num_components
        shape = tf.concat([tf.cast(batch, tf.int32), [num_components]], axis=0)
        log_weights, loc, scale = (
            tf.reshape(tf.transpose(part, [1, 0, 2]), shape)
            for part in self._conditional.mixture(parameters)
        )
        return _NormalMixture(log_weights - math.log(self.num_masks), loc, scale)


def _masked_network(family, parameters):
    """Builds a `MaskedMLP`, or an `OrderAgnosticMLP` for more than one mask."""
    event_size, num_masks = parameters["event_size"], parameters["num_masks"]
    hidden_units, ordering = parameters["hidden_units"], parameters["ordering"]
    check_each(check_size, event_size=event_size, num_masks=num_masks)
    options = _network_options(parameters)
    if ordering is not None:
        check_ordering(ordering, event_size)
    if num_masks == 1:
        ordering = natural_ordering(event_size) if ordering is None else ordering
        return MaskedMLP(family.num_parameters, hidden_units, ordering, **options)
    options["seed"], mask_seed = split_seed(options["seed"], 2)
    return OrderAgnosticMLP(
        family.num_parameters,
        hidden_units,
        event_size,
        num_masks=num_masks,
        fixed_ordering=ordering,
        mask_seed=mask_seed,
        **options,
    )


def _network_options(parameters):
    """The keyword arguments of any masked network, from those of a distribution."""
    names = ("activation", "residual", "direct", "dropout", "context_size", "seed")
    dtype = check_dtype("dtype", parameters["dtype"]).name
    return {name: parameters[name] for name in names} | {"dtype": dtype}


def _own(parameters):
    """The keyword arguments of `AutoregressiveDistribution`."""
    names = ("standardize_context", "validate_args", "name")
    return {name: parameters[name] for name in names} | {"parameters": parameters}


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
        # The mixture's quantile lies between the quantiles of its components.
        from_components = self._components.quantile(probability[..., None])
        low = tf.reduce_min(from_components, axis=-1)
        high = tf.reduce_max(from_components, axis=-1)
        log_below, log_above = tf.math.log(probability), tf.math.log1p(-probability)

        def is_below(x):
            return tf.where(
                probability < 0.5,
                self.log_cdf(x) < log_below,
                self.log_survival_function(x) > log_above,
            )

        return tf.stop_gradient(bisect(is_below, low, high))

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
