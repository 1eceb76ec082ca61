"""A `MaskCycleMLP` under one of its masks."""

import tensorflow as tf

from tfp_flows.networks.column_wise import column_wise
from tfp_flows.networks.masked_weights import MaskedWeights

__all__ = ["MemberOfCycle"]


class MemberOfCycle:
    """The network of a `MaskCycleMLP` under one mask, which may be a tensor.

    Where all variables are known, kernels are masked in place. One variable after another,
    weights are relabelled instead, so that the fixed structure of a `MaskedMLP` in natural
    order serves every mask: what is traced does not depend on the mask.

    Args:
      network: a built `MaskCycleMLP`.
      of_variables: rank of each variable, `[D]`.
      of_units: rank of each unit, `[units]`, for each hidden layer.
    """

    def __init__(self, network, of_variables, of_units):
        self._network = network
        self._of_variables = of_variables
        self._of_units = of_units

    def __call__(self, inputs):
        """Maps `[N, D + context_size]` to parameters `[N, P * D]`, D for each parameter."""
        network = self._network
        x, context = inputs[:, : network.event_size], inputs[:, network.event_size :]
        kernels, biases, context_kernel, direct_kernel = network.whole_weights()
        variables, *units = self._degrees()
        outputs = tf.tile(variables, [network.num_parameters])
        seen, degrees, sum_so_far = x, variables, None
        for index, unit_degrees in enumerate(units):
            mask = degrees[:, None] <= unit_degrees[None, :]
            value = seen @ _masked(kernels[index], mask) + biases[index]
            if index == 0 and network.context_size:
                value += context @ context_kernel
            if network.adds_skip(index):
                value += sum_so_far
            if network.adds_skip(index) or index == 0:
                sum_so_far = value
            seen, degrees = network.activation(value), unit_degrees
        mask = degrees[:, None] < outputs[None, :]
        result = seen @ _masked(kernels[-1], mask) + biases[-1]
        if network.direct:
            result += x @ _masked(direct_kernel, variables[:, None] < outputs[None, :])
        return result

    def with_first(self, first):
        """Returns the member whose order has some variables before all others.

        Args:
          first: boolean, `[D]`, which; within them, and within the others, the order stays.
        """
        late = tf.where(first, 0, self._network.event_size)
        order = tf.argsort(self._of_variables + tf.cast(late, tf.int32))
        ranks = tf.math.invert_permutation(order)
        return MemberOfCycle(self._network, ranks, self._of_units)

    def column_wise(self, values, context, solve):
        """Undoes the map under this mask, for any mask in the same way."""
        order = tf.math.invert_permutation(self._of_variables)
        x, sums = column_wise(self, tf.gather(values, order, axis=1), context, solve)
        return tf.gather(x, self._of_variables, axis=1), sums

    @property
    def weight_arrays(self):
        """The weights as those of a `MaskedMLP` in natural order, `MaskedWeights`.

        All variables and units are at their places.
        """
        kernels, biases, context_kernel, direct_kernel = self._network.whole_weights()
        order, *units = map(
            tf.math.invert_permutation, [self._of_variables, *self._of_units]
        )
        outputs = self._outputs(order)
        rows, columns = [order, *units], [*units, outputs]
        tiles = [
            layer.tiles(_taken(*arrays))
            for layer, *arrays in zip(self.layers, kernels, rows, columns, strict=True)
        ]
        biases = map(tf.gather, biases, columns)
        if context_kernel is not None:
            context_kernel = tf.gather(context_kernel, columns[0], axis=1)
        direct = []
        if direct_kernel is not None:
            direct = self.direct_layer.tiles(_taken(direct_kernel, order, outputs))
        layers = list(zip(tiles, biases, strict=True))
        return MaskedWeights(layers, context_kernel, direct)

    def _outputs(self, order):
        """Which of our outputs each output of the `MaskedMLP` in natural order is."""
        parameters = self.event_size * tf.range(self.num_parameters)
        return tf.reshape(order + parameters[:, None], [-1])

    def __getattr__(self, name):
        # All but the weights is the same under every mask.
        return getattr(self._network, name)

    def _degrees(self):
        hidden = zip(self._network.layers[:-1], self._of_units, strict=True)
        units = [tf.gather(tf.constant(layer.out_degrees), r) for layer, r in hidden]
        return [tf.cast(self._of_variables + 1, tf.int64), *units]


def _masked(kernel, mask):
    return tf.where(mask, kernel, tf.zeros([], kernel.dtype))


def _taken(kernel, rows, columns):
    return tf.gather(tf.gather(kernel, rows), columns, axis=1)
