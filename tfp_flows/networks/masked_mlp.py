"""The MADE network: every output depends on variables of lower degree only."""

import keras
import numpy as np

from tfp_flows.networks.column_wise import column_wise
from tfp_flows.networks.hidden_units import check_hidden_units
from tfp_flows.networks.masked_dense import MaskedDense
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import hidden_degrees
from tfp_flows.networks.packed_weights import PackedWeights
from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part

__all__ = ["MaskedMLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedMLP(keras.layers.Layer):
    """Masked autoregressive network for distribution estimation.

    ```none
    plain:     h <- activation((W * M) h + b)
    residual:  h <- (W * M) h + b  first,
               then  h <- h + (V * M) activation((W * M) activation(h) + b) + c
    output:    (W * M') h + b  [+ (A * M') x, the direct connections]
    ```

    The first layer also sees the context, whose degree is 0. All weights are parts of one
    variable, for speed (`PackedWeights`).

    Args:
      num_parameters: P, outputs a variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      ordering: degree of each variable, a permutation of `1, ..., D`.
      context_size: width of the context, joined to the inputs on the right; 0 if none.
      activation: name of a Keras activation, or a function.
      residual: whether hidden layers are added to what they see.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      zero_last_layer: whether what produces the outputs starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `ordering` is no ordering, or `hidden_units` is not all positive, or
        unequal with `residual`.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Durkan et al. (2019), neural spline flows (residual form).
      https://arxiv.org/abs/1906.04032
    """

    def __init__(
        self,
        num_parameters,
        hidden_units,
        ordering,
        *,
        context_size=0,
        activation="relu",
        residual=False,
        direct=False,
        degree_seed=None,
        zero_last_layer=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_parameters = num_parameters
        self.hidden_units = check_hidden_units(hidden_units, residual)
        self.ordering = check_ordering(ordering)
        self.context_size = int(context_size)
        self.activation = keras.activations.get(activation)
        self.residual = residual
        self.direct = direct
        self.degree_seed = degree_seed
        self.zero_last_layer = zero_last_layer
        self.seed = seed
        self.layers, self.direct_layer = self._masked_layers()

    @property
    def event_size(self):
        """Number of variables, D."""
        return len(self.ordering)

    def build(self, input_shape):
        """Creates all weights for inputs `[N, D + context_size]`."""
        expected = self.event_size + self.context_size
        if input_shape[-1] != expected:
            raise ValueError(
                f"Expected inputs of shape [..., {expected}], variables and context; got "
                f"{tuple(input_shape)}."
            )
        *hidden, last = (layer.shape for layer in self.layers)
        zero = self.zero_last_layer  # a fresh step is then the identity, as in `MLP`
        parts = [(kernel_part(shape), bias_part(shape[1])) for shape in hidden]
        parts.append((kernel_part(last, zero=zero), bias_part(last[1])))
        context = kernel_part((self.context_size, parts[0][1].shape[0]))
        direct = [kernel_part(self.direct_layer.shape, zero=zero)] if self.direct else []
        self._layout = PackedWeights((parts, context, direct), seed=self.seed)
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def weight_arrays(self):
        """Returns the unmasked weights.

        Returns:
          `(kernel, bias)` for each masked layer, the context's kernel, and that of the
          direct connections or None.
        """
        pairs, context_kernel, direct = self._layout.unpack(self._packed)
        return pairs, context_kernel, direct[0] if direct else None

    def call(self, inputs):
        """Maps `[N, D + context_size]` to parameters `[N, P * D]`, D for each parameter."""
        x, context = inputs[:, : self.event_size], inputs[:, self.event_size :]
        (first, *others, last), context_kernel, direct_kernel = self.weight_arrays()
        first_layer, *other_layers, last_layer = self.layers
        hidden = first_layer(x, *first)
        if self.context_size:
            hidden += context @ context_kernel
        value = hidden
        for index, (layer, weights) in enumerate(zip(other_layers, others, strict=True)):
            value = layer(self.activation(value), *weights)
            if self.adds_skip(index + 1):
                value += hidden
                hidden = value
        outputs = last_layer(self.activation(value), *last)
        if self.direct:
            outputs += x @ self.direct_layer.masked(direct_kernel)
        return outputs

    def adds_skip(self, index):
        """Whether what hidden layer `index` gives is added to the last such sum."""
        return self.residual and index > 0 and index % 2 == 0

    def column_wise(self, values, context, solve):
        """Undoes an autoregressive map a variable at a time: see `column_wise.py`."""
        return column_wise(self, values, context, solve)

    def compute_output_shape(self, input_shape):
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.num_parameters * self.event_size)

    def get_config(self):
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
            "zero_last_layer": self.zero_last_layer,
            "seed": self.seed,
        }

    def _masked_layers(self):
        widths = self.hidden_units
        if self.residual:  # degrees must be the same along the skip connections
            widths = (widths[0],) * (2 * len(widths) - 1)
        # Units of degree 0 see only the context; without one they would be constants.
        lowest = 0 if self.context_size else 1
        degrees = [self.ordering]
        for index, width in enumerate(widths):
            if self.residual and index:
                degrees.append(degrees[-1])
                continue
            seed = None if self.degree_seed is None else [self.degree_seed, index]
            degrees.append(hidden_degrees(width, self.event_size, lowest=lowest, seed=seed))
            lowest = degrees[-1].min()
        outputs = np.tile(self.ordering, self.num_parameters)
        layers = [MaskedDense(a, b) for a, b in zip(degrees[:-1], degrees[1:], strict=True)]
        layers.append(MaskedDense(degrees[-1], outputs, strict=True))
        return layers, MaskedDense(self.ordering, outputs, strict=True)
