"""The multilayer perceptron that conditions flows on vectors."""

import keras
import numpy as np

from tfp_flows.networks.seeds import split_seed

__all__ = ["MLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MLP(keras.layers.Layer):
    """Dense layers with one activation, plain or residual, and a zero last layer.

    ```none
    plain:     h <- activation(W h + b)                       for each of hidden_units
    residual:  h <- W h + b  first,  then  h <- h + V activation(W activation(h) + b) + c
    output:    W h + b, with W = 0 and b = 0 at the start
    ```

    Args:
      output_units: width of the output.
      hidden_units: widths of the hidden layers; all equal in a residual network, where
        each after the first is one residual pair of layers.
      activation: name of a Keras activation, or a function.
      residual: whether hidden layers are added to what they see.
      zero_last_layer: whether the last layer starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `hidden_units` is not all positive, or unequal with `residual`.

    Reference:
      He et al. (2016), Identity mappings in deep residual networks.
      https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        output_units,
        hidden_units=(64, 64),
        *,
        activation="relu",
        residual=False,
        zero_last_layer=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        hidden_units = tuple(int(units) for units in np.atleast_1d(hidden_units))
        if any(units < 1 for units in hidden_units):
            raise ValueError(f"Expected positive `hidden_units`; got {hidden_units}.")
        if residual and (not hidden_units or len(set(hidden_units)) > 1):
            raise ValueError(
                "Expected equal `hidden_units`, at least one, in a residual network; got "
                f"{hidden_units}."
            )
        self.output_units = output_units
        self.hidden_units = hidden_units
        self.activation = keras.activations.get(activation)
        self.residual = residual
        self.zero_last_layer = zero_last_layer
        self.seed = seed
        seeds = iter(split_seed(seed, 2 * len(hidden_units) + 1))

        def dense(units, initializer=keras.initializers.GlorotUniform):
            return keras.layers.Dense(
                units,
                kernel_initializer=initializer(seed=next(seeds)),
                dtype=self.dtype_policy,
            )

        if residual:
            width, *others = hidden_units
            self._hidden = [dense(width)]
            self._pairs = [(dense(width), dense(width)) for _ in others]
        else:
            self._hidden = [dense(units) for units in hidden_units]
            self._pairs = []
        # A zero last layer makes a fresh step the identity: the first loss is the
        # base's, and depth costs nothing before it has learned something.
        self._last = (
            keras.layers.Dense(
                output_units, kernel_initializer="zeros", dtype=self.dtype_policy
            )
            if zero_last_layer
            else dense(output_units)
        )

    def build(self, input_shape):
        """Creates all weights for inputs `[N, input_shape[-1]]`."""
        units = input_shape[-1]
        for layer in self._layers_in_order():
            layer.build((None, units))
            units = layer.units
        self.built = True

    def call(self, inputs):
        """Maps `[N, input_units]` to `[N, output_units]`."""
        hidden = inputs
        for layer in self._hidden:
            hidden = layer(hidden) if self.residual else self.activation(layer(hidden))
        for inner, outer in self._pairs:
            hidden += outer(self.activation(inner(self.activation(hidden))))
        return self._last(self.activation(hidden) if self.residual else hidden)

    def compute_output_shape(self, input_shape):
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.output_units)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_units": self.output_units,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
            "residual": self.residual,
            "zero_last_layer": self.zero_last_layer,
            "seed": self.seed,
        }

    def _layers_in_order(self):
        return [*self._hidden, *(x for pair in self._pairs for x in pair), self._last]
