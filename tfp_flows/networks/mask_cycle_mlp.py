"""One MADE network under many masks: orders and connectivities that share all weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.member_of_cycle import MemberOfCycle
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import natural_ordering
from tfp_flows.networks.packed_weights import bias_part
from tfp_flows.networks.packed_weights import kernel_part
from tfp_flows.networks.seeds import split_seed

if TYPE_CHECKING:
    from tfp_flows.networks.network_structure import Weights

__all__ = ["MaskCycleMLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskCycleMLP(MaskedMLP):
    """A `MaskedMLP` that is trained under each of a cycle of masks.

    Each mask relabels the network: it says which variable, and which unit of each hidden
    layer, takes which place of a `MaskedMLP` in natural order, whose degrees are spread
    equally. So all masks have the same number of units of each degree, and differ in which
    these are.

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

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> network = tfp_flows.MaskCycleMLP(1, (8,), event_size=3, num_masks=4, mask_seed=0)
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
        check_arguments(locals())
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
        self._check_width(input_shape)
        # Whole kernels: which connections there are depends on the mask.
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

    def whole_weights(self) -> tuple[list, list, tf.Tensor | None, tf.Tensor | None]:
        """Returns kernels and biases of all layers, the context's kernel, the direct one.

        Columns of the last and of the direct one are those of the outputs; rows of the
        first and of the direct one are those of the inputs. What is absent is None.
        """
        tensor = tf.convert_to_tensor
        return (
            [tensor(kernel) for kernel in self._kernels],
            [tensor(bias) for bias in self._biases],
            tensor(self._context_kernel) if self.context_size else None,
            tensor(self._direct_kernel) if self.direct else None,
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
        """Returns those of the member under the first mask."""
        return self.member(0).ordered_weights(context)

    def member(self, index: int | tf.Tensor) -> MemberOfCycle:
        """Returns the network under mask `index`, an integer or a scalar tensor."""
        of_variables, *of_units = (tf.gather(ranks, index) for ranks in self._ranks)
        if self.residual:
            of_units *= len(self.layers) - 1
        return MemberOfCycle(self, of_variables, of_units)

    def get_config(self) -> dict:
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
