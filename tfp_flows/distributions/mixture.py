"""Mixtures: weighted means of the densities of several distributions of the same rows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_array, check_instance, check_members, require
from tfp_flows.core.compiled import CompiledCall, is_compiled_by_xla
from tfp_flows.core.inputs import (
    align_batch_axes,
    as_tensor,
    check_context,
    check_value,
)
from tfp_flows.core.rows import initialize_part, on_flat_rows
from tfp_flows.core.serialization import RebuiltFromConfig
from tfp_flows.distributions import draws, univariate
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.distribution_checks import is_discrete, refuse_slices
from tfp_flows.distributions.distribution_wrapper import RowsWrapper, call_keywords
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.moments import Moments


class Mixture(RebuiltFromConfig, RowsWrapper, Moments, tfd.Distribution):
    """A mixture of distributions of rows, conditional or not.

    ```none
    p(y | c) = sum over k of  weights[k] p_k(y | c)
    ```

    It is a `tfd.Distribution`, for joint distributions, `tfd.Sample`, and as a base of
    flows. `tfd.Mixture` takes no context, and no wrapper of this package as a component,
    such as `Defensive`, which is no `tfd.Distribution`.

    Args:
      components: distributions of the same event shape and width of context.
      weights: their weights, `[K]`, above 0, which are divided by their sum; equal if None.
      name: name of the module.

    Raises:
      ValueError: if there is no component, they differ in their events or contexts, some
        are discrete and some are not, or the weights do not fit.

    >>> import tfp_flows
    >>> normal = tfp_flows.standard_normal(2)
    >>> flow = tfp_flows.FlowDistribution(normal, tfp_flows.MAF(2, seed=0))
    >>> mixture = tfp_flows.distributions.Mixture([normal, flow], [3.0, 1.0])
    >>> mixture.weights
    array([0.75, 0.25])
    >>> mixture.sample(5, seed=1).shape
    TensorShape([5, 2])
    """

    draws_for_each_context = True

    def __init__(
        self,
        components: Sequence[Any],
        weights: npt.ArrayLike | None = None,
        *,
        name: str = "mixture",
    ) -> None:
        check_instance("components", components, (list, tuple), "a list of distributions")
        require(len(components) > 0, "at least one of `components`", len(components))
        for k, component in enumerate(components):
            members = ("log_prob", "sample", "event_shape", "dtype")
            check_members(f"components[{k}]", component, members, "a distribution of rows")
        shapes = [component.event_shape for component in components]
        is_vector = shapes[0].rank == 1 and shapes[0].is_fully_defined()
        words = "`components` of vectors of one known size"
        require(is_vector and all(s == shapes[0] for s in shapes), words, shapes)
        none = tf.TensorShape([])
        batches = [getattr(component, "batch_shape", none) for component in components]
        has_batch = any(batch.rank for batch in batches)
        require(not has_batch, "`components` without batch axes", batches)
        kinds = [is_discrete(component) for component in components]
        words = "`components` that are all continuous, or all discrete"
        names = [getattr(c, "name", type(c).__name__) for c in components]
        require(len(set(kinds)) == 1, words, names)
        contexts = [getattr(component, "context_size", 0) for component in components]
        words = "`components` with contexts of one width"
        require(len(set(contexts)) == 1, words, contexts)
        shares = np.ones(len(components)) if weights is None else weights
        shares = check_array("weights", shares, np.float64)
        fits = shares.shape == (len(components),)
        fits = fits and bool((np.isfinite(shares) & (shares > 0.0)).all())
        require(fits, f"`weights` of {len(components)} numbers above 0", weights)
        self._set_untracked("components", list(components))
        # TFP's joint distributions name a part by itself if it was given no name.
        default = inspect.signature(type(self)).parameters["name"].default
        given = {"name": None if name == default else name}
        super().__init__(
            name=name,
            dtype=self.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=lambda: self.get_config() | given,
        )
        self.weights = shares / shares.sum()
        self._set_untracked("_compiled_quantile", CompiledCall(self._quantile_of_rows))

    @property
    def dtype(self) -> tf.DType:
        """float64 if a component has it, since it tells more rows apart."""
        is_double = any(part.dtype == tf.float64 for part in self.components)
        return tf.float64 if is_double else self.components[0].dtype

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of one row, `[D]`."""
        return self.components[0].event_shape

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return getattr(self.components[0], "context_size", 0)

    def copy(self, **overrides: object) -> Mixture:
        """Returns this mixture; with `overrides`, one with other constructor arguments."""
        return type(self)(**{**self.get_config(), **overrides}) if overrides else self

    def __getitem__(self, slices: Any) -> Mixture:
        refuse_slices(slices, self.name)
        return self

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape(self):
        return self.event_shape

    def _default_event_space_bijector(self):
        return None if is_discrete(self) else tfp.bijectors.Identity()

    def _initialize(self, data, context, weight):
        for part in self.components:
            initialize_part(part, data, context, weight)

    def _log_prob(self, value, context=None, training=False):
        log_probs = self.log_prob_of_components(value, context=context, training=training)
        return tf.reduce_logsumexp(log_probs + np.log(self.weights), axis=-1)

    def log_prob_of_components(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the log-densities of rows under each component, `[..., K]`, in nats."""
        value, context = self._checked_value(value), self._checked(context)
        log_probs = []
        for part in self.components:
            trains = training and _takes_training(part)
            keywords = call_keywords(_cast_for(part, context), trains)
            log_prob = part.log_prob(tf.cast(value, part.dtype), **keywords)
            log_probs.append(tf.cast(log_prob, self.dtype))
        return tf.stack(log_probs, axis=-1)

    def cdf(self, value: TensorLike, *, context: TensorLike | None = None) -> tf.Tensor:
        """Returns `P(Y <= value)`, `[...]`, of a mixture of one variable.

        Args:
          value: rows, `[..., 1]`.
          context: `[..., context_size]`, if the mixture is conditional.

        Raises:
          NotImplementedError: if there are several variables, or a component has no `cdf`.
        """
        univariate.refuse_several_variables(self, "cdf")
        value, context = self._checked_value(value), self._checked(context)
        cdfs = []
        for part in self.components:
            y, part_context = tf.cast(value, part.dtype), _cast_for(part, context)
            cdf = univariate.evaluate(part, "cdf", y, part_context)
            cdfs.append(tf.cast(cdf, self.dtype))
        return tf.reduce_sum(tf.stack(cdfs, axis=-1) * self.weights, axis=-1)

    def quantile(
        self, probability: TensorLike, *, context: TensorLike | None = None
    ) -> tf.Tensor:
        """Returns the least `y`, `[..., 1]`, with `P(Y <= y) >= probability`.

        It is found by bisection between the quantiles of the components.

        >>> import tfp_flows
        >>> normal = tfp_flows.standard_normal(1)
        >>> mixture = tfp_flows.distributions.Mixture([normal])
        >>> [round(float(y), 2) for y in mixture.quantile([0.5, 0.975])[:, 0]]
        [0.0, 1.96]

        Args:
          probability: numbers from 0 to 1, `[...]`.
          context: `[..., context_size]`, if the mixture is conditional.

        Raises:
          NotImplementedError: as for `cdf`, of which it has the inverse.
        """
        univariate.refuse_several_variables(self, "quantile")
        probability = _as_dtype(probability, "probability", self.dtype)[..., None]
        rows = align_batch_axes(probability, self._checked(context), 1)
        is_eager = tf.executing_eagerly()
        method = self._compiled_quantile if is_eager else self._quantile_of_rows
        return on_flat_rows(method, *rows, False)[..., None]

    def _quantile_of_rows(self, probability, context, training):
        """Quantiles, `[N]`, of probabilities, `[N, 1]`."""
        del training  # `CompiledCall` gives it
        quantiles = [
            tf.cast(
                univariate.quantile(part, probability[:, 0], _cast_for(part, context)),
                self.dtype,
            )[:, 0]
            for part in self.components
        ]
        if len(quantiles) == 1:
            return quantiles[0]
        quantiles = tf.stack(quantiles, axis=-1)
        return univariate.bisect(
            lambda y: self.cdf(y[:, None], context=context) < probability[:, 0],
            tf.reduce_min(quantiles, axis=-1),
            tf.reduce_max(quantiles, axis=-1),
        )

    def _call_sample_n(self, sample_shape, seed, context=None):
        return self._sample(sample_shape, seed, context)

    def _sample(self, sample_shape, seed, context):
        context = self._checked(context)
        shape = draws.joint_shape(sample_shape, context)
        context = draws.context_rows(context, shape)
        rows = self.draw_rows(tf.reduce_prod(shape), draws.stateless(seed), context)
        return tf.reshape(rows, tf.concat([shape, self.event_shape], axis=0))

    def draw_rows(
        self, count: int | tf.Tensor, seed: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Draws rows, `[N, D]`, each from one component, which is chosen first.

        Args:
          count: N.
          seed: stateless seed.
          context: `[N, context_size]`, if the mixture is conditional.
        """
        *seeds, choice = draws.split(seed, 1 + len(self.components))
        uniform = draws.uniform([count], choice, tf.float64)
        ends = np.cumsum(self.weights)[:-1]
        chosen = tf.reduce_sum(tf.cast(uniform[:, None] >= ends, tf.int32), axis=1)
        if is_compiled_by_xla():  # numbers of rows must not depend on draws there
            candidates = [
                self._draw_from(part, count, for_part, context)
                for part, for_part in zip(self.components, seeds, strict=True)
            ]
            return tf.gather(tf.stack(candidates, axis=1), chosen, batch_dims=1)
        places, rows = [], []
        for k, (part, for_part) in enumerate(zip(self.components, seeds, strict=True)):
            place = tf.cast(tf.where(chosen == k)[:, 0], tf.int32)
            part_context = None
            if context is not None:
                part_context = tf.concat([tf.gather(context, place), context[:1]], axis=0)
            # One row more, since flows cannot draw no rows in some graphs.
            drawn = self._draw_from(part, tf.size(place) + 1, for_part, part_context)
            places.append(place)
            rows.append(drawn[: tf.size(place)])
        return tf.dynamic_stitch(places, rows)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        weights = self.weights.tolist()
        return {"components": self.components, "weights": weights, "name": self.name}

    def _draw_from(self, part, count, seed, context):
        """Rows of one component, `[count, D]`, one for each context if there are some."""
        if context is None:
            return tf.cast(part.sample(count, seed=seed), self.dtype)
        context = tf.cast(context, part.dtype)
        return tf.cast(part.sample(seed=seed, context=context), self.dtype)

    @property
    def _parts(self):
        return self.components

    def _checked_value(self, value):
        value = _as_dtype(value, "value", self.dtype)
        return check_value(value, "value", 1, self.event_shape, None)

    def _checked(self, context):
        if context is not None:
            context = _as_dtype(context, "context", self.dtype)
        return check_context(context, self.context_size, self.dtype, self.name)


def _as_dtype(value, argument, dtype):
    """Returns `value` as a tensor of `dtype`; tensors of other dtypes are cast."""
    if tf.is_tensor(value):
        return tf.cast(value, dtype)
    return as_tensor(value, argument, dtype)


def _cast_for(part, context):
    return None if context is None else tf.cast(context, part.dtype)


def _takes_training(part):
    """Whether `log_prob` has an argument `training`, which stock distributions lack."""
    ours = (AutoregressiveDistribution, FlowDistribution, RowsWrapper)
    return isinstance(part, ours) or not isinstance(part, tfd.Distribution)
