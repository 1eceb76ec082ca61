"""Autoregressive distributions: a masked network and a family of conditionals."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.context_standardizer import ContextStandardizer
from tfp_flows.core.inputs import align_batch_axes
from tfp_flows.core.inputs import check_context
from tfp_flows.core.inputs import check_value
from tfp_flows.core.inputs import nan_where_context_is
from tfp_flows.core.serialization import Configured
from tfp_flows.distributions.ancestral_sampling import check_observed
from tfp_flows.distributions.batches_of_rows import by_rows
from tfp_flows.distributions.carried import Carried
from tfp_flows.distributions.distribution_checks import check_rows_of
from tfp_flows.distributions.distribution_checks import refuse_slices
from tfp_flows.distributions.draws import SampleAndLogProb
from tfp_flows.distributions.draws import choose
from tfp_flows.distributions.draws import joint_shape
from tfp_flows.distributions.draws import split
from tfp_flows.distributions.draws import stateless
from tfp_flows.distributions.mask_ensemble import MaskEnsemble
from tfp_flows.distributions.masked_network import check_network
from tfp_flows.distributions.moments import Moments
from tfp_flows.distributions.one_variable import NotOneVariable

__all__ = ["AutoregressiveDistribution"]


class AutoregressiveDistribution(
    Configured, SampleAndLogProb, NotOneVariable, Moments, Carried, tfd.Distribution
):
    """A product of conditionals, one for each variable, with parameters from a network.

    ```none
    one mask:   p(x) = product over i of  p(x_i; parameters_i(x_<i, context))
    K masks:    p(x) = 1/K  sum over k of  p_k(x)
    ```

    `log_prob` costs one pass of the network per mask. `sample` draws one variable after
    another, with the arithmetic of one pass (`networks/forward_substitution.py`). A
    training step takes only the next mask of the cycle, which maximises a lower bound.

    Args:
      network: a `MaskedMLP`, or a `MaskCycleMLP` where there are several masks.
      conditional: the family, as `conditionals.Bernoulli()`; its `num_parameters` are the
        network's.
      standardize_context: whether contexts are standardised, as soon as `initialize` was.
      validate_args: as in TFP.
      parameters: the constructor arguments of a subclass, which `get_config` returns.
      name: name of the distribution.

    Raises:
      ValueError: if the network has another number of parameters; from every method, if
        `context` is missing, unwanted, or of another width.

    >>> import tfp_flows
    >>> issubclass(tfp_flows.BinaryMADE, tfp_flows.AutoregressiveDistribution)
    True

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Uria, Murray, Larochelle (2014), for many orders. https://arxiv.org/abs/1310.1757
    """

    draws_for_each_context = True

    def __init__(
        self,
        network: keras.Layer,
        conditional: Any,
        *,
        standardize_context: bool = True,
        validate_args: bool = False,
        parameters: dict | None = None,
        name: str = "autoregressive",
    ) -> None:
        """Takes the arguments that the class describes."""
        if parameters is None:
            parameters = {"network": network, "conditional": conditional, "name": name}
            parameters["standardize_context"] = standardize_context
            parameters["validate_args"] = validate_args
        check_network(network, conditional)
        super().__init__(
            dtype=tf.as_dtype(network.dtype),
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )
        self._conditional = conditional
        self.is_discrete = getattr(conditional, "is_discrete", False)
        self._ensemble = MaskEnsemble(network, conditional)
        self._standardizer = None
        if standardize_context and network.context_size:
            self._standardizer = ContextStandardizer(network.context_size, self.dtype)

    @property
    def event_size(self) -> int:
        """Number of variables, D."""
        return self._ensemble.network.event_size

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self._ensemble.network.context_size

    @property
    def num_masks(self) -> int:
        """Number of masks, K."""
        return self._ensemble.num_masks

    @property
    def is_initialized(self) -> bool:
        """Whether the statistics of contexts are set, if there are any."""
        return self._standardizer is None or self._standardizer.is_initialized

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets the statistics of contexts.

        Args:
          data: `[N, D]`; they determine no state.
          context: `[N, context_size]`, where the distribution is conditional.
          sample_weight: `[N]`: a row of weight 2 counts as two, one of weight 0 as none.
        """
        data, context, weight = check_rows_of(self, data, context, sample_weight)
        if self._standardizer is not None:
            self._standardizer.initialize(context, weight=weight)

    def impute(
        self,
        x: TensorLike,
        observed: npt.ArrayLike,
        *,
        context: TensorLike | None = None,
        num_candidates: int = 64,
        mask_index: int | None = None,
        seed: int | TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws the missing variables of each row, given its observed ones.

        It is the exact conditional if `observed` are prefixes of the ordering. It is also
        exact if each mask has its own ordering: then the draw is under an ordering that has
        the observed variables first and otherwise keeps the mask's.

        Otherwise (one fixed ordering, observed variables after missing ones), the missing
        variables are drawn given those before them, `num_candidates` times, and one of the
        draws is chosen in proportion to the probability of the observed variables after
        them. This is the conditional in the limit of many candidates; with one candidate it
        is clamped sampling, which ignores later variables.

        Args:
          x: `[..., D]`; the values at missing variables do not matter.
          observed: boolean, `[D]`; True keeps its value. Of the shape of `x` where rows
            differ, unless each mask has its own ordering.
          context: `[..., context_size]`.
          num_candidates: number of draws to choose from, where the draw is not exact.
          mask_index: index of a mask in the cycle; drawn if None.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          `[..., D]`.
        """
        x, context = self._checked(x, context)
        of_all_rows = self._ensemble.has_own_orderings
        observed = check_observed(observed, x.shape[-1:] if of_all_rows else x.shape)
        count = 1 if self._ensemble.can_come_first(observed) else num_candidates
        noise_seed, mask_seed, choice_seed = split(stateless(seed), 3)
        mask = self._ensemble.masks(mask_index, mask_seed, 1)[0]
        of_rows = tf.reshape(tf.broadcast_to(observed, tf.shape(x)), [-1, self.event_size])
        of_rows = tf.repeat(of_rows, count, axis=0)

        def complete(rows, *contexts):
            noise = self._conditional.noise(tf.shape(rows), noise_seed, self.dtype)
            return self._ensemble.complete(noise, mask, rows, of_rows, *contexts)

        return choose(complete, x, context, count, choice_seed)

    def copy(self, **overrides: object) -> AutoregressiveDistribution:
        """Returns this distribution, or a new one, with new weights, where `overrides`."""
        return type(self)(**{**self.get_config(), **overrides}) if overrides else self

    def __getitem__(self, slices: Any) -> AutoregressiveDistribution:
        refuse_slices(slices, self.name)
        return self

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _default_event_space_bijector(self):
        return self._conditional.default_event_space_bijector()

    def _event_shape(self):
        return tf.TensorShape([self.event_size])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _prob(self, x, **kwargs):
        return tf.exp(self._log_prob(x, **kwargs))

    def _log_prob(self, x, context=None, training=False, mask_index=None):
        x, context = self._checked(x, context)
        if mask_index is not None:
            mask = self._ensemble.masks(mask_index, None, 1)[0]
            method = functools.partial(self._ensemble.log_prob_under, mask)
            return by_rows(method, x, context)
        return by_rows(self._ensemble.log_prob, x, context, training)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._draw(sample_shape, seed, **kwargs)[0]

    def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
        x, log_prob = self._draw(sample_shape, seed, **kwargs)
        return x, log_prob if self.num_masks == 1 else self._log_prob(x, **kwargs)

    def _draw(self, sample_shape, seed, context=None, training=False, mask_index=None):
        context = self._checked_context(context)
        shape = joint_shape(sample_shape, context)
        noise_seed, mask_seed = split(stateless(seed), 2)
        num_rows = tf.reduce_prod(shape)
        noise = self._conditional.noise([num_rows, self.event_size], noise_seed, self.dtype)
        arguments = [noise, self._ensemble.masks(mask_index, mask_seed, num_rows)]
        if context is not None:
            each = tf.broadcast_to(context, tf.concat([shape, [self.context_size]], axis=0))
            arguments.append(tf.reshape(each, [-1, self.context_size]))
        x, log_prob = self._ensemble.draw(*arguments)
        x = tf.reshape(x, tf.concat([shape, [self.event_size]], axis=0))
        x = nan_where_context_is(x, context, 1)
        return x, nan_where_context_is(tf.reshape(log_prob, shape), context, 0)

    def _checked(self, x, context):
        if self.is_discrete and tf.is_tensor(x) and x.dtype.is_integer:
            x = tf.cast(x, self.dtype)
        x = check_value(x, "x", 1, self.event_shape, self.dtype)
        x, context = align_batch_axes(x, self._checked_context(context), 1)
        return nan_where_context_is(x, context, 1), context

    def _checked_context(self, context):
        context = check_context(context, self.context_size, self.dtype, self.name)
        return context if self._standardizer is None else self._standardizer(context)
