"""Autoregressive distributions: a masked network and a family of conditionals."""

from __future__ import annotations

import functools
import math
import weakref
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core import inputs
from tfp_flows.core.arguments import (
    check_each,
    check_flag,
    check_integer,
    check_name,
    require,
)
from tfp_flows.core.context_standardizer import ContextStandardizer
from tfp_flows.core.rows import at_least_one_row, distinct_rows, map_parts, on_flat_rows
from tfp_flows.core.serialization import Configured
from tfp_flows.distributions import draws
from tfp_flows.distributions.distribution_checks import refuse_slices
from tfp_flows.distributions.distribution_wrapper import InitializedByRows
from tfp_flows.distributions.mask_ensemble import MaskEnsemble
from tfp_flows.distributions.moments import Moments

# Most rows that are evaluated at once, which bounds memory.
_MOST_ROWS = 2**16
# Objects of `_ObjectSpec`s by `id`, since TensorFlow rebuilds specs from plain values.
_CARRIED: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


class AutoregressiveDistribution(
    InitializedByRows,
    Configured,
    draws.SampleAndLogProb,
    Moments,
    tfp.experimental.AutoCompositeTensor,
    tfd.Distribution,
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
      network: a `MaskedMLP`, or an `OrderAgnosticMLP` for several masks.
      conditional: the family of conditionals, such as `conditionals.Bernoulli()`, with as
        many parameters (`num_parameters`) as the network.
      standardize_context: whether contexts are standardised, once `initialize` has set
        their statistics.
      validate_args: as in TFP.
      parameters: the constructor arguments of a subclass, which `get_config` returns.
      name: name of the distribution.

    Raises:
      ValueError: if the network has another number of parameters; from every method, if
        `context` is missing, unwanted, or of another width.

    >>> import tfp_flows
    >>> issubclass(tfp_flows.BinaryMADE, tfp_flows.distributions.AutoregressiveDistribution)
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
        flags = {"standardize_context": standardize_context, "validate_args": validate_args}
        check_each(check_flag, **flags)
        check_name("name", name)
        if parameters is None:
            parameters = {"network": network, "conditional": conditional, "name": name}
            parameters |= flags
        wanted = conditional.num_parameters
        got = getattr(network, "num_parameters", network)
        require(got == wanted, f"a `network` of {wanted} parameters a variable", got)
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

    def _initialize(self, data, context, weight):
        """Sets the statistics of contexts; the rows are only checked."""
        if self._standardizer is not None:
            self._standardizer.initialize(context, weight=weight)

    @property
    def num_values(self) -> tuple[int, ...] | None:
        """Number of values of each variable, `[D]`; None if they are real."""
        count = getattr(self._conditional, "num_values", None)
        return None if count is None else (count,) * self.event_size

    def impute(
        self,
        x: TensorLike,
        observed: npt.ArrayLike,
        *,
        context: TensorLike | None = None,
        num_candidates: int = 512,
        mask_index: int | None = None,
        seed: int | TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws the missing variables of each row, given its observed ones.

        The draws are from the conditional of the density that `log_prob` reports, the mean
        over the masks. They are exact in two cases:

        - The observed variables come before all others in the ordering of every mask (with
          one natural ordering: they are the first variables; or there are none). A mask is
          chosen by its probability of the observed variables, and draws the others.
        - The missing variables have at most `num_candidates` joint values, such as those of
          9 missing bits. The probabilities of all are compared.

        Otherwise one of `num_candidates` completions of each row, equally many from each
        mask, is chosen by importance weight. The error of this approximation is about the
        variance of the weights (of mean 1) over the number of completions. Masks with their
        own orderings draw half of the completions with all observed variables before the
        missing ones. Other masks draw a missing variable given the variables before it, and
        only the weight depends on observed variables after it: the more these tell, the
        more completions are needed. A single completion is ancestral sampling with the
        observed variables clamped. Rows whose observed values cannot occur are completed
        anyhow: `log_prob` is -inf.

        Args:
          x: `[..., D]`; the values at missing variables do not matter.
          observed: boolean, `[D]`, or of the shape of `x` if rows differ and not each mask
            has its own ordering; True keeps the value.
          context: `[..., context_size]`.
          num_candidates: number of completions to choose from, at least one from each mask,
            and the largest number of joint values that are compared.
          mask_index: index of a mask in the cycle, whose density replaces the mean over the
            masks.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          `[..., D]`.

        Raises:
          ValueError: if `observed` is not boolean or of another shape, or `num_candidates`
            is below 1.

        >>> import numpy as np
        >>> import tfp_flows
        >>> made = tfp_flows.BinaryMADE(3, num_masks=4, seed=0)
        >>> made.impute([0.0, 1.0, 0.0], [True, True, False], seed=1).numpy()[:2]
        array([0., 1.], dtype=float32)
        """
        check_integer("num_candidates", num_candidates)
        x, context = self._checked(x, context)
        own_orderings = self._ensemble.has_own_orderings
        observed = _check_observed(observed, x.shape[-1:] if own_orderings else x.shape)
        rows = [x, tf.broadcast_to(observed, tf.shape(x))]
        rows += [] if context is None else [context]
        rows = [tf.reshape(t, [-1, t.shape[-1]]) for t in rows]
        *rows, as_given = at_least_one_row(*rows)
        masks, seed = tf.range(self.num_masks), draws.stateless(seed)
        if mask_index is not None:
            masks = self._ensemble.masks(mask_index, None, 1)
        if self._ensemble.come_first(observed):
            completed = self._chosen(rows, masks, 1, seed)
        elif (count := self._num_completions(observed)) <= num_candidates:
            completed = self._enumerated(rows, mask_index, int(count), seed)
        else:
            if own_orderings:
                masks = tf.concat([masks, masks + self.num_masks], axis=0)
            completed = self._chosen(rows, masks, num_candidates, seed)
        completed = tf.reshape(as_given([completed])[0], tf.shape(x))
        return inputs.nan_where_context_is_not_finite(completed, context, 1)

    def copy(self, **overrides: object) -> AutoregressiveDistribution:
        """Returns this distribution; with `overrides`, a new one with new weights."""
        return type(self)(**{**self.get_config(), **overrides}) if overrides else self

    def __getitem__(self, slices: Any) -> AutoregressiveDistribution:
        refuse_slices(slices, self.name)
        return self

    def _num_completions(self, observed):
        """Largest number of joint values of the missing variables of a row; may be inf."""
        if self.num_values is None:
            return math.inf
        counts = np.where(observed, 1.0, self.num_values)
        return np.prod(counts, axis=-1).max(initial=1.0)

    def _chosen(self, rows, proposals, num_candidates, seed):
        """Completes rows, `[N, D]`, by candidates chosen by their importance weights."""
        num_proposals = proposals.shape[0]
        count = num_proposals * -(-num_candidates // num_proposals)

        def complete(part, *rows):
            noise_seed, choice_seed = draws.split(draws.fold_in(seed, part), 2)
            x, *others = (tf.repeat(t, count, axis=0) for t in rows)
            noise = self._conditional.noise(tf.shape(x), noise_seed, self.dtype)
            candidates, log_weights = self._ensemble.complete(noise, proposals, x, *others)
            candidates = tf.reshape(candidates, [-1, count, self.event_size])
            log_weights = tf.reshape(log_weights, [-1, count])
            return draws.choose(candidates, log_weights, choice_seed)

        return map_parts(complete, max(_MOST_ROWS // count, 1), *rows)

    def _enumerated(self, rows, mask_index, count, seed):
        """Completes rows, `[N, D]`, by draws from all their completions, up to `count`."""
        x, observed, *contexts = rows
        x = tf.where(observed, x, tf.zeros([], x.dtype))
        num_values = tf.constant(self.num_values)
        index = tf.range(count)[None]  # [1, count]
        log_prob = self._log_prob_of_rows(mask_index)

        def logits(_, x, observed, *contexts):
            completed = _completion(x[:, None], observed[:, None], num_values, index)
            context = tf.repeat(contexts[0], count, axis=0) if contexts else None
            log_probs = log_prob(tf.reshape(completed, [-1, self.event_size]), context)
            # With fewer missing variables, completions repeat: only the first ones count.
            num_different = tf.reduce_prod(tf.where(observed, 1, num_values), axis=1)
            log_probs = tf.reshape(log_probs, [-1, count])
            return tf.where(index < num_different[:, None], log_probs, -np.inf)

        first, which = distinct_rows(x, observed, *contexts)
        different = [tf.gather(t, first) for t in (x, observed, *contexts)]
        log_probs = map_parts(logits, max(_MOST_ROWS // count, 1), *different)
        indices = tf.broadcast_to(index[..., None], [tf.shape(x)[0], count, 1])
        chosen = draws.choose(indices, tf.gather(log_probs, which), seed)
        return _completion(x, observed, num_values, chosen[:, 0])

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _default_event_space_bijector(self):
        return self._conditional.default_event_space_bijector()

    def _event_shape(self):
        return tf.TensorShape([self.event_size])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _log_prob(self, x, context=None, training=False, mask_index=None):
        x, context = self._checked(x, context)
        return on_flat_rows(self._log_prob_of_rows(mask_index, training), x, context)

    def _log_prob_of_rows(self, mask_index, training=False):
        """Returns `log_prob` as a function of rows and contexts, for one mask or all."""
        if mask_index is None:
            return functools.partial(self._ensemble.log_prob, training=training)
        mask = self._ensemble.masks(mask_index, None, 1)[0]
        return functools.partial(self._ensemble.log_prob_under, mask)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._draw(sample_shape, seed, **kwargs)[0]

    def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
        x, log_prob = self._draw(sample_shape, seed, **kwargs)
        return x, log_prob if self.num_masks == 1 else self._log_prob(x, **kwargs)

    def _draw(self, sample_shape, seed, context=None, training=False, mask_index=None):
        context = self._checked_context(context)
        shape = draws.joint_shape(sample_shape, context)
        noise_seed, mask_seed, order_seed = draws.split(draws.stateless(seed), 3)
        num_rows = tf.reduce_prod(shape)
        noise = self._conditional.noise([num_rows, self.event_size], noise_seed, self.dtype)
        masks = self._ensemble.masks(mask_index, mask_seed, num_rows)
        rows = draws.context_rows(context, shape)
        if rows is None:
            x, log_prob = self._ensemble.draw(noise, masks)
        elif self.num_masks == 1:
            x, log_prob = self._ensemble.draw(noise, masks, rows)
        else:
            # Masks take rows in turn. In the order of the contexts, which may repeat, one
            # mask would make all draws for a context.
            order = tf.argsort(draws.uniform([num_rows], order_seed, tf.float64))
            results = self._ensemble.draw(noise, masks, tf.gather(rows, order))
            x, log_prob = (tf.gather(t, tf.argsort(order)) for t in results)
        x = tf.reshape(x, tf.concat([shape, [self.event_size]], axis=0))
        x = inputs.nan_where_context_is_not_finite(x, context, 1)
        return x, inputs.nan_where_context_is_not_finite(
            tf.reshape(log_prob, shape), context, 0
        )

    def _checked(self, x, context):
        if self.is_discrete and tf.is_tensor(x) and x.dtype.is_integer:
            x = tf.cast(x, self.dtype)
        x = inputs.check_value(x, "x", 1, self.event_shape, self.dtype)
        x, context = inputs.align_batch_axes(x, self._checked_context(context), 1)
        return inputs.nan_where_context_is_not_finite(x, context, 1), context

    def _checked_context(self, context):
        context = inputs.check_context(context, self.context_size, self.dtype, self.name)
        if self._standardizer is None:
            return context
        # Standardised contexts are clipped, so infinities are marked here.
        standardized = self._standardizer(context)
        return inputs.nan_where_context_is_not_finite(standardized, context, 1)

    def _log_cdf(self, *args, **kwargs):
        raise self._not_one_variable("cdf")

    def _quantile(self, *args, **kwargs):
        raise self._not_one_variable("quantile")

    def _not_one_variable(self, function):
        return NotImplementedError(
            f"Expected a `MixtureMADE` of one variable for `{function}`; got "
            f"`{self.name}`. Estimate it from draws of `sample`."
        )

    # A composite tensor leaves a graph with the weights with which it entered. TFP would
    # rebuild it from constructor arguments, with new weights.

    @property
    def _type_spec(self):
        return _ObjectSpec(self, tuple(map(tf.type_spec_from_value, self._components)))

    @property
    def _components(self):
        return self.__dict__.get("_carried_components", self.variables)

    @property
    def _carried(self):
        return self.__dict__.get("_carried_object", self)

    def _convert_variables_to_tensors(self):
        # Placeholders of the variables in a graph do not outlive it; the variables do.
        values = map(tf.convert_to_tensor, self._carried.variables)
        return _with_components(self._carried, values)


def _check_observed(observed: npt.ArrayLike, shape: Any) -> np.ndarray:
    """Returns `observed` as a boolean array, `[D]` or of `shape`, or refuses it."""
    observed, shape = np.asarray(observed), list(shape)
    from_rows = "" if len(shape) == 1 else f" or {shape}"
    fits = observed.dtype == bool and list(observed.shape) in (shape[-1:], shape)
    words = f"boolean `observed` of shape {shape[-1:]}{from_rows}"
    require(fits, words, f"{observed.dtype} of shape {observed.shape}")
    return observed


def _completion(x, observed, num_values, index):
    """Returns each row's completion number `index`, `[...]`, as `[..., D]`."""
    from_missing = tf.where(observed, 1, num_values)
    place = tf.math.cumprod(from_missing, axis=-1, exclusive=True)
    values = tf.cast(index[..., None] // place % num_values, x.dtype)
    return tf.where(observed, x, values)


class _ObjectSpec(tf.TypeSpec):
    """The type of a single object and of its copies with other components."""

    value_type = property(lambda self: AutoregressiveDistribution)

    def __init__(self, value, component_specs):
        self._value = value._carried
        self._specs = component_specs
        _CARRIED[id(self._value)] = self._value

    @property
    def _component_specs(self):
        return self._specs

    def _to_components(self, value):
        return value._components

    def _from_components(self, components):
        return _with_components(self._value, components)

    def _serialize(self):
        return id(self._value), self._specs

    @classmethod
    def _deserialize(cls, encoded):
        key, specs = encoded
        return cls(_CARRIED[key], specs)

    def is_subtype_of(self, other):
        return self._has_same_object_as(other) and all(
            a.is_subtype_of(b) for a, b in zip(self._specs, other._specs, strict=True)
        )

    def most_specific_common_supertype(self, others):
        if not all(map(self._has_same_object_as, others)):
            return None
        specs = tuple(
            first.most_specific_common_supertype(rest)
            for first, *rest in zip(*(s._specs for s in (self, *others)), strict=True)
        )
        return None if None in specs else _ObjectSpec(self._value, specs)

    def _has_same_object_as(self, other):
        return isinstance(other, _ObjectSpec) and self._value is other._value


def _with_components(value, components):
    """A shallow copy of `value` with TensorFlow's components in place of its variables."""
    same = object.__new__(type(value))
    same.__dict__.update(value.__dict__)
    same.__dict__.update(_carried_object=value, _carried_components=tuple(components))
    return same
