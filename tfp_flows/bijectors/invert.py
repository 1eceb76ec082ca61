"""A `FlowBijector` with its two directions swapped."""

from __future__ import annotations

from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance
from tfp_flows.core.composite import Composite
from tfp_flows.core.event_shapes import OPPOSITE, event_shape_after
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import initialize_part


class Invert(Composite):
    """Swaps the directions of a `FlowBijector`, with its context and training.

    Stock `tfb.Invert` works too; inside a `FlowChain` it is replaced by this one.

    `initialize` standardises the latent side of this bijector, as the original does for
    its own: zero mean and unit variance after `ActNorm` and `Standardize`. `BatchNorm`
    keeps its statistics.

    Args:
      bijector: a `FlowBijector`.
      name: name of the bijector.

    Raises:
      ValueError: if `bijector` is no `FlowBijector`.

    >>> import tfp_flows
    >>> permutation = tfp_flows.Permutation([1, 2, 0])
    >>> tfp_flows.Invert(permutation).inverse([[10.0, 20.0, 30.0]]).numpy()
    array([[20., 30., 10.]], dtype=float32)
    """

    def __init__(self, bijector: FlowBijector, *, name: str | None = None) -> None:
        words = "a `FlowBijector` (`tfb.Invert` takes a stock one)"
        check_instance("bijector", bijector, FlowBijector, words)
        super().__init__(
            [bijector],
            event_ndims=bijector.inverse_min_event_ndims,
            data_event_ndims=bijector.forward_min_event_ndims,
            event_shape=bijector._event_shapes["inverse"],
            data_event_shape=bijector._event_shapes["forward"],
            name=name or f"invert_{bijector.name}",
        )
        # `FlowBijector` would take an unknown data shape from the latent end.
        self._event_shapes = {d: bijector._event_shapes[OPPOSITE[d]] for d in OPPOSITE}

    @property
    def bijector(self) -> FlowBijector:
        """The bijector whose directions are swapped."""
        return self._steps[0]

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The sequential directions of the bijector, swapped."""
        return frozenset(OPPOSITE[d] for d in self.bijector.sequential_directions)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Accepts all data, since every latent of the bijector has a value."""

    def _initialize(self, data, context, weight):
        self.bijector._initialize_inverted(data, context, weight)

    def _initialize_inverted(self, data, context, weight):
        initialize_part(self.bijector, data, context, weight)

    def _forward_and_log_det(self, x, context, training):
        return self._apply_part(self.bijector, "inverse", training, x, context)

    def _inverse_and_log_det(self, y, context, training):
        return self._apply_part(self.bijector, "forward", training, y, context)

    def _event_shape_after(self, direction, shape):
        return event_shape_after(self.bijector, OPPOSITE[direction], shape)
