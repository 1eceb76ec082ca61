"""The MADE network: every output depends on variables of lower degree only."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.activations import get_activation
from tfp_flows.networks.context_network import ContextNetwork
from tfp_flows.networks.dropout import dropout_layer
from tfp_flows.networks.forward_substitution import AutoregressiveNetwork
from tfp_flows.networks.hidden_units import check_hidden_units
from tfp_flows.networks.masked_layers import masked_layers
from tfp_flows.networks.network_structure import Structure
from tfp_flows.networks.network_structure import Weights
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import take
from tfp_flows.networks.packed_weights import PackedWeights
from tfp_flows.networks.packed_weights import kernel_part

__all__ = ["MaskedMLP"]


class _Arrays(typing.NamedTuple):
    """The network's arrays: what a `PackedWeights` holds, in this order."""

    layers: list  # (tiles, bias) of each `MaskedDense`
    context: typing.Any  # kernel from the context to the first layer
    direct: list  # tiles of the direct connections; none where there are none


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedMLP(AutoregressiveNetwork, ContextNetwork):
    """Masked autoregressive network for distribution estimation.

    ```none
    plain:     h <- activation((W * M) h + b)                 for each of hidden_units
               output = (W * M') h + b  [+ (A * M') x, the direct connections]
    residual:  h <- (W * M) h + b                             for the first of them
               h <- h + (V * M) activation((W * M) activation(h) + b) + c
                                                              for each other
               output = (W * M') activation(h) + b  [+ (A * M') x]
    ```

    The first layer also sees the context, of degree 0. All weights are in one variable.

    Args:
      num_parameters: P, outputs a variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      ordering: degree of each variable, a permutation of `1, ..., D`.
      context_size: width of the context, joined to the inputs on the right; 0 if none.
      activation: name of a Keras activation, or a function.
      residual: whether hidden layers but the first are pairs, added to what they see.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      dropout: share of hidden units that `Conditioner(dropout_in_training=True)` drops.
      zero_last_layer: whether what produces the outputs starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `ordering` is none, or `hidden_units` below 1 or, `residual`, unequal.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(1, (4,), ordering=[1, 2, 3], seed=0)
    >>> network.layers[-1].mask.astype(int).tolist()
    [[0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Durkan et al. (2019), for residual ones. https://arxiv.org/abs/1906.04032
    """

    def __init__(
        self,
        num_parameters: int,
        hidden_units: int | Sequence[int],
        ordering: npt.ArrayLike,
        *,
        context_size: int = 0,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        degree_seed: int | None = None,
        dropout: float = 0.0,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_arguments(locals())
        super().__init__(**kwargs)
        self.num_parameters = num_parameters
        self.hidden_units = check_hidden_units(hidden_units, residual)
        self.ordering = check_ordering(ordering)
        self.context_size = int(context_size)
        self.activation = get_activation(activation)
        self.residual = residual
        self.direct = direct
        self.degree_seed = degree_seed
        self.zero_last_layer = zero_last_layer
        self.seed = seed
        self.dropout = dropout
        self._drop = dropout_layer(dropout, seed, self.dtype_policy)
        self.layers, self.direct_layer = masked_layers(
            self.ordering,
            np.repeat(self.ordering, self._num_values),
            self.hidden_units,
            num_parameters=num_parameters,
            has_context=self.context_size > 0,
            residual=residual,
            degree_seed=degree_seed,
        )

    @property
    def event_size(self) -> int:
        """Number of variables, D."""
        return len(self.ordering)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, D + context_size]`."""
        self._check_width(input_shape)
        (*hidden, last), zero = self.layers, self.zero_last_layer
        others = [self.context_size, *[0] * len(hidden)]  # also seen by each layer
        parts = [layer.parts(k) for layer, k in zip(hidden, others, strict=False)]
        shape = self.context_size, self.layers[0].shape[1]
        num_inputs = self.layers[0].shape[0] + self.context_size
        # What leads to the outputs starts at zero: a fresh step is the identity.
        self._layout = PackedWeights(
            _Arrays(
                layers=[*parts, last.parts(zero=zero)],
                context=kernel_part(shape, num_inputs, zero=zero and not hidden),
                direct=self.direct_layer.parts(zero=zero)[0] if self.direct else [],
            ),
            seed=self.seed,
        )
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, D]` and a context to parameters `[N, P * D]`, D for each parameter."""
        x, context = self.split_context(x, context)
        # Unpacked once a call: the gradient packs a whole vector for each time.
        weights = self._layout.unpack(self._packed)

        x = self._shown(x)

        def layer(k, seen, skip=None):
            seen = self._drop(seen, training=training) if k else seen
            tiles, bias = weights.layers[k]
            value = self.layers[k].product(seen, tiles)
            if k == 0 and self.context_size:
                value += context @ weights.context
            if skip is not None:
                value += skip
            return tf.nn.bias_add(value, bias)  # last: see `MLP.call`

        _, hidden = self.structure.hidden(layer, x)
        outputs = layer(len(self.layers) - 1, hidden)
        if self.direct:
            outputs += self.direct_layer.product(x, weights.direct)
        return outputs

    def split_context(self, x: TensorLike, context: TensorLike | None) -> tuple:
        """Returns variables and context, also from the two joined on the last axis."""
        if context is None and self.context_size:
            return tf.split(x, [self.event_size, self.context_size], axis=1)
        return x, context

    def set_output_biases(self, biases: TensorLike) -> None:
        """Assigns the biases of the outputs, `[P * D]`, D for each parameter.

        A fresh network returns them, whatever it sees.
        """
        arrays = self._layout.unpack(self._packed)
        tiles, _ = arrays.layers[-1]
        arrays.layers[-1] = tiles, tf.convert_to_tensor(biases, self.dtype)
        self._packed.assign(self._layout.pack(arrays))

    @functools.cached_property
    def structure(self) -> Structure:  # type: ignore[override]  # elsewhere an attribute
        """Which rows see which, with variables and units in order of their degrees."""
        degrees = [np.sort(layer.out_degrees).tolist() for layer in self.layers[:-1]]
        return Structure(
            self.event_size,
            self.num_parameters,
            tuple(map(tuple, degrees)),
            self.activation,
            self.residual,
            self._num_values,
        )

    def ordered_weights(
        self, context: TensorLike | None
    ) -> tuple[Weights, np.ndarray, np.ndarray]:
        """Returns the `Weights` for a context, and the variables' order and its inverse."""
        weights = self._layout.unpack(self._packed)
        biases = [
            take(bias, layer.rising_units, axis=0)[:, None]
            for layer, (_, bias) in zip(self.layers, weights.layers, strict=True)
        ]
        if self.context_size:
            rising = self.layers[0].rising_units
            biases[0] += take(tf.transpose(context @ weights.context), rising, axis=0)
        kernels = [
            layer.transposed_kernel(tiles)
            for layer, (tiles, _) in zip(self.layers, weights.layers, strict=True)
        ]
        direct = []
        if self.direct:
            direct = [self.direct_layer.transposed_kernel(weights.direct)]
        order = np.argsort(self.ordering)
        return Weights(kernels, biases, direct), order, self.ordering - 1

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.num_parameters * self.event_size)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_parameters": self.num_parameters,
            "hidden_units": self.hidden_units,
            "ordering": self.ordering.tolist(),
            "context_size": self.context_size,
            "activation": keras.activations.serialize(self.activation),
            "residual": self.residual,
            "direct": self.direct,
            "degree_seed": self.degree_seed,
            "dropout": self.dropout,
            "zero_last_layer": self.zero_last_layer,
            "seed": self.seed,
        }

    def _check_width(self, input_shape):
        if input_shape[-1] != (expected := self.event_size + self.context_size):
            raise ValueError(
                f"Expected inputs of shape [..., {expected}], variables and context; got "
                f"{tuple(input_shape)}."
            )

    # What the network sees of each variable, which a subclass may change.

    @property
    def _num_values(self):
        return 1

    def _shown(self, x):
        return x
