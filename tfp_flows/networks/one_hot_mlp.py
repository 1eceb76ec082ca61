"""The MADE network for categorical variables, with one-hot inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import positive_integers, require
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.network_structure import Weights
from tfp_flows.networks.orderings import natural_ordering

# Logit of values that a variable does not have: their probability is zero.
ABSENT_LOGIT = -1e9


@keras.saving.register_keras_serializable(package="tfp_flows")
class OneHotMLP(MaskedMLP):
    """A `MaskedMLP` of integer variables, with a logit for each of their values.

    ```none
    inputs of x_i:   (x_i = 0, ..., x_i = V - 1), V the largest of num_values
    parameters of i: V logits, which are -1e9 for values that variable i does not have
    ```

    All inputs of a variable have its degree, so forward substitution solves for it in one
    step.

    Args:
      num_values: number of values of each variable, `[D]`.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable; natural if None.
      **kwargs: other arguments of `MaskedMLP`.

    Raises:
      ValueError: if `num_values` are not positive integers; see also `MaskedMLP`.
    """

    def __init__(
        self,
        num_values: Sequence[int],
        hidden_units: int | Sequence[int],
        ordering: npt.ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        values = positive_integers(num_values) or ()
        require(values, "`num_values` of a positive integer for each variable", num_values)
        ordering = natural_ordering(len(values)) if ordering is None else ordering
        super().__init__(max(values), hidden_units, ordering, **kwargs)
        self.num_values = values

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps integers, `[N, D]`, to logits, `[N, V * D]`, D for each value."""
        outputs = super().call(x, context, training=training)
        return outputs + tf.constant(self._absent.ravel(), outputs.dtype)

    def ordered_weights(
        self, context: TensorLike | None
    ) -> tuple[Weights, np.ndarray, np.ndarray]:
        """Returns the weights of `MaskedMLP`, with absent logits in the last biases."""
        weights, order, ranks = super().ordered_weights(context)
        rising = self._absent.ravel()[self.layers[-1].rising_units]
        *others, last = weights.biases
        biases = [*others, last + tf.constant(rising[:, None], last.dtype)]
        return weights._replace(biases=biases), order, ranks

    @property
    def _absent(self):
        """Returns the offsets of the logits, `[V, D]`."""
        values = np.arange(self.num_parameters)[:, None]
        return np.where(values < np.array(self.num_values), 0.0, ABSENT_LOGIT)

    @property
    def _num_values(self):
        return self.num_parameters

    def _shown(self, x):
        shown = tf.one_hot(tf.cast(x, tf.int32), self.num_parameters, dtype=x.dtype)
        return tf.reshape(shown, [-1, self.event_size * self.num_parameters])
