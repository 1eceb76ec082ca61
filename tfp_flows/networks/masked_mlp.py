"""The MADE network: every output depends on variables of lower degree only."""

import itertools

import keras
import tensorflow as tf

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.activations import get_activation
from tfp_flows.networks.column_wise import column_wise
from tfp_flows.networks.column_wise import column_wise_adjoint
from tfp_flows.networks.hidden_units import check_hidden_units
from tfp_flows.networks.masked_dense import MaskedDense
from tfp_flows.networks.masked_weights import MaskedWeights
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import hidden_degrees
from tfp_flows.networks.packed_weights import PackedWeights
from tfp_flows.networks.packed_weights import kernel_part

__all__ = ["MaskedMLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedMLP(keras.layers.Layer):
    """Masked autoregressive network for distribution estimation.

    ```none
    plain:     h <- activation((W * M) h + b)                 for each of hidden_units
               output = (W * M') h + b  [+ (A * M') x, the direct connections]
    residual:  h <- (W * M) h + b                             for the first of them
               h <- h + (V * M) activation((W * M) activation(h) + b) + c
                                                              for each other
               output = (W * M') activation(h) + b  [+ (A * M') x]
    ```

    The first layer also sees the context, whose degree is 0. All weights are parts of one
    variable, for speed (`PackedWeights`).

    Args:
      num_parameters: P, outputs a variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      ordering: degree of each variable, a permutation of `1, ..., D`.
      context_size: width of the context, joined to the inputs on the right; 0 if none.
      activation: name of a Keras activation, or a function.
      residual: whether each hidden layer but the first is a pair, added to what it sees.
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
        last = len(self.layers) - 1
        # What leads to the outputs starts at zero: a fresh step is the identity.
        zero = self.zero_last_layer
        self._layout = PackedWeights(
            MaskedWeights(
                layers=[
                    layer.parts(zero=zero and i == last)
                    for i, layer in enumerate(self.layers)
                ],
                context=kernel_part((self.context_size, self.layers[0].shape[1])),
                direct=self.direct_layer.parts(zero=zero)[0] if self.direct else [],
            ),
            seed=self.seed,
        )
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    @property
    def weight_arrays(self):
        """The unmasked weights, as `MaskedWeights` of tensors."""
        return self._layout.unpack(self._packed)

    def call(self, inputs):
        """Maps `[N, D + context_size]` to parameters `[N, P * D]`, D for each parameter."""
        weights = self.weight_arrays
        x, context = self._split(inputs)
        hidden = self.activation(self._sums(x, context, weights)[-1])
        outputs = self.layers[-1](hidden, *weights.layers[-1])
        if self.direct:
            outputs += self.direct_layer.product(x, weights.direct)
        return outputs

    def activation_slopes(self, inputs):
        """Derivatives of the activation at each hidden unit, `[N, units]` a layer."""
        sums = self._sums(*self._split(inputs), self.weight_arrays)
        with tf.GradientTape() as tape:
            tape.watch(sums)
            activations = [self.activation(value) for value in sums]
        return tape.gradient(activations, sums)

    def _split(self, inputs):
        """Variables and context."""
        if not self.context_size:
            return inputs, None
        return tf.split(inputs, [self.event_size, self.context_size], axis=1)

    def _sums(self, x, context, weights):
        """What the activation is applied to, `[N, units]` of each hidden layer."""
        # Unpacked once a call: the gradient packs a whole vector for each time.
        sums = [self.layers[0](x, *weights.layers[0])]
        if self.context_size:
            sums[0] += context @ weights.context
        for layer, arrays in zip(self.layers[1:-1], weights.layers[1:-1], strict=True):
            sums.append(layer(self.activation(sums[-1]), *arrays))
            if self.adds_skip(len(sums) - 1):
                sums[-1] += sums[-3]
        return sums

    def adds_skip(self, index):
        """Whether hidden layer `index` adds what layer `index - 2` has summed."""
        return self.residual and 0 < index < len(self.layers) - 1 and index % 2 == 0

    def column_wise(self, values, context, solve):
        """Undoes an autoregressive map a variable at a time: see `column_wise.py`."""
        return column_wise(self, values, context, solve)

    def column_wise_adjoint(self, inputs, adjoint, slope, offset):
        """Back-propagates through `column_wise`: see `column_wise.py`."""
        return column_wise_adjoint(self, inputs, adjoint, slope, offset)

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
        outputs = {"num_copies": self.num_parameters, "strict": True}
        layers = [MaskedDense(a, b) for a, b in itertools.pairwise(degrees)]
        layers.append(MaskedDense(degrees[-1], self.ordering, **outputs))
        return layers, MaskedDense(self.ordering, self.ordering, **outputs)
