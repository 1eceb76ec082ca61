"""The rows that members of an ensemble are not trained on, others for each."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.distributions.compound import Compound
from tfp_flows.tables.mixed_rows import MixedRows

__all__ = ["WeightedMembers", "held_out"]


def held_out(
    num_rows: int, num_members: int, share: float, seed: int | None
) -> npt.NDArray[np.bool_]:
    """Draws which rows each member leaves out, booleans `[N, M]`.

    One member's rows are others than the next one's, until each row was left out once.

    >>> from tfp_flows.tables.held_out_rows import held_out
    >>> held_out(10, 5, 0.2, seed=0).sum(axis=1)
    array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1])

    Args:
      num_rows: N.
      num_members: M.
      share: of the rows.
      seed: integer that determines them; random if None.

    Raises:
      ValueError: if none would be left to train on.
    """
    count = math.ceil(share * num_rows)
    if not 0 < count < num_rows:
        raise ValueError(
            f"Expected `frame` with rows for training and validation; got {num_rows} in "
            "all."
        )
    order = np.random.default_rng(seed).permutation(num_rows)
    left_out = np.zeros([num_rows, num_members], bool)
    for member in range(num_members):
        rows = np.arange(member * count, (member + 1) * count) % num_rows
        left_out[order[rows], member] = True
    return left_out


class WeightedMembers(Compound):
    """The members of a `MixedRows`, each trained on rows of its own.

    Its "rows" are cells, `[K + D]`, and a weight for each member, `[M]`; its log-density
    of these is the weighted sum of the members' log-densities.

    Args:
      distribution: whose variables are trained.
      name: name of the module.
    """

    def __init__(self, distribution: MixedRows, name: str = "weighted_members") -> None:
        super().__init__(name=name)
        self.distribution = distribution

    @property
    def event_shape(self) -> tf.TensorShape:
        """Of cells and weights."""
        size = self.distribution.cells.num_cells + self.distribution.num_members
        return tf.TensorShape([size])

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns weighted sums, `[N]`, of cells and weights, `[N, K + D + M]`."""
        value = tf.convert_to_tensor(value, self.dtype)
        x, weights = tf.split(value, [-1, self.distribution.num_members], axis=1)
        each = self.distribution.log_prob_of_networks(x, context, training)
        log_prob = tf.reduce_sum(tf.cast(each, self.dtype), axis=2)
        return tf.reduce_sum(weights * log_prob, axis=1)

    @property
    def _parts(self):
        return [self.distribution]
