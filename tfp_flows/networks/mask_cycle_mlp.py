"""One MADE network under many masks: orders and connectivities that share all weights."""

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.column_wise import column_wise
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import natural_ordering

__all__ = ["MaskCycleMLP", "MemberOfCycle"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskCycleMLP(MaskedMLP):
    """A `MaskedMLP` that is trained under each of a cycle of masks.

    Each mask relabels the network: it says which variable, and which unit of each hidden
    layer, takes which place of a `MaskedMLP` in natural order, whose degrees are spread
    equally. So all masks have as many units of each degree, and differ in who they are.

    ```none
    degree of variable j = 1 + rank of j,   degree of unit u = degrees[rank of u]
    ```

    The ranks are drawn once and saved with the weights: `[num_masks, D]` and
    `[num_masks, units]` integers. The masks themselves are computed where they are used.

    Args:
      num_parameters: P, outputs a variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      event_size: number of variables, D.
      num_masks: length of the cycle, K.
      fixed_ordering: degree of each variable in all masks, so that only the connectivity
        varies; None draws an ordering for each mask.
      mask_seed: integer that the masks are drawn from; random if None.
      **kwargs: other arguments of `MaskedMLP`.

    Raises:
      ValueError: if `num_masks` is below 1, or as `MaskedMLP`.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, sections 4.1 and 4.2.
      https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        num_parameters,
        hidden_units,
        event_size,
        *,
        num_masks,
        fixed_ordering=None,
        mask_seed=None,
        **kwargs,
    ):
        super().__init__(
            num_parameters, hidden_units, natural_ordering(event_size), **kwargs
        )
        if num_masks < 1:
            raise ValueError(f"Expected `num_masks` of at least 1; got {num_masks}.")
        if fixed_ordering is not None:
            fixed_ordering = check_ordering(fixed_ordering, event_size)
        self.num_masks = num_masks
        self.fixed_ordering = fixed_ordering
        self.mask_seed = mask_seed

    def build(self, input_shape):
        """Creates all weights for inputs `[N, D + context_size]`, and the ranks."""
        super().build(input_shape)
        rng = np.random.default_rng(self.mask_seed)
        # Units that a skip connection adds must have the same degree.
        hidden = self.layers[:1] if self.residual else self.layers[:-1]
        widths = [len(layer.out_degrees) for layer in hidden]
        ranks = [self._drawn_ranks(rng, width) for width in (self.event_size, *widths)]
        if self.fixed_ordering is not None:
            ranks[0] = np.tile(self.fixed_ordering - 1, [self.num_masks, 1])
        self._ranks = [
            self.add_weight(
                name=f"ranks_{index}",
                shape=values.shape,
                dtype="int32",
                trainable=False,
                initializer=lambda shape, dtype, v=values: tf.constant(v, dtype),
            )
            for index, values in enumerate(ranks)
        ]

    def call(self, inputs):
        """Maps `[N, D + context_size]` to parameters `[N, P * D]` under the first mask."""
        return self.member(0)(inputs)

    def column_wise(self, values, context, solve):
        """Undoes the map under the first mask: see `column_wise.py`."""
        return self.member(0).column_wise(values, context, solve)

    def member(self, index):
        """Returns the network under mask `index`, an integer or a scalar tensor."""
        of_variables, *of_units = (tf.gather(ranks, index) for ranks in self._ranks)
        if self.residual:
            of_units *= len(self.layers) - 1
        return MemberOfCycle(self, of_variables, of_units)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["ordering"]
        fixed = self.fixed_ordering
        return {
            **config,
            "event_size": self.event_size,
            "num_masks": self.num_masks,
            "fixed_ordering": None if fixed is None else fixed.tolist(),
            "mask_seed": self.mask_seed,
        }

    def _drawn_ranks(self, rng, size):
        return np.stack([rng.permutation(size) for _ in range(self.num_masks)])


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
        (*hidden_weights, last), context_kernel, direct_kernel = network.weight_arrays()
        variables, *units = self._degrees()
        outputs = tf.tile(variables, [network.num_parameters])
        seen, degrees, sum_so_far = x, variables, None
        for index, (kernel, bias) in enumerate(hidden_weights):
            mask = degrees[:, None] <= units[index][None, :]
            value = seen @ _masked(kernel, mask) + bias
            if index == 0 and network.context_size:
                value += context @ context_kernel
            if network.adds_skip(index):
                value += sum_so_far
            if network.adds_skip(index) or index == 0:
                sum_so_far = value
            seen, degrees = network.activation(value), units[index]
        kernel, bias = last
        result = seen @ _masked(kernel, degrees[:, None] < outputs[None, :]) + bias
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

    def weight_arrays(self):
        """Returns the unmasked weights, with all variables and units at their places."""
        pairs, context_kernel, direct_kernel = self._network.weight_arrays()
        order, *units = map(
            tf.math.invert_permutation, [self._of_variables, *self._of_units]
        )
        size = self._network.event_size
        parameters = range(self._network.num_parameters)
        outputs = tf.concat([order + size * index for index in parameters], axis=0)
        rows, columns = [order, *units], [*units, outputs]
        pairs = [
            (_taken(kernel, row, column), tf.gather(bias, column))
            for (kernel, bias), row, column in zip(pairs, rows, columns, strict=True)
        ]
        if direct_kernel is not None:
            direct_kernel = _taken(direct_kernel, order, outputs)
        return pairs, tf.gather(context_kernel, columns[0], axis=1), direct_kernel

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
