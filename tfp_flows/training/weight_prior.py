"""Normal priors of networks' weights, by the number of rows and of their entries."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.standardize import Decorrelate, Standardize
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import effective_count
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.training.row_format import Rows

# Rows per variable from which on priors widen. Then correlations are known well enough, as
# in `core/statistics.py`.
_MANY_ROWS = 20.0
# From this number of rows on there is no prior, so no more rows of batches are counted.
_VERY_MANY_ROWS = 2**14


class WeightPrior:
    """A normal prior of mean 0 for each weight of a flow's networks, if there are any.

    ```none
    variance = max(1, N / (20 D)) / D
    -log prior / N = sum(w^2) / (2 N variance) + a constant        nats a row
    ```

    N is the number of training rows, and D the number of entries of a row and its context.
    For rows with weights, N is the effective number of rows, and the prior is multiplied by
    their mean weight. Training maximises the posterior: weights remain small if there are
    few rows per variable, and are free if there are many. The prior is on the weights of
    networks in a flow's steps on vectors. Weights of bases, tails and mixings have none. A
    flow that does not standardise its data has none, too, since it may need large weights.

    Attributes:
      precision: `1 / (N variance)`, nats; 0 for no prior.
    """

    def __init__(self, distribution: tfp.distributions.Distribution) -> None:
        parts = getattr(distribution, "submodules", ())
        scaled = any(isinstance(part, (Decorrelate, Standardize)) for part in parts)
        steps = [part for part in parts if scaled and isinstance(part, FlowBijector)]
        owned = [getattr(step, "conditioner", None) for step in steps]
        networks = [network for network in owned if isinstance(network, Conditioner)]
        self._networks = [n for n in networks if len(n.input_shape) == 1]
        self._size = 0
        if self._networks:
            self._size = distribution.event_shape.num_elements() or 0
            self._size += getattr(distribution, "context_size", 0)
        self.precision = 0.0

    def count(self, rows: Rows) -> bool:
        """Counts training rows, by their weights; says if traces are now out of date.

        The rows are all training rows, or a sample if there are 2**14 or more.
        """
        before = self.precision
        weight, mean_weight = rows.weight, 1.0
        if weight is not None:
            weight = np.asarray(weight, np.float64)
            mean_weight = weight.mean()
        has_rows = len(rows.x) < _VERY_MANY_ROWS and mean_weight > 0.0
        num_rows = effective_count(weight, len(rows.x)) if has_rows else 0.0
        ratio = self._size / num_rows if num_rows else 0.0
        self.precision = mean_weight * ratio * min(1.0, _MANY_ROWS * ratio)
        return self.precision != before

    def nats(self, dtype: tf.DType) -> tf.Tensor:
        """Returns the nats that the prior adds to the mean negative log-likelihood."""
        if not self.precision:
            return tf.zeros([], dtype)
        weights = [w for network in self._networks for w in network.trainable_variables]
        squares = sum(tf.reduce_sum(tf.square(tf.cast(w, dtype))) for w in weights)
        return 0.5 * self.precision * squares
