"""One MADE network under many masks: orders and connectivities that share all weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_seed, check_size
from tfp_flows.networks.context_network import check_width, split_context
from tfp_flows.networks.forward_substitution import MaskedNetwork
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.network_structure import Weights
from tfp_flows.networks.orderings import check_ordering, natural_ordering
from tfp_flows.networks.packed_weights import bias_part, kernel_part


class WholeWeights(NamedTuple):
    """Weights of an `OrderAgnosticMLP` without masks; kernels are `[inputs, units]`.

    Attributes:
      kernels: kernel of each layer.
      biases: bias of each layer, `[units]`.
      context: kernel from the context to the first layer; None without a context.
      direct: kernel from variables to parameters; None without one.
    """

    kernels: list
    biases: list
    context: tf.Tensor | None
    direct: tf.Tensor | None


@keras.saving.register_keras_serializable(package="tfp_flows")
class OrderAgnosticMLP(MaskedMLP):
    """A `MaskedMLP` that is trained under a cycle of masks.

    Each mask relabels the network: it assigns variables and hidden units to the places of a
    `MaskedMLP` in natural order, whose degrees are spread equally. All masks give each
    degree to the same number of units, but not to the same units.

    ```none
    degree of variable j = 1 + rank of j,   degree of unit u = degrees[rank of u]
    ```

    The ranks are drawn once and saved with the weights: `[num_masks, D]` and
    `[num_masks, units]` integers. The masks are computed from them in each call.

    Args:
      num_parameters: P, outputs for each variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      event_size: number of variables, D.
      num_masks: length of the cycle, K.
      fixed_ordering: degree of each variable in all masks, so that only the connectivity
        varies; None draws an ordering for each mask.
      mask_seed: integer from which masks are drawn; random if None.
      **kwargs: other arguments of `MaskedMLP`.

    Raises:
      ValueError: if `num_masks` is below 1; see also `MaskedMLP`.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> masks = {"num_masks": 4, "mask_seed": 0}
    >>> network = tfp_flows.networks.OrderAgnosticMLP(1, (8,), event_size=3, **masks)
    >>> network(tf.ones([2, 3])).shape
    TensorShape([2, 3])

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, sections 4.1 and 4.2.
      https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        num_parameters: int,
        hidden_units: int | Sequence[int],
        event_size: int,
        *,
        num_masks: int,
        fixed_ordering: npt.ArrayLike | None = None,
        mask_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_size("num_masks", num_masks)
        check_seed("mask_seed", mask_seed)
        if kwargs.get("dropout"):
            raise ValueError(
                "Expected no `dropout` of a network under many masks, each of which drops "
                f"connections already; got {kwargs['dropout']}."
            )
        super().__init__(
            num_parameters, hidden_units, natural_ordering(event_size), **kwargs
        )
        self.num_masks = num_masks
        self.fixed_ordering = (
            None if fixed_ordering is None else check_ordering(fixed_ordering, event_size)
        )
        self.mask_seed = mask_seed

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, D + context_size]`, and the ranks."""
        check_width(input_shape, self.event_size, self.context_size)
        # Whole kernels, since the connections depend on the mask.
        *hidden, last = [layer.shape for layer in self.layers]
        width, zero = last[1], self.zero_last_layer
        parts = {f"kernel_{i}": kernel_part(shape) for i, shape in enumerate(hidden)}
        parts |= {f"kernel_{len(hidden)}": kernel_part(last, zero=zero)}
        parts |= {f"bias_{i}": bias_part(b, a) for i, (a, b) in enumerate(hidden)}
        parts |= {f"bias_{len(hidden)}": bias_part(width)}
        if self.context_size:
            shape = self.context_size, self.layers[0].shape[1]
            parts["context_kernel"] = kernel_part(shape, zero=zero and not hidden)
        if self.direct:
            parts["direct_kernel"] = kernel_part((self.event_size, width), zero=zero)
        seeds = split_seed(self.seed, len(parts))
        weights = {
            name: self.add_weight(
                name=name,
                shape=part.shape,
                initializer=lambda shape, dtype, p=part, s=seed: p.initial_value(dtype, s),
            )
            for (name, part), seed in zip(parts.items(), seeds, strict=True)
        }
        self._kernels = [weights[f"kernel_{i}"] for i in range(len(self.layers))]
        self._biases = [weights[f"bias_{i}"] for i in range(len(self.layers))]
        self._context_kernel = weights.get("context_kernel")
        self._direct_kernel = weights.get("direct_kernel")
        self._add_ranks()
        self.built = True

    def _add_ranks(self):
        rng = np.random.default_rng(self.mask_seed)
        # Units joined by a skip connection must have the same degree.
        hidden = self.layers[:1] if self.residual else self.layers[:-1]
        widths = [len(layer.out_degrees) for layer in hidden]
        ranks = [
            np.stack([rng.permutation(width) for _ in range(self.num_masks)])
            for width in (self.event_size, *widths)
        ]
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

    def whole_weights(self) -> WholeWeights:
        """Returns the weights of all layers as tensors."""
        tensor = tf.convert_to_tensor
        return WholeWeights(
            kernels=[tensor(kernel) for kernel in self._kernels],
            biases=[tensor(bias) for bias in self._biases],
            context=tensor(self._context_kernel) if self.context_size else None,
            direct=tensor(self._direct_kernel) if self.direct else None,
        )

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, D]` and a context to parameters `[N, P * D]` under the first mask."""
        del training  # there is no dropout under many masks
        return self.member(0)(x, context)

    def ordered_weights(
        self, context: TensorLike | None
    ) -> tuple[Weights, tf.Tensor, tf.Tensor]:
        """Returns the ordered weights of the member under the first mask."""
        return self.member(0).ordered_weights(context)

    def member(self, index: int | tf.Tensor) -> OrderAgnosticMember:
        """Returns the network under mask `index`, an integer or a scalar tensor."""
        from_variables, *from_units = (tf.gather(ranks, index) for ranks in self._ranks)
        if self.residual:
            from_units *= len(self.layers) - 1
        return OrderAgnosticMember(self, from_variables, from_units)


class OrderAgnosticMember(MaskedNetwork):
    """The network of an `OrderAgnosticMLP` under one mask, which may be a tensor.

    In one pass over known variables, kernels are masked. In the sequential direction,
    weights are relabelled instead, so that every mask has the structure of a `MaskedMLP` in
    natural order, and the trace does not depend on the mask.

    Args:
      network: a built `OrderAgnosticMLP`.
      from_variables: rank of each variable, `[D]`.
      from_units: rank of each unit, `[units]`, for each hidden layer.
    """

    def __init__(
        self,
        network: OrderAgnosticMLP,
        from_variables: tf.Tensor,
        from_units: Sequence[tf.Tensor],
    ) -> None:
        self._network = network
        self._from_variables = from_variables
        self._from_units = from_units

    def __call__(self, x: TensorLike, context: TensorLike | None = None) -> tf.Tensor:
        """Maps `[N, D]` and a context to parameters `[N, P * D]`, D for each parameter."""
        network = self._network
        x, context = split_context(x, context, self.event_size, self.context_size)
        weights = network.whole_weights()
        variables, *units = self._degrees()
        outputs = tf.tile(variables, [network.num_parameters])
        masks = [
            a[:, None] <= b[None, :]
            for a, b in zip([variables, *units], units, strict=False)
        ]
        masks.append([variables, *units][-1][:, None] < outputs[None, :])

        def layer(k, seen, skip=None):
            value = seen @ _masked(weights.kernels[k], masks[k]) + weights.biases[k]
            if k == 0 and self.context_size:
                value += context @ weights.context
            return value if skip is None else value + skip

        _, hidden = self.structure.hidden(layer, x)
        result = layer(len(masks) - 1, hidden)
        if network.direct:
            mask = variables[:, None] < outputs[None, :]
            result += x @ _masked(weights.direct, mask)
        return result

    def with_first(self, first: tf.Tensor) -> OrderAgnosticMember:
        """Returns the member whose order has `first`, booleans `[D]`, before all others."""
        late = tf.where(first, 0, self._network.event_size)
        order = tf.argsort(self._from_variables + tf.cast(late, tf.int32))
        ranks = tf.math.invert_permutation(order)
        return OrderAgnosticMember(self._network, ranks, self._from_units)

    def ordered_weights(
        self, context: tf.Tensor | None
    ) -> tuple[Weights, tf.Tensor, tf.Tensor]:
        """Returns the `Weights` for a context, and the variables' order and its inverse."""
        weights = self._network.whole_weights()
        order, *units = map(
            tf.math.invert_permutation, [self._from_variables, *self._from_units]
        )
        # The P outputs of a variable are neighbours.
        parameters = self.event_size * tf.range(self.num_parameters)
        outputs = tf.reshape(order[:, None] + parameters, [-1])
        seen, levels = self.structure.seen_degrees, self.structure.levels
        kernels = [
            _masked(tf.transpose(_taken(kernel, rows, columns)), b[:, None] >= a)
            for kernel, rows, columns, a, b in zip(
                weights.kernels,
                [order, *units],
                [*units, outputs],
                seen,
                levels,
                strict=True,
            )
        ]
        biases = [
            tf.gather(bias, columns)[:, None]
            for bias, columns in zip(weights.biases, [*units, outputs], strict=True)
        ]
        if weights.context is not None:
            from_units = tf.gather(weights.context, [*units, outputs][0], axis=1)
            biases[0] += tf.matmul(from_units, context, transpose_a=True, transpose_b=True)
        direct = []
        if weights.direct is not None:
            kernel = tf.transpose(_taken(weights.direct, order, outputs))
            direct = [_masked(kernel, levels[-1][:, None] >= seen[0])]
        return Weights(kernels, biases, direct), order, self._from_variables

    def __getattr__(self, name: str) -> Any:
        # Everything but the weights is the same under every mask.
        return getattr(self._network, name)

    def _degrees(self):
        hidden = zip(self._network.layers[:-1], self._from_units, strict=True)
        units = [tf.gather(tf.constant(layer.out_degrees), r) for layer, r in hidden]
        return [tf.cast(self._from_variables + 1, tf.int64), *units]


def _masked(kernel, mask):
    return tf.where(mask, kernel, tf.zeros([], kernel.dtype))


def _taken(kernel, rows, columns):
    return tf.gather(tf.gather(kernel, rows), columns, axis=1)
