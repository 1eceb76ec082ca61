"""The multilayer perceptron that conditions flows on vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_each, check_flag, check_seed, check_size
from tfp_flows.networks import layer_arguments
from tfp_flows.networks.context_network import ContextNetwork, join_context
from tfp_flows.networks.packed_weights import PackedWeights, bias_part, dense, kernel_part


@keras.saving.register_keras_serializable(package="tfp_flows")
class MLP(ContextNetwork):
    """Dense layers with one activation, plain or residual, and a zero last layer.

    ```none
    plain:     h <- activation(W h + b)                       for each of hidden_units
               output = W h + b
    residual:  h <- W h + b                                   for the first of them
               h <- h + V activation(W activation(h) + b) + c  for each other
               output = W activation(h) + b
    ```

    With `zero_last_layer`, W and b of the output start at zero.

    All kernels and biases are parts of one variable, for speed (`PackedWeights`);
    `kernels_and_biases` shows the parts.

    Args:
      output_units: width of the output.
      hidden_units: widths of the hidden layers; all equal in a residual network, where
        each after the first is one residual pair of layers.
      activation: name of a Keras activation, or a function.
      residual: whether each hidden layer but the first is a pair, added to its input.
      dropout: fraction of units dropped in training, in plain layers and inside residual
        pairs. `Conditioner(dropout_in_training=True)` applies it.
      zero_last_layer: whether the last layer starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `hidden_units` is not all positive, or unequal with `residual`.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> network = tfp_flows.MLP(4, (16, 16), activation="tanh", seed=0)
    >>> network(tf.ones([1, 2])).numpy()  # zeros, until it is trained
    array([[0., 0., 0., 0.]], dtype=float32)

    Reference:
      He et al. (2016), Identity mappings in deep residual networks.
      https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        output_units: int,
        hidden_units: int | Sequence[int] = (64, 64),
        *,
        activation: str | Callable = "relu",
        residual: bool = False,
        dropout: float = 0.0,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("output_units", output_units)
        check_each(check_flag, residual=residual, zero_last_layer=zero_last_layer)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.output_units = output_units
        self.hidden_units = layer_arguments.check_hidden_units(hidden_units, residual)
        self.activation = layer_arguments.get_activation(activation)
        self.residual = residual
        self.zero_last_layer = zero_last_layer
        self.seed = seed
        self.dropout = dropout
        self._drop = layer_arguments.dropout_layer(dropout, seed, self.dtype_policy)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, input_shape[-1]]`."""
        hidden = self.hidden_units
        if self.residual:
            hidden = (hidden[0], *(units for units in hidden[1:] for _ in range(2)))
        widths = (input_shape[-1], *hidden, self.output_units)
        kernels = list(itertools.pairwise(widths))
        parts = [(kernel_part(shape), bias_part(shape[1], shape[0])) for shape in kernels]
        # A last layer of zeros makes a fresh step the identity, also in a deep flow.
        last = kernel_part(kernels[-1], zero=self.zero_last_layer)
        parts[-1] = last, bias_part(self.output_units)
        self._layout = PackedWeights(parts, seed=self.seed)
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def kernels_and_biases(self) -> list:
        """Returns `(kernel, bias)`, `[inputs, units]` and `[units]`, for each layer."""
        return self._layout.unpack(self._packed)

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, D]` and a context `[N, C]` to `[N, output_units]`."""
        *hidden_layers, last = self.kernels_and_biases()
        hidden = join_context(x, context)
        if not self.residual:
            for layer in hidden_layers:
                hidden = self.activation(dense(hidden, layer))
                hidden = self._drop(hidden, training=training)
            return dense(hidden, last)
        first, *others = hidden_layers
        hidden = dense(hidden, first)
        for inner, outer in zip(others[::2], others[1::2], strict=True):
            inside = self.activation(dense(self.activation(hidden), inner))
            kernel, bias = outer
            # The bias is added last: in the usual order, TensorFlow 2.21's graph optimiser
            # fuses it with the following ReLU into a kernel that does not exist.
            hidden += self._drop(inside, training=training) @ kernel
            hidden = tf.nn.bias_add(hidden, bias)
        return dense(self.activation(hidden), last)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.output_units)
