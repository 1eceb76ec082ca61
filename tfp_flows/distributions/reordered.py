"""Distributions of the same variables in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.permutation import Permutation, check_permutation
from tfp_flows.core.inputs import check_value
from tfp_flows.core.rows import initialize_part
from tfp_flows.distributions.distribution_checks import vector_size
from tfp_flows.distributions.distribution_wrapper import RowsWrapper, call_keywords


class Reordered(RowsWrapper):
    """The distribution of rows whose variables another distribution has in some order.

    ```none
    p(y) = distribution.log_prob((y[order[0]], ..., y[order[D - 1]]))
    ```

    Autoregressive models differ by the order of the variables. A `Mixture` of models of
    several orders needs all of them as distributions of the same rows.

    Args:
      distribution: distribution of vectors; conditional or not.
      order: the variable that `distribution` has at each place, a permutation of
        `0, ..., D - 1`.
      name: name of the module.

    Raises:
      ValueError: if the events are no vectors of D variables.

    >>> import tfp_flows
    >>> from tensorflow_probability import distributions as tfd
    >>> normal = tfd.MultivariateNormalDiag([1.0, 2.0, 3.0])
    >>> reordered = tfp_flows.distributions.Reordered(normal, [2, 0, 1])
    >>> bool(reordered.log_prob([2.0, 3.0, 1.0]) == normal.log_prob([1.0, 2.0, 3.0]))
    True

    Reference:
      Uria, Murray, Larochelle (2014), A deep and tractable density estimator.
      https://arxiv.org/abs/1310.1757 (section 5: ensembles over orders.)
    """

    def __init__(
        self, distribution: Any, order: Sequence[int], *, name: str = "reordered"
    ) -> None:
        size = vector_size(distribution)
        super().__init__(distribution, name=name)
        self._set_untracked("order", check_permutation(order, size).tolist())
        self._to_order = Permutation(self.order, dtype=self.dtype)

    @property
    def _parts(self):
        return self.distribution, self._to_order

    def _initialize(self, data, context, weight):
        data = self._to_order.forward(tf.cast(data, self.dtype))
        initialize_part(self.distribution, data, context, weight)

    def _log_prob(self, value, context, training):
        value = check_value(value, "value", 1, self.event_shape, self.dtype)
        kwargs = call_keywords(context, training)
        return self.distribution.log_prob(self._to_order.forward(value), **kwargs)

    def _sample(self, sample_shape, seed, context):
        kwargs = call_keywords(context)
        rows = self.distribution.sample(sample_shape, seed=seed, **kwargs)
        return self._to_order.inverse(rows)
