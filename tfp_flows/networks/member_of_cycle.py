"""A `MaskCycleMLP` under one of its masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.networks.forward_substitution import AutoregressiveNetwork
from tfp_flows.networks.network_structure import Weights

if TYPE_CHECKING:
    from tfp_flows.networks.mask_cycle_mlp import MaskCycleMLP

__all__ = ["MemberOfCycle"]


class MemberOfCycle(AutoregressiveNetwork):
    """The network of a `MaskCycleMLP` under one mask, which may be a tensor.

    Where all variables are known, kernels are masked in place. One variable after another,
    weights are relabelled instead, so that the fixed structure of a `MaskedMLP` in natural
    order serves every mask: what is traced does not depend on the mask.

    Args:
      network: a built `MaskCycleMLP`.
      of_variables: rank of each variable, `[D]`.
      of_units: rank of each unit, `[units]`, for each hidden layer.
    """

    def __init__(
        self, network: MaskCycleMLP, of_variables: tf.Tensor, of_units: Sequence[tf.Tensor]
    ) -> None:
        self._network = network
        self._of_variables = of_variables
        self._of_units = of_units

    def __call__(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, D]` and a context to parameters `[N, P * D]`, D for each parameter."""
        network = self._network
        x, context = network.split_context(x, context)
        kernels, biases, context_kernel, direct_kernel = network.whole_weights()
        variables, *units = self._degrees()
        outputs = tf.tile(variables, [network.num_parameters])
        masks = [
            a[:, None] <= b[None, :]
            for a, b in zip([variables, *units], units, strict=False)
        ]
        masks.append([variables, *units][-1][:, None] < outputs[None, :])

        def layer(k, seen, skip=None):
            value = seen @ _masked(kernels[k], masks[k]) + biases[k]
            if k == 0 and self.context_size:
                value += context @ context_kernel
            return value if skip is None else value + skip

        _, hidden = self.structure.hidden(layer, x)
        result = layer(len(kernels) - 1, hidden)
        if network.direct:
            result += x @ _masked(direct_kernel, variables[:, None] < outputs[None, :])
        return result

    def with_first(self, first: tf.Tensor) -> MemberOfCycle:
        """Returns the member whose order has some variables before all others.

        Args:
          first: boolean, `[D]`, which; within them, and within the others, the order stays.
        """
        late = tf.where(first, 0, self._network.event_size)
        order = tf.argsort(self._of_variables + tf.cast(late, tf.int32))
        ranks = tf.math.invert_permutation(order)
        return MemberOfCycle(self._network, ranks, self._of_units)

    def ordered_weights(
        self, context: tf.Tensor | None
    ) -> tuple[Weights, tf.Tensor, tf.Tensor]:
        """Returns the `Weights` for a context, and the variables' order and its inverse."""
        kernels, biases, context_kernel, direct_kernel = self._network.whole_weights()
        order, *units = map(
            tf.math.invert_permutation, [self._of_variables, *self._of_units]
        )
        # The P outputs of a variable side by side.
        parameters = self.event_size * tf.range(self.num_parameters)
        outputs = tf.reshape(order[:, None] + parameters, [-1])
        seen, levels = self.structure.seen_degrees, self.structure.levels
        kernels = [
            _masked(tf.transpose(_taken(kernel, rows, columns)), b[:, None] >= a)
            for kernel, rows, columns, a, b in zip(
                kernels, [order, *units], [*units, outputs], seen, levels, strict=True
            )
        ]
        biases = [
            tf.gather(bias, columns)[:, None]
            for bias, columns in zip(biases, [*units, outputs], strict=True)
        ]
        if context_kernel is not None:
            of_units = tf.gather(context_kernel, [*units, outputs][0], axis=1)
            biases[0] += tf.matmul(of_units, context, transpose_a=True, transpose_b=True)
        direct = []
        if direct_kernel is not None:
            kernel = tf.transpose(_taken(direct_kernel, order, outputs))
            direct = [_masked(kernel, levels[-1][:, None] >= seen[0])]
        return Weights(kernels, biases, direct), order, self._of_variables

    def __getattr__(self, name: str) -> Any:
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
