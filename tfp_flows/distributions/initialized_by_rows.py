"""Base class of distributions whose state training rows set."""

from __future__ import annotations

import abc

from tensorflow.types.experimental import TensorLike

from tfp_flows.distributions.distribution_checks import check_rows_of


class InitializedByRows:
    """A distribution with data-dependent state; a subclass has `_initialize`."""

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

    @abc.abstractmethod
    def _initialize(self, data, context, weight):
        """Sets state from rows that were checked; `weight` is None if all are equal."""
