"""Networks of sets of rows, which do not depend on the rows' order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_flag, check_seed, check_size, require
from tfp_flows.networks.context_network import ConfiguredLayer
from tfp_flows.networks.layer_arguments import (
    check_hidden_units,
    get_activation,
    split_seed,
)
from tfp_flows.networks.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class DeepSet(ConfiguredLayer):
    """A function of a set of rows: one network of each row, and one of their mean.

    ```none
    h_r = MLP(row r)                                      for each of R rows
    output = MLP(mean of h_r, log(1 + number of rows))
    ```

    With `masked`, inputs are `[values, is_known]` of C cells each. Rows without a known
    cell are ignored, so a set of fewer than R rows is padded with them.

    Args:
      output_units: width of the output.
      hidden_units: widths of the hidden layers of both networks.
      masked: whether the second half of a row says which cells are known.
      activation: name of a Keras activation, or a function.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if a width is below 1, or `hidden_units` is empty; at the first call, if
        `masked` rows have an odd number of entries.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.networks.DeepSet(2, (8,), seed=0)
    >>> rows = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    >>> bool(np.allclose(network(rows), network(rows[:, ::-1]), atol=1e-5))
    True

    Reference:
      Zaheer et al. (2017), Deep sets. https://arxiv.org/abs/1703.06114
    """

    def __init__(
        self,
        output_units: int,
        hidden_units: int | Sequence[int] = (64, 64),
        *,
        masked: bool = False,
        activation: str | Callable = "silu",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("output_units", output_units)
        check_flag("masked", masked)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.output_units = output_units
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.hidden_units = check_hidden_units(hidden_units, residual=False)
        require(self.hidden_units, "at least one width in `hidden_units`", "none")
        self.masked = masked
        self.activation = get_activation(activation)
        self.seed = seed
        for_rows, for_mean = split_seed(seed, 2)
        shared = {"activation": self.activation, "dtype": self.dtype_policy}
        shared |= {"zero_last_layer": False}
        width = self.hidden_units[-1]
        self._of_rows = MLP(width, self.hidden_units, seed=for_rows, **shared)
        self._of_mean = MLP(output_units, self.hidden_units, seed=for_mean, **shared)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, R, C]`."""
        width = input_shape[-1]
        words = "inputs `[values, is_known]` of as many values as flags"
        require(not self.masked or width % 2 == 0, words, f"{width} columns")
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        self._of_rows.build((None, width))
        self._of_mean.build((None, self.hidden_units[-1] + 1))
        self.built = True

    def call(self, inputs: TensorLike) -> tf.Tensor:
        """Maps `[N, R, C]`, or `[N, R, 2 C]` if masked, to `[N, output_units]`."""
        inputs = tf.cast(inputs, self.compute_dtype)
        num_rows, width = inputs.shape[1:]
        counts = tf.ones_like(inputs[..., :1])
        if self.masked:
            is_known = inputs[..., width // 2 :]
            counts = tf.reduce_max(is_known, axis=-1, keepdims=True)
            inputs = tf.where(counts > 0.0, inputs, 0.0)  # padding may be NaN
        hidden = self._of_rows(tf.reshape(inputs, [-1, width]))
        hidden = tf.reshape(hidden, [-1, num_rows, hidden.shape[-1]])
        total = tf.reduce_sum(counts, axis=1)
        mean = tf.reduce_sum(counts * hidden, axis=1) / tf.maximum(total, 1.0)
        return self._of_mean(tf.concat([mean, tf.math.log1p(total)], axis=1))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], self.output_units)
