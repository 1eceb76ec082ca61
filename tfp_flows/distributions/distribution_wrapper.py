"""Base classes of distributions: those set by rows, and those that wrap others."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.freezing import FrozenByNetworks
from tfp_flows.core.inputs import check_keywords, refuse_positional_context
from tfp_flows.core.serialization import ConfiguredByAttributes
from tfp_flows.distributions.distribution_checks import check_rows_of


class InitializedByRows(FrozenByNetworks):
    """A distribution with data-dependent state; a subclass has `_initialize`."""

    _log_prob: Callable  # its keyword arguments are those of all methods

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets the data-dependent state from training rows, where it is not set yet.

        Args:
          data: `[N, *event]`.
          context: `[N, context_size]`, if the distribution is conditional.
          sample_weight: `[N]`: a row of weight 2 counts as two, one of weight 0 as none.

        Raises:
          ValueError: if an argument has another shape, or a row has density zero.
        """
        self._initialize(*check_rows_of(self, data, context, sample_weight))

    def _name_and_control_scope(self, name=None, value=None, kwargs=None):
        refuse_positional_context(name)
        check_keywords(name, self._log_prob, kwargs or {})
        # Without them, TFP's own defaults.
        given = () if value is None else (value, kwargs)
        return super()._name_and_control_scope(name, *given)  # type: ignore[misc]

    @abc.abstractmethod
    def _initialize(self, data, context, weight):
        """Sets state from rows that were checked; `weight` is None if all are equal."""


class DistributionWrapper(ConfiguredByAttributes, tf.Module):
    """A module around a `distribution` of the same events, with further parts or none.

    Args:
      distribution: the distribution; None if a subclass has its own dtype and shapes.
      name: name of the module.
      **options: arguments of `tfd.Distribution`, if a subclass is one.
    """

    def __init__(self, distribution: Any = None, *, name: str, **options: Any) -> None:
        super().__init__(name=name, **options)
        self.distribution = distribution

    @property
    def _parts(self):
        """Everything that may have variables or data-dependent state, or is None."""
        return (self.distribution,)

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the distribution, to which data are converted."""
        return self.distribution.dtype

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of one event."""
        return self.distribution.event_shape

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return getattr(self.distribution, "context_size", 0)

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """All variables of the parts, each once."""
        # `tf.Module` finds no variables of distributions, which are composite tensors.
        variables = [v for part in self._parts for v in getattr(part, "variables", ())]
        return tuple({id(variable): variable for variable in variables}.values())

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The trainable ones among the `variables`."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def is_initialized(self) -> bool:
        """Whether all data-dependent state is set."""
        return all(getattr(part, "is_initialized", True) for part in self._parts)

    def sample_and_log_prob(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws events with their log-densities; arguments as in `sample`."""
        this: Any = self
        keywords = call_keywords(context)
        x = this.sample(sample_shape, seed, **keywords)
        return x, this.log_prob(x, **keywords)

    def _set_untracked(self, name, value):
        """Sets an attribute that `tf.Module` does not track: it would wrap lists."""
        object.__setattr__(self, name, value)


class RowsWrapper(InitializedByRows, DistributionWrapper):
    """A wrapper whose events are vectors; a subclass has `_log_prob` and `_sample`."""

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the log-densities of rows `value`, `[..., D]`, in nats.

        Args:
          value: rows.
          context: `[..., context_size]`, if the distribution is conditional.
          training: as in `FlowDistribution.log_prob`.
        """
        return self._log_prob(value, context, training)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws rows, `[*sample_shape, *batch, D]`.

        Args:
          sample_shape: shape of the draw, before the context's batch axes.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          context: `[..., context_size]`, if the distribution is conditional.
        """
        return self._sample(sample_shape, seed, context)

    @abc.abstractmethod
    def _log_prob(self, value, context, training):
        """Returns the log-densities of rows."""

    @abc.abstractmethod
    def _sample(self, sample_shape, seed, context):
        """Draws rows."""


def call_keywords(context: TensorLike | None, training: bool = False) -> dict:
    """Returns the keyword arguments `context`, if there is one, and `training`, if True.

    A distribution that is not conditional, or that trains as it is, need not take them.
    """
    keywords = {} if context is None else {"context": context}
    return keywords | ({"training": True} if training else {})
